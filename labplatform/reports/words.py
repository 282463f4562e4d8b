"""The plain words of a crash report: its one sentence, its headline, its sizes and times. Pure; any process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..manifest import size_in_words
from ..messages import CrashBrief

LONGEST = 300
"""Characters of a clause that come from elsewhere: a file's name, a Python error."""
_SHARED = "; the process was shared with "
_BECAUSE = {
    "memory-limit": "was ended",
    "process-limit": "was ended",
    "unresponsive": "was ended",
    "memory-eviction": "was ended",
    "crashed": "crashed",
    "oom": "crashed",
    "supervisor-lost": "was lost",
}


def sentence(
    reason: str,
    detail: str,
    *,
    limit: int | None = None,
    seen: int | None = None,
    silent_for: float = 0.0,
    heap: int = 0,
    sharers: Sequence[str] = (),
    from_outside: bool = False,
) -> str:
    """The cause of an end in one plain sentence.

    `detail`: the platform's clause for it. `limit`, `seen`: what was exceeded, and by what. `silent_for`: seconds
    without an answer. `heap`: bytes of JavaScript heap. `sharers`: who else was in what ended. `from_outside`: the
    platform sent no signal itself.
    """
    clause = one_line(detail.split(_SHARED)[0]).rstrip(".")
    if reason == "memory-limit" and limit:
        return f"Its memory reached its limit of {size_in_words(limit)}."
    if reason == "process-limit" and limit and seen:
        return f"It had {seen} processes, and its limit is {limit}."
    if reason == "unresponsive" and silent_for and clause.startswith("its "):
        what = "page" if clause.startswith("its page") else "GUI thread"
        return f"Its {what} did not answer for {duration(silent_for)}."
    if reason == "oom" and heap:
        return f"Its page used up its JavaScript heap of {heap >> 20} MiB."
    if reason == "launch-failed":
        return f"It did not start: {clause}."
    if reason == "memory-eviction":
        return "The machine, or its container, ran out of memory, and the kernel killed it."
    for thing in ("process", "renderer"):
        if sharers and clause.startswith(f"its {thing} "):
            clause = f"the {thing} it shared with {listed(sharers)} {clause.removeprefix(f'its {thing} ')}"
    if reason == "killed" and from_outside:
        clause += ", which the platform did not send"
    return f"{clause[:1].upper()}{clause[1:]}." if clause else "Why it ended is not known."


def headline(brief: CrashBrief) -> str:
    """The same with the app's name: what a page begins with."""
    title = one_line(brief.title) or brief.place
    if brief.reason == "launch-failed" and brief.sentence.startswith("It "):
        return f"{title} {brief.sentence.removeprefix('It ')}"
    verb = _BECAUSE.get(brief.reason, "ended")
    return f"{title} {verb} because {brief.sentence[:1].lower()}{brief.sentence[1:]}"


def one_line(text: str, longest: int = LONGEST) -> str:
    """Text on one line, of printable characters only, and not endless."""
    plain = "".join(character if character.isprintable() else " " for character in text[: 4 * longest])
    plain = " ".join(plain.split())
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + "…"


def listed(names: Iterable[str], most: int = 5) -> str:
    """ "a", "a and b", "a, b and c"; of very many, the first and how many more."""
    names = list(names)
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def duration(seconds: float) -> str:
    """Seconds for people: "4 ms", "0.8 s", "42 s", "6 min 12 s", "2 h 7 min", "3 d 4 h"."""
    if seconds < 0.1995:
        milliseconds = max(seconds, 0.0) * 1000
        return f"{milliseconds:.1f} ms" if 0 < milliseconds < 9.95 else f"{milliseconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, length, smaller, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {smaller}"
    return f"{whole} s"
