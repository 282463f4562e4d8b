"""One small tree of errors. Each message says what happened, to which app, and what the reader can do.

Shared by all processes: an error that the supervisor finds crosses to the kernel by its class name and its `detail`,
and is raised there as the same class.
"""

from __future__ import annotations

from typing import Any


class LabError(Exception):
    """Anything that labplatform raises on purpose. `detail` holds JSON values that say more than the message."""

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class ManifestError(LabError, ValueError):
    """A manifest is missing, unreadable or wrong. `detail`: `file`, `where` (path inside it), `expected`, `got`."""


class PlatformError(LabError):
    """The platform as a whole: it did not start, is stopped, or was lost."""


class StartError(PlatformError):
    """The supervisor did not start."""


class PlatformStopped(PlatformError):
    """The call needs a running platform, and this one has been stopped."""


class SupervisorLost(PlatformError):
    """The supervisor ended without being asked to; every app ended with it."""


class ConnectionRefused(PlatformError):
    """A supervisor cut the connection: no token, a wrong one, a message too large, or a client that never reads."""


class AppError(LabError):
    """Something about one app. `detail["app"]` is its name on the platform."""


class UnknownApp(AppError, KeyError):
    """No manifest, or no app on the platform, has this name."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class LaunchError(AppError):
    """An app did not come up: its page does not exist, its process died, or a library is missing."""


class NotRunning(AppError):
    """The call needs a running app, and this one is not."""


class AppGone(AppError):
    """The app ended while the call was under way."""


class StoreError(LabError):
    """What was to be kept could not be: the disk is full, or the store's file cannot be written. What was kept before
    is still there.
    """


class WorkspaceError(LabError):
    """A workspace that cannot be kept, or not be brought back as a whole. `detail["failed"]`: which apps, and why."""


class UnknownWorkspace(WorkspaceError, KeyError):
    """No workspace is kept under this name."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class LimitError(AppError, ValueError):
    """A limit that cannot be set: it is too low or too high for this machine, or nothing here can enforce it.

    What held before still holds. `detail`: `limit`, its name, and `least` or `most`, where there is such a figure.
    """


class JavaScriptError(AppError):
    """Code given to `evaluate_js` threw, or its value is not JSON. `detail`: `name`, `stack`."""


class LabTimeout(LabError, TimeoutError):
    """A deadline passed. The message says what was waited for and what was seen instead."""


class BlockingCallInObserver(LabError, RuntimeError):
    """A blocking call was made from an observer or a message handler; it would have waited for itself."""


class BadRequest(LabError, ValueError):
    """A request that the supervisor does not understand, or whose values it does not accept."""


class FDC3Error(LabError):
    """FDC3's desktop agent refused. The message starts with FDC3's name for it, and ends with what was asked."""

    @property
    def name(self) -> str:
        """FDC3's name for it, such as "NoAppsFound"."""
        return self.detail.get("error", "")


def _tree(root: type[LabError]) -> dict[str, type[LabError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def from_wire(kind: str, message: str, detail: dict[str, Any]) -> LabError:
    """The error that the other side raised, as the same class here (`LabError` if this side does not know it)."""
    return _tree(LabError).get(kind, LabError)(message, **detail)
