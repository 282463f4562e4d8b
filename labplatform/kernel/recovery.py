"""What becomes of a platform whose supervisor is lost: it is said, and the same apps are brought back. Kernel.

The guardian ends what the supervisor leaves. What was on the platform, and what its apps had kept, is in the store; a
new supervisor finds it there by the platform's session. The `Platform` and its `App`s stay the same objects.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .. import discovery
from .. import messages as m
from ..alone import alone
from ..errors import LabError, LabTimeout, LaunchError, PlatformError
from . import attaching
from .start import Held, SupervisorProcess

if TYPE_CHECKING:
    from .platform import Platform

LOSSES, LOSSES_WITHIN = 3, 60.0
"""So many losses within so many seconds, and a platform is not brought back by itself any more."""
BACK_SECONDS = 60.0
"""Seconds that a platform that comes back by itself may take."""
ENDED_FROM_OUTSIDE = 143
"""The guardian's exit code where it was asked to end the platform, as `labplatform kill --force` asks it."""
REMEDY = "restart() brings its apps back, or make a new Platform()"


class Recovery:
    """One platform's losses, and its coming back. `auto`: it comes back by itself."""

    def __init__(self, platform: Platform, auto: bool) -> None:
        self._platform = platform
        self.auto = auto
        self.under_way = False
        """Whether it is coming back by itself just now."""
        self._given_up = threading.Event()
        self._losses: list[float] = []
        self._were_up: set[str] = set()
        self._lost_at = 0.0
        self._cut = False
        """Whether only the connection was lost, the last time."""
        self._report: m.CrashReport | None = None

    # --- the loss; on the connection's thread

    def lost(self, reason: str) -> None:
        """The supervisor is gone, and every app with it."""
        platform = self._platform
        now = time.monotonic()
        self._note_what_was(cut=False)
        self._report = platform._report_loss(self._lost_at, reason, sorted(self._were_up))
        self._losses = [at for at in self._losses if now - at < LOSSES_WITHIN] + [now]
        again = len(self._losses) < LOSSES
        self.under_way = self.auto and again
        what = f"the supervisor of this platform is gone ({reason}), and with it every app"
        if self.under_way:
            remedy = "it is being brought back"
        elif self.auto:
            remedy = f"that was the loss number {LOSSES} within {LOSSES_WITHIN:g} s, so it stays so: {REMEDY}"
        else:
            remedy = REMEDY
        platform._is_over("lost", f"{what}; {remedy}", "killed", "the supervisor was lost")
        platform._file_report(self._report)
        if self.under_way:
            threading.Thread(target=self._come_back, name="labplatform-recovery", daemon=True).start()

    def cut(self, reason: str) -> None:
        """This process's connection was ended, and the supervisor runs on."""
        platform = self._platform
        self._note_what_was(cut=True)
        self.under_way = self.auto
        remedy = "it is being connected again" if self.auto else "restart() takes part in it again"
        platform._is_cut_off(f"the platform goes on, but has ended this connection to it ({reason}); {remedy}")
        if self.auto:
            threading.Thread(target=self._come_back, name="labplatform-recovery", daemon=True).start()

    def _note_what_was(self, cut: bool) -> None:
        self._cut = cut
        self._were_up = {app.name for app in self._platform.apps if app.state not in ("stopped", "failed")}
        self._lost_at = time.time()

    def give_up(self) -> None:
        """Somebody stops the platform: it is not to come back."""
        self._given_up.set()

    def _come_back(self) -> None:
        platform = self._platform
        try:
            with platform._lock:
                if platform.state == "lost" and not self._given_up.is_set():
                    if self._is_gone():
                        code = self._end_former(time.monotonic() + BACK_SECONDS)
                        if code == ENDED_FROM_OUTSIDE:
                            raise PlatformError("somebody has ended it by force")
                    self.restart(BACK_SECONDS)
        except LabError as error:
            if not self._given_up.is_set():
                platform._note_problem(f"it was not brought back as it was: {error.message}; {REMEDY}")
        finally:
            self.under_way = False
            platform._wake_all()

    # --- the way back

    def restart(self, seconds: float) -> None:
        """Bring a lost platform back; its lock is held. Raises `LabError`; interrupted, it is lost as before."""
        platform = self._platform
        deadline = time.monotonic() + seconds
        if not self._is_gone():
            self._connect_again(deadline)
            return
        self._end_former(deadline)
        platform.set_trait("state", "starting")
        held: Held | None = None
        try:
            held, token = self._supervisor(deadline)
            platform._connect(held, token, max(1.0, deadline - time.monotonic()))
            platform.set_trait("state", "running")
            platform.set_trait("problem", "")
            platform._connected_again()
            self._wait(deadline)
        except LabError:
            if platform.state != "running":
                self._undo(held)
            raise
        except BaseException:
            self._undo(held)
            raise

    def _is_gone(self) -> bool:
        """Whether the supervisor is, and not only the connection to it."""
        held = self._platform._process
        return not self._cut or held is None or not held.outlives(0)

    def _connect_again(self, deadline: float) -> None:
        platform = self._platform
        platform._hang_up()
        platform.set_trait("state", "starting")
        try:
            platform._connect(platform._process, platform._address[1], max(1.0, deadline - time.monotonic()))
        except BaseException:
            platform._hang_up()
            platform.set_trait("state", "lost")
            raise
        platform.set_trait("state", "running")
        platform.set_trait("problem", "")
        platform._connected_again()

    def _undo(self, held: Held | None) -> None:
        """Leave nothing running; what the store holds stays for another try."""
        platform = self._platform
        # Before it hangs up: that is no other loss.
        platform.set_trait("state", "lost")
        platform._hang_up()
        platform._process = None
        if held:
            held.abandon()
            held.close()
        platform._all_ended("killed", "the supervisor was lost")

    def _end_former(self, deadline: float) -> int | None:
        """Wait until nothing is left of what was lost; the guardian's exit code. Raises `LabTimeout`."""
        platform = self._platform
        platform._hang_up()
        if platform._process is None:
            return None
        code = platform._process.close(max(0.0, deadline - time.monotonic()))
        if code is None:
            raise LabTimeout(
                f"the guardian of this platform (PID {platform._process.guardian_pid}) is still ending what was lost; "
                "try again in a moment"
            )
        platform._process = None
        return code

    def _supervisor(self, deadline: float) -> tuple[Held, str]:
        """A new supervisor for this session, or the one that another notebook has started meanwhile; and its token."""
        platform = self._platform
        order = platform._order
        with _alone(Path(order.folder), deadline):
            for there in discovery.running(Path(order.folder)):
                if there.about.session == order.session:
                    return attaching.hold(there, there.status()), there.about.token
            resume = m.Resumption(
                at=self._lost_at,
                log_behind=platform._entries[-1].seq if platform._entries else 0,
                incarnations={app.name: app.incarnation for app in platform.apps},
                lost=self._report,
            )
            order = msgspec.structs.replace(
                order, token=secrets.token_urlsafe(32), controller_pid=os.getpid(), resume=resume
            )
            return SupervisorProcess(order, max(1.0, deadline - time.monotonic())), order.token

    def _wait(self, deadline: float) -> None:
        """Wait until the apps that were up are so again. Raises `LaunchError`, `LabTimeout`."""
        platform = self._platform
        for app in platform.apps:
            with app._changed:
                while app.state in ("starting", "backing-off") and platform.state == "running":
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise LabTimeout(f"the platform is back, but {app.name} is still {app.state}", app=app.name)
                    if self._given_up.is_set():
                        return
                    app._changed.wait(min(left, 0.2))
        platform._refuse_if_over()
        gone = [f"{name} (the log says why)" for name in self._were_up if name not in platform._by_name]
        failed = [
            f"{app.name} ({app.detail})" for app in platform.apps if app.state == "failed" and app.name in self._were_up
        ]
        if gone or failed:
            raise LaunchError(f"the platform is back, but not all of its apps: {', '.join([*gone, *failed])}")


@contextlib.contextmanager
def _alone(folder: Path, deadline: float) -> Iterator[None]:
    """Let no other process of this user's bring a platform back meanwhile. Raises `LabTimeout`."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone(folder, deadline - time.monotonic()))
        except BlockingIOError:
            raise LabTimeout("another process is bringing a platform back, and takes long") from None
        yield
