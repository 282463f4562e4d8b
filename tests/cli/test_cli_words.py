"""Help, version, usage errors; how errors end; and that little is imported for little."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import labplatform
from labplatform.cli import words

COMMANDS = ("lab", "run", "ps", "why", "stop", "kill", "doctor")


def test_the_installed_command_is_this_one():
    script = Path(sysconfig.get_path("scripts"), "labplatform")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, f"labplatform {labplatform.__version__}\n")


def test_help_names_every_command_and_exit_code(cli):
    done = cli("--help")
    assert done.returncode == 0
    for word in (*COMMANDS, "bench", "examples:", "exit codes:", "130"):
        assert word in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(cli, command):
    done = cli(command, "--help", COLUMNS="80")
    assert done.returncode == 0
    assert f"usage: labplatform {command}" in done.stdout
    assert f"examples:\n  labplatform {command}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_bench_has_a_help_of_its_own(cli):
    done = cli("bench", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: labplatform bench")


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ("nonsense",),
        ("run",),
        ("run", "hello", "--for", "soon"),
        ("run", "hello", "--isolation", "none"),
        ("kill",),
        ("kill", "hello", "--all"),
        ("kill", "hello", "--force"),
        ("stop", "--all", "--platform", "1"),
        ("ps", "--", "x"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_says_so(cli, wrong):
    done = cli(*wrong)
    assert done.returncode == 2
    assert done.stderr.startswith(("usage: labplatform", "labplatform: "))
    assert not done.stdout


def test_an_error_is_one_line_unless_debugging(cli):
    done = cli("kill", "hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "labplatform: no platform is running, so there is no hello\n"
    loud = cli("kill", "hello", LABPLATFORM_DEBUG="1")
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr and loud.stderr.endswith(done.stderr)


@pytest.mark.parametrize("command", ["--help", "ps"])
def test_what_is_not_needed_is_not_imported(command):
    code = f"""
import sys
from labplatform.cli import main
try:
    main([{command!r}])
except SystemExit:
    pass
print(*sorted({{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    imported = set(done.stderr.split())
    assert "labplatform" in imported
    assert not imported & {"PySide6", "webview", "jupyterlab", "jupyter_server", "bokeh", "traitlets", "ipywidgets"}


def test_a_reader_that_goes_away_is_no_crash():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-u", "-m", "labplatform.cli", "ps"], stdout=writing, stderr=subprocess.PIPE, timeout=20
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_terminal_without_unicode_gets_ascii(monkeypatch):
    main, terminal = pty.openpty()
    with os.fdopen(main, "rb"), os.fdopen(terminal, "w", encoding="ascii") as ascii_only:
        monkeypatch.setattr(sys, "stdout", ascii_only)
        assert words.state("running") == "* running"
        assert words.state("stopped", "killed") == "- stopped (killed)"
        assert words.arrow() == "->"


def test_an_error_cannot_change_the_terminal(cli):
    done = cli("run", "\x1b]0;owned\x07\n")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "\x1b" not in done.stderr and "\x07" not in done.stderr


def test_sizes_and_times_for_people():
    assert [words.size(n) for n in (0, 86_400_000, 1_250_000_000)] == ["0 MB", "86 MB", "1.25 GB"]
    assert [words.duration(s) for s in (-1, 59.9, 185, 7620, 187_200)] == [
        *("0 s", "59 s", "3 min 05 s", "2 h 07 min", "2 d 04 h")
    ]
    assert [words.share(p) for p in (0, 0.44, 9.96, 101.2)] == ["0.0%", "0.4%", "10%", "101%"]
    assert words.table([("A", "N"), ("long", "7")], right=(1,)) == ["  A     N", "  long  7"]
    assert words.printable("a\x1b[31m\nb") == "a [31m b"
    assert [words.several(n, "process", "processes") for n in (1, 2)] == ["1 process", "2 processes"]
