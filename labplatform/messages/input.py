"""What a person does with a mouse and a keyboard on a picture of a window. Controllers, supervisor and app host.

Names and values are the DOM's: a key is `KeyboardEvent.key` (https://www.w3.org/TR/uievents-key/), buttons are those of
`MouseEvent.button`. Places are fractions of the picture, for it may be shown at any size.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from .words import Message

MOST_INPUTS = 64
"""Inputs in one message; a page that shows a picture leaves out moves that another one overtakes."""
MOST_TEXT = 4096
"""Characters that may be put in at once."""

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Button = Literal["left", "middle", "right"]
Modifier = Literal["shift", "control", "alt", "meta"]


class MouseInput(msgspec.Struct, frozen=True, kw_only=True, tag="mouse", tag_field="input", omit_defaults=True):
    """A button went down or up, or the pointer moved. `clicks`: 2 for the second press of a double click. `held`: the
    buttons that are down after it.
    """

    what: Literal["press", "release", "move"]
    x: Fraction
    y: Fraction
    button: Button | None = None
    clicks: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1
    held: tuple[Button, ...] = ()
    modifiers: tuple[Modifier, ...] = ()


class WheelInput(msgspec.Struct, frozen=True, kw_only=True, tag="wheel", tag_field="input", omit_defaults=True):
    """The wheel turned. `dx`, `dy`: CSS pixels that the page is to scroll, to the right and down."""

    x: Fraction
    y: Fraction
    dx: Annotated[float, msgspec.Meta(ge=-10_000, le=10_000)] = 0.0
    dy: Annotated[float, msgspec.Meta(ge=-10_000, le=10_000)] = 0.0
    modifiers: tuple[Modifier, ...] = ()


class KeyInput(msgspec.Struct, frozen=True, kw_only=True, tag="key", tag_field="input", omit_defaults=True):
    """A key went down or up."""

    what: Literal["press", "release"]
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    repeat: bool = False
    modifiers: tuple[Modifier, ...] = ()


class TextInput(msgspec.Struct, frozen=True, kw_only=True, tag="text", tag_field="input", omit_defaults=True):
    """Text as it comes from a clipboard, or from a keyboard whose keys have no names here."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_TEXT)]


Input = MouseInput | WheelInput | KeyInput | TextInput
Inputs = Annotated[tuple[Input, ...], msgspec.Meta(max_length=MOST_INPUTS)]


class SendInput(Message, frozen=True, tag="send-input"):
    """Let an app's window have these, in order. An app that does not run, or does not answer, gets none of them."""

    id: int
    place: str
    inputs: Inputs = ()


class HostInput(Message, frozen=True, tag="host-input"):
    """The same, for the host of the window."""

    place: str
    inputs: Inputs = ()
