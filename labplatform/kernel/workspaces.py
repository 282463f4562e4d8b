"""The part of a `Platform` that keeps workspaces: what is on it, under a name, to be brought back on this or another.

Kernel. All is done in the supervisor (its `workspaces` says how); here it is asked for, and its progress said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from .. import messages as m
from ..errors import WorkspaceError

if TYPE_CHECKING:
    from .app import App

STORE_SECONDS = 15.0
"""Seconds that the store may take, others' writes included."""
STOP_SECONDS = 10.0
"""Seconds that apps may take to stop that are to be started anew."""


class Workspaces:
    """What a `Platform` can do with workspaces."""

    _restoring = 0
    """How many restorations this side waits for."""

    @property
    def workspaces(self) -> tuple[m.Workspace, ...]:
        """All that are kept, by name: when they were saved, and which apps they hold. Asks; starts the platform.

        They belong to the store, and so to all platforms of yours that use the same. Raises `StoreError` where it is
        not on disk.
        """
        return tuple(self._ask(m.TellWorkspaces, list[m.Workspace], STORE_SECONDS))

    def save_workspace(self, name: str) -> m.Workspace:
        """Keep which apps are up, in which placement, where their windows are, on which user channel, with which limits
        and with what their pages have saved. Returns what was kept; what had this name before is replaced.

        `name`: 80 printable characters at most. It is on disk when this returns, and survives this platform and the
        machine's restart. Raises `ValueError` for what is no name, `WorkspaceError` where no app is up or 100 are kept
        already, and `StoreError` where it cannot be kept; what was kept before is still there then.
        """
        return self._ask(m.SaveWorkspace, m.Workspace, STORE_SECONDS, name=_checked(name))

    def restore_workspace(self, name: str, timeout: float = 30.0, running: m.WithRunning = "keep") -> list[App]:
        """Launch the apps of a workspace, all at once, as they were kept, and return them in its order.

        Those of them that run already are not doubled: with `running="keep"` they stay as they are, with "restart" they
        are stopped and started anew as they were kept. Other apps are left alone. `timeout`: seconds for each to be
        ready. An app with persistent storage has the state that it saved last, which is not set back. How it goes on is
        said, and stands in `events`. An interrupt undoes what is still starting.

        Raises `UnknownWorkspace`, `StoreError`, and `WorkspaceError` where some of its apps did not come up:
        `detail["failed"]` says which and why, and the others stay up.
        """
        if running not in get_args(m.WithRunning):
            raise ValueError(f'running is "keep" or "restart", not {running!r}')
        self._restoring += 1
        try:
            done: m.WorkspaceRestored = self._ask(
                m.RestoreWorkspace,
                m.WorkspaceRestored,
                timeout + STOP_SECONDS + STORE_SECONDS,
                name=_checked(name),
                running=running,
                timeout=timeout,
            )
        finally:
            self._restoring -= 1
        apps = [self._adopt(status) for status in done.apps]
        if done.failed:
            failed = "; ".join(f"{place}: {why}" for place, why in done.failed.items())
            up = ", ".join(app.name for app in apps) or "none"
            raise WorkspaceError(
                f"workspace {name!r} is not there as a whole. Up: {up}. Not up: {failed}", failed=done.failed
            )
        return apps

    def delete_workspace(self, name: str) -> None:
        """Keep it no longer; apps that run are left alone. Raises `UnknownWorkspace`, `StoreError`."""
        self._ask(m.DeleteWorkspace, Any, STORE_SECONDS, name=_checked(name))


def _checked(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a workspace's name is a text, not {name!r}")
    if not (name.isprintable() and name == name.strip() and 0 < len(name) <= m.LONGEST_WORKSPACE):
        raise ValueError(
            f"a workspace's name is 1 to {m.LONGEST_WORKSPACE} printable characters, without blanks around them; "
            f"not {name!r}"
        )
    return name
