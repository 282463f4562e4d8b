"""Apps and their instances: open one, find them, tell what is known of them and of the desktop agent itself.

Supervisor, fdc3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ... import dacp
from ...errors import LabError
from . import payloads as p
from .channels import ContextListener
from .desk import Desk
from .directory import metadata
from .errors import E, Refused
from .instances import Instance, Request
from .post import Post
from .waits import Waiting, Waits

FDC3_VERSION = "2.2"
PROVIDER = "labplatform"
OPTIONAL_FEATURES = {
    "OriginatingAppMetadata": True,
    "UserChannelMembershipAPIs": True,
    "DesktopAgentBridging": False,
}


class _ToOpen(Waiting):
    """Answers `open` once the app is open, and where it came with a context, once that could be delivered."""

    too_late = E.APP_TIMEOUT
    never_opened = E.ERROR_ON_LAUNCH
    ended = E.ERROR_ON_LAUNCH

    def __init__(self, post: Post, request: Request, context: msgspec.Raw | None) -> None:
        super().__init__(request)
        self._post = post
        self._context = context
        self._type = None if context is None else p.context_type(context)

    def on_open(self, instance: Instance) -> bool:
        if self._context is None:
            self._opened(instance)
        return self._context is None

    def on_context_listener(self, instance: Instance, listener: ContextListener) -> bool:
        if self._context is None or listener.context_type not in (None, self._type):
            return False
        # Over no channel, unless the listener that it is for was named one: its side would drop it otherwise.
        channel = listener.channel.id if listener.channel else None
        opener = self.request.sender
        payload = {"channelId": channel, "context": self._context, "originatingApp": opener.source}
        about = {"channel": channel, "context_type": self._type, "since": self.request.at}
        self._post.event(opener, (instance,), "broadcastEvent", payload, **about)
        self._opened(instance)
        return True

    def _opened(self, instance: Instance) -> None:
        self.request.answer({"appIdentifier": instance.source})


class Apps:
    """The requests about apps."""

    def __init__(
        self,
        post: Post,
        desk: Desk,
        instances: dict[str, Instance],
        waits: Waits,
        version: str,
    ) -> None:
        self._post = post
        self._desk = desk
        self._instances = instances
        self._waits = waits
        self._version = version
        self.handlers: dict[str, tuple[type, Callable[[Request, Any], None]]] = {
            "openRequest": (p.Open, self._open),
            "findInstancesRequest": (p.AppName, self._find_instances),
            "getAppMetadataRequest": (p.AppName, self._get_metadata),
            "getInfoRequest": (p.Empty, self._get_info),
        }

    def _open(self, request: Request, wish: p.Open) -> None:
        context = p.optional_context(wish.context)
        if wish.app.desktop_agent is not None:
            raise Refused(E.NOT_CONNECTED_TO_BRIDGE)
        if self._desk.app(wish.app.app_id) is None:
            raise Refused(E.APP_NOT_FOUND)
        try:
            instance_id = self._desk.launch(wish.app.app_id, request.sender.id)
        except LabError as error:
            self._desk.remark(request.sender.id, f"it could not open {wish.app.app_id}: {error}")
            raise Refused(E.ERROR_ON_LAUNCH) from error
        self._waits.add(instance_id, _ToOpen(self._post, request, context), opened=False)

    def _find_instances(self, request: Request, wish: p.AppName) -> None:
        if wish.app.desktop_agent is not None:
            raise Refused(E.NOT_CONNECTED_TO_BRIDGE)
        found: list[dacp.AppIdentifier] = [
            instance.app
            for instance in self._instances.values()
            if instance.opened and instance.app_id == wish.app.app_id
        ]
        request.answer({"appIdentifiers": found})

    def _get_metadata(self, request: Request, wish: p.AppName) -> None:
        app = wish.app
        if app.desktop_agent is not None:
            raise Refused(E.NOT_CONNECTED_TO_BRIDGE)
        record = self._desk.app(app.app_id)
        running = [instance.id for instance in self._instances.values() if instance.app_id == app.app_id]
        if record is None and not running:
            raise Refused(E.TARGET_APP_UNAVAILABLE)
        if app.instance_id is not None and app.instance_id not in running:
            raise Refused(E.TARGET_INSTANCE_UNAVAILABLE)
        if record is None and app.instance_id is not None:
            record = self._instances[app.instance_id].record
        request.answer({"appMetadata": metadata(app.app_id, record, app.instance_id)})

    def _get_info(self, request: Request, wish: p.Empty) -> None:
        asker = request.sender
        first = not asker.opened
        if first:
            asker.opened_at = self._desk.now()
        request.answer(
            {
                "implementationMetadata": {
                    "fdc3Version": FDC3_VERSION,
                    "provider": PROVIDER,
                    "providerVersion": self._version,
                    "optionalFeatures": OPTIONAL_FEATURES,
                    "appMetadata": metadata(asker.app_id, self._desk.app(asker.app_id) or asker.record, asker.id),
                }
            }
        )
        if first:
            self._waits.opened(asker)
