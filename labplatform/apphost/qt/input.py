"""A person's mouse and keyboard, far from this window, as Qt's events in it. Runs on the host's GUI thread.

Events go to the widget under the pointer, and keys to the page, as Qt itself would send them. The page takes text only
while its window is the active one; offscreen each window can be, and on a screen it comes to the front for that.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from ... import messages as m

Qt = QtCore.Qt

BUTTONS = {
    "left": Qt.MouseButton.LeftButton,
    "middle": Qt.MouseButton.MiddleButton,
    "right": Qt.MouseButton.RightButton,
}
MODIFIERS = {
    "shift": Qt.KeyboardModifier.ShiftModifier,
    "control": Qt.KeyboardModifier.ControlModifier,
    "alt": Qt.KeyboardModifier.AltModifier,
    "meta": Qt.KeyboardModifier.MetaModifier,
}
NAMED_KEYS = {
    "Enter": (Qt.Key.Key_Return, "\r"),
    "Tab": (Qt.Key.Key_Tab, "\t"),
    "Backspace": (Qt.Key.Key_Backspace, "\b"),
    "Delete": (Qt.Key.Key_Delete, "\x7f"),
    "Escape": (Qt.Key.Key_Escape, "\x1b"),
    "Insert": (Qt.Key.Key_Insert, ""),
    "Home": (Qt.Key.Key_Home, ""),
    "End": (Qt.Key.Key_End, ""),
    "PageUp": (Qt.Key.Key_PageUp, ""),
    "PageDown": (Qt.Key.Key_PageDown, ""),
    "ArrowLeft": (Qt.Key.Key_Left, ""),
    "ArrowRight": (Qt.Key.Key_Right, ""),
    "ArrowUp": (Qt.Key.Key_Up, ""),
    "ArrowDown": (Qt.Key.Key_Down, ""),
    "Shift": (Qt.Key.Key_Shift, ""),
    "Control": (Qt.Key.Key_Control, ""),
    "Alt": (Qt.Key.Key_Alt, ""),
    "Meta": (Qt.Key.Key_Meta, ""),
    "CapsLock": (Qt.Key.Key_CapsLock, ""),
    "ContextMenu": (Qt.Key.Key_Menu, ""),
    **{f"F{number}": (getattr(Qt.Key, f"Key_F{number}"), "") for number in range(1, 13)},
}
NOTCH, LINE = 120, 20
"""What Qt counts for one notch of a wheel, and the CSS pixels that QtWebEngine scrolls for each line of a notch."""


class InputReceiver:
    """Gives one window what a person does elsewhere. `view`: the window; `web`: the page's widget in it."""

    def __init__(self, view: Any, web: Any) -> None:
        self._view, self._web = view, web
        self._pressed_in: Any = None
        """The widget that a button went down in gets all until it is up again, as with a real mouse."""

    def take(self, inputs: tuple[m.Input, ...]) -> None:
        """Send these, in order."""
        for one in inputs:
            match one:
                case m.MouseInput():
                    self._mouse(one)
                case m.WheelInput():
                    self._wheel(one)
                case m.KeyInput():
                    self._key(one)
                case m.TextInput():
                    self._text(one.text)

    # --- where

    def _at(self, x: float, y: float) -> tuple[Any, QtCore.QPointF, QtCore.QPointF]:
        """The widget that a fraction of the picture lies in, and the place in it and on the screen."""
        size = self._view.size()
        point = QtCore.QPointF(x * max(0, size.width() - 1), y * max(0, size.height() - 1))
        target = self._pressed_in or self._below(point.toPoint())
        return target, target.mapFrom(self._view, point), self._view.mapToGlobal(point)

    def _below(self, point: QtCore.QPoint) -> Any:
        found = self._view.childAt(point) or self._view
        return (self._web.focusProxy() or self._web) if found is self._web or self._web.isAncestorOf(found) else found

    def _activate(self) -> None:
        if not self._view.isActiveWindow():
            self._view.activateWindow()
            QtWidgets.QApplication.setActiveWindow(self._view)
        self._web.setFocus(Qt.FocusReason.MouseFocusReason)

    # --- what

    def _mouse(self, one: m.MouseInput) -> None:
        kinds = {
            "press": QtCore.QEvent.Type.MouseButtonPress if one.clicks != 2 else QtCore.QEvent.Type.MouseButtonDblClick,
            "release": QtCore.QEvent.Type.MouseButtonRelease,
            "move": QtCore.QEvent.Type.MouseMove,
        }
        if one.what == "press":
            self._activate()
        target, local, on_screen = self._at(one.x, one.y)
        button = BUTTONS.get(one.button or "", Qt.MouseButton.NoButton)
        held = Qt.MouseButton.NoButton
        for name in one.held:
            held |= BUTTONS[name]
        if one.what == "press":
            self._pressed_in = target
        elif not one.held:
            self._pressed_in = None
        event = QtGui.QMouseEvent(kinds[one.what], local, on_screen, button, held, _modifiers(one.modifiers))
        QtWidgets.QApplication.sendEvent(target, event)

    def _wheel(self, one: m.WheelInput) -> None:
        target, local, on_screen = self._at(one.x, one.y)
        # The other way round: Qt tells how the wheel turned, not how the page is to move.
        notch = LINE * max(1, QtWidgets.QApplication.styleHints().wheelScrollLines())
        angle = QtCore.QPoint(round(-one.dx * NOTCH / notch), round(-one.dy * NOTCH / notch))
        event = QtGui.QWheelEvent(
            local,
            on_screen,
            QtCore.QPoint(),
            angle,
            Qt.MouseButton.NoButton,
            _modifiers(one.modifiers),
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QtWidgets.QApplication.sendEvent(target, event)

    def _key(self, one: m.KeyInput) -> None:
        named = NAMED_KEYS.get(one.key)
        if named:
            code, text = named
        elif len(one.key) == 1:
            upper = one.key.upper()
            # Qt's number for a key that writes something is that character's.
            code = ord(upper) if len(upper) == 1 else ord(one.key)
            text = one.key
        else:
            return  # a key of somebody else's keyboard, that means nothing here
        if {"control", "alt", "meta"} & set(one.modifiers):
            text = ""
        kind = QtCore.QEvent.Type.KeyPress if one.what == "press" else QtCore.QEvent.Type.KeyRelease
        self._to_page(QtGui.QKeyEvent(kind, code, _modifiers(one.modifiers), text, one.repeat))

    def _text(self, text: str) -> None:
        event = QtGui.QInputMethodEvent()
        event.setCommitString(text)
        self._to_page(event)

    def _to_page(self, event: QtCore.QEvent) -> None:
        """To what has the keyboard in this window: the page, unless something of the platform's lies over it."""
        focused = self._view.focusWidget()
        over = focused is not None and focused is not self._web and not self._web.isAncestorOf(focused)
        if not over:
            self._activate()
        QtWidgets.QApplication.sendEvent(focused if over else (self._web.focusProxy() or self._web), event)


def _modifiers(names: tuple[str, ...]) -> Qt.KeyboardModifier:
    held = Qt.KeyboardModifier.NoModifier
    for name in names:
        held |= MODIFIERS[name]
    return held
