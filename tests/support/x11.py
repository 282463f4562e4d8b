"""A virtual display, the windows on it as X itself tells of them, and a keyboard and mouse for them."""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

VIEWABLE = 2


class XWindow(NamedTuple):
    """A window of the display: its `_NET_WM_NAME`, whether it is mapped, its size and place in pixels, X's id."""

    title: str
    mapped: bool
    width: int
    height: int
    x: int
    y: int
    id: int


@contextmanager
def display() -> Iterator[str]:
    """Run Xvfb; yields the display's name. Skips where there is none."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    told, tell = os.pipe()
    server = subprocess.Popen(
        # Without "-noreset" it begins anew when its last client has gone, and takes no other meanwhile.
        ["Xvfb", "-displayfd", str(tell), "-screen", "0", "1280x900x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=(tell,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(tell)
    try:
        assert select.select([told], [], [], 30)[0], "Xvfb does not start"
        number = os.read(told, 100).decode().strip()
        assert number, "Xvfb ended while it started"
        yield f":{number}"
    finally:
        os.close(told)
        server.terminate()
        server.wait(10)


class _Attributes(ctypes.Structure):
    """The head of Xlib's XWindowAttributes, as far as `map_state`."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("x", "y", "width", "height", "border_width", "depth")),
        ("visual", ctypes.c_void_p),
        ("root", ctypes.c_ulong),
        *((name, ctypes.c_int) for name in ("c_class", "bit_gravity", "win_gravity", "backing_store")),
        ("backing_planes", ctypes.c_ulong),
        ("backing_pixel", ctypes.c_ulong),
        ("save_under", ctypes.c_int),
        ("colormap", ctypes.c_ulong),
        ("map_installed", ctypes.c_int),
        ("map_state", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def _passed_over(display: int | None, error: int | None) -> int:
    """Called for an error such as BadWindow, when a window has gone since it was listed. Xlib's own would exit."""
    return 0


@contextmanager
def _opened(name: str) -> Iterator[tuple[ctypes.CDLL, ctypes.c_void_p]]:
    """Xlib, and a connection to the display."""
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    x.XDefaultRootWindow.restype = x.XInternAtom.restype = x.XStringToKeysym.restype = ctypes.c_ulong
    x.XSetErrorHandler(_passed_over)
    handle = ctypes.c_void_p(x.XOpenDisplay(name.encode()))
    assert handle, f"no display {name}"
    try:
        yield x, handle
        x.XSync(handle, 0)
    finally:
        x.XCloseDisplay(handle)


def windows(name: str) -> list[XWindow]:
    """The top windows of a display that have a title."""
    with _opened(name) as (x, handle):
        title, utf8 = (ctypes.c_ulong(x.XInternAtom(handle, word, 0)) for word in (b"_NET_WM_NAME", b"UTF8_STRING"))
        root, parent = ctypes.c_ulong(), ctypes.c_ulong()
        children, count = ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_uint()
        top = ctypes.c_ulong(x.XDefaultRootWindow(handle))
        x.XQueryTree(handle, top, *map(ctypes.byref, (root, parent, children, count)))
        found = []
        for window in children[: count.value]:
            kind, size, items, rest = ctypes.c_ulong(), ctypes.c_int(), ctypes.c_ulong(), ctypes.c_ulong()
            text = ctypes.c_char_p()
            x.XGetWindowProperty(
                handle,
                ctypes.c_ulong(window),
                title,
                ctypes.c_long(0),
                ctypes.c_long(1000),
                0,
                utf8,
                *map(ctypes.byref, (kind, size, items, rest, text)),
            )
            a = _Attributes()
            there = x.XGetWindowAttributes(handle, ctypes.c_ulong(window), ctypes.byref(a))
            if there and text.value:
                mapped = a.map_state == VIEWABLE
                found.append(XWindow(text.value.decode(), mapped, a.width, a.height, a.x, a.y, window))
        return found


def focus(name: str, window: XWindow) -> None:
    """Bring a window to the front and give it the keyboard, as a window manager does."""
    with _opened(name) as (x, handle):
        x.XRaiseWindow(handle, ctypes.c_ulong(window.id))
        x.XSetInputFocus(handle, ctypes.c_ulong(window.id), 1, ctypes.c_ulong(0))


def place(name: str, window: XWindow, left: int, top: int, width: int, height: int) -> None:
    """Move and resize a window, as a window manager does."""
    with _opened(name) as (x, handle):
        x.XMoveResizeWindow(handle, ctypes.c_ulong(window.id), left, top, width, height)


class _ClientMessage(ctypes.Structure):
    """Xlib's XClientMessageEvent, padded to the size of any event."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("rest", ctypes.c_byte * 192),
    ]


CLIENT_MESSAGE = 33


def close(name: str, window: XWindow) -> None:
    """Close a window as a window manager does for the person who clicks on its cross (ICCCM's WM_DELETE_WINDOW)."""
    with _opened(name) as (x, handle):
        protocols, delete = (x.XInternAtom(handle, word, 0) for word in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
        event = _ClientMessage(type=CLIENT_MESSAGE, window=window.id, message_type=protocols, format=32)
        event.data[0] = delete
        assert x.XSendEvent(handle, ctypes.c_ulong(window.id), 0, ctypes.c_long(0), ctypes.byref(event))


def _tester() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libXtst.so.6")
    except OSError:
        pytest.skip("libXtst is not installed")


def press(name: str, key: str) -> None:
    """A key, by X's name for it, goes down and up."""
    tester = _tester()
    with _opened(name) as (x, handle):
        code = x.XKeysymToKeycode(handle, ctypes.c_ulong(x.XStringToKeysym(key.encode())))
        assert code, f"no key {key}"
        for down in (1, 0):
            tester.XTestFakeKeyEvent(handle, code, down, ctypes.c_ulong(0))


def click(name: str, x: int, y: int) -> None:
    """The mouse goes to a point of the display, and its left button down and up."""
    tester = _tester()
    with _opened(name) as (_, handle):
        tester.XTestFakeMotionEvent(handle, -1, x, y, ctypes.c_ulong(0))
        for down in (1, 0):
            tester.XTestFakeButtonEvent(handle, 1, down, ctypes.c_ulong(0))
