"""The plain words of a crash report."""

from __future__ import annotations

import pytest

from labplatform.messages import CrashBrief
from labplatform.reports.words import duration, headline, listed, one_line, sentence


@pytest.mark.parametrize(
    ("reason", "detail", "facts", "said"),
    [
        (
            "memory-limit",
            "it reached its limit of 350 MB, and the kernel killed a process (cgroup-v1)",
            {"limit": 350_000_000, "seen": 350_000_000},
            "Its memory reached its limit of 350 MB.",
        ),
        ("process-limit", "it had …", {"limit": 60, "seen": 61}, "It had 61 processes, and its limit is 60."),
        (
            "unresponsive",
            "its page left 12 pings in a row unanswered",
            {"silent_for": 12.4},
            "Its page did not answer for 12 s.",
        ),
        (
            "unresponsive",
            "its GUI thread left 12 pings in a row unanswered",
            {"silent_for": 2.4},
            "Its GUI thread did not answer for 2.4 s.",
        ),
        ("unresponsive", "the process it shares with hello hung", {}, "The process it shares with hello hung."),
        (
            "oom",
            "its page ran out of JavaScript heap",
            {"heap": 64 << 20},
            "Its page used up its JavaScript heap of 64 MiB.",
        ),
        ("crashed", "its process died of SIGSEGV", {}, "Its process died of SIGSEGV."),
        (
            "crashed",
            "its process died of SIGSEGV; the process was shared with a, b",
            {"sharers": ("a", "b")},
            "The process it shared with a and b died of SIGSEGV.",
        ),
        (
            "killed",
            "its renderer was killed by SIGKILL",
            {"from_outside": True},
            "Its renderer was killed by SIGKILL, which the platform did not send.",
        ),
        (
            "launch-failed",
            "app://x/no.html does not exist in /x",
            {},
            "It did not start: app://x/no.html does not exist in /x.",
        ),
        ("abnormal-exit", "its process ended with exit code 3", {}, "Its process ended with exit code 3."),
        ("abnormal-exit", "", {}, "Why it ended is not known."),
    ],
)
def test_the_cause_is_one_sentence(reason, detail, facts, said):
    assert sentence(reason, detail, **facts) == said


@pytest.mark.parametrize(
    ("reason", "said", "begins"),
    [
        (
            "memory-limit",
            "Its memory reached its limit of 350 MB.",
            "Ticker Details was ended because its memory reached",
        ),
        ("launch-failed", "It did not start: no page.", "Ticker Details did not start: no page."),
        (
            "killed",
            "Its process was killed by SIGKILL.",
            "Ticker Details ended because its process was killed by SIGKILL.",
        ),
    ],
)
def test_the_headline_names_the_app(reason, said, begins):
    brief = CrashBrief(number=1, place="d", app_id="d", title="Ticker Details", at=0.0, reason=reason, sentence=said)
    assert headline(brief).startswith(begins)


def test_text_from_elsewhere_stays_on_one_line_and_ends():
    assert one_line("a\x1b[31m\n\tb\u202e") == "a [31m b"
    assert len(one_line("x" * 10_000)) == 300 and one_line("x" * 10_000).endswith("…")
    said = sentence("abnormal-exit", "its process ended\nwith exit code 1: " + "y" * 5000)
    assert "\n" not in said and len(said) < 310


def test_names_are_listed_as_people_do():
    assert [listed("abcdefg"[:count]) for count in (0, 1, 2, 3)] == ["", "a", "a and b", "a, b and c"]
    assert listed("abcdefg") == "a, b, c, d and 3 more"


def test_times_as_people_tell_them():
    told = [duration(one) for one in (0, 0.0036, 0.011, 0.8, 9.96, 42.3, 372, 7620, 360_000)]
    assert told == ["0 ms", "3.6 ms", "11 ms", "0.8 s", "10 s", "42 s", "6 min 12 s", "2 h 7 min", "4 d 4 h"]
