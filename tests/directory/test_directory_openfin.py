"""Manifests that are written for OpenFin: one app, or one for each view of a platform's snapshot."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labplatform import messages
from labplatform.directory import load
from labplatform.directory.openfin import is_openfin, read_openfin
from labplatform.directory.places import _Gathered
from labplatform.directory.source import Source
from labplatform.errors import ManifestError
from labplatform.manifest import Image, Manifest, OpenFin

FILE = Source("/apps/app.fin.json", folder="/apps")
FAR = Source("https://cdn.example/v1/app.json", "https://cdn.example/v1/app.json")

APP = {
    "licenseKey": "x",
    "runtime": {"version": "stable", "arguments": "--v=1"},
    "shortcut": {"company": "C", "name": "Order Blotter", "description": "Orders", "icon": "https://cdn.example/i.ico"},
    "startup_app": {
        "uuid": "Order_Blotter-01",
        "name": "Order_Blotter-01",
        "url": "index.html?desk=eq",
        "defaultWidth": 640.5,
        "defaultHeight": 1,
        "defaultLeft": 10,
        "defaultTop": 20,
        "frame": False,
        "saveWindowState": False,
        "customData": {"desk": "eq"},
    },
}


def view(name: str | None, url: str | None = "a.html", **more: Any) -> dict[str, Any]:
    state = {key: value for key, value in {"name": name, "url": url, **more}.items() if value is not None}
    return {"type": "component", "componentName": "view", "componentState": state}


def platform(*windows: Any, **more: Any) -> dict[str, Any]:
    return {
        "platform": {"uuid": "desk_platform", "icon": "https://cdn.example/p.ico", "autoShow": False, **more},
        "snapshot": {"windows": list(windows)},
        "runtime": {"version": "stable"},
    }


def window(*content: Any, **more: Any) -> dict[str, Any]:
    return {"defaultWidth": 1000, "defaultHeight": 600, "layout": {"content": list(content)}, **more}


def row(*content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "row", "content": list(content), **more}


def column(*content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "column", "content": list(content), **more}


def stack(*content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "stack", "content": list(content), **more}


def bounds(manifest: Manifest) -> tuple[Any, ...]:
    app = manifest.startup_app
    return (app.default_left, app.default_top, app.default_width, app.default_height)


# --- one app ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "page"), [(FILE, "app://order-blotter-01/"), (FAR, "https://cdn.example/v1/")])
def test_a_startup_app(source, page):
    (manifest,) = read_openfin(APP, source)
    assert (manifest.app_id, manifest.uuid, manifest.title) == ("Order_Blotter-01", "order-blotter-01", "Order Blotter")
    assert manifest.page_url == f"{page}index.html?desk=eq"
    assert manifest.startup_app.description == "Orders"
    assert bounds(manifest) == (10, 20, 640, 100)
    assert manifest.openfin == OpenFin(
        uuid="Order_Blotter-01", name="Order_Blotter-01", entity="window", custom_data={"desk": "eq"}
    )
    assert manifest.about.icons == (Image(src="https://cdn.example/i.ico"),)
    assert manifest.warnings == (
        f"{source.name}: of what it says to OpenFin this is not used here: licenseKey, runtime, startup_app.frame, "
        "startup_app.saveWindowState, shortcut.company",
    )
    assert messages.decode(messages.encode(manifest), Manifest) == manifest


def test_only_what_is_written_for_openfin_is_openfin_s():
    assert is_openfin(APP) and is_openfin(platform())
    assert not is_openfin({"startup_app": APP["startup_app"]})
    assert not is_openfin({"runtime": {}}) and not is_openfin([APP])


def test_our_own_keys_beside_openfin_s():
    own = {"restart": {"maxRestarts": 1}, "python": "side:main", "look": {"color": "#000000", "glyph": "g.svg"}}
    (near,) = read_openfin(APP | own, FILE)
    assert (near.restart.max_restarts, near.python, near.look.glyph) == (1, "side:main", "g.svg")
    (far,) = read_openfin(APP | own, FAR)
    assert (far.restart.max_restarts, far.python, far.look.glyph, far.folder) == (1, None, None, None)
    assert f"{FAR.name}: $.python is not taken from elsewhere" in far.warnings


def test_what_is_hidden_from_the_start_is_pointed_out():
    app = APP["startup_app"] | {"autoShow": False, "processAffinity": "a"}
    (manifest,) = read_openfin(APP | {"startup_app": app}, FAR)
    assert manifest.startup_app.auto_show is False
    assert manifest.startup_app.process_affinity == "a@cdn.example"
    assert any("autoShow: its window is hidden, and its page cannot show it here" in said for said in manifest.warnings)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"startup_app": []}, "$.startup_app"),
        ({"startup_app": {"uuid": "a"}}, "$.startup_app.url"),
        ({"startup_app": {"uuid": "a", "url": "file:///C:/app/index.html"}}, "$.startup_app.url"),
        ({"startup_app": {"uuid": 7, "url": "a.html"}}, "$.startup_app.uuid"),
        ({"startup_app": {"uuid": "a", "url": "a.html", "defaultWidth": "wide"}}, "$.startup_app.defaultWidth"),
        ({"startup_app": {"uuid": "a", "url": "a.html", "resizable": 1}}, "$.startup_app.resizable"),
        ({"shortcut": 1}, "$.shortcut"),
    ],
)
def test_what_is_wrong_in_it(change, where):
    for source in (FILE, FAR):
        with pytest.raises(ManifestError) as caught:
            read_openfin(APP | change, source)
        assert caught.value.detail["where"] == where


# --- a platform -------------------------------------------------------------------------------------------------------


def test_a_view_is_an_app_and_lies_where_openfin_would_show_it():
    tree = row(
        column(stack(view("list", title="Tickers"), view("detail")), view("log"), width=30),
        column(view("chart", customData={"a": 1}), view("depth"), width=70),
    )
    apps = read_openfin(platform(window(tree, defaultLeft=100, defaultTop=50)), FAR)
    assert [app.openfin.name for app in apps] == ["list", "detail", "log", "chart", "depth"]
    assert [bounds(app) for app in apps] == [
        (100, 50, 300, 300),
        (100, 50, 300, 300),
        (100, 350, 300, 300),
        (400, 50, 700, 300),
        (400, 350, 700, 300),
    ]
    chart = apps[3]
    assert chart.openfin == OpenFin(uuid="desk_platform", name="chart", entity="view", custom_data={"a": 1})
    assert (chart.app_id, chart.uuid, chart.page_url) == (
        "desk_platform/chart",
        "desk-platform-chart",
        "https://cdn.example/v1/a.html",
    )
    assert chart.about.icons == (Image(src="https://cdn.example/p.ico"),)
    assert [app.title for app in apps] == ["Tickers", "detail", "log", "chart", "depth"]
    # What is not used is told once.
    assert apps[0].warnings == (
        f"{FAR.name}: of what it says to OpenFin this is not used here: runtime, platform.autoShow",
    )
    assert all(app.warnings == () for app in apps[1:])


def test_windows_with_bounds_of_both_kinds_and_without():
    saved = {"x": -20.4, "y": 30.6, "width": 500.2, "height": 400}
    apps = read_openfin(
        platform(
            {"layout": {"content": [stack(view("a"))]}},
            saved | {"layout": {"content": [stack(view("b"))]}},
            {"url": "c.html", "name": "c", "defaultLeft": 5},
        ),
        FAR,
    )
    assert [bounds(app) for app in apps] == [(None, None, 800, 600), (-20, 31, 500, 400), (None, None, 800, 600)]


def test_shares_that_are_left_open():
    (a, b, c) = read_openfin(platform(window(row(view("a"), stack(view("b"), width=50), view("c")))), FAR)
    assert [bounds(app)[2] for app in (a, b, c)] == [250, 500, 250]


def test_names_are_made_where_there_is_none_and_told_apart():
    apps = read_openfin(platform(window(stack(view("a"), view("a"), view(None)))), FAR)
    assert [app.openfin.name for app in apps] == ["a", "a-2", "view-3"]
    gathered = _Gathered({})
    gathered.read(platform(window(stack(view("a b"), view("a-b")))), FAR, None)
    assert [one.uuid for one in gathered.manifests.values()] == ["desk-platform-a-b", "desk-platform-a-b-2"]


def test_channel_and_affinity_of_a_view():
    options = {"interop": {"currentContextGroup": "green"}, "processAffinity": "ps_1", "preloadScripts": []}
    (app,) = read_openfin(platform(window(stack(view("a", **options)))), FAR)
    assert app.user_channel == "green"
    assert app.startup_app.process_affinity == "ps_1@cdn.example"
    assert "componentState.preloadScripts" in app.warnings[0]


def test_a_view_without_a_page_is_passed_over():
    (app,) = read_openfin(platform(window(stack(view("a"), view("empty", url=None)))), FAR)
    assert app.openfin.name == "a"
    where = "$.snapshot.windows[0].layout.content[0].content[1].componentState"
    assert f"{FAR.name}: at {where}: a view without a url is passed over" in app.warnings


def test_a_view_that_cannot_be_shown_costs_the_others_nothing():
    content = stack(view("a"), view("own", url="file:///x"), view("b"), view("odd", interop=1))
    first, second = read_openfin(platform(window(content)), FAR)
    assert (first.openfin.name, second.openfin.name) == ("a", "b")
    passed_over = [warning for warning in first.warnings if warning.endswith("; this view is passed over")]
    assert ["content[1].componentState.url" in passed_over[0], "interop" in passed_over[1]] == [True, True]
    assert len(passed_over) == 2 and second.warnings == ()


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"platform": {"uuid": "p"}}, "$.snapshot"),
        ({"platform": [], "snapshot": {}}, "$.platform"),
        ({"platform": {}, "snapshot": {}}, "$.snapshot.windows"),
        (platform(), "$.snapshot.windows"),
        (platform(1), "$.snapshot.windows[0]"),
        (platform({"layout": []}), "$.snapshot.windows[0].layout"),
        (platform({"layout": {}}), "$.snapshot.windows[0].layout.content"),
        (platform(window({"type": "carousel"})), "$.snapshot.windows[0].layout.content[0].type"),
        (
            platform(window(stack(view("a", url=7)))),
            "$.snapshot.windows[0].layout.content[0].content[0].componentState.url",
        ),
        (
            platform(window(stack(view("a", url="file:///x")))),
            "$.snapshot.windows[0].layout.content[0].content[0].componentState.url",
        ),
        (platform(window(view("a"), defaultWidth="1")), "$.snapshot.windows[0].defaultWidth"),
        (platform(window(view("a", interop=1))), "$.snapshot.windows[0].layout.content[0].componentState.interop"),
        (platform(window(*[view(str(n)) for n in range(101)])), "$.snapshot.windows"),
    ],
)
def test_what_is_wrong_in_a_platform(data, where):
    with pytest.raises(ManifestError) as caught:
        read_openfin(data, FAR)
    assert caught.value.detail["where"] == where


def test_a_platform_that_only_its_own_code_can_open():
    with pytest.raises(ManifestError, match="one that only its provider's code can open needs OpenFin"):
        read_openfin({"platform": {"uuid": "p", "providerUrl": "https://x/"}, "runtime": {}}, FAR)


leaves = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
nodes = st.recursive(
    leaves | st.builds(view, st.text(max_size=4), st.sampled_from(["a.html", "file:///x", "", "app://y/"])),
    lambda inner: st.fixed_dictionaries(
        {"type": st.sampled_from(["row", "column", "stack", "x"]), "content": st.lists(inner, max_size=3) | leaves},
        optional={"width": leaves, "height": leaves},
    ),
    max_leaves=6,
)


@given(
    st.lists(nodes, max_size=3),
    st.dictionaries(st.sampled_from(["x", "y", "width", "height", "defaultLeft", "url", "name"]), leaves, max_size=4),
    st.dictionaries(st.sampled_from(["uuid", "name", "icon", "icons"]), leaves, max_size=3),
)
def test_any_platform_is_read_or_refused(content, options, more):
    try:
        found = load(platform({"layout": {"content": content}} | options, **more)).manifests.values()
    except ManifestError:
        return
    for manifest in found:
        assert messages.decode(messages.encode(manifest), Manifest) == manifest
