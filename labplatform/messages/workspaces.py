"""Workspaces: what was on a platform, kept under a name, and brought back. Kernel, CLI and supervisor."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import msgspec

from ..manifest import ResourceLimits
from .shown import AppStatus, Bounds
from .words import Message, Timeout

LONGEST_WORKSPACE = 80
"""Characters of a workspace's name."""
WorkspaceName = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WORKSPACE)]
WithRunning = Literal["keep", "restart"]
"""What becomes of apps of a workspace that run already: they stay as they are, or are started anew as they were kept.
"""


class SaveWorkspace(Message, frozen=True, tag="save-workspace"):
    """Keep what is on the platform now, in place of what had this name; answered with the `Workspace`."""

    id: int
    name: WorkspaceName


class TellWorkspaces(Message, frozen=True, tag="tell-workspaces"):
    """Answered with all that are kept (`list[Workspace]`), by name."""

    id: int


class DeleteWorkspace(Message, frozen=True, tag="delete-workspace"):
    """Keep it no longer."""

    id: int
    name: WorkspaceName


class RestoreWorkspace(Message, frozen=True, tag="restore-workspace"):
    """Launch what is kept under this name, all at once; answered with `WorkspaceRestored` when all are up or have
    failed. `timeout`: seconds for each app's start.
    """

    id: int
    name: WorkspaceName
    running: WithRunning = "keep"
    timeout: Timeout = 30.0


class WorkspaceApp(msgspec.Struct, frozen=True, kw_only=True):
    """One app of a workspace: where it was, what it was on, what it could use.

    `state_size`: bytes of what its page had saved, and `state_at` when, in seconds since the epoch; `None` where it had
    saved nothing. `problem`: why it cannot be brought back; empty if it can.
    """

    place: str
    app_id: str = ""
    title: str = ""
    user_channel: str | None = None
    bounds: Bounds | None = None
    limits: ResourceLimits = ResourceLimits()
    state_size: int | None = None
    state_at: float | None = None
    problem: str = ""


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept under a name. `saved`: seconds since the epoch. `isolation`: of the platform it was saved on."""

    name: str
    saved: float
    isolation: str
    apps: tuple[WorkspaceApp, ...]

    def __str__(self) -> str:
        names = ", ".join(app.place + (" (damaged)" if app.problem else "") for app in self.apps)
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.saved))
        return f"{self.name}, saved {at}: {names or 'no apps'}"

    def __repr__(self) -> str:
        return f"<Workspace {self.name!r}: {', '.join(app.place for app in self.apps) or 'no apps'}>"


class WorkspaceRestored(msgspec.Struct, frozen=True, kw_only=True):
    """`apps`: those of the workspace that are up now, in its order. `kept`: names of those among them that ran already
    and were left as they are. `failed`: place as it was kept -> why it is not there.
    """

    apps: tuple[AppStatus, ...]
    kept: tuple[str, ...] = ()
    failed: dict[str, str] = {}
