"""What Qt and Chromium read once, at their start. Imports nothing of Qt; runs first in an app host with windows."""

from __future__ import annotations

import os

from ... import messages as m

_BLINK_SCHEME = {"dark": 0, "light": 1}


def prepare(order: m.HostOrder) -> None:
    """Set what Qt and Chromium read once, at their start. Call before anything of Qt is imported."""
    if order.qt_platform:
        os.environ["QT_QPA_PLATFORM"] = order.qt_platform
    flags = list(order.chromium_flags)
    flags.append(f"--js-flags=--max-old-space-size={order.js_heap >> 20}")
    # Else `performance.memory` is rounded, and renewed every 20 minutes.
    flags.append("--enable-precise-memory-info")
    if order.theme in _BLINK_SCHEME:
        # Qt's own colour scheme needs a desktop's theme; this reaches the page with any platform plugin.
        flags.append(f"--blink-settings=preferredColorScheme={_BLINK_SCHEME[order.theme]}")
    if order.shared_renderer:
        flags.append("--renderer-process-limit=1")
    inherited = os.environ.get("QTWEBENGINE_CHROMIUM_FLAGS", "")
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = " ".join([*filter(None, [inherited]), *flags])
    os.environ["QT_API"] = "pyside6"
    os.environ.setdefault("QT_LOGGING_RULES", "qt.webenginecontext.debug=false")
