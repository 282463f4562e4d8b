"""Apps from elsewhere on a real platform: what their pages get, and what other apps are told of them."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from support.processes import until

from labplatform.errors import ManifestError, StartError, UnknownApp

pytestmark = pytest.mark.usefixtures("no_way")

PAGE = "<!doctype html><meta charset=utf-8><title>{}</title><script>fdc3.getInfo()</script>"


def component(name: str) -> dict:
    state = {"name": name, "url": f"{name}.html", "customData": {"desk": name}}
    return {"type": "component", "componentName": "view", "componentState": state}


def test_an_openfin_platform_and_its_pages(platform, web):
    tree = {"type": "row", "content": [component("list"), component("chart")]}
    window = {"defaultWidth": 900, "defaultHeight": 400, "layout": {"content": [tree]}}
    address = web.json(
        "/desk/app.json", {"platform": {"uuid": "desk"}, "snapshot": {"windows": [window]}, "runtime": {}}
    )
    for name in ("list", "chart"):
        web.page(f"/desk/{name}.html", PAGE.format(name))
    with platform() as lab:
        with pytest.raises(UnknownApp, match=r"app\.json holds 2 apps; launch one of them, or give the place to"):
            lab.launch(address)
        list_, chart = lab.launch_all(address, timeout=60)
        assert (list_.app_id, list_.name, list_.title) == ("desk/list", "desk-list", "list")
        assert list_.pid != chart.pid
        assert chart.evaluate_js("[innerWidth, innerHeight]", timeout=20) == [450, 400]
        assert chart.evaluate_js("fin.me.getOptions()", timeout=20) == {
            "uuid": "desk",
            "name": "chart",
            "url": f"{web.address}/desk/chart.html",
            "customData": {"desk": "chart"},
        }
        # OpenFin's contexts are FDC3's: one side by the one, the other side by the other.
        chart.evaluate_js(
            "fin.me.interop.joinContextGroup('red').then(() => fin.me.interop.addContextHandler((c) => { heard = c }))"
            ".then(() => 0)",
            timeout=20,
        )
        groups = chart.evaluate_js("fin.me.interop.getContextGroups()", timeout=20)
        red = next(group["id"] for group in groups if group["displayMetadata"]["color"] == "red")
        context = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
        list_.evaluate_js(f"fdc3.joinUserChannel({red!r}).then(() => fdc3.broadcast({context}))", timeout=20)
        until(lambda: chart.evaluate_js("typeof heard", timeout=20) == "object", 20, "the context")
        assert chart.evaluate_js("heard", timeout=20) == context
        # What is missing stands in the platform's log.
        code = "fin.Platform.getCurrentSync"
        assert "is not part of labplatform" in chart.evaluate_js(
            f"try {{ {code}() }} catch (e) {{ String(e) }}", timeout=20
        )
        until(lambda: any(f"called by this page: {code}" in one.text for one in lab.events), 20, "the log")
        list_.evaluate_js("setTimeout(() => fin.me.close())", timeout=20)
        list_.wait_for("stopped", timeout=20)
        assert chart.state == "running"


def test_a_platform_with_more_manifests_than_its_supervisor_takes(platform):
    record = {"appId": "x", "title": "X", "type": "web", "details": {"url": "https://x/"}}
    lab = platform(*(record | {"appId": str(number), "description": "x" * (5 << 20)} for number in range(4)))
    with pytest.raises(
        StartError, match=r"the manifests of this platform's 4 apps are 20 MiB together, and the supervisor"
    ):
        lab.start()


def test_an_app_directory_and_what_fdc3_tells_of_it(platform, web):
    host = urlsplit(web.address).netloc
    icon = {"src": "/icon.png", "size": "64x64", "type": "image/png"}
    chart = {
        "appId": "ChartApp",
        "title": "Chart",
        "type": "web",
        "details": {"url": web.page("/chart.html", PAGE.format("chart"))},
        "version": "1.2",
        "tooltip": "A chart",
        "description": "Draws",
        "icons": [icon],
        "screenshots": [{"src": "/shot.png", "label": "A shot"}],
        "interop": {
            "intents": {"listensFor": {"ViewChart": {"contexts": ["fdc3.instrument"], "displayName": "Chart it"}}}
        },
        "hostManifests": {
            "labplatform": {"startup_app": {"defaultWidth": 320, "defaultHeight": 240}, "python": "os:abort"}
        },
    }
    bad = {"appId": "bad", "title": "Bad", "type": "web", "details": {"url": "file:///etc/passwd"}}
    address = web.json("/appd/v2/apps", {"applications": [chart, bad]})
    with platform(address.removesuffix("/v2/apps"), web.page("/asker.html", PAGE.format("asker"))) as lab:
        assert list(lab.manifests) == ["ChartApp", "127-0-0-1-asker-html"]
        assert any("$.applications[1].details.url: expected an http(s) address" in one.text for one in lab.events)
        asker = lab.launch("127-0-0-1-asker-html", timeout=60)

        def ask(code: str):
            return asker.evaluate_js(code, timeout=90)

        told = {
            "appId": "ChartApp",
            "version": "1.2",
            "title": "Chart",
            "tooltip": "A chart",
            "description": "Draws",
            "icons": [icon | {"src": f"{web.address}/icon.png"}],
            "screenshots": [{"src": f"{web.address}/shot.png", "label": "A shot"}],
        }
        assert ask(f"fdc3.getAppMetadata({{appId: 'ChartApp@{host}'}})") == told
        assert ask("fdc3.getAppMetadata({appId: 'ChartApp'})") == told
        found = ask("fdc3.findIntent('ViewChart')")
        assert found == {"intent": {"name": "ViewChart", "displayName": "Chart it"}, "apps": [told]}
        assert ask("fdc3.open({appId: 'ChartApp@elsewhere.example'}).catch((e) => e.message)") == "AppNotFound"
        opened = ask(f"fdc3.open({{appId: 'ChartApp@{host}'}})")
        assert opened["appId"] == "ChartApp"
        assert ask(f"fdc3.findInstances({{appId: 'ChartApp@{host}'}})") == [opened]
        app = lab["chartapp"]
        assert (app.app_id, app.instance_id) == ("ChartApp", opened["instanceId"])
        assert app.evaluate_js("[innerWidth, innerHeight, typeof fin]", timeout=20) == [320, 240, "undefined"]
        assert any("labplatform.python is not taken from elsewhere" in one.text for one in lab.events)
        # From the notebook by the same names; another directory's app of this id is another app.
        assert lab.launch(f"ChartApp@{host}", timeout=60).name == "chartapp-2"
        with pytest.raises(
            ManifestError, match=r"ChartApp@127.0.0.1:1: is not known here, and http://127.0.0.1:1/api/appd"
        ):
            lab.launch("ChartApp@127.0.0.1:1")
