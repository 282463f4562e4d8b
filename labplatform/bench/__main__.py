"""`labplatform bench`: measures the tables of figures and prints them, as text or JSON. Runs in a process of its own.

A figure is the median of several runs, and what it is compared with was run in turn with it: on a machine that is busy
with other things, trust the ratios before the times.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import machine
from ..errors import LabError
from . import (
    boundary,
    bridge,
    broadcast,
    burst,
    busy,
    click,
    dashboard,
    death,
    facts,
    fanout,
    figures,
    hang,
    idle,
    intent,
    launch,
    limits,
    memory,
    plots,
    process_map,
    recycle,
    reporting,
    returning,
    sampling,
    saving,
    start,
    stop,
    throttle,
    together,
    view,
    watching,
)
from .stage import Stage

STANDING = (
    start,
    launch,
    together,
    stop,
    memory,
    idle,
    death,
    hang,
    limits,
    throttle,
    boundary,
    recycle,
    returning,
    sampling,
    saving,
    reporting,
)
SHOWING = (click, view, process_map, plots, dashboard)
TALKING = (broadcast, burst, fanout, intent, busy, bridge, watching)
TABLES: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module for module in (*STANDING, *SHOWING, *TALKING)
}
INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell gives it."""


def _tables(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in TABLES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"no table is called {', '.join(unknown) or text!r}; there are: {', '.join(TABLES)}"
        )
    return names


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="labplatform bench",
        description="Measure what the platform costs, beside what a bare script, Chromium and a relay cost here.",
        epilog="Exit code 0: measured, whatever came out; 1: a table failed or a process was left; 130: interrupted.",
    )
    made.add_argument("--only", type=_tables, metavar="TABLE,…", default=list(TABLES), help="measure these tables")
    made.add_argument("--quick", action="store_true", help="few repetitions: to see that it works, not to quote")
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")
    made.add_argument("--output", type=Path, metavar="FILE", help="also write JSON to this file")
    made.add_argument("--list", action="store_true", help="name the tables and end")
    return made


def _interrupt(*_: Any) -> None:
    # Once is enough: a second one must not break the cleaning up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _measure(stage: Stage, name: str) -> figures.Table:
    module = TABLES[name]
    stage.subject(name)
    load = os.getloadavg()[0]
    try:
        rows, notes = module.measure(stage)
    except (LabError, OSError) as error:
        return figures.Table(name=name, title=module.TITLE, load=load, problem=f"{type(error).__name__}: {error}")
    return figures.Table(name=name, title=module.TITLE, rows=rows, notes=notes, load=load)


def main(argv: list[str]) -> int:
    """Measure, print, and say what is left. `argv`: the arguments after `labplatform bench`."""
    options = parser().parse_args(argv)
    if options.list:
        for name, module in TABLES.items():
            print(f"{name:10} {module.TITLE}")
        return 0
    supported, remedy = machine.supported()
    if not supported:
        print(f"labplatform bench: {remedy}", file=sys.stderr)
        return 1
    former = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _run(options)
    except LabError as error:
        print(f"labplatform bench: {error}", file=sys.stderr)
        return 1
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _run(options: argparse.Namespace) -> int:
    began = time.monotonic()
    about: dict[str, Any] = {}
    tables: list[figures.Table] = []
    interrupted = False
    stage = Stage(options.quick)
    try:
        with stage:
            stage.clear_line()
            about = facts.facts()
            about["notes"] += stage.notes
            if not options.json:
                print(facts.as_text(about), flush=True)
            for name in options.only:
                tables.append(_measure(stage, name))
                stage.clear_line()
                if not options.json:
                    print(f"\n{figures.as_text(tables[-1])}", flush=True)
    except KeyboardInterrupt:
        interrupted = True
        stage.clear_line()
    data = {
        "machine": about,
        "quick": options.quick,
        "interrupted": interrupted,
        "seconds": round(time.monotonic() - began, 1),
        "tables": [figures.as_data(table) for table in tables],
        "processes_left": stage.left,
    }
    text = json.dumps(data, indent=1, ensure_ascii=False)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    if options.json:
        print(text)
    else:
        print(f"\n{_last_words(data)}")
    if interrupted:
        return INTERRUPTED
    return 1 if stage.left or any(table.problem for table in tables) else 0


def _last_words(data: dict[str, Any]) -> str:
    how = "interrupted after" if data["interrupted"] else "done in"
    left = data["processes_left"]
    words = "no process is left" if not left else "processes that had to be killed: " + "; ".join(left)
    return f"{how} {data['seconds']:.0f} s; {words}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
