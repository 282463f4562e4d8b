"""How an app fell silent and what came of it, as the platform's log tells it; a page that does, for a while. Kernel."""

from __future__ import annotations

from dataclasses import dataclass

from ..kernel.app import App

COMPUTE = "setTimeout(() => { const end = Date.now() + %d; while (Date.now() < end); }, 0); 0"


@dataclass(frozen=True)
class Silence:
    """One time in which an app answered nothing. `at`: when that was noticed, in seconds since the epoch; `what` was
    silent: "page" or "GUI thread"; `seconds`: from then until it answered again or was ended; `None` if it still is.
    """

    at: float
    what: str
    seconds: float | None
    ended: bool

    def __str__(self) -> str:
        if self.seconds is None:
            return f"its {self.what} does not answer"
        fate = "ended" if self.ended else "answered again"
        return f"its {self.what} did not answer; {fate} {self.seconds:.1f} s later"


def compute(app: App, seconds: float) -> None:
    """Have an app's page compute for so long, and do nothing else meanwhile. Returns at once."""
    app.evaluate_js(COMPUTE % (1000 * seconds))


def silences(app: App, since: float) -> list[Silence]:
    """The times in which an app was silent since then, in seconds since the epoch, oldest first."""
    found: list[Silence] = []
    for entry in app.events:
        if entry.time < since:
            continue
        if entry.kind == "silent":
            found.append(Silence(entry.time, entry.event["what"], None, False))
        elif entry.kind in ("answered", "ended") and found and found[-1].seconds is None:
            last = found[-1]
            found[-1] = Silence(last.at, last.what, entry.time - last.at, entry.kind == "ended")
    return found
