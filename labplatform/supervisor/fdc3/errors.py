"""FDC3's names for what went wrong, and which of them an answer may carry. Supervisor, fdc3.

The names are those of FDC3 2.2's ChannelError, OpenError, ResolveError, ResultError and BridgingError. Only
`ListenerNotFound` is none of them: the standard has no name for it, and the reference desktop agent says this.
"""

from __future__ import annotations

from enum import StrEnum


class Fdc3ErrorName(StrEnum):
    """What a response carries as `error`."""

    ACCESS_DENIED = "AccessDenied"
    API_TIMEOUT = "ApiTimeout"
    APP_NOT_FOUND = "AppNotFound"
    APP_TIMEOUT = "AppTimeout"
    CREATION_FAILED = "CreationFailed"
    ERROR_ON_LAUNCH = "ErrorOnLaunch"
    INTENT_DELIVERY_FAILED = "IntentDeliveryFailed"
    INTENT_HANDLER_REJECTED = "IntentHandlerRejected"
    LISTENER_NOT_FOUND = "ListenerNotFound"
    MALFORMED_CONTEXT = "MalformedContext"
    MALFORMED_MESSAGE = "MalformedMessage"
    NO_APPS_FOUND = "NoAppsFound"
    NO_CHANNEL_FOUND = "NoChannelFound"
    NO_RESULT_RETURNED = "NoResultReturned"
    NOT_CONNECTED_TO_BRIDGE = "NotConnectedToBridge"
    RESOLVER_TIMEOUT = "ResolverTimeout"
    RESOLVER_UNAVAILABLE = "ResolverUnavailable"
    TARGET_APP_UNAVAILABLE = "TargetAppUnavailable"
    TARGET_INSTANCE_UNAVAILABLE = "TargetInstanceUnavailable"
    USER_CANCELLED_RESOLUTION = "UserCancelledResolution"


E = Fdc3ErrorName


class Refused(Exception):
    """A request is answered with an error instead of what it asked for."""

    def __init__(self, name: E) -> None:
        super().__init__(name)
        self.name = name


_WITHOUT_MALFORMED_MESSAGE = frozenset(
    {
        "addContextListenerRequest",
        "addIntentListenerRequest",
        "createPrivateChannelRequest",
        "getCurrentContextRequest",
        "getOrCreateChannelRequest",
        "getUserChannelsRequest",
        "joinUserChannelRequest",
        "leaveCurrentChannelRequest",
        "privateChannelAddEventListenerRequest",
        "privateChannelDisconnectRequest",
    }
)


def malformed(request_type: str) -> E:
    """The error for a request whose payload has the wrong form.

    `MalformedMessage` says it best, but the schemas of some responses admit the names of ChannelError or ResolveError
    only, and there `MalformedContext` is the nearest.
    """
    return E.MALFORMED_CONTEXT if request_type in _WITHOUT_MALFORMED_MESSAGE else E.MALFORMED_MESSAGE
