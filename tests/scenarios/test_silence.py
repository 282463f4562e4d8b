"""How scenarios tell of an app that falls silent, with a plot of it; and of an order that somebody writes."""

from __future__ import annotations

import time

import pytest
from support.apps import QUICK

from labplatform import Platform
from labplatform.errors import JavaScriptError
from labplatform.resources import manifests_folder
from labplatform.scenarios import compute, heartbeats, ordering, silences, until_back
from labplatform.scenarios.beats import HARM, SHADES, Cell, _by_color, shade

ORDER = {"ticker": "MSFT", "side": "sell", "quantity": "1200", "limit": "31.50", "note": "half of it before noon"}


def test_an_order_is_there_again_and_a_silence_is_told_and_shown(nothing_left):
    with Platform(manifests_folder(), heartbeat=QUICK, sampling=0.2, limits="off", quiet=True) as lab:
        app = lab.launch("order-ticket")
        assert heartbeats(app).words.startswith("Heartbeats: ")
        ordering.write(app, **ORDER)
        assert ordering.read(app) == ORDER
        with pytest.raises(JavaScriptError):
            ordering.write(app, price="1")

        began = time.time()
        compute(app, seconds=QUICK.interval * (QUICK.silent_after + QUICK.ended_after) / 2)
        app.wait_for("unresponsive", 20)
        assert [str(one) for one in silences(app, began)] == ["its page does not answer"]
        app.wait_for("running", 20)
        # Where the machine is that slow it is ended for it, and that is told as well.
        (first,) = silences(app, began)
        assert (first.what, first.ended) == ("page", app.incarnation == 2)

        lives, again = app.incarnation, time.time()
        app.crash("freeze")
        until_back(app, lives)
        assert ordering.read(app) == ORDER
        (last,) = silences(app, again)
        assert (last.what, last.ended, last.at >= again) == ("GUI thread", True, True)
        assert str(last).startswith("its GUI thread did not answer; ended ")
        assert silences(app, time.time()) == []

        figure = heartbeats(app)
        assert "order-ticket its page did not answer" in figure.words and "ms late" in figure.words
        assert set(figure.items) == {"light", "dark"}
        assert all("freeze" in str(item) and "ready" in str(item) for item in figure.items.values())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_later_the_darker_and_who_is_silent_is_hollow(theme):
    shades = [shade(lag, theme) for lag in (0.0, 0.001, 0.004, 0.016, 0.05)]
    assert shades == list(SHADES[theme])
    assert shade(HARM, theme) not in shades
    cells = [Cell(0, 1, 0.0), Cell(1, 2, None), Cell(2, 3, 0.0005)]
    assert _by_color(cells, theme) == {SHADES[theme][0]: [cells[0], cells[2]], "": [cells[1]]}
