"""FDC3's descriptions of apps, intents, channels and agents, under FDC3's names in Python's spelling. Any process.

On the wire they are camelCase (`app_id` is `appId`); an unknown field is passed over, an absent one is `None` or empty.
Meanings: https://fdc3.finos.org/docs/2.2/api/ref/Metadata
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..dacp import AppIdentifier

Context = dict[str, Any]
"""A JSON object with a text `type`, such as `{"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}`."""
ChannelType = Literal["user", "app", "private"]


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Every description: frozen, camelCase on the wire."""


class AppMetadata(_Part, frozen=True):
    """An app, or with an `instance_id` one instance of it."""

    app_id: str
    instance_id: str | None = None
    name: str | None = None
    version: str | None = None
    title: str | None = None
    tooltip: str | None = None
    description: str | None = None
    icons: tuple[dict[str, Any], ...] = ()
    screenshots: tuple[dict[str, Any], ...] = ()
    result_type: str | None = None


class IntentMetadata(_Part, frozen=True):
    """An intent, and what people call it."""

    name: str
    display_name: str | None = None


class AppIntent(_Part, frozen=True):
    """An intent and who could handle it."""

    intent: IntentMetadata
    apps: tuple[AppMetadata, ...]


class ContextMetadata(_Part, frozen=True):
    """What a handler learns about a context beside the context: who sent it, where the desktop agent says so."""

    source: AppIdentifier | None = None


class DisplayMetadata(_Part, frozen=True):
    """How people see a channel: its name, a CSS colour, a glyph."""

    name: str | None = None
    color: str | None = None
    glyph: str | None = None


class OptionalFeatures(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Which of FDC3's optional features a desktop agent has."""

    originating_app_metadata: bool
    user_channel_membership_apis: bool = msgspec.field(name="UserChannelMembershipAPIs")
    desktop_agent_bridging: bool


class ImplementationMetadata(_Part, frozen=True, kw_only=True):
    """A desktop agent, and who asks it: `app_metadata` is the asker's own."""

    fdc3_version: str
    provider: str
    provider_version: str | None = None
    optional_features: OptionalFeatures
    app_metadata: AppMetadata


class AgentEvent(_Part, frozen=True):
    """An event of the desktop agent's own. `details` of "userChannelChanged": `newChannelId`, `None` for none."""

    type: str
    details: dict[str, Any]
