"""What controllers ask, and the answers: one handler a request. Supervisor.

Each request runs as a task of its own, so a launch that takes long holds up nobody. An error from `errors` goes back by
its class name; anything else is a bug here, is logged, and goes back as a `LabError`.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

import msgspec

from .. import messages as m
from ..errors import AppGone, BadRequest, LabError, LabTimeout, LaunchError, LimitError, NotRunning, UnknownApp
from ..errors import from_wire as error_from_wire
from . import lifecycle
from .breaking import break_on_purpose
from .lifecycle import State
from .limits.tier import CannotLimit
from .limits.wanted import in_words
from .peer import Peer
from .slot import Slot

CLOSE_GRACE = 5.0
"""Seconds an app gets to close before a restart."""
EXIT_SECONDS = 3.0
"""Seconds that a process may take to be gone once its app has ended."""
CAPTURE_TIMEOUT = 2.0
"""Seconds a picture for a live view may take."""
CONTROLLER = "a controller"


class _Number(msgspec.Struct):
    id: int


_read = m.Reader(m.Request)
_number_of = msgspec.json.Decoder(_Number).decode


class ControllerSpeaker:
    """All controllers: the kernel, and CLI commands from other terminals."""

    def __init__(self, supervisor: Any) -> None:
        self._supervisor = supervisor
        self.subscribed: set[Peer] = set()
        self.came = False
        """Whether there has been one."""
        self._peers: set[Peer] = set()
        self._tasks: dict[tuple[Peer, int], asyncio.Task[None]] = {}
        self._watches: dict[tuple[Peer, str], asyncio.Task[None]] = {}
        self._results: dict[int, tuple[asyncio.Future[m.HostResult], Slot, int]] = {}
        self._count = 0
        self._handlers = {
            m.Launch: self._launch,
            m.Stop: self._stop,
            m.Kill: self._kill,
            m.Restart: self._restart,
            m.Recycle: self._recycle,
            m.Crash: self._crash,
            m.SetLimits: self._set_limits,
            m.Evaluate: self._evaluate,
            m.Capture: self._capture,
            m.OpenDevtools: self._open_devtools,
            m.Watch: self._watch,
            m.SendInput: self._send_input,
            m.Describe: self._describe,
            m.TellOrder: self._tell_order,
            m.Subscribe: self._subscribe,
            m.Recall: self._recall,
            m.RecallBriefs: self._recall_briefs,
            m.RecallReport: self._recall_report,
            m.RecallAside: self._recall_aside,
            m.OfferResolver: self._offer_resolver,
            m.AnswerQuestion: self._answer_question,
            m.Overhear: self._overhear,
            m.SaveWorkspace: self._save_workspace,
            m.TellWorkspaces: self._tell_workspaces,
            m.DeleteWorkspace: self._delete_workspace,
            m.RestoreWorkspace: self._restore_workspace,
            m.Shutdown: self._shutdown,
        }

    # --- the connection

    def joined(self, peer: Peer) -> None:
        """A controller is connected."""
        self._peers.add(peer)
        self.came = True
        peer.send(m.Welcome())

    def said(self, peer: Peer, data: str) -> None:
        """Take one request. Raises `msgspec.DecodeError` for what is no request at all, which ends the connection."""
        try:
            request = _read(data)
        except msgspec.ValidationError as error:
            # A wrong value is the request's fault and not the connection's.
            number = _number_of(data).id
            peer.send(m.Refusal(id=number, kind="BadRequest", message=f"not accepted: {error}"))
            return
        if isinstance(request, m.Cancel):
            if task := self._tasks.get((peer, request.request)):
                task.cancel()
            return
        key = (peer, request.id)
        task = asyncio.get_running_loop().create_task(self._answer(peer, request))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def left(self, peer: Peer) -> None:
        """A controller is gone; what it waited for goes on without it, but for launches and pictures."""
        self._peers.discard(peer)
        self.subscribed.discard(peer)
        self._supervisor.traffic.watch(peer, 0)
        self._supervisor.resolving.left(peer)
        for key, task in list(self._tasks.items()):
            if key[0] is peer:
                task.cancel()
        for key, task in list(self._watches.items()):
            if key[0] is peer:
                task.cancel()
                del self._watches[key]

    async def settle(self, seconds: float) -> None:
        """Let the answers that are due go out, for at most `seconds`: after it the connections are closed."""
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=seconds)
        deadline = asyncio.get_running_loop().time() + seconds
        while any(peer.backlog for peer in self._peers) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def publish(self, news: m.News) -> None:
        """Tell every subscriber."""
        data = m.encode(news)
        for peer in self.subscribed:
            peer.send_bytes(data)

    async def _answer(self, peer: Peer, request: Any) -> None:
        answer: m.Reply | m.Refusal
        try:
            value = await self._handlers[type(request)](peer, request)
        except LabError as error:
            answer = m.Refusal(id=request.id, kind=type(error).__name__, message=error.message, detail=error.detail)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._supervisor.log.remark(f"{type(request).__name__} failed: {error!r}", level="error")
            answer = m.Refusal(id=request.id, kind="LabError", message=f"the supervisor failed: {error!r}")
        else:
            answer = m.Reply(id=request.id, value=msgspec.Raw(m.encode(value)))
        # Whoever has the answer looks at once at what is on the platform now, and must not see what was before.
        self._supervisor.flush()
        peer.send(answer)

    # --- finding

    def _slot(self, place: str) -> Slot:
        slots = self._supervisor.slots
        if place in slots:
            return slots[place]
        there = ", ".join(slots) or "none"
        raise UnknownApp(f"no app is called {place!r} on this platform; there are: {there}", app=place)

    def _running(self, place: str, wish: str) -> Slot:
        slot = self._slot(place)
        if slot.host is None or slot.state not in (State.RUNNING, State.UNRESPONSIVE, State.STARTING):
            raise NotRunning(f"{place} is {slot.state}; {wish} needs a running app", app=place, state=str(slot.state))
        return slot

    # --- lifecycle

    async def _launch(self, peer: Peer, request: m.Launch) -> m.AppStatus:
        supervisor = self._supervisor
        if request.manifest is not None:
            manifest = request.manifest
        elif request.app_id in supervisor.manifests:
            manifest = supervisor.manifests[request.app_id]
        else:
            known = ", ".join(sorted(supervisor.manifests)) or "none"
            raise UnknownApp(f"no manifest has the uuid {request.app_id!r}; known: {known}", app=request.app_id)
        slot = supervisor.launching.begin(manifest, request.timeout, request.limits, placement=request.placement)
        await supervisor.launching.finish(slot, request.timeout)
        return slot.status()

    async def _stop(self, peer: Peer, request: m.Stop) -> m.AppStatus:
        slot = self._slot(request.place)
        event = lifecycle.StopAsked(at=time.time(), by=CONTROLLER, grace=request.timeout)
        self._supervisor.feed(slot, event)
        await self._settle(slot, lambda slot: not slot.live, request.timeout + 3, "to stop")
        return await self._gone(slot)

    async def _kill(self, peer: Peer, request: m.Kill) -> m.AppStatus:
        slot = self._slot(request.place)
        self._supervisor.feed(slot, lifecycle.KillAsked(at=time.time(), by=CONTROLLER))
        await self._settle(slot, lambda slot: not slot.live, 5, "to be gone after SIGKILL")
        return await self._gone(slot)

    async def _gone(self, slot: Slot) -> m.AppStatus:
        """How an app stands once its process is gone, and that it is not to come back is on disk."""
        await self._supervisor.hosts.wait_gone(slot, EXIT_SECONDS)
        await self._supervisor.roster.written()
        return slot.status()

    async def _restart(self, peer: Peer, request: m.Restart) -> m.AppStatus:
        slot = self._slot(request.place)
        before = slot.life.incarnation
        event = lifecycle.RestartAsked(at=time.time(), by=CONTROLLER, grace=CLOSE_GRACE, timeout=request.timeout)
        self._supervisor.feed(slot, event)

        def settled(slot: Slot) -> bool:
            return slot.life.incarnation > before and slot.state not in (State.STARTING, State.STOPPING)

        await self._settle(slot, settled, request.timeout + CLOSE_GRACE + 3, "to restart")
        if slot.state is not State.RUNNING:
            raise LaunchError(f"{slot.name} did not restart: {slot.life.detail}", app=slot.name)
        return slot.status()

    async def _recycle(self, peer: Peer, request: m.Recycle) -> m.AppStatus:
        slot = self._slot(request.place)
        try:
            await asyncio.wait_for(self._supervisor.recycling.recycle(slot, CONTROLLER), request.timeout)
        except TimeoutError:
            raise LabTimeout(
                f"waited {request.timeout:g} s for {slot.name} to be recycled; it is {slot.state}", app=slot.name
            ) from None
        return slot.status()

    async def _settle(self, slot: Slot, met: Any, seconds: float, wish: str) -> None:
        if not await self._supervisor.until(slot, met, seconds):
            raise LabTimeout(f"waited {seconds:g} s for {slot.name} {wish}; it is {slot.state}", app=slot.name)

    async def _set_limits(self, peer: Peer, request: m.SetLimits) -> m.AppStatus:
        slot, supervisor = self._slot(request.place), self._supervisor
        # One that failed, and maybe for its limit, is started again by hand and keeps its limits then.
        if slot.state in (State.STOPPED, State.STOPPING):
            raise NotRunning(
                f"{slot.name} is {slot.state}; launch it again with the limits that it is to have",
                app=slot.name,
                state=str(slot.state),
            )
        if why := supervisor.hosts.unlimited(slot.manifest, slot.wish):
            raise LimitError(f"{slot.name}: {why}; nothing was changed", app=slot.name)
        async with slot.setting_limits:
            wanted = slot.limits.changed(request.changes, request.lifted)
            supervisor.limits_judge.check(slot.name, request.changes, slot.has_page, supervisor.watch.metrics.capacity)
            try:
                await supervisor.hosts.set_limits(slot, wanted)
            except CannotLimit as error:
                raise LimitError(f"{slot.name}: {error}; what held before still holds", app=slot.name) from None
            slot.limits = wanted
        supervisor.roster.note(slot)
        supervisor.log.remark(in_words(wanted), kind="limits", place=slot.name)
        supervisor.touch(slot)
        return slot.status()

    # --- faults

    async def _crash(self, peer: Peer, request: m.Crash) -> m.AppStatus:
        slot = self._running(request.place, "crash()")
        await break_on_purpose(self._supervisor, slot, request.how, request.timeout)
        return slot.status()

    # --- the page

    async def _evaluate(self, peer: Peer, request: m.Evaluate) -> msgspec.Raw:
        slot = self._running(request.place, "evaluate_js()")
        result = await self._ask_host(
            slot,
            lambda number: m.HostEvaluate(request=number, place=slot.name, code=request.code, timeout=request.timeout),
            request.timeout,
            "JavaScript to finish",
        )
        return result.value

    async def _capture(self, peer: Peer, request: m.Capture) -> msgspec.Raw:
        slot = self._running(request.place, "screenshot()")
        raw = await self.picture(slot, request.format, request.max_width, request.timeout)
        if request.format == "jpeg":
            self._supervisor.pictures.seen(slot, m.decode(raw, m.Picture))
        return raw

    async def _open_devtools(self, peer: Peer, request: m.OpenDevtools) -> None:
        slot = self._running(request.place, "open_devtools()")
        order = self._supervisor.order
        if not slot.has_page:
            raise BadRequest(f"{slot.name} has no page that developer tools could look into", app=slot.name)
        if order.qt_platform == "offscreen":
            words = f"developer tools need a screen, and apps draw off screen here: {order.display}"
            raise BadRequest(f"{slot.name}: {words}", app=slot.name)
        await self._ask_host(
            slot,
            lambda number: m.HostDevtools(request=number, place=slot.name),
            request.timeout,
            "the developer tools",
        )

    async def picture(self, slot: Slot, kind: str, max_width: int, seconds: float) -> msgspec.Raw:
        """A picture of its window, as the JSON of a `Picture`. Raises `LabError` after `seconds`."""
        result = await self._ask_host(
            slot,
            lambda number: m.HostCapture(request=number, place=slot.name, format=kind, max_width=max_width),
            seconds,
            "a picture of its window",
        )
        return result.value

    async def _ask_host(self, slot: Slot, order: Any, seconds: float, wish: str) -> m.HostResult:
        self._count += 1
        number = self._count
        incarnation = slot.life.incarnation
        future: asyncio.Future[m.HostResult] = asyncio.get_running_loop().create_future()
        self._results[number] = (future, slot, incarnation)
        slot.host.send(order(number))
        gone = asyncio.ensure_future(
            self._supervisor.until(
                slot, lambda slot: slot.life.incarnation != incarnation or not slot.live, seconds + 1
            )
        )
        try:
            await asyncio.wait({future, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._results.pop(number, None)
            gone.cancel()
        if future.done():
            result = future.result()
            if result.error:
                raise error_from_wire(result.error, result.message, result.detail)
            return result
        if slot.life.incarnation != incarnation or not slot.live:
            raise AppGone(
                f"{slot.name} ended while it was waited for: {slot.life.reason}, {slot.life.detail}", app=slot.name
            )
        seen = f"a dialog is open ({slot.dialog})" if slot.dialog else f"it is {slot.state}"
        raise LabTimeout(f"waited {seconds:g} s for {wish} in {slot.name}; {seen}", app=slot.name)

    def host_result(self, result: m.HostResult) -> None:
        """A host answered what `_ask_host` asked."""
        waiting = self._results.get(result.request)
        if waiting and not waiting[0].done():
            waiting[0].set_result(result)

    async def _send_input(self, peer: Peer, request: m.SendInput) -> None:
        slot = self._slot(request.place)
        # One that does not answer would get it all at once when it does, and long after the person meant it.
        if slot.host and slot.state is State.RUNNING:
            slot.host.send(m.HostInput(place=slot.name, inputs=request.inputs))

    async def _watch(self, peer: Peer, request: m.Watch) -> None:
        slot = self._slot(request.place)
        key = (peer, request.place)
        if former := self._watches.pop(key, None):
            former.cancel()
        if request.rate > 0:
            task = asyncio.get_running_loop().create_task(self._send_frames(peer, slot.name, request))
            self._watches[key] = task

    async def _send_frames(self, peer: Peer, place: str, request: m.Watch) -> None:
        seen: Any = None
        while True:
            slot = self._supervisor.slots.get(place)
            started = asyncio.get_running_loop().time()
            if slot is None:
                peer.send(m.Frame(place=place, problem="it is not on the platform any more"))
                return
            try:
                if slot.state not in (State.RUNNING, State.UNRESPONSIVE) or not slot.has_page:
                    raise NotRunning(str(slot.state) if slot.has_page else "it has no window")
                if peer.backlog:
                    # Whoever is behind gets a later picture, not an older one more.
                    await asyncio.sleep(1 / request.rate)
                    continue
                raw = await self.picture(slot, "jpeg", request.max_width, CAPTURE_TIMEOUT)
                new: Any = hashlib.blake2b(bytes(raw), digest_size=16).digest()
                if new != seen:
                    picture = m.decode(raw, m.Picture)
                    self._supervisor.pictures.seen(slot, picture)
                    peer.send(m.Frame(place=place, data=picture.data, width=picture.width, height=picture.height))
            except LabError as error:
                new = error.message if isinstance(error, NotRunning) else str(slot.state)
                if new != seen:
                    peer.send(m.Frame(place=place, problem=new))
            seen = new
            spent = asyncio.get_running_loop().time() - started
            await asyncio.sleep(max(1 / request.rate - spent, 0.02))

    # --- the platform

    async def _describe(self, peer: Peer, request: m.Describe) -> m.PlatformStatus:
        return self._supervisor.describe()

    async def _tell_order(self, peer: Peer, request: m.TellOrder) -> m.SupervisorOrder:
        return msgspec.structs.replace(self._supervisor.order, resume=None)

    async def _subscribe(self, peer: Peer, request: m.Subscribe) -> list[msgspec.Raw]:
        self.subscribed.add(peer)
        return self._supervisor.log.as_json()

    async def _recall(self, peer: Peer, request: m.Recall) -> m.Recalled:
        after = time.time() - request.span if request.after is None else request.after
        return await self._supervisor.remembering.recall(self._slot(request.place), after)

    async def _recall_briefs(self, peer: Peer, request: m.RecallBriefs) -> list[m.CrashBrief]:
        return self._supervisor.reports.briefs()

    async def _recall_report(self, peer: Peer, request: m.RecallReport) -> msgspec.Raw:
        return await self._supervisor.reports.full(request.number)

    async def _recall_aside(self, peer: Peer, request: m.RecallAside) -> m.StateAside | None:
        return await self._supervisor.keeping.aside(self._slot(request.place).name)

    async def _offer_resolver(self, peer: Peer, request: m.OfferResolver) -> None:
        self._supervisor.resolving.offer(peer, request.kind)

    async def _answer_question(self, peer: Peer, request: m.AnswerQuestion) -> bool:
        return self._supervisor.resolving.answered(peer, request.number, request.option, request.problem)

    async def _overhear(self, peer: Peer, request: m.Overhear) -> int:
        return self._supervisor.traffic.watch(peer, request.most)

    async def _save_workspace(self, peer: Peer, request: m.SaveWorkspace) -> m.Workspace:
        return await self._supervisor.workspaces.save(request.name)

    async def _tell_workspaces(self, peer: Peer, request: m.TellWorkspaces) -> list[m.Workspace]:
        return await self._supervisor.workspaces.all()

    async def _delete_workspace(self, peer: Peer, request: m.DeleteWorkspace) -> None:
        await self._supervisor.workspaces.delete(request.name)

    async def _restore_workspace(self, peer: Peer, request: m.RestoreWorkspace) -> m.WorkspaceRestored:
        return await self._supervisor.workspaces.restore(request.name, request.running, request.timeout)

    async def _shutdown(self, peer: Peer, request: m.Shutdown) -> None:
        # The supervisor's own task: it goes on even if nobody waits for it any more.
        await asyncio.shield(self._supervisor.begin_stop(request.timeout, request.by or CONTROLLER))
