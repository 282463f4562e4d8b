"""What an app has again after every kind of end: window, user channel, address, marked fields and saved state; what it
is told of that; and that a state of which it dies is put aside.
"""

from __future__ import annotations

import os
import signal
import sqlite3

import pytest
from support import x11
from support.apps import AT_ONCE, make_app
from support.processes import until

from labplatform import Platform
from labplatform.scenarios.waiting import until_back

FORM = """<!doctype html><meta charset=utf-8><title>form</title>
<form name=order data-lab-keep><input name=quantity><textarea name=note></textarea><input type=password name=pin></form>
<script>
    window.first = location.hash;
    document.addEventListener("DOMContentLoaded", () => { window.ready = document.forms.order.quantity.value; });
    window.heard = [];
    fdc3.addContextListener("test", (context) => { heard.push(context); });
</script>"""
DIES = """<!doctype html><meta charset=utf-8><title>dies of it</title><p>dies of it</p><script>
    lab.getState().then(async (state) => {
        const channel = state?.poison && await fdc3.getOrCreateChannel("poison");
        if (channel) setInterval(() => channel.broadcast({ type: "poison" }), 20);
    });
</script>"""
SIDE = """
import os

def main(lab):
    lab.desktop_agent.get_or_create_channel("poison").add_context_listener("poison", lambda *_: os.abort())
    lab.stopping.wait()
"""
FILL = """(async () => {
    const { quantity, note, pin } = document.forms.order;
    [quantity.value, note.value, pin.value] = ["42", "half a character: \\ud83d, whole: 👍", "1234"];
    note.dispatchEvent(new Event("input", { bubbles: true }));
    history.replaceState({ row: 3 }, "", "#orders");
    await fdc3.joinUserChannel("fdc3.channel.2");
    await lab.saveState({ instrument: "AAPL" });
})()"""
HAS = """Promise.all([lab.getState(), fdc3.getCurrentChannel()]).then(([state, channel]) => {
    const { quantity, note, pin } = document.forms.order;
    return {
        state, channel: channel?.id, hash: [first, location.hash], history: history.state, ready,
        fields: [quantity.value, note.value, pin.value], lost: lab.restored?.lost, after: lab.restored?.after,
    };
})"""


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module) -> None:
    """In place of the proof after each test: the tests share one platform."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A platform on a screen of its own, and the screen's name."""
    folder = tmp_path_factory.mktemp("apps")
    make_app(folder, "form", page=FORM, restart=AT_ONCE)
    make_app(folder, "dies", page=DIES, python=SIDE, restart=AT_ONCE)
    with x11.display() as screen, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("DISPLAY", screen)
        options = {"quiet": True, "alongside": True, "store": folder / "store.db"}
        with Platform(folder, **options) as lab:
            yield lab, screen


@pytest.fixture(scope="module")
def form(stage):
    """An app that has all there is to be kept."""
    lab, screen = stage
    app = lab.launch("form")
    x11.place(screen, until(lambda: window(screen), 20, "its window"), 310, 170, 620, 410)
    app.evaluate_js(FILL)
    # What changes all the time is on disk a moment later; what the page saved, when it is told so.
    until(lambda: on_disk(lab), 20, "the store to have it")
    return app


def window(screen):
    return next((one for one in x11.windows(screen) if one.title.startswith("Form") and one.mapped), None)


def crash(lab, app):
    app.crash("segfault")


def recycle(lab, app):
    app.recycle()


def restart(lab, app):
    app.restart()


def lose(lab, app):
    os.kill(lab.supervisor_pid, signal.SIGKILL)
    until(lambda: lab.state == "lost", 10, "the loss")
    lab.restart()


ENDS = {"crashed": crash, "recycled": recycle, "restarted": restart, "killed": lose}


@pytest.mark.parametrize("after", ENDS)
def test_all_of_it_is_there_again(stage, form, after):
    lab, screen = stage
    seen = until(lambda: window(screen), 20, "its window")
    until(lambda: window(screen)[2:6] == (620, 410, 310, 170), 10, f"its place; it was at {seen}")
    incarnation = form.incarnation
    ENDS[after](lab, form)
    until_back(form, incarnation)
    found = form.evaluate_js(HAS)
    assert found == {
        "state": {"instrument": "AAPL"},
        "channel": "fdc3.channel.2",
        "hash": ["#orders", "#orders"],
        "history": {"row": 3},
        "ready": "42",
        "fields": ["42", "half a character: \ufffd, whole: 👍", ""],
        "lost": [],
        "after": after,
    }
    until(lambda: window(screen), 20, "its window")
    until(lambda: window(screen)[2:6] == (620, 410, 310, 170), 10, "the place it had")


def on_disk(lab) -> bool:
    db = sqlite3.connect(lab._store)
    try:
        (row,) = db.execute("SELECT data FROM roster WHERE place = 'form'").fetchone()
        kept = db.execute("SELECT data FROM kept WHERE place = 'form'").fetchone()
        return b'"left":310' in row and b"fdc3.channel.2" in row and kept is not None and b"#orders" in kept[0]
    finally:
        db.close()


def test_a_page_that_loads_itself_anew_is_not_given_it_again(form):
    """What the browser itself puts back into fields then is its own affair."""
    form.evaluate_js("history.replaceState(null, '', '#other'); document.forms.order.quantity.value = '1'; 0")
    form.evaluate_js("window.former = true; setTimeout(() => location.reload(), 0); 0")
    until(
        lambda: form.evaluate_js("!window.former && Boolean(window.ready !== undefined)", 20), 20, "the next document"
    )
    first, ready = form.evaluate_js("[first, ready]", timeout=20)
    assert first == "#other" and ready != "42"
    form.evaluate_js(FILL)


def test_a_page_is_told_what_was_lost_with_the_one_before(stage, form):
    lab, _ = stage
    form.evaluate_js("fdc3.joinUserChannel('fdc3.channel.2')")
    lab.desktop_agent.join_user_channel("fdc3.channel.2")
    form.evaluate_js("setTimeout(() => { for (;;); }, 0); 0")
    for number in range(5):
        lab.desktop_agent.broadcast({"type": "test", "number": number})
    incarnation = form.incarnation
    form.crash("kill")
    until_back(form, incarnation)
    assert form.evaluate_js("lab.restored.lost") == [
        "what others sent it last, 5 contexts or intents, which it may not have heard"
    ]
    assert form.evaluate_js("[Object.isFrozen(lab.restored), Object.isFrozen(lab.restored.lost)]") == [True, True]


def test_who_is_broken_on_purpose_keeps_its_state_however_often(stage, form):
    for _ in range(4):
        incarnation = form.incarnation
        form.crash("renderer-kill")
        until_back(form, incarnation)
    assert form.evaluate_js("Promise.all([lab.getState(), lab.restored.aside])") == [{"instrument": "AAPL"}, False]
    assert form.state_aside() is None


def test_a_state_that_a_page_dies_of_is_put_aside_and_the_app_runs_again(stage):
    lab, _ = stage
    app = lab.launch("dies")
    assert app.state_aside() is None
    app.evaluate_js("lab.saveState({ poison: true })")
    app.crash("renderer-kill")
    # One end that had another reason, and three right after a restore.
    until(lambda: app.incarnation == 5, 60, f"the fifth start; there was {app.detail}")
    app.wait_for("running", 30)
    assert app.evaluate_js("lab.getState()", timeout=20) is None
    why = "3 ends in a row, each right after it was restored"
    restored = app.evaluate_js("lab.restored")
    assert (restored["after"], restored["age"], restored["aside"]) == ("crashed", None, True)
    assert restored["lost"][0] == f"what it had saved, which was put aside: {why}"
    assert app.detail == f"its process died of SIGABRT; what it had saved was put aside: {why}"
    (said,) = [entry for entry in app.events if entry.kind == "state"]
    assert said.level == "warning" and why in said.text
    aside = app.state_aside()
    assert (aside.state, aside.why, aside.version) == ({"poison": True}, why, 0)
    assert aside.saved < aside.at
    # It goes on as if nothing had been: what it saves now is there again.
    app.evaluate_js("lab.saveState({ poison: false })")
    app.crash("renderer-kill")
    until_back(app, 5)
    assert app.evaluate_js("Promise.all([lab.getState(), lab.restored.aside])") == [{"poison": False}, False]
    assert app.state_aside() == aside
    # It outlives the supervisor, too.
    lose(lab, app)
    assert app.state_aside() == aside
