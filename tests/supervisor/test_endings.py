"""From exit codes, Qt's words and the last output to one reason."""

from __future__ import annotations

import signal

import pytest

from labplatform.supervisor.endings import cause, host_ending, renderer_ending, signal_name

REASONS = {"clean-exit", "abnormal-exit", "killed", "crashed", "oom", "launch-failed", "unresponsive"}


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (0, "clean-exit", "ended by itself"),
        (3, "abnormal-exit", "exit code 3"),
        (-signal.SIGKILL, "killed", "SIGKILL"),
        (-signal.SIGTERM, "killed", "SIGTERM"),
        (-signal.SIGABRT, "crashed", "SIGABRT"),
        (-signal.SIGSEGV, "crashed", "SIGSEGV"),
        (-signal.SIGBUS, "crashed", "SIGBUS"),
        (-99, "crashed", "signal 99"),
    ],
)
def test_a_hosts_end(code, reason, words):
    ending = host_ending(code, None)
    assert ending.reason == reason
    assert words in ending.detail


@pytest.mark.parametrize("by", ["request", "user", "page", "service"])
def test_who_closed_the_last_window_is_told_where_it_ended_well(by):
    assert host_ending(0, by).reason == "clean-exit"
    assert host_ending(0, by).detail != host_ending(0, None).detail
    assert host_ending(-9, by) == host_ending(-9, None)


def test_every_exit_code_has_a_reason():
    for code in range(-64, 256):
        ending = host_ending(code, None)
        assert ending.reason in REASONS
        assert ending.detail


OOM = (
    "<--- Last few GCs --->\n"
    "FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap out of memory"
)


@pytest.mark.parametrize(
    ("status", "code", "said", "reason"),
    [
        ("crashed", signal.SIGSEGV, "", "crashed"),
        ("killed", signal.SIGKILL, "", "killed"),
        ("abnormal", signal.SIGTERM, "", "killed"),
        ("normal", 0, "", "clean-exit"),
        ("abnormal", 1, "", "abnormal-exit"),
        ("crashed", signal.SIGTRAP, OOM, "oom"),
        ("crashed", signal.SIGABRT, "V8 javascript OOM (CALL_AND_RETRY_LAST).", "oom"),
        ("crashed", signal.SIGTRAP, "", "crashed"),
        # Words of an earlier page of the same host say nothing about how this one died.
        ("crashed", signal.SIGSEGV, OOM, "crashed"),
        ("killed", signal.SIGKILL, OOM, "killed"),
    ],
)
def test_a_renderers_end(status, code, said, reason):
    assert renderer_ending(status, code, said).reason == reason


def test_the_cause_is_the_line_that_says_it():
    text = """Traceback (most recent call last):
  File "x.py", line 1, in <module>
ImportError: libEGL.so.1: cannot open shared object file: No such file or directory
js: Error in a page is none
"""
    assert cause(text) == "ImportError: libEGL.so.1: cannot open shared object file: No such file or directory"
    assert (
        cause("qt.qpa.xcb: could not connect to display :7\nAborted") == "qt.qpa.xcb: could not connect to display :7"
    )
    assert cause("x\nValueError: one\nRuntimeError: two\nbye") == "RuntimeError: two"
    vulkan = "Failed to load vulkan: Cannot load library vulkan: vulkan: cannot open shared object file: No such file"
    assert cause(f"{vulkan}\nSegmentation fault") == ""
    missing = "ImportError: libvulkan.so.1: cannot open shared object file: No such file or directory"
    assert cause(f"{missing}\n{vulkan}") == missing
    assert cause("all is well\n\n") == ""
    assert len(cause("ValueError: " + "x" * 1000)) == 300


def test_signals_have_names():
    assert signal_name(9) == "SIGKILL"
    assert signal_name(99) == "signal 99"
