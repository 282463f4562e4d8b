"""Starting apps, and ending all of them: the part of a `Platform` that knows what somebody means by an app. Kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from .. import app_ids, directory
from .. import messages as m
from ..connection import Asked, Connection
from ..errors import LabError, UnknownApp
from ..manifest import Manifest, ResourceLimits
from .app import App
from .saying import say

WARNINGS_SAID = 20
"""Remarks about manifests that are said at once; a large directory may give many."""


class Launching:
    """What a `Platform` launches."""

    apps: tuple[App, ...]
    _manifests: dict[str, Manifest]
    _quiet: bool

    # What the rest of the platform gives.
    _ask: Any
    _adopt: Any
    _ready_to_ask: Any
    _refuse_in_observer: Any

    def launch(
        self,
        app: directory.Place,
        timeout: float = 30.0,
        resource_limits: ResourceLimits | None = None,
        placement: m.Isolation | None = None,
    ) -> App:
        """Start an app and return it when its page is ready.

        `app`: an app id, also with its directory's host (`app@host`); the address of a page, of an OpenFin manifest or
        of a record of an app directory; the path of a manifest, a record or an app's folder; decoded JSON; or a
        `Manifest`. `timeout`: seconds. `resource_limits`: what is given there counts instead of the manifest's.
        `placement`: "process", "shared-process" or "shared-renderer", whatever the platform's isolation and the
        manifest's `processAffinity` say; it keeps it when it is started again. Apps that share so are all in one
        process, those of a shared renderer in another. An interrupt undoes the launch. Raises `UnknownApp`,
        `ManifestError`, `LimitError` for a limit that cannot be had here, and `LaunchError` with the cause when it does
        not come up; nothing of it is left then.
        """
        wishes = _wishes(resource_limits, placement)
        self._refuse_in_observer("launch()")
        meant = self._meant(app, timeout)
        if len(meant) != 1:
            raise UnknownApp(
                f"{app} holds {len(meant)} apps; launch one of them, or give the place to Platform() or launch_all()"
            )
        fields = _order(meant[0]) | wishes
        status = self._ask(m.Launch, m.AppStatus, timeout + 6, timeout=timeout, **fields)
        return self._adopt(status)

    def launch_all(
        self,
        *apps: directory.Place,
        timeout: float = 30.0,
        resource_limits: ResourceLimits | None = None,
        placement: m.Isolation | None = None,
    ) -> list[App]:
        """Start several apps at once (without names: every app that has a page); returns them in that order.

        Each of `apps` is what `launch` takes, or a place with several apps; `resource_limits` and `placement` hold for
        each, as there. Raises the first error, after all have come to an end; the others stay up.
        """
        wishes = _wishes(resource_limits, placement)
        self._refuse_in_observer("launch_all()")
        wanted: list[str | Manifest] = []
        first_error: LabError | None = None
        for app in apps:
            try:
                wanted += self._meant(app, timeout)
            except LabError as error:
                first_error = first_error or error
        if not apps:
            wanted += [app_id for app_id, manifest in self._manifests.items() if manifest.page_url]
        connection: Connection = self._ready_to_ask("launch_all()")
        under_way: list[Asked] = []
        launched: list[App] = []
        for one in wanted:
            try:
                under_way.append(connection.begin(m.Launch, timeout=timeout, **_order(one), **wishes))
            except LabError as error:
                first_error = first_error or error
        for asked in list(under_way):
            try:
                status = connection.finish(asked, m.AppStatus, timeout + 6)
                launched.append(self._adopt(status))
            except LabError as error:
                first_error = first_error or error
            except BaseException:
                # Interrupted: what is still on its way is undone, what is up stays.
                for other in under_way:
                    connection.cancel(other)
                raise
            under_way.remove(asked)
        if first_error:
            raise first_error
        return launched

    def kill_all(self, timeout: float = 5.0) -> list[App]:
        """End the processes of all apps by SIGKILL, all at once; none starts again by itself. Returns those it struck.

        The platform goes on. `timeout`: seconds to wait until they are gone. Raises the first error.
        """
        up = [app for app in self.apps if app.state not in ("stopped", "failed")]
        if not up:
            return []
        connection: Connection = self._ready_to_ask("kill_all()")
        asked = [connection.begin(m.Kill, place=app.name) for app in up]
        first_error: LabError | None = None
        for one in asked:
            try:
                self._adopt(connection.finish(one, m.AppStatus, timeout))
            except UnknownApp:
                pass  # it has left the platform meanwhile
            except LabError as error:
                first_error = first_error or error
        if first_error:
            raise first_error
        return up

    def _warn(self, warnings: Sequence[str]) -> None:
        """Say what an author may have meant otherwise, and what was passed over."""
        if self._quiet:
            return
        for warning in warnings[:WARNINGS_SAID]:
            say(f"labplatform: {warning}")
        if len(warnings) > WARNINGS_SAID:
            say(f"labplatform: and {len(warnings) - WARNINGS_SAID} remarks more of this kind")

    def _meant(self, app: Any, seconds: float = 30.0) -> list[str | Manifest]:
        """The apps that somebody means: ids of known ones, and manifests. Raises `UnknownApp`, `ManifestError`."""
        if isinstance(app, Manifest):
            return [app]
        if not isinstance(app, str | Path | Mapping):
            raise TypeError(f"expected an app id, an address, a path, a dict or a Manifest, not {app!r}")
        if isinstance(app, str):
            directories = {one: manifest.directory for one, manifest in self._manifests.items()}
            if known := app_ids.resolve(app, directories):
                return [known]
            if not (directory.is_address(app) or directory.is_qualified(app) or "/" in app or app.endswith(".json")):
                names = ", ".join(sorted(self._manifests))
                raise UnknownApp(f"no manifest has the uuid {app!r}; known: {names}", app=app)
        bounds = directory.Bounds()
        bounds = msgspec.structs.replace(bounds, seconds=min(bounds.seconds, seconds))
        # Decoded JSON is the caller's own word, and may take any name.
        beside = {} if isinstance(app, Mapping) else self._manifests
        found = directory.load(app, beside=beside, bounds=bounds)
        self._warn(found.remarks)
        for manifest in found.manifests.values():
            self._warn(manifest.warnings)
        return list(found.manifests.values())


def _wishes(resource_limits: ResourceLimits | None, placement: m.Isolation | None) -> dict[str, Any]:
    if not isinstance(resource_limits, ResourceLimits | None):
        raise TypeError(f"resource_limits is a labplatform.ResourceLimits, not {resource_limits!r}")
    if placement is not None and placement not in get_args(m.Isolation):
        raise ValueError(f"placement is one of {', '.join(get_args(m.Isolation))}; not {placement!r}")
    return {"limits": resource_limits, "placement": placement}


def _order(app: str | Manifest) -> dict[str, Any]:
    return {"app_id": app} if isinstance(app, str) else {"manifest": app}
