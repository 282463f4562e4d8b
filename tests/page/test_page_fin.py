"""`window.fin`: the few calls that work, and what every other one says."""

from __future__ import annotations

import json
import time

import pytest

OPTIONS = {"uuid": "desk", "name": "chart", "url": "https://x/", "customData": {"__proto__": 1, "a": [1]}}


@pytest.fixture(params=["window", "view"])
def entity(request) -> str:
    return request.param


@pytest.fixture
def fin_config(entity):
    return {"uuid": "desk", "name": "chart", "entity": entity, "options": json.dumps(OPTIONS)}


@pytest.fixture
def said(page) -> list[str]:
    """Errors on the page's console."""
    lines: list[str] = []
    page.on("console", lambda message: lines.append(message.text) if message.type == "error" else None)
    return lines


def told_until(page, said: list[str], words: str) -> str:
    """All that the console has said, once these words are among it."""
    deadline = time.monotonic() + 5
    while words not in (told := "\n".join(said)):
        assert time.monotonic() < deadline, told
        page.wait_for_timeout(20)
    return told


FIRST = "<script>window.first = typeof window.fin</script>"
TRY = """async (code) => {
    let value;
    try { value = (0, eval)(code); } catch (error) { return ['threw', error.message]; }
    return value.then((value) => ['resolved', value], (error) => ['rejected', error.message]);
}"""


def test_it_is_there_before_the_page_s_scripts_and_knows_itself(page, web, peer, entity):
    page.goto(web.page("/fin.html", FIRST))
    assert page.evaluate("first") == "object"
    assert page.evaluate("({uuid: fin.me.uuid, name: fin.me.name, type: fin.me.entityType, ...fin.me.identity})") == {
        "uuid": "desk",
        "name": "chart",
        "type": entity,
    }
    assert page.evaluate("[fin.me.isWindow, fin.me.isView, fin.me.isOpenFin]") == [
        entity == "window",
        entity == "view",
        False,
    ]
    namespace = entity.title()
    assert page.evaluate(f"fin.{namespace}.getCurrentSync().identity") == {"uuid": "desk", "name": "chart"}
    assert page.evaluate(f"fin.{namespace}.getCurrent().then((current) => current.getOptions())")["url"] == "https://x/"
    assert page.evaluate("fin.me.getOptions().then((options) => JSON.stringify(options))") == json.dumps(
        OPTIONS, separators=(",", ":")
    )


def test_what_is_missing_says_so_by_its_name(page, web, peer, said, entity):
    page.goto(web.page("/fin.html", FIRST))
    other = "View" if entity == "window" else "Window"
    own = entity.title()
    for code, how, path in (
        ("fin.Platform.Layout.create({})", "rejected", "fin.Platform.Layout.create"),
        ("fin.System.getVersion()", "rejected", "fin.System.getVersion"),
        ("fin.me.minimize()", "rejected", "fin.me.minimize"),
        ("fin.me.interop.fireIntent({})", "rejected", "fin.me.interop.fireIntent"),
        (f"fin.{own}.getCurrentSync().minimize()", "rejected", f"fin.{own}.getCurrentSync().minimize"),
        (f"fin.{other}.getCurrentSync()", "threw", f"fin.{other}.getCurrentSync"),
        ("fin.Application.wrapSync({uuid: 'a'})", "threw", "fin.Application.wrapSync"),
        ("fin.InterApplicationBus.subscribe.call(null, {})", "rejected", "fin.InterApplicationBus.subscribe"),
    ):
        outcome, text = page.evaluate(TRY, code)
        assert (outcome, text.partition(" is not part of labplatform: ")[0]) == (how, path)
    page.evaluate(TRY, "fin.Platform.Layout.create({})")
    page.evaluate(TRY, "fin.last()")
    told = told_until(page, said, "fin.last")
    assert told.count("fin.Platform.Layout.create") == told.count("fin.System.getVersion") == 1
    assert f"fin.{other}.getCurrentSync" in told


def test_it_may_be_looked_at_without_being_called(page, web, peer, said):
    page.goto(web.page("/fin.html", FIRST))
    assert page.evaluate("async () => typeof await fin.Platform") == "function"
    assert page.evaluate("['Platform' in fin, 'me' in fin, `${typeof fin.Platform.then}`]") == [
        False,
        True,
        "undefined",
    ]
    assert page.evaluate("JSON.parse(JSON.stringify(fin.me)).name") == "chart"
    assert page.evaluate("Object.keys(fin)")[0] == "me"
    page.evaluate(TRY, "fin.last()")
    assert (
        told_until(page, said, "fin.last") == "labplatform: not part of labplatform, but called by this page: fin.last"
    )


def test_a_page_that_makes_names_up_is_told_to_the_end_of_patience(page, web, peer, said):
    page.goto(web.page("/fin.html", FIRST))
    page.evaluate("async () => { for (let i = 0; i < 1000; i++) await fin['x' + i]().catch(() => {}); }")
    assert told_until(page, said, "fin.x199").count("fin.x") == 200


def test_the_page_may_patch_what_it_likes(page, web, peer):
    patch = """<script>
        window.stolen = 0;
        window.Proxy = class { constructor() { stolen++; } };
        window.Promise.reject = () => { stolen++; };
        console.error = () => { stolen++; };
        window.close = () => { stolen++; };
        JSON.parse = () => { stolen++; };
        fdc3.broadcast = () => { stolen++; };
    </script>"""
    page.goto(web.page("/fin.html", patch))
    assert page.evaluate(TRY, "fin.System.getVersion()")[0] == "rejected"
    assert page.evaluate("fin.me.getOptions().then((options) => options.name)") == "chart"
    page.evaluate("fin.me.close()")
    assert page.evaluate("stolen") == 0


def test_frames_and_other_origins_get_none(page, web, peer):
    web.page("/frame.html", "<script>parent.postMessage(typeof window.fin, '*')</script>")
    heard = "<script>addEventListener('message', (event) => { window.heard = event.data; });</script>"
    page.goto(web.page("/fin.html", f"{heard}<iframe src='{web.origin}/frame.html'></iframe>"))
    page.wait_for_function("window.heard !== undefined")
    assert page.evaluate("heard") == "undefined"
    page.goto(f"{web.foreign_origin}/frame.html")
    assert page.evaluate("typeof window.fin") == "undefined"


@pytest.mark.parametrize("fin_config", [None])
def test_other_pages_get_none(page, web, peer):
    page.goto(web.page("/fin.html", FIRST))
    assert page.evaluate("first") == "undefined"
    assert page.evaluate("typeof lab") == "object"
