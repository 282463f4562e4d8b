"""Many messages in a row from one app to others, and who heard which of them. Kernel.

The sender is an app's page, so nothing of it depends on the kernel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from ..kernel.app import App
from .recording import Heard, Stream
from .waiting import until

TICKERS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
"""Sent in turn; the windows that follow show it."""

_SEND = """(() => {
    const tickers = %(tickers)s;
    window.streaming = (async () => {
        for (let n = 1; n <= %(count)d; n++) {
            const id = { ticker: tickers[(n - 1) %% tickers.length] };
            await fdc3.broadcast({ type: "fdc3.instrument", id, stream: %(key)r, n, at: Date.now() });
            await new Promise((next) => setTimeout(next, %(pause)d));
        }
        return %(count)d;
    })();
})()"""


def stream(
    sender: App,
    receivers: Iterable[App],
    count: int = 200,
    pause: float = 0.02,
    halfway: Callable[[], object] | None = None,
    timeout: float = 60.0,
) -> dict[str, Heard]:
    """Let `sender` send `count` instruments on its user channel, and return what each receiver heard, by its name.

    `pause`: seconds from one to the next. `halfway` is called when the last of the receivers has heard half of them.
    Waits `timeout` seconds for the sender, and for each receiver that is alive. Raises `LabTimeout` if the sender does
    not come to its end.
    """
    this, receivers = Stream(), list(receivers)
    for app in receivers:
        this.record(app)
    sender.evaluate_js(_SEND % {"tickers": json.dumps(TICKERS), "count": count, "key": this.key, "pause": 1000 * pause})
    if halfway:
        until(receivers[-1], f"heard.length >= {count // 2}", True, timeout)
        halfway()
    until(sender, "streaming", count, timeout)
    return {app.name: this.heard(app, count, timeout) for app in receivers}
