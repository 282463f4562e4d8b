"""The words and bounds that every conversation shares, and what all messages have in common. Any process."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ..manifest import LEAST_HEAP, MOST_HEAP

Isolation = Literal["process", "shared-process", "shared-renderer"]
BoundaryWish = Literal["auto", "bubblewrap", "landlock", "off"]
LimitsWish = Literal["auto", "cgroup-v2", "systemd", "cgroup-v1", "watchdog", "off"]
"""How limits are to be enforced: the best way this machine has, one by name, or not at all."""
CrashKind = Literal[
    "abort", "kill", "segfault", "exit", "renderer", "renderer-kill", "oom", "hang", "hang-gui", "freeze"
]
"""The ways to break an app on purpose, see `App.crash`."""
Theme = Literal["auto", "light", "dark"]
JsHeap = Annotated[int, msgspec.Meta(ge=LEAST_HEAP, le=MOST_HEAP)]
"""Bytes of JavaScript heap a renderer may fill before V8 ends it as out of memory; V8 itself stops at 4 GiB."""
Timeout = Annotated[float, msgspec.Meta(gt=0, le=86_400)]

MAX_MESSAGE = 1 << 20
"""Bytes an app may send in one message, where the platform says nothing else."""
LEAST_MESSAGE, MOST_MESSAGE = 16 << 10, 4 << 20
"""Between which it may say something else: a few of the largest still fit into what is kept for one who is away."""
MessageSize = Annotated[int, msgspec.Meta(ge=LEAST_MESSAGE, le=MOST_MESSAGE)]
MOST_RECYCLED = 16
"""Apps that may be given a fresh process at one time, at most."""
MAX_REQUEST = 32 << 20
"""Bytes a controller may send in one message: a person's code, or a manifest."""
MAX_TEXT = 16 << 10
"""Characters of a text that goes into the log: a traceback, a remark, a detail."""
MAX_URL = 2048
"""Characters of a page's address that are told."""
MAX_FIRST_MESSAGE = 4096
"""Bytes a connection may send before its token is known."""
MAX_HOST_FRAME = 64 << 20
"""Bytes of one frame between supervisor and app host; a picture of a large window is the largest."""

STOPPED = "the platform was stopped"
"""How the words begin with which a connection is closed at the end that somebody wanted, and STOPPED_BY who that was;
any other end is a loss.
"""
STOPPED_BY = f"{STOPPED} by "
CONTROLLERS_END = "its controller's end"
"""Who stopped it where it does not outlive its controller, and that is gone."""
GUARDIANS_END = "its guardian was killed"
"""Why a supervisor has to end that nobody has stopped."""
PlatformName = Annotated[str, msgspec.Meta(max_length=60)]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Every message: frozen, told apart by `type`."""
