"""Intents: who could handle one, who shall, the delivery, and the result's way back. Supervisor, fdc3."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice

import msgspec

from ... import dacp
from ...errors import LabError
from ...fdc3.types import AppIntent, AppMetadata, IntentMetadata
from . import payloads as p
from .channels import MOST_LISTENERS, Channels
from .desk import Choice, Deadlines, Desk, Question
from .directory import metadata
from .errors import E, Refused
from .instances import Instance, Request
from .post import Post
from .waits import Waiting, Waits

MOST_RESULTS = 1000
"""Results one instance may wait for; for more, the oldest is given up. A handler that fails never sends one."""
MOST_FOUND = 5000
"""Apps, each once for an intent, that are found for a context; those beyond are left out."""

_read_result = msgspec.json.Decoder(p.Result).decode


class Raised:
    """A context on its way to whoever handles an intent. Raises `Refused` for what is not a context."""

    def __init__(self, request: Request, context: msgspec.Raw) -> None:
        self.request = request
        self.context_type = p.context_type(context)
        self.context = p.copied(context)


class Owed:
    """A result that an instance owes to another."""

    __slots__ = ("event", "handler", "intent", "request")

    def __init__(self, event: str, request: Request, handler: Instance, intent: str) -> None:
        self.event = event
        self.intent = intent
        self.request = request
        self.handler = handler


class _ForListener(Waiting):
    """Delivers an intent once an instance listens for it. `launched`: the instance was started for this."""

    too_late = E.INTENT_DELIVERY_FAILED
    never_opened = E.TARGET_APP_UNAVAILABLE
    ended = E.INTENT_DELIVERY_FAILED

    def __init__(self, intents: Intents, raised: Raised, intent: str, launched: str | None) -> None:
        super().__init__(raised.request)
        self._intents = intents
        self._raised = raised
        self.intent = intent
        self.launched = launched

    def on_intent_listener(self, instance: Instance, intent: str) -> bool:
        if intent != self.intent:
            return False
        self._intents.deliver(self._raised, intent, instance)
        return True


class Intents:
    """The requests about intents."""

    def __init__(
        self,
        post: Post,
        desk: Desk,
        deadlines: Deadlines,
        instances: dict[str, Instance],
        channels: Channels,
        waits: Waits,
    ) -> None:
        self._post = post
        self._desk = desk
        self._deadlines = deadlines
        self._instances = instances
        self._channels = channels
        self._waits = waits
        self._asking: dict[asyncio.Task[None], Instance] = {}
        self.handlers = {
            "addIntentListenerRequest": (p.AddIntentListener, self._add_listener),
            "intentListenerUnsubscribeRequest": (p.Unsubscribe, self._remove_listener),
            "findIntentRequest": (p.FindIntent, self._find_intent),
            "findIntentsByContextRequest": (p.FindIntentsByContext, self._find_by_context),
            "raiseIntentRequest": (p.RaiseIntent, self._raise),
            "raiseIntentForContextRequest": (p.RaiseIntentForContext, self._raise_for_context),
            "intentResultRequest": (p.IntentResult, self._result),
        }

    # --- listeners

    def _add_listener(self, request: Request, wish: p.AddIntentListener) -> None:
        instance = request.sender
        if len(instance.intents) >= MOST_LISTENERS:
            raise Refused(E.RESOLVER_UNAVAILABLE)
        listener = dacp.new_id()
        instance.intents[listener] = wish.intent
        request.answer({"listenerUUID": listener})
        self._waits.intent_listener(instance, wish.intent)

    def _remove_listener(self, request: Request, wish: p.Unsubscribe) -> None:
        if request.sender.intents.pop(wish.listener, None) is None:
            raise Refused(E.LISTENER_NOT_FOUND)
        request.answer({})

    # --- finding

    def _find_intent(self, request: Request, wish: p.FindIntent) -> None:
        context = p.optional_context(wish.context)
        found = self._options(wish.intent, context and p.context_type(context), wish.result_type)
        if not found.apps:
            raise Refused(E.NO_APPS_FOUND)
        request.answer({"appIntent": found})

    def _find_by_context(self, request: Request, wish: p.FindIntentsByContext) -> None:
        found = self._options_for(p.context_type(wish.context), wish.result_type)
        if not found:
            raise Refused(E.NO_APPS_FOUND)
        request.answer({"appIntents": found})

    def _options(self, intent: str, context_type: str | None, result_type: str | None = None) -> AppIntent:
        """Who could handle an intent: apps that declare it, each as a new instance, and instances that listen."""
        shown: str | None = None
        apps: list[AppMetadata] = []
        for record in self._desk.apps():
            handling = record.listens_for.get(intent)
            if handling and handling.accepts(context_type, result_type):
                shown = shown or handling.display_name
                apps.append(metadata(record.app_id, record, result_type=handling.result_type))
        for instance in self._instances.values():
            if instance.handles(intent) and self._accepts(instance, intent, context_type, result_type):
                apps.append(self._running(instance, intent))
        return AppIntent(intent=IntentMetadata(name=intent, display_name=shown or intent), apps=tuple(apps))

    def _options_for(self, context_type: str, result_type: str | None = None) -> list[AppIntent]:
        """Who could handle a context, by intent. A listener says nothing of contexts: only what is declared counts.

        One look at each record, and not one for each intent: a directory may declare tens of thousands.
        """
        shown: dict[str, str | None] = {}
        apps: dict[str, list[AppMetadata]] = {}
        declared = ((record, *how) for record in self._desk.apps() for how in record.intents(context_type, result_type))
        for record, intent, handling in islice(declared, MOST_FOUND):
            shown[intent] = shown.get(intent) or handling.display_name
            option = metadata(record.app_id, record, result_type=handling.result_type)
            apps.setdefault(intent, []).append(option)
        for instance in self._instances.values():
            for intent in dict.fromkeys(instance.intents.values()):
                if intent in apps and self._accepts(instance, intent, context_type, result_type):
                    apps[intent].append(self._running(instance, intent))
        return [
            AppIntent(intent=IntentMetadata(name=intent, display_name=shown[intent] or intent), apps=tuple(options))
            for intent, options in apps.items()
        ]

    def _running(self, instance: Instance, intent: str) -> AppMetadata:
        """An instance that listens for an intent, as one of those that could handle it."""
        record = self._desk.app(instance.app_id)
        handling = record.listens_for.get(intent) if record else None
        return metadata(instance.app_id, record or instance.record, instance.id, handling and handling.result_type)

    def _accepts(self, instance: Instance, intent: str, context_type: str | None, result_type: str | None) -> bool:
        """Whether an instance that listens may be given this context: its record decides, if it declares the intent."""
        record = self._desk.app(instance.app_id)
        handling = record.listens_for.get(intent) if record else None
        return handling.accepts(context_type, result_type) if handling else result_type is None

    # --- raising

    def _raise(self, request: Request, wish: p.RaiseIntent) -> None:
        raised = Raised(request, wish.context)
        options = self._options(wish.intent, raised.context_type)
        if wish.app is None:
            self._resolve(raised, [options], join=True)
        elif instance := self._target_instance(wish.app):
            self._to_instance(raised, wish.intent, instance)
        else:
            self._to_app(raised, wish.app.app_id, [options])

    def _raise_for_context(self, request: Request, wish: p.RaiseIntentForContext) -> None:
        raised = Raised(request, wish.context)
        options = self._options_for(raised.context_type)
        if wish.app is None:
            self._resolve(raised, options, join=True)
        elif instance := self._target_instance(wish.app):
            record = self._desk.app(instance.app_id)
            intents = [name for name, _ in record.intents(raised.context_type, None)] if record else []
            ready = [name for name in intents if instance.handles(name)] or intents
            if not ready:
                raise Refused(E.NO_APPS_FOUND)
            if len(ready) == 1:
                self._to_instance(raised, ready[0], instance)
            else:
                one = (metadata(instance.app_id, record, instance.id),)
                choices = [
                    AppIntent(intent=option.intent, apps=one) for option in options if option.intent.name in ready
                ]
                self._ask(raised, choices)
        else:
            self._to_app(raised, wish.app.app_id, options)

    def _target_instance(self, target: p.Target) -> Instance | None:
        """The instance that a request names, if it names one. Raises `Refused`."""
        if target.desktop_agent is not None:
            raise Refused(E.NOT_CONNECTED_TO_BRIDGE)
        if target.instance_id is None:
            return None
        instance = self._instances.get(target.instance_id)
        if instance is None or instance.app_id != target.app_id:
            raise Refused(E.TARGET_INSTANCE_UNAVAILABLE)
        return instance

    def _to_app(self, raised: Raised, app_id: str, options: Iterable[AppIntent]) -> None:
        """To an app that is named without an instance: to a new one; an app that can't be launched must run already."""
        launchable = self._desk.app(app_id) is not None
        if not launchable and not any(one.app_id == app_id for one in self._instances.values()):
            raise Refused(E.TARGET_APP_UNAVAILABLE)
        narrowed = [
            AppIntent(
                intent=option.intent,
                apps=tuple(app for app in option.apps if app.app_id == app_id and not (launchable and app.instance_id)),
            )
            for option in options
        ]
        self._resolve(raised, narrowed, join=False)

    def _resolve(self, raised: Raised, options: Iterable[AppIntent], join: bool) -> None:
        """Choose where there is no choice; ask where there is one. `join`: an instance just coming up will do."""
        options = [option for option in options if option.apps]
        if not options:
            raise Refused(E.NO_APPS_FOUND)
        if len(options) == 1 and len({app.app_id for app in options[0].apps}) == 1:
            intent, app_id = options[0].intent.name, options[0].apps[0].app_id
            running = [app.instance_id for app in options[0].apps if app.instance_id]
            if len(running) == 1:
                self._to_instance(raised, intent, self._instances[running[0]])
                return
            if not running:
                young = self._young(app_id, raised.request.sender) if join else None
                if young is None:
                    self._to_new(raised, intent, app_id, join)
                else:
                    self._to_instance(raised, intent, young)
                return
        self._ask(raised, options)

    def _young(self, app_id: str, but: Instance) -> Instance | None:
        """Another instance that has opened just now, so that its listeners may still be on their way."""
        since = self._desk.now() - self._deadlines.listener
        for instance in self._instances.values():
            opened = instance.opened_at
            if instance.app_id == app_id and instance is not but and opened is not None and opened > since:
                return instance
        return None

    def _ask(self, raised: Raised, options: list[AppIntent]) -> None:
        resolver = self._desk.resolver
        if resolver is None:
            raise Refused(E.RESOLVER_UNAVAILABLE)
        question = Question(raiser=raised.request.sender.app, context=raised.context, options=tuple(options))

        async def ask() -> None:
            try:
                try:
                    choice = await asyncio.wait_for(resolver(question), self._deadlines.resolver)
                except TimeoutError:
                    self._nowhere(raised, options, f"nobody has chosen within {self._deadlines.resolver:g} s")
                    raise Refused(E.RESOLVER_TIMEOUT) from None
                except Exception as error:
                    self._nowhere(raised, options, error.message if isinstance(error, LabError) else repr(error))
                    raise Refused(E.RESOLVER_UNAVAILABLE) from error
                self._chosen(raised, question, choice)
            except Refused as refused:
                raised.request.refuse(refused.name)

        task = asyncio.get_running_loop().create_task(ask())
        self._asking[task] = raised.request.sender
        task.add_done_callback(self._asking.pop)

    def _nowhere(self, raised: Raised, options: list[AppIntent], why: str) -> None:
        names = " or ".join(option.intent.name for option in options)
        count = sum(len(option.apps) for option in options)
        text = f"its intent {names} went nowhere: there are {count} ways to handle it, and {why}"
        self._desk.remark(raised.request.sender.id, text)

    def _chosen(self, raised: Raised, question: Question, choice: Choice | None) -> None:
        if choice is None:
            raise Refused(E.USER_CANCELLED_RESOLUTION)
        offered = any(
            option.intent.name == choice.intent
            and any((app.app_id, app.instance_id) == (choice.app_id, choice.instance_id) for app in option.apps)
            for option in question.options
        )
        if not offered:
            raise Refused(E.RESOLVER_UNAVAILABLE)
        if choice.instance_id is None:
            self._to_new(raised, choice.intent, choice.app_id)
            return
        # It may have ended while a person was choosing.
        instance = self._target_instance(p.Target(choice.app_id, choice.instance_id))
        assert instance is not None
        self._to_instance(raised, choice.intent, instance)

    # --- delivering

    def _to_instance(self, raised: Raised, intent: str, instance: Instance) -> None:
        record = self._desk.app(instance.app_id)
        handling = record.listens_for.get(intent) if record else None
        if handling and not handling.accepts(raised.context_type, None):
            raise Refused(E.NO_APPS_FOUND)
        if instance.handles(intent):
            self.deliver(raised, intent, instance)
        elif handling:
            self._waits.add(instance.id, _ForListener(self, raised, intent, None), instance.opened)
        else:
            raise Refused(E.NO_APPS_FOUND)

    def _to_new(self, raised: Raised, intent: str, app_id: str, join: bool = False) -> None:
        """To a new instance; or with `join` to one that is being launched for the same intent just now."""
        coming = next(
            (
                instance_id
                for instance_id, waiting in (self._waits.all() if join else ())
                if isinstance(waiting, _ForListener) and (waiting.launched, waiting.intent) == (app_id, intent)
            ),
            None,
        )
        if coming is None:
            try:
                coming = self._desk.launch(app_id, raised.request.sender.id)
            except LabError as error:
                self._desk.remark(raised.request.sender.id, f"its intent {intent} launched nothing: {error}")
                raise Refused(E.TARGET_APP_UNAVAILABLE) from error
        known = self._instances.get(coming)
        self._waits.add(coming, _ForListener(self, raised, intent, app_id), bool(known and known.opened))

    def deliver(self, raised: Raised, intent: str, handler: Instance) -> None:
        """Hand an intent to the instance that was found for it, and say so to who raised it."""
        request = raised.request
        event = dacp.new_id()
        if not request.sender.gone:
            owed = Owed(event, request, handler, intent)
            handler.owes[event] = owed
            request.sender.awaits[event] = owed
            if len(request.sender.awaits) > MOST_RESULTS:
                self._settle(next(iter(request.sender.awaits.values())), {"error": E.API_TIMEOUT})
        payload = {
            "intent": intent,
            "context": raised.context,
            "originatingApp": request.sender.source,
            "raiseIntentRequestUuid": request.uuid,
        }
        about = {"intent": intent, "context_type": raised.context_type, "since": request.at}
        self._post.event(request.sender, (handler,), "intentEvent", payload, uuid=event, echo=True, **about)
        request.answer({"intentResolution": {"source": handler.source, "intent": intent}})

    # --- results

    def _result(self, request: Request, wish: p.IntentResult) -> None:
        owed = request.sender.owes.get(wish.intent_event_uuid)
        if owed is None or owed.request.uuid != wish.raise_intent_request_uuid:
            # A second handler of the same instance, or who raised it is gone: nobody waits for it.
            request.answer({})
            return
        try:
            found = self._checked(owed, wish.intent_result)
            payload = found if "error" in found else {"intentResult": found}
        except Refused:
            self._settle(owed, {"error": E.NO_RESULT_RETURNED})
            raise
        self._settle(owed, payload)
        request.answer({})

    def _checked(self, owed: Owed, result: msgspec.Raw) -> dict[str, object]:
        """The result as it goes on. Raises `Refused` for what is neither context nor channel nor nothing.

        FDC3's protocol has no word for a handler that failed; `{"error": …}` in the place of a result is ours.
        """
        try:
            returned = _read_result(result)
        except msgspec.DecodeError:
            raise Refused(E.MALFORMED_MESSAGE) from None
        if returned.error is not None:
            return {"error": returned.error}
        context = p.optional_context(returned.context)
        if context is not None:
            return {"context": context}
        if returned.channel is None:
            return {}
        name = returned.channel.id
        if returned.channel.type == "private":
            shown = self._channels.admit(name, owed.handler, owed.request.sender)
        else:
            channel = getattr(self._channels, returned.channel.type).get(name)
            shown = channel.shown if channel else None
        if shown is None:
            raise Refused(E.NO_CHANNEL_FOUND)
        return {"channel": shown}

    def _settle(self, owed: Owed, payload: object) -> None:
        """Give a result, or its error, to who waits for it."""
        owed.handler.owes.pop(owed.event, None)
        owed.request.sender.awaits.pop(owed.event, None)
        self._post.result(owed.handler, owed.request, payload, owed.intent)

    def forget(self, instance: Instance) -> None:
        """An instance is gone: what it owed is rejected now, and what it waited for nobody needs to choose or send."""
        for task, raiser in tuple(self._asking.items()):
            if raiser is instance:
                task.cancel()
        for owed in tuple(instance.awaits.values()):
            owed.handler.owes.pop(owed.event, None)
        instance.awaits.clear()
        for owed in tuple(instance.owes.values()):
            self._settle(owed, {"error": E.INTENT_HANDLER_REJECTED})
