"""`evaluate_js`: values there and back, promises, errors that say what went wrong, pages that forbid `eval`."""

from __future__ import annotations

import threading

import pytest
from support.apps import PAGE
from support.processes import until

from labplatform.errors import AppGone, JavaScriptError, LabTimeout, NotRunning


@pytest.fixture
def app(platform):
    with platform() as lab:
        yield lab.launch("hello")


def test_values(app):
    for code, value in {
        "1 + 1": 2,
        "0.5": 0.5,
        "'text ' + '\\u20ac \\ud83d\\ude00'": "text € 😀",
        "true": True,
        "null": None,
        "undefined": None,
        "[1, [2, {a: null}]]": [1, [2, {"a": None}]],
        "({a: 1, b: 'two'})": {"a": 1, "b": "two"},
        "let n = 0; for (const i of [1, 2, 3]) n += i; n": 6,
        "function f() { return 7 } f()": 7,
        "'x'.repeat(3_000_000).length": 3_000_000,
        "document.title": "Hello",
        "window.sawLab": "object",
        "// a comment\n'after'  // and another": "after",
        "": None,
        "new Date(0)": "1970-01-01T00:00:00.000Z",
        "isSecureContext": True,
    }.items():
        assert app.evaluate_js(code, timeout=20) == value, code
    assert len(app.evaluate_js("'y'.repeat(3_000_000)", timeout=20)) == 3_000_000


def test_promises_are_awaited(app):
    assert app.evaluate_js("Promise.resolve({a: 1})", timeout=20) == {"a": 1}
    assert app.evaluate_js("new Promise((done) => setTimeout(() => done('late'), 100))", timeout=20) == "late"
    assert app.evaluate_js("(async () => { await null; return [await 1, 2]; })()", timeout=20) == [1, 2]
    assert app.evaluate_js("({then: (done) => done(5)})", timeout=20) == 5


ERRORS = [
    ("throw new TypeError('not like this')", "TypeError", "not like this"),
    ("Promise.reject(new RangeError('too far'))", "RangeError", "too far"),
    ("nowhere.to.be.found", "ReferenceError", "nowhere is not defined"),
    ("throw 'a text'", "Error", "a text"),
    ("throw null", "Error", "null"),
    ("1 +", "SyntaxError", "Unexpected end of input"),
    ("() => 1", "TypeError", "a function has no JSON form"),
    ("Symbol('x')", "TypeError", "a symbol has no JSON form"),
    ("1n", "TypeError", "BigInt"),
    ("const a = {}; a.a = a; a", "TypeError", "circular"),
]


def test_errors(app):
    for code, name, words in ERRORS:
        with pytest.raises(JavaScriptError) as caught:
            app.evaluate_js(code, timeout=20)
        assert caught.value.detail["name"] == name
        assert caught.value.detail["app"] == "hello"
        assert str(caught.value).startswith(f"hello: {name}: ")
        assert words in str(caught.value), code
        assert app.evaluate_js("1 + 1", timeout=20) == 2


def test_a_deadline(app):
    with pytest.raises(LabTimeout, match=r"waited 0\.5 s for JavaScript to finish in hello; it is running"):
        app.evaluate_js("new Promise(() => {})", timeout=0.5)
    assert app.evaluate_js("1 + 1", timeout=20) == 2


def test_an_end_meanwhile(app):
    ender = threading.Timer(0.3, lambda: app.crash("kill"))
    ender.start()
    with pytest.raises(
        AppGone, match=r"hello ended while it was waited for: killed, its process was killed by SIGKILL"
    ):
        app.evaluate_js("new Promise(() => {})", timeout=60)
    ender.join()
    app.wait_for("running", 30)
    app.stop()
    with pytest.raises(NotRunning, match=r"hello is stopped; evaluate_js\(\) needs a running app"):
        app.evaluate_js("1")


def test_many_at_once(app):
    """From as many threads: each gets its own answer."""
    answers: dict[int, int] = {}

    def ask(number: int) -> None:
        code = f"new Promise((done) => setTimeout(() => done({number}), {50 - number}))"
        answers[number] = app.evaluate_js(code, timeout=30)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: number for number in range(50)}


def test_a_page_that_forbids_eval_takes_expressions(platform, web):
    """By a `meta` element, and by its server's header, which forbids the agent's connection too."""
    address = web.page("/page", PAGE, Content_Security_Policy="default-src 'self'")
    with platform() as lab:
        for app in (lab.launch("strict"), lab.launch(address)):
            assert app.evaluate_js("1 + 1", timeout=20) == 2
            assert app.evaluate_js("Promise.resolve(document.querySelector('h1').tagName)", timeout=20) == "H1"
            assert app.evaluate_js("(() => { let n = 0; n += 5; return n; })()", timeout=20) == 5
            with pytest.raises(JavaScriptError, match="ReferenceError: nowhere is not defined"):
                app.evaluate_js("nowhere", timeout=20)
            with pytest.raises(JavaScriptError, match="forbids eval, so the code must be one JavaScript expression"):
                app.evaluate_js("let n = 1; n", timeout=20)


def test_a_page_that_goes_elsewhere_meanwhile(app):
    with pytest.raises((JavaScriptError, LabTimeout)) as caught:
        app.evaluate_js("location.reload(); new Promise(() => {})", timeout=3)
    assert caught.value.detail["app"] == "hello"
    until(lambda: app.evaluate_js("document.readyState", timeout=20) == "complete", 20, "the page to be back")
    assert app.evaluate_js(
        "lab.connected || new Promise((done) => setInterval(() => lab.connected && done(true), 20))", timeout=20
    )
    assert (app.state, app.incarnation) == ("running", 1)
