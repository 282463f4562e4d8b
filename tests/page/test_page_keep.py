"""What is kept of a page without its word, in a real browser: the fragment of its address, and marked fields."""

from __future__ import annotations

import json

import pytest

FORM = """
<form id="order" data-lab-keep>
<input name="quantity" value="1"> <input type="checkbox" name="all"> <textarea id="note"></textarea>
<input type="radio" name="side" value="buy" checked> <input type="radio" name="side" value="sell">
<select name="venue"><option>A</option><option>B</option></select>
<select name="days" multiple><option>Mo</option><option>Tu</option><option>We</option></select>
<input name="leg" value="a"> <input name="leg" value="b">
<input type="password" name="pin"> <input name="card" autocomplete="cc-number"> <input type="file" name="file">
<input type="hidden" name="csrf" value="secret"> <input name="search" data-lab-keep="off"> <input value="nameless">
</form>
<input name="unmarked"> <input id="place" name="x" data-lab-keep="desk">
<script>
    window.heard = [];
    window.first = location.hash;
    for (const kind of ["input", "change"]) document.addEventListener(kind, (event) => {
        heard.push(`${kind} ${event.target.name || event.target.id}`);
    });
    document.addEventListener("DOMContentLoaded", () => { window.ready = document.forms.order.quantity.value; });
</script>"""
FILLED = {
    "order/quantity": "42",
    "order/all": True,
    "order/note": "a word",
    "order/side": "sell",
    "order/venue": "B",
    "order/days": ["Mo", "We"],
    "order/leg": "a",
    "order/leg#2": "c",
    "desk": "left",
}
KEPT = {"page": "/form.html", "hash": "#orders", "history": {"row": 3}, "fields": FILLED, "left": []}


def words(connection) -> list[dict]:
    return [message["kept"] for message in connection.messages if message["type"] == "keep"]


def opened(page, web, peer, body=FORM, path="/form.html"):
    page.goto(web.page(path, body))
    connection = peer.wait_connected(1)
    page.wait_for_function("lab.connected")
    return connection


def test_what_a_person_fills_in_is_kept_and_no_secret_is(page, web, peer):
    connection = opened(page, web, peer)
    page.fill("[name=unmarked]", "x")
    page.fill("[name=search]", "x")
    for name, text in (("pin", "1234"), ("card", "4111"), ("quantity", "42")):
        page.fill(f"[name={name}]", text)
    # A password that is shown stays one.
    page.evaluate("document.forms.order.pin.type = 'text'")
    page.fill("[name=pin]", "12345")
    page.check("[name=all]")
    page.fill("#note", "a word")
    page.check("[value=sell]")
    page.select_option("[name=venue]", "B")
    page.select_option("[name=days]", ["Mo", "We"])
    page.fill("[name=leg] >> nth=1", "c")
    page.fill("#place", "left")
    peer.wait(lambda: words(connection) and words(connection)[-1]["fields"] == FILLED, "all of it")
    last = words(connection)[-1]
    assert last == {"page": "/form.html", "hash": "", "history": None, "fields": FILLED, "left": []}
    assert not any(secret in json.dumps(words(connection)) for secret in ("1234", "4111", "secret"))


def test_the_address_is_kept_and_what_does_not_change_is_not_sent_again(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate("location.hash = '#one'")
    peer.wait(lambda: words(connection), "the fragment")
    page.evaluate("history.replaceState({row: 3}, '', '#two')")
    peer.wait(lambda: words(connection)[-1]["hash"] == "#two", "the fragment that no event tells of")
    assert words(connection)[-1]["history"] == {"row": 3}
    before = len(words(connection))
    page.evaluate("history.replaceState({row: 3}, '', '#two'); history.pushState({row: 3}, '', '#two')")
    page.evaluate("new Promise((done) => setTimeout(done, 600))")
    # What JSON cannot give back is not kept; the fragment is.
    page.evaluate("history.replaceState(new Date(), '', '#three')")
    peer.wait(lambda: words(connection)[-1]["hash"] == "#three", "the last one")
    assert len(words(connection)) == before + 1 and words(connection)[-1]["history"] is None


def test_a_page_that_marks_nothing_sends_nothing(page, web, peer):
    connection = opened(page, web, peer, body="<input id=one><textarea id=two></textarea>")
    page.fill("#one", "x")
    page.fill("#two", "y")
    page.evaluate("history.replaceState(null, '')")
    page.evaluate("new Promise((done) => setTimeout(done, 600))")
    page.evaluate("fdc3.getInfo()")
    assert words(connection) == []


def test_many_changes_are_few_messages_and_what_is_too_large_is_named(page, web, peer):
    connection = opened(page, web, peer)
    page.fill("#note", "n" * 70_000)
    began = page.evaluate("performance.now()")
    page.evaluate("""async () => {
        for (let number = 0; number < 200; number++) {
            document.forms.order.quantity.value = number;
            document.forms.order.quantity.dispatchEvent(new Event("input", {bubbles: true}));
            await new Promise((done) => setTimeout(done, 5));
        }
    }""")
    took = page.evaluate("performance.now()") - began
    peer.wait(lambda: words(connection) and words(connection)[-1]["fields"].get("order/quantity") == "199", "the last")
    assert words(connection)[-1]["left"] == ["order/note"]
    assert "order/note" not in words(connection)[-1]["fields"]
    assert len(words(connection)) <= took / 250 + 3


def test_what_changed_without_a_connection_arrives_once(page, web, peer):
    connection = opened(page, web, peer)
    peer.welcoming.clear()
    peer.drop()
    page.wait_for_function("!lab.connected")
    for number in range(3):
        page.fill("[name=quantity]", str(number))
        page.evaluate("new Promise((done) => setTimeout(done, 350))")
    peer.welcoming.set()
    again = peer.wait_connected(len(peer.connections))
    peer.wait(lambda: words(again), "the last of them")
    page.evaluate("fdc3.getInfo()")
    assert words(connection) == []
    assert [one["fields"]["order/quantity"] for one in words(again)] == ["2"]


@pytest.mark.parametrize("kept", [json.dumps(KEPT)])
def test_it_is_there_again_before_the_page_looks(page, web, peer):
    connection = opened(page, web, peer)
    page.wait_for_load_state("load")
    assert page.evaluate("[first, location.hash, history.state, ready]") == ["#orders", "#orders", {"row": 3}, "42"]
    found = page.evaluate("[...new FormData(document.forms.order)].map(([name, value]) => [name, String(value)])")
    assert [pair for pair in found if pair[0] not in ("file", "csrf")] == [
        *(["quantity", "42"], ["all", "on"], ["side", "sell"], ["venue", "B"], ["days", "Mo"], ["days", "We"]),
        *(["leg", "a"], ["leg", "c"], ["pin", ""], ["card", ""], ["search", ""]),
    ]
    changed = ["quantity", "all", "note", "side", "venue", "days", "leg", "x"]
    assert page.evaluate("heard") == [f"{kind} {name}" for name in changed for kind in ("input", "change")]
    # Nothing of it is news to the supervisor; what a person changes now goes with all that was there.
    page.evaluate("new Promise((done) => setTimeout(done, 600))")
    assert words(connection) == []
    page.fill("[name=quantity]", "43")
    peer.wait(lambda: words(connection), "the change")
    assert words(connection)[-1] == KEPT | {"fields": FILLED | {"order/quantity": "43"}}


LATER = """<script>
    window.heard = [];
    window.add = (html) => document.body.insertAdjacentHTML("beforeend", html);
    addEventListener("input", (event) => heard.push([event.target.name, event.target.value]));
</script>"""


@pytest.mark.parametrize("kept", [json.dumps(KEPT | {"fields": {"one": "1", "list": "b", "two": "2", "gone": "3"}})])
def test_fields_that_are_made_later_are_filled_when_they_come(page, web, peer):
    connection = opened(page, web, peer, body=LATER)
    # As a library has it that notices what scripts write: the field's own setter is not what fills it.
    page.evaluate("""() => {
        const field = document.createElement("input");
        Object.assign(field, {name: "one"}).setAttribute("data-lab-keep", "");
        Object.defineProperty(field, "value", {
            get() { return Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").get.call(this); },
            set() { throw new Error("written by a script"); },
        });
        document.body.append(field);
    }""")
    page.evaluate("add('<select name=list data-lab-keep></select>')")
    page.wait_for_function("heard.length === 1")
    page.evaluate("document.querySelector('[name=list]').innerHTML = '<option>a</option><option>b</option>'")
    page.wait_for_function("heard.length === 2")
    assert page.evaluate("heard") == [["one", "1"], ["list", "b"]]
    # What a person put there first stays; what has not come is not forgotten for another's change.
    page.evaluate("add('<input name=three data-lab-keep>')")
    page.fill("[name=three]", "typed")
    peer.wait(lambda: words(connection), "the change")
    assert words(connection)[-1]["fields"] == {"one": "1", "list": "b", "three": "typed", "two": "2", "gone": "3"}


@pytest.mark.parametrize("kept", [json.dumps(KEPT | {"page": "/other.html"})])
def test_what_was_kept_of_another_page_is_not_put_into_this_one(page, web, peer):
    opened(page, web, peer)
    page.wait_for_load_state("load")
    assert page.evaluate("[location.hash, ready, heard]") == ["", "1", []]
