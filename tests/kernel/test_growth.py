"""How fast memory grows: what is said of leaks, of apps that breathe, and before anything can be said."""

from __future__ import annotations

import random

import pytest

from labplatform.kernel.growth import WINDOW, Trend


def trend(*memory: float, gap: float = 1.0) -> Trend:
    made = Trend()
    for number, bytes_used in enumerate(memory):
        made.add(1000 + number * gap, bytes_used)
    return made


def test_a_leak_is_measured_through_its_noise():
    chance = random.Random(7)
    for rate in (1e6, 3.6e6, -5e6):
        leak = trend(*(2e8 + rate * second + chance.gauss(0, 5e5) for second in range(12)))
        assert leak.growth == pytest.approx(rate, rel=0.25)


def test_an_app_that_breathes_does_not_grow():
    assert trend(*(9e7 + 3e6 * (second % 3) for second in range(12))).growth == 0
    assert trend(*(9e7 + 1e5 * second for second in range(12))).growth == 0


def test_the_last_seconds_count_and_samples_come_in_order():
    made = trend(*([1e8] * 20), *(1e8 + 5e6 * second for second in range(1, 13)))
    assert made.growth == pytest.approx(5e6)
    made.add(1000, 9e9)
    made.add(1000 + 31, 9e9)
    assert made.growth == pytest.approx(5e6)
    assert len(made._samples) <= WINDOW + 1


def test_nothing_is_said_too_early():
    assert trend().growth is trend(1e8, 2e8, 3e8).growth is None
    assert trend(*(1e8 + 1e7 * number for number in range(20)), gap=0.1).growth is None
    made = trend(*(1e8 + 1e7 * number for number in range(20)))
    made.clear()
    assert made.growth is None
