"""What Qt and Chromium read once, at their start. Imports nothing of Qt; runs first in an app host with windows."""

from __future__ import annotations

import os

from ... import messages as m
from ...network import Network, ip_address, without_secret

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
    flags += proxy_flags(order.network)
    inherited = os.environ.get("QTWEBENGINE_CHROMIUM_FLAGS", "")
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = " ".join([*filter(None, [inherited]), *flags])
    os.environ["QT_API"] = "pyside6"
    os.environ.setdefault("QT_LOGGING_RULES", "qt.webenginecontext.debug=false")


def proxy_flags(network: Network) -> list[str]:
    """Chromium's flags for a proxy; without one of the environment it goes by the desktop's own settings.

    Without user and password, which the flags of a process would show to everybody: pages are asked for them.
    """
    ways = {"http": network.http, "https": network.https}
    servers = ";".join(f"{scheme}={without_secret(proxy)}" for scheme, proxy in ways.items() if proxy)
    if not servers:
        return []
    direct: list[str] = []
    for entry in network.direct:
        if address := ip_address(entry):
            direct.append(f"[{address}]" if address.version == 6 else str(address))
        elif entry == "*" or "/" in entry:
            direct.append(entry)
        else:
            # A name stands for all below it too.
            direct += [entry, f".{entry}"]
    # socks5h is curl's word for what Chromium always does: names are resolved at the proxy.
    flags = [f"--proxy-server={servers.replace('socks5h://', 'socks5://')}"]
    return [*flags, f"--proxy-bypass-list={';'.join(direct)}"] if direct else flags
