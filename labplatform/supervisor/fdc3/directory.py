"""What the desktop agent knows of apps that may not run: their records and which intents they handle. Supervisor, fdc3.

`AppRecord` has the field names of an appD v2 record, so such a record decodes into it; other fields are left out.
https://fdc3.finos.org/docs/2.2/app-directory/spec
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ...fdc3.types import AppMetadata


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Every part: frozen, camelCase on the wire."""


class ListensFor(_Part, frozen=True):
    """How an app handles one intent. No `contexts`: any. `result_type`: a context type, "channel", "channel<type>"."""

    contexts: tuple[str, ...] = ()
    display_name: str | None = None
    result_type: str | None = None

    def accepts(self, context_type: str | None, result_type: str | None) -> bool:
        """Whether it fits a wish; `None` leaves that part open."""
        if context_type is not None and self.contexts and context_type not in self.contexts:
            return False
        if result_type is None or result_type == self.result_type:
            return True
        return result_type == "channel" and (self.result_type or "").startswith("channel<")


class Intents(_Part, frozen=True):
    """Which intents an app handles, by name."""

    listens_for: dict[str, ListensFor] = {}


class Interop(_Part, frozen=True):
    """What an app declares about its dealings with others; only the intents that it handles matter here."""

    intents: Intents = Intents()


class AppRecord(_Part, frozen=True):
    """One app of the directory. `directory`: the host of the app directory that it comes from, if it is one's."""

    app_id: str
    name: str | None = None
    version: str | None = None
    title: str | None = None
    tooltip: str | None = None
    description: str | None = None
    icons: tuple[dict[str, Any], ...] = ()
    screenshots: tuple[dict[str, Any], ...] = ()
    interop: Interop = Interop()
    directory: str = ""

    @property
    def listens_for(self) -> dict[str, ListensFor]:
        """How it handles each of its intents."""
        return self.interop.intents.listens_for

    def intents(self, context_type: str | None, result_type: str | None) -> Iterator[tuple[str, ListensFor]]:
        """Its intents that fit a wish."""
        for intent, handling in self.listens_for.items():
            if handling.accepts(context_type, result_type):
                yield intent, handling


def metadata(
    app_id: str, record: AppRecord | None, instance_id: str | None = None, result_type: str | None = None
) -> AppMetadata:
    """What may be told of an app; of one without a record only its id."""
    if record is None:
        return AppMetadata(app_id=app_id, instance_id=instance_id)
    return AppMetadata(
        app_id=app_id,
        instance_id=instance_id,
        name=record.name,
        version=record.version,
        title=record.title,
        tooltip=record.tooltip,
        description=record.description,
        icons=record.icons,
        screenshots=record.screenshots,
        result_type=result_type,
    )
