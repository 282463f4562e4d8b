"""The bench as a person runs it: a process of its own, its words, its JSON, its end. No time is judged here."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time

import pytest

from labplatform.bench.__main__ import TABLES

BENCH = [sys.executable, "-m", "labplatform.bench"]
SECONDS = 90


def bench(*arguments: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BENCH, *arguments], capture_output=True, text=True, timeout=seconds)


def test_list_names_every_table_and_says_what_it_is():
    done = bench("--list")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines == {name: module.TITLE for name, module in TABLES.items()}


def test_help_and_a_table_that_does_not_exist():
    assert "--quick" in bench("--help").stdout
    done = bench("--only", "start,speed")
    assert done.returncode == 2
    assert "speed" in done.stderr and "launch" in done.stderr


@pytest.mark.usefixtures("nothing_left")
def test_quick_run_gives_figures_with_targets_and_what_stands_beside_them(tmp_path):
    file = tmp_path / "figures.json"
    done = bench("--quick", "--only", "start,stop", "--json", "--output", str(file))
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert json.loads(file.read_text()) == data
    assert [table["name"] for table in data["tables"]] == ["start", "stop"]
    assert data["quick"] and not data["interrupted"] and data["processes_left"] == []
    assert data["machine"]["cores"] >= 1 and data["machine"]["packages"]["pywebview"]
    for table in data["tables"]:
        assert table["problem"] is None
        rows = table["rows"]
        assert [row for row in rows if row["target"]] and [row for row in rows if row["beside"]]
        for row in rows:
            assert row["unit"] == "s" and row["n"] == len(row["values"]) > 0
            assert all(value > 0 for value in row["values"]) and row["median"] > 0
            assert row["met"] == (None if row["target"] is None else row["median"] <= row["target"])
            assert (row["ours_by_this"] or 0) > 0 or not row["beside"]
    # Progress is for people, and never in the way of a script.
    assert "start: 1 of 3" in done.stderr


@pytest.mark.timeout(420)
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    "tables",
    [
        ("broadcast",),
        pytest.param(("broadcast", "burst", "fanout", "intent", "busy", "bridge", "watching"), marks=pytest.mark.long),
    ],
    ids=["one", "all"],
)
def test_pages_that_talk_are_measured_beside_a_bare_relay(tables):
    done = bench("--quick", "--only", ",".join(tables), "--json", seconds=400)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["processes_left"] == []
    found = {table["name"]: table["rows"] for table in data["tables"]}
    assert tuple(found) == tables
    for name, rows in found.items():
        assert [row for row in rows if row["target"]] or name in ("fanout", "bridge")
        assert [row for row in rows if row["beside"] and ("relay" in row["what"] or name in ("bridge", "watching"))]
        for row in rows:
            assert row["n"] == len(row["values"]) > 0
            # Two clocks, microseconds apart: none of the messages arrived before it was sent.
            assert all(value > 0 for value in row["values"])
            assert (row["ours_by_this"] or 0) > 0 or not row["beside"]
    # Both ways of each: as many messages as were sent.
    assert [row["n"] for row in found["broadcast"]][:2] == [200, 200]
    assert "burst" not in found or {row["unit"] for row in found["burst"]} == {"messages/s", "s"}


@pytest.mark.long
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
@pytest.mark.usefixtures("nothing_left")
def test_what_a_person_sees_of_a_recycle_is_measured_on_a_screen():
    done = bench("--quick", "--only", "recycle", "--json")
    assert done.returncode == 0, done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    assert table["problem"] is None
    gap, gap_of_restart, *others = table["rows"]
    assert gap["target"] and gap_of_restart["beside"]
    # Who restarts sees the bare screen; that it is seen at all shows that a gap would be.
    assert min(gap_of_restart["values"]) > 0
    assert all(value > 0 for row in others for value in row["values"])


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("nothing_left")
def test_limits_boundaries_and_readings_are_measured():
    tables = ("limits", "throttle", "boundary", "sampling")
    done = bench("--quick", "--only", ",".join(tables), "--json", seconds=580)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["processes_left"] == []
    for table in data["tables"]:
        assert table["problem"] is None
        assert [row for row in table["rows"] if row["beside"]]
        assert all(row["n"] == len(row["values"]) > 0 for row in table["rows"])


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("table", "seen", "number"),
    [
        pytest.param("launch", "launch: 2 of", signal.SIGINT, marks=pytest.mark.long),
        ("together", "together: 1 of", signal.SIGINT),
        pytest.param("death", "still, kernel sorting 1 of", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("burst", "burst: proxy 1 of", signal.SIGINT, marks=pytest.mark.long),
    ],
)
def test_interrupted_in_the_middle_it_leaves_nothing(table, seen, number):
    with subprocess.Popen(
        [*BENCH, "--quick", "--json", "--only", table], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            wait_for_line(process, seen)
            process.send_signal(number)
            output, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 130
    data = json.loads(output)
    assert data["interrupted"] and data["tables"] == [] and data["processes_left"] == []


def wait_for_line(process: subprocess.Popen[bytes], words: str) -> None:
    deadline = time.monotonic() + SECONDS
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while words.encode() not in said:
            assert selector.select(max(0, deadline - time.monotonic())), f"never said {words!r}: {said.decode()}"
            data = os.read(process.stderr.fileno(), 4096)
            assert data, f"ended before it said {words!r}: {said.decode()}"
            said += data
