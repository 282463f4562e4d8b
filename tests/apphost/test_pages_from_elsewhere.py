"""Pages that were written for any FDC3 desktop agent, served over https under a policy that forbids the WebSocket."""

from __future__ import annotations

import pytest
from support.get_agent import bundle
from support.npm import Unreachable
from support.processes import until
from support.proxy import Company

pytestmark = pytest.mark.usefixtures("no_way")

POLICY = "default-src 'self'; script-src 'unsafe-inline'; connect-src 'self'"
OLD = """<!doctype html><meta charset=utf-8><title>old</title><script>
    // Some look once, in their first script.
    window.atOnce = typeof window.fdc3;
    // Some wait for the event, for as long as they care to.
    const ready = (milliseconds) => new Promise((resolve, reject) => {
        if (window.fdc3) return resolve("there");
        const timer = setTimeout(() => reject(new Error("no agent")), milliseconds);
        addEventListener("fdc3Ready", () => { clearTimeout(timer); resolve("later"); }, {once: true});
    });
    window.asked = ready(1000);
    window.told = new Promise((resolve) => addEventListener("fdc3Ready", () => resolve(typeof fdc3.broadcast)));
    // FDC3 1.2: what is now a promise was none, apps are named by text, a handler may stand alone.
    window.version = fdc3.getInfo().fdc3Version;
    window.heard = [];
    window.listening = Promise.all([
        fdc3.getSystemChannels(),
        fdc3.joinChannel("fdc3.channel.1"),
        fdc3.addContextListener((context) => heard.push(context.type)),
    ]);
</script>"""
NEW = "<script>%s</script><script>window.found = getAgent().then((agent) => [agent === fdc3, agent]);</script>"


@pytest.fixture
def get_agent_js(pytestconfig: pytest.Config) -> str:
    """FDC3's own `getAgent()` as a page bundles it; the test is skipped where it cannot be had."""
    try:
        return bundle(pytestconfig.cache.mkdir("get-agent"))
    except Unreachable as error:
        pytest.skip(str(error))


@pytest.fixture
def launched(platform, web, tmp_path, monkeypatch):
    """Launches a page with this body, and `hello` beside it."""
    company = Company(tmp_path)
    company.secure(web, "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(company.file))

    def launch(body: str):
        lab = platform()
        url = web.page("/page", body, Content_Security_Policy=POLICY)
        app = lab.launch({"startup_app": {"uuid": "guest", "name": "Guest", "url": url}}, timeout=60)
        assert app.evaluate_js("[isSecureContext, lab.connected]", timeout=20) == [True, True]
        assert sum("connected through its host" in entry.text for entry in lab.events) == 1
        return lab, app, lab.launch("hello")

    return launch


def test_an_older_page_finds_what_it_looks_for(launched):
    _, app, other = launched(OLD)
    assert app.evaluate_js("[atOnce, version]", timeout=20) == ["object", "2.2"]
    assert app.evaluate_js("Promise.all([asked, told])", timeout=20) == ["there", "function"]
    assert app.evaluate_js("listening.then(([channels]) => channels.length)", timeout=20) == 8
    other.evaluate_js("fdc3.joinUserChannel('fdc3.channel.1').then(() => fdc3.broadcast({type: 'x'}))", timeout=20)
    until(lambda: app.evaluate_js("heard", timeout=20) == ["x"], 20, "the old listener to hear")
    opened = app.evaluate_js("fdc3.open('nobody').then(({appId}) => appId, (error) => error.message)", timeout=40)
    assert opened == "AppNotFound"


def test_a_page_with_get_agent_gets_ours(launched, get_agent_js):
    _, app, _ = launched(NEW % get_agent_js)
    found = "found.then(async ([ours, agent]) => [ours, (await agent.getInfo()).provider])"
    assert app.evaluate_js(found, timeout=20) == [True, "labplatform"]
