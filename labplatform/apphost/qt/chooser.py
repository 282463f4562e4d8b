"""The platform's own chooser, over the window of an app whose intent several could handle. Host's GUI thread.

It is drawn by Qt and is no page: no page can reach into it or click it, and it needs no renderer, which an app's page
could hold up or be in. It covers its app's page, takes the input meant for it, and goes with the window; the page
beneath goes on. A question waits until the one before it is answered.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from PySide6 import QtCore, QtGui, QtSvg, QtWidgets

from ... import messages as m

ARMED_AFTER = 0.4
"""Seconds after it has come up, or its window to the front, in which it takes no answer: what a person does then was
meant for what was there before."""
PANEL_WIDTH = 420
AROUND = 12
"""Pixels between the panel and the window's edge, where there is room."""
ROOMY = 300
"""Pixels of width and height below which the panel takes the whole window."""
TINY = 200
"""Pixels of height below which it leaves out whose intent it is: that app's own."""
PADDING = 16
ROW, NARROW_ROW = 44, 54
"""Heights of an option's row; of one too narrow for both its texts beside each other."""
NARROW = 300


class Palette(NamedTuple):
    """The colours of one theme."""

    ground: str
    raised: str
    line: str
    line_strong: str
    ink: str
    ink_2: str
    ink_3: str
    scrim: str


LIGHT = Palette("#FFFFFF", "#F6F7F8", "#DCE0E4", "#8A939C", "#1A1D21", "#454C54", "#626B74", "#80111315")
DARK = Palette("#111315", "#1A1D20", "#30353A", "#717B85", "#ECEFF2", "#B7BFC7", "#8D97A1", "#A0000000")
NEUTRAL = "#8A939C"
"""The colour of an app that has none."""
PALE = 200
"""Grey value, of 255, from which on a letter is dark on an app's colour."""


def palette_for(theme: m.Theme) -> Palette:
    """The platform's theme, or the desktop's where that is left to it."""
    if theme == "auto":
        dark = QtGui.QGuiApplication.styleHints().colorScheme() == QtCore.Qt.ColorScheme.Dark
        return DARK if dark else LIGHT
    return DARK if theme == "dark" else LIGHT


def _font(pixels: int, weight: int = 400) -> QtGui.QFont:
    font = QtGui.QFont(QtWidgets.QApplication.font())
    font.setPixelSize(pixels)
    font.setWeight(QtGui.QFont.Weight(weight))
    return font


def _elided(painter: QtGui.QPainter, box: QtCore.QRect, text: str, right: bool = False) -> None:
    """One line of plain text, whatever is in it."""
    shown = painter.fontMetrics().elidedText(text, QtCore.Qt.TextElideMode.ElideRight, box.width())
    side = QtCore.Qt.AlignmentFlag.AlignRight if right else QtCore.Qt.AlignmentFlag.AlignLeft
    flags = side | QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.TextFlag.TextSingleLine
    painter.drawText(box, int(flags.value), shown)


def _mixed(color: str, ground: str, share: float) -> QtGui.QColor:
    one, other = QtGui.QColor(color), QtGui.QColor(ground)
    parts = zip(one.getRgb()[:3], other.getRgb()[:3], strict=True)
    return QtGui.QColor(*(round(a * share + b * (1 - share)) for a, b in parts))


def _draw_glyph(painter: QtGui.QPainter, box: QtCore.QRect, party: m.Party) -> None:
    """An app's glyph, or its first letter on its colour."""
    _, _, data = party.glyph.partition("base64,")
    drawing = QtSvg.QSvgRenderer(QtCore.QByteArray(base64.b64decode(data))) if data else None
    if drawing is not None and drawing.isValid():
        drawing.render(painter, QtCore.QRectF(box))
        return
    ground = QtGui.QColor(party.color or NEUTRAL)
    painter.setPen(QtCore.Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawRoundedRect(box, box.width() / 4, box.width() / 4)
    painter.setPen(QtGui.QColor(LIGHT.ink if QtGui.qGray(ground.rgb()) > PALE else "#FFFFFF"))
    painter.setFont(_font(round(box.width() * 0.6), 650))
    painter.drawText(box, QtCore.Qt.AlignmentFlag.AlignCenter, party.title.strip()[:1].upper())


class _Line(QtWidgets.QWidget):
    """A line of text, with an app's glyph in front of it if there is one."""

    def __init__(self, text: str, font: QtGui.QFont, color: str, height: int, party: m.Party | None = None) -> None:
        super().__init__()
        self._font, self._color, self._party = font, color, party
        self.setFixedHeight(height)
        self.say(text)

    def say(self, text: str) -> None:
        """Show this."""
        self._text = text
        self.setAccessibleName(text)
        self.update()

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        left = 0
        if self._party:
            _draw_glyph(painter, QtCore.QRect(0, (self.height() - 20) // 2, 20, 20), self._party)
            left = 28
        painter.setFont(self._font)
        painter.setPen(QtGui.QColor(self._color))
        _elided(painter, self.rect().adjusted(left, 0, 0, 0), self._text)


class _Button(QtWidgets.QAbstractButton):
    """A button that is drawn here; `taken` is called when a person takes it."""

    pointed_at = QtCore.Signal(object)

    def __init__(self, look: Palette, words: str, taken: Callable[[], None]) -> None:
        super().__init__()
        self._look = look
        self.setMouseTracking(True)
        self.setAccessibleName(words)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.setCursor(QtCore.Qt.CursorShape.PointingHandCursor)
        self.clicked.connect(lambda: taken())  # without Qt's word on whether it is checked

    def mouseMoveEvent(self, event: Any) -> None:
        """The mouse moves over it, or is dragged."""
        self.pointed_at.emit(self)
        super().mouseMoveEvent(event)

    @property
    def focused(self) -> bool:
        """Whether the keyboard is at it, or will be as soon as the window is in front."""
        return self.window().focusWidget() is self

    def _box(self, painter: QtGui.QPainter, fill: QtGui.QColor, line: str, dashed: bool = False) -> None:
        """The box, with a ring around it where the keyboard is."""
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        focused = self.focused
        pen = QtGui.QPen(QtGui.QColor(self._look.ink if focused else line), 2 if focused else 1)
        if dashed:
            pen.setStyle(QtCore.Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(fill)
        inset = 1 if focused else 0.5
        painter.drawRoundedRect(QtCore.QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), 6, 6)


class _Cancel(_Button):
    """Ends the question without a choice."""

    def __init__(self, look: Palette, taken: Callable[[], None]) -> None:
        super().__init__(look, "Cancel", taken)
        self.setFixedSize(QtGui.QFontMetrics(_font(13)).horizontalAdvance("Cancel") + 30, 28)

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        fill = self._look.raised if self.focused else self._look.ground
        self._box(painter, QtGui.QColor(fill), self._look.line_strong)
        painter.setFont(_font(13))
        painter.setPen(QtGui.QColor(self._look.ink))
        painter.drawText(self.rect(), QtCore.Qt.AlignmentFlag.AlignCenter, "Cancel")


class _Option(_Button):
    """One way to handle the intent."""

    def __init__(self, look: Palette, option: m.IntentOption, narrow: bool, taken: Callable[[], None]) -> None:
        super().__init__(look, str(option), taken)
        self._option, self._narrow = option, narrow
        self.setAccessibleDescription(option.description)
        self.setFixedHeight(NARROW_ROW if narrow else ROW)
        self.setEnabled(not option.ended)
        if option.ended:
            self.setCursor(QtCore.Qt.CursorShape.ArrowCursor)

    def paintEvent(self, event: Any) -> None:
        look, option = self._look, self._option
        color = option.color or NEUTRAL
        painter = QtGui.QPainter(self)
        chosen = self.isEnabled() and self.focused
        fill = _mixed(color, look.raised, 0.11) if chosen else QtGui.QColor(look.raised)
        self._box(painter, QtGui.QColor(0, 0, 0, 0) if option.ended else fill, look.line, option.ended)
        if chosen:
            painter.fillRect(QtCore.QRect(2, 6, 3, self.height() - 12), QtGui.QColor(color))
        if option.ended:
            painter.setOpacity(0.45)
        _draw_glyph(painter, QtCore.QRect(12, (self.height() - 24) // 2, 24, 24), option)
        painter.setOpacity(1)
        words = self.rect().adjusted(46, 0, -12, 0)
        self._where(painter, words)
        painter.setPen(QtGui.QColor(look.ink_3 if option.ended else look.ink))
        painter.setFont(_font(14, 650))
        if self._narrow:
            _elided(painter, words.adjusted(0, 6, 0, -26), option.title)
        else:
            _elided(painter, words.adjusted(0, 0, -self._room - 12, 0), option.title)

    def _where(self, painter: QtGui.QPainter, words: QtCore.QRect) -> None:
        """Where it would be handled: an icon and words."""
        look, text = self._look, self._option.where
        font = _font(12)
        self._room = QtGui.QFontMetrics(font).horizontalAdvance(text) + 20
        box = words.adjusted(0, 28, 0, -6) if self._narrow else words.adjusted(words.width() - self._room, 0, 0, 0)
        color = QtGui.QColor(look.ink_3 if self._option.ended else look.ink_2)
        middle = QtCore.QPointF(box.left() + 6, box.center().y() + 0.5)
        if self._option.ended:
            painter.setPen(QtGui.QPen(color, 1.3))
            painter.setBrush(QtCore.Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QtCore.QRectF(middle.x() - 3.5, middle.y() - 3.5, 7, 7), 1, 1)
        elif self._option.instance_id:
            painter.setPen(QtCore.Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawEllipse(middle, 3.2, 3.2)
        else:
            painter.setPen(QtGui.QPen(color, 1.4, c=QtCore.Qt.PenCapStyle.RoundCap))
            painter.drawLine(middle - QtCore.QPointF(4, 0), middle + QtCore.QPointF(4, 0))
            painter.drawLine(middle - QtCore.QPointF(0, 4), middle + QtCore.QPointF(0, 4))
        painter.setPen(color)
        painter.setFont(font)
        _elided(painter, box.adjusted(16, 0, 0, 0), text)


class _Panel(QtWidgets.QFrame):
    """One question, in words and buttons."""

    def __init__(
        self, over: QtWidgets.QWidget, look: Palette, question: m.IntentQuestion, answer: Callable[[int | None], None]
    ) -> None:
        super().__init__(over)
        self._look, self._until = look, question.until
        self.setAccessibleName(f"{question.title}. {question.raiser.title} sends {question.about}")
        room = over.size()
        small = room.width() < ROOMY or room.height() < ROOMY
        around, padding, gap = (0, 8, 6) if small else (AROUND, PADDING, 12)
        width = room.width() if small else min(PANEL_WIDTH, room.width() - 2 * AROUND)
        self._round = not small
        narrow = width - 2 * padding < NARROW
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(padding, padding - 2, padding, padding)
        layout.setSpacing(0)
        layout.addWidget(_Line(question.title, _font(14 if small else 17, 650), look.ink, 26))
        sent = f"{question.raiser.title} sends {question.about}"
        rest = padding - 2 + 26 + gap + 28 + padding
        if room.height() >= TINY:
            layout.addWidget(_Line(sent, _font(13), look.ink_2, 26, question.raiser))
            rest += 26
        layout.addSpacing(gap - 2)
        rest += gap - 2

        self.buttons: list[_Button] = []
        options = QtWidgets.QWidget()
        rows = QtWidgets.QVBoxLayout(options)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        height = -4
        for index, option in enumerate(question.options):
            if len(question.intents) > 1 and (index == 0 or question.options[index - 1].intent != option.intent):
                rows.addWidget(_Line(option.intent_title, _font(12, 650), look.ink_2, 24))
                height += 28
            button = _Option(look, option, narrow, lambda index=index: answer(index))
            rows.addWidget(button)
            self.buttons.append(button)
            height += button.height() + 4
        self._scroll = QtWidgets.QScrollArea()
        self._scroll.setWidget(options)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self._scroll.setStyleSheet(
            "QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; }"
            "QScrollBar:vertical { width: 8px; background: transparent; margin: 0; }"
            f"QScrollBar::handle:vertical {{ background: {look.line_strong}; border-radius: 3px; min-height: 24px; }}"
            "QScrollBar::add-line, QScrollBar::sub-line { height: 0; }"
        )
        shown = max(20, min(height, room.height() - 2 * around - rest))
        self._scroll.setFixedHeight(shown)
        layout.addWidget(self._scroll)
        layout.addSpacing(gap)
        foot = QtWidgets.QHBoxLayout()
        self._left = _Line("", _font(12), look.ink_3, 28)
        foot.addWidget(self._left, 1)
        cancel = _Cancel(look, lambda: answer(None))
        foot.addWidget(cancel)
        self.buttons.append(cancel)
        layout.addLayout(foot)
        size = QtCore.QSize(width, room.height() if small else rest + shown)
        self.setGeometry(
            QtCore.QRect((room.width() - width) // 2, (room.height() - size.height()) // 2, *size.toTuple())
        )
        self.tick()

    def tick(self) -> None:
        """Say how much time is left."""
        self._left.say(f"{max(0, round(self._until - time.time()))} s left")

    def show_row(self, button: QtWidgets.QWidget) -> None:
        """Have this option in sight."""
        if isinstance(button, _Option):
            self._scroll.ensureWidgetVisible(button, 0, 4)

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.setBrush(QtGui.QColor(self._look.ground))
        painter.setPen(QtGui.QPen(QtGui.QColor(self._look.line_strong), 1) if self._round else QtCore.Qt.PenStyle.NoPen)
        radius = 10 if self._round else 0
        painter.drawRoundedRect(QtCore.QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), radius, radius)


class Chooser(QtWidgets.QWidget):
    """Over one window, from its first question on; hidden while there is none.

    `below`: pixels of the window's top that stay free. `answer(number, option)` is called with a person's answers.
    """

    def __init__(
        self, window: QtWidgets.QWidget, theme: m.Theme, below: int, answer: Callable[[int, int | None], None]
    ) -> None:
        super().__init__(window)
        self.hide()
        self._window, self._theme, self._below, self._answer = window, theme, below, answer
        self._look = palette_for(theme)
        self._questions: dict[int, m.IntentQuestion] = {}
        self._panel: _Panel | None = None
        self._shown: int | None = None
        self._armed_at = 0.0
        self._focus_before: QtWidgets.QWidget | None = None
        self._cursor = QtCore.QPoint()
        self.setCursor(QtCore.Qt.CursorShape.ArrowCursor)
        # Timers of its own end with it, as a window may at any time.
        self._clock = QtCore.QTimer(self, interval=1000)
        self._clock.timeout.connect(lambda: self._panel and self._panel.tick())
        self._soon = QtCore.QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self._show)
        window.installEventFilter(self)

    # --- what the supervisor says

    def ask(self, question: m.IntentQuestion) -> None:
        """Ask this, once what was asked before is answered; or what is asked already, changed."""
        self._questions[question.number] = question
        if self._shown in (None, question.number):
            self._show()

    def withdraw(self, number: int) -> None:
        """This question is over."""
        if self._questions.pop(number, None) and number == self._shown:
            self._show()

    # --- showing

    def _show(self) -> None:
        """Show the first question there is, or hide."""
        question = next(iter(self._questions.values()), None)
        same = question is not None and question.number == self._shown
        at = self._at() if same else 0
        if self._panel:
            self._panel.hide()
            self._panel.deleteLater()
            self._panel = None
        if question is None:
            self._leave()
            return
        if self._shown is None:
            self._look = palette_for(self._theme)
            self._focus_before = self._window.focusWidget()
        self._shown = question.number
        self.setGeometry(self._window.rect().adjusted(0, self._below, 0, 0))
        self._panel = _Panel(self, self._look, question, self._take)
        for button in self._panel.buttons:
            button.installEventFilter(self)
            button.pointed_at.connect(self._pointed_at)
        self._cursor = QtGui.QCursor.pos()
        self.show()
        self.raise_()
        self._panel.show()
        self._focus(at)
        if not same:
            self._arm()
            self._clock.start()
            QtWidgets.QApplication.alert(self._window)
            QtGui.QAccessible.updateAccessibility(QtGui.QAccessibleEvent(self._panel, QtGui.QAccessible.Event.Alert))

    def _leave(self) -> None:
        self._shown = None
        self._clock.stop()
        self.hide()
        before, self._focus_before = self._focus_before, None
        if before is not None:
            before.setFocus()

    def _arm(self) -> None:
        self._armed_at = time.monotonic() + ARMED_AFTER

    def _take(self, option: int | None) -> None:
        """A person has chosen, or cancelled."""
        number = self._shown
        if number is None or time.monotonic() < self._armed_at:
            return
        del self._questions[number]
        # Later, not inside the event of a button that is about to go.
        self._soon.start()
        self._shown = None
        self._answer(number, option)

    # --- input

    def _at(self) -> int:
        """Which button the keyboard is at."""
        buttons = self._panel.buttons if self._panel else []
        return next((index for index, button in enumerate(buttons) if button.focused), 0)

    def _focus(self, at: int, step: int = 1) -> None:
        """Go to this button, or to the next one in that direction that can be taken."""
        buttons = self._panel.buttons
        for index in (at + step * distance for distance in range(len(buttons))):
            button = buttons[index % len(buttons)]
            if button.isEnabled():
                button.setFocus(QtCore.Qt.FocusReason.TabFocusReason)
                self._panel.show_row(button)
                return

    def _pointed_at(self, button: _Button) -> None:
        """One button at a time is marked: where the keyboard or the mouse was last. A mouse that only rests is not."""
        if QtGui.QCursor.pos() != self._cursor and button.isEnabled() and not button.focused:
            button.setFocus(QtCore.Qt.FocusReason.MouseFocusReason)

    def _key(self, event: QtGui.QKeyEvent) -> bool:
        """Whether a key was meant for the chooser as a whole."""
        key, Key = event.key(), QtCore.Qt.Key
        at = self._at()
        if key in (Key.Key_Down, Key.Key_Tab):
            self._focus(at + 1)
        elif key in (Key.Key_Up, Key.Key_Backtab):
            self._focus(at - 1, -1)
        elif key == Key.Key_Home:
            self._focus(0)
        elif key == Key.Key_End:
            self._focus(-1, -1)
        elif event.isAutoRepeat():
            # Held down from before; only moving goes on by itself.
            pass
        elif key == Key.Key_Escape:
            self._take(None)
        elif key in (Key.Key_Return, Key.Key_Enter, Key.Key_Space):
            self._panel.buttons[at].click()
        else:
            return False
        return True

    def eventFilter(self, watched: Any, event: Any) -> bool:
        kind, Kind = event.type(), QtCore.QEvent.Type
        if watched is self._window:
            if kind == Kind.Resize and self._shown is not None:
                self._soon.start()
            elif kind == Kind.WindowActivate:
                self._arm()
        elif kind == Kind.KeyPress and self._panel is not None:
            return self._key(event)
        return False

    def paintEvent(self, event: Any) -> None:
        QtGui.QPainter(self).fillRect(self.rect(), QtGui.QColor(self._look.scrim))
