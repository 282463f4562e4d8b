"""`labplatform why`: why an app died, from a platform that runs, or from what the store has kept. CLI process.

The store has the reports of every platform that used it, of those that ended as well. A platform that runs is asked
too: its store may be another one, or its memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from platformdirs import user_data_path

from .. import discovery
from .. import messages as m
from ..errors import LabError, StoreError, UnknownApp
from ..reports import archive, page, words
from ..reports import text as texts
from . import OK, complain
from . import words as terminal

ASK_SECONDS = 5.0
"""Seconds that a platform may take for one whole report."""


class Found(NamedTuple):
    """A report that there is. `fetch` has all of it, and raises `LabError`."""

    session: str
    brief: m.CrashBrief
    where: str
    fetch: Callable[[], m.CrashReport]


def main(options: argparse.Namespace) -> int:
    found = [one for one in _all(options) if not options.app or options.app in (one.brief.place, one.brief.app_id)]
    if options.list:
        _list(found, options.json)
        return OK
    if len(found) < options.nth:
        which = f"of {options.app} " if options.app else ""
        kept = f"only {len(found)} {'is' if len(found) == 1 else 'are'} kept" if found else "none is kept"
        raise UnknownApp(f"there is no crash report {which}to show: {kept}; `labplatform why --list` lists them all")
    report = found[-options.nth].fetch()
    if options.html:
        Path(options.html).write_text(page.document(report), encoding="utf-8")
        print(f"written: {options.html}")
    if options.json:
        sys.stdout.write(msgspec.json.format(m.encode(report)).decode() + "\n")
    elif not options.html:
        sys.stdout.write(_writable(texts.text(report)))
    return OK


def _all(options: argparse.Namespace) -> list[Found]:
    """Every report that can be had, oldest first."""
    found: dict[tuple[str, int], Found] = {}
    path = Path(options.store) if options.store else user_data_path("labplatform", appauthor=False) / "store.db"
    if options.store:
        if not path.exists():
            raise StoreError(f"{path} does not exist")
        for one in _in_store(path):
            found[one.session, one.brief.number] = one
    else:
        try:
            for one in _in_store(path) if path.exists() else ():
                found[one.session, one.brief.number] = one
        except LabError as error:
            complain(error.message)
        for platform in discovery.running():
            try:
                for one in _on_platform(platform):
                    found[one.session, one.brief.number] = one
            except LabError as error:
                complain(error.message)
    return sorted(found.values(), key=lambda one: (one.brief.at, one.brief.number))


def _in_store(path: Path) -> list[Found]:
    def fetching(session: str, number: int) -> Callable[[], m.CrashReport]:
        def fetch() -> m.CrashReport:
            report = archive.read(path, session, number)
            if report is None:
                raise UnknownApp(f"crash report {number} is not kept any more")
            return report

        return fetch

    with archive.opened(path) as db:
        filed = archive.briefs(db)
    return [Found(one.session, one.brief, str(path), fetching(one.session, one.brief.number)) for one in filed]


def _on_platform(platform: discovery.Running) -> list[Found]:
    def fetching(number: int) -> Callable[[], m.CrashReport]:
        def fetch() -> m.CrashReport:
            connection = platform.connect()
            try:
                return connection.ask(m.RecallReport, m.CrashReport, ASK_SECONDS, number=number)
            finally:
                connection.close()

        return fetch

    connection = platform.connect()
    try:
        briefs = connection.ask(m.RecallBriefs, list[m.CrashBrief], discovery.ANSWER_SECONDS)
    finally:
        connection.close()
    session = platform.about.session
    return [Found(session, brief, f"platform {platform.pid}", fetching(brief.number)) for brief in briefs]


def _list(found: list[Found], as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(m.encode([one.brief for one in found])).decode())
        return
    if not found:
        print("no crash report is kept")
        return
    rows = [("NTH", "WHEN", "APP", "PID", "REASON", "BACK AFTER", "WHY")]
    for place, one in enumerate(found):
        brief = one.brief
        rows.append(
            (
                str(len(found) - place),
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(brief.at)),
                words.one_line(brief.place) or "the platform",
                str(brief.pid or "-"),
                words.one_line(brief.reason),
                "-" if brief.back_after is None else words.duration(brief.back_after),
                words.one_line(brief.sentence, 100),
            )
        )
    print(_writable("\n".join(terminal.table(rows, right=(0, 3, 5), indent=""))))


def _writable(text: str) -> str:
    """The same as far as this terminal's encoding goes."""
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "replace").decode(encoding)
