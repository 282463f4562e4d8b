"""appD v2 records as manifests: what is read, what is refused with which words, and what one from elsewhere may say."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labplatform import messages
from labplatform.directory.places import _Gathered, kind_of
from labplatform.directory.records import manifest_of, read_application
from labplatform.directory.source import _TAKEN, Source
from labplatform.errors import ManifestError
from labplatform.manifest import Image, Manifest, ResourceLimits, StartupApp

FILE = Source("/apps/chart.json", folder="/apps")
FAR = Source("https://appd.example/v2/apps", "https://appd.example/v2/apps")

RECORD = {
    "appId": "my-application",
    "title": "My Application",
    "type": "web",
    "details": {"url": "https://app.example/app.html"},
    "name": "old-name",
    "version": "1.0.0 (BETA)",
    "tooltip": "Tip",
    "lang": "en-US",
    "description": "An example",
    "categories": ["market data", "news"],
    "icons": [{"src": "https://app.example/icon.png", "size": "256x256", "type": "image/png"}],
    "screenshots": [{"src": "/shot.png", "label": "A shot"}],
    "contactEmail": "a@b.example",
    "publisher": "Example, Inc.",
    "moreInfo": "https://app.example",
    "customConfig": [{"name": "a", "value": "b"}],
    "hostManifests": {"Other": {"window": {}}, "Web App Manifest": "https://app.example/app.json"},
    "interop": {
        "intents": {
            "listensFor": {
                "ViewChart": {"contexts": ["fdc3.instrument"], "displayName": "Chart"},
                "myApp.GetPrice": {"contexts": ["fdc3.instrument"], "resultType": "myApp.quote", "customConfig": {}},
            },
            "raises": {"ViewOrders": ["fdc3.instrument"]},
        },
        "userChannels": {"broadcasts": ["fdc3.instrument"], "listensFor": []},
        "appChannels": [{"id": "quotes", "description": "d", "broadcasts": ["q"], "listensFor": ["r"]}],
    },
    "localizedVersions": {"fr-FR": {"title": "Mon application"}},
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def read(data: Any, source: Source = FILE, where: str = "$") -> Manifest:
    return manifest_of(read_application(data, source, where), source, where)


def refused(data: Any, source: Source = FILE) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        read(data, source)
    assert caught.value.detail.keys() == {"file", "where", "expected", "got"}
    assert str(caught.value).startswith(f"{source.name}: at {caught.value.detail['where']}: expected ")
    return caught.value


def test_a_full_record():
    manifest = read(RECORD, FAR)
    assert manifest.warnings == ()
    assert (manifest.app_id, manifest.uuid, manifest.title) == ("my-application", "my-application", "My Application")
    assert manifest.page_url == "https://app.example/app.html"
    assert manifest.startup_app.description == "An example"
    assert manifest.folder is None and manifest.python is None
    about = manifest.about
    assert (about.directory, about.name, about.version) == ("appd.example", "old-name", "1.0.0 (BETA)")
    assert (about.tooltip, about.lang, about.publisher) == ("Tip", "en-US", "Example, Inc.")
    assert about.categories == ("market data", "news")
    assert about.icons == (Image(src="https://app.example/icon.png", size="256x256", type="image/png"),)
    assert about.screenshots == (Image(src="https://appd.example/shot.png", label="A shot"),)
    listens = manifest.interop["intents"]["listensFor"]
    assert listens["ViewChart"] == {"contexts": ["fdc3.instrument"], "displayName": "Chart"}
    assert listens["myApp.GetPrice"]["resultType"] == "myApp.quote"
    assert manifest.interop["appChannels"][0]["id"] == "quotes"


def test_it_crosses_to_another_process_as_it_is():
    manifest = read(RECORD | {"hostManifests": {"labplatform": {"restart": {"maxRestarts": 1}}}}, FAR)
    assert messages.decode(messages.encode(manifest), Manifest) == manifest


def test_the_least_record_and_nulls_for_the_rest():
    least = {key: RECORD[key] for key in ("appId", "title", "type", "details")}
    manifest = read(least)
    assert (manifest.interop, manifest.about.icons, manifest.about.version) == ({}, (), None)
    assert read(least | dict.fromkeys(RECORD.keys() - least.keys())) == manifest


@pytest.mark.parametrize(
    ("app_id", "uuid"),
    [("IntentAppAId", "intentappaid"), ("Ünïcode / app", "n-code-app"), ("app@appd.example", "app-appd-example")],
)
def test_any_text_is_an_app_id_and_gives_a_name(app_id, uuid):
    manifest = read(RECORD | {"appId": app_id})
    assert (manifest.app_id, manifest.uuid) == (app_id, uuid)


SETTINGS = {
    "startup_app": {"defaultWidth": 480, "resourceLimits": {"maxCPU": 50}},
    "storage": "persistent",
    "look": {"color": "#0072B2"},
    "requires": ["market-data"],
    "interop": {"currentContextGroup": "red"},
}


@pytest.mark.parametrize("source", [FILE, FAR], ids=["file", "far"])
def test_our_own_settings(source):
    manifest = read(RECORD | {"hostManifests": {"labplatform": SETTINGS}}, source)
    assert manifest.warnings == ()
    assert manifest.startup_app.default_width == 480
    assert manifest.startup_app.resource_limits == ResourceLimits(max_cpu=50)
    assert (manifest.storage, manifest.look.color, manifest.requires) == ("persistent", "#0072B2", ("market-data",))
    assert manifest.user_channel == "red"
    assert manifest.interop["intents"]["listensFor"].keys() == {"ViewChart", "myApp.GetPrice"}


def test_what_the_record_says_counts_before_our_settings_but_for_the_page():
    said = {"uuid": "other", "name": "Other", "description": "x", "url": "https://app.example/ours.html"}
    own = {"startup_app": said, "interop": {"intents": {}}, "colour": 1}
    manifest = read(RECORD | {"hostManifests": {"labplatform": own}}, FAR)
    assert (manifest.app_id, manifest.uuid, manifest.title) == ("my-application", "my-application", "My Application")
    assert manifest.page_url == "https://app.example/ours.html"
    at = f"{FAR.name}: $.hostManifests.labplatform"
    assert sorted(manifest.warnings) == [
        f"{FAR.name}: $.hostManifests.labplatform.interop.intents is passed over: the record says it",
        f"{at}.startup_app.description is passed over: the record says it",
        f"{at}.startup_app.name is passed over: the record says it",
        f"{at}.startup_app.uuid is passed over: the record says it",
        f"{FAR.name}: unknown key $.hostManifests.labplatform.colour",
    ]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "where", "expected"),
    [
        ({"appId": None}, "$.appId", "text of 1 to 256 characters, none of them a control character"),
        ({"appId": ""}, "$.appId", "text of 1 to 256 characters"),
        ({"appId": " a"}, "$.appId", "text of 1 to 256 characters"),
        ({"appId": "a\n"}, "$.appId", "text of 1 to 256 characters"),
        ({"appId": "a" * 257}, "$.appId", "text of 1 to 256 characters"),
        ({"title": 7}, "$.title", "text of 1 to 200 characters"),
        ({"type": "webb"}, "$.type", '"citrix" or "native" or "onlineNative" or "other" or "web"'),
        ({"details": []}, "$.details", "an object"),
        ({"details": {}}, "$.details.url", "an http(s) address"),
        ({"details": {"url": "ftp://x/"}}, "$.details.url", "an http(s) address, or a file beside the manifest"),
        ({"details": {"url": "file:///etc/passwd"}}, "$.details.url", "an http(s) address"),
        ({"details": {"url": "../other/index.html"}}, "$.details.url", "a file inside the manifest's folder"),
        ({"icons": [{"size": "1x1"}]}, "$.icons[0].src", "text"),
        ({"icons": "x.png"}, "$.icons", "a list, each item an object, or null"),
        ({"categories": [1]}, "$.categories[0]", "text"),
        ({"interop": []}, "$.interop", "an object, or null"),
        (
            {"interop": {"intents": {"listensFor": {"my.Intent": {"contexts": "fdc3.instrument"}}}}},
            '$.interop.intents.listensFor["my.Intent"].contexts',
            "a list, each item text",
        ),
        ({"interop": {"intents": {"listensFor": {"A": {}}}}}, "$.interop.intents.listensFor.A.contexts", "a list"),
        ({"interop": {"intents": {"raises": {"A": [1]}}}}, "$.interop.intents.raises.A[0]", "text"),
        ({"hostManifests": []}, "$.hostManifests", "an object, or null"),
        ({"hostManifests": {"labplatform": [1]}}, "$.hostManifests.labplatform", "an object, or the http(s) address"),
        (
            {"hostManifests": {"labplatform": {"startup_app": {"defaultWidth": "wide"}}}},
            "$.hostManifests.labplatform.startup_app.defaultWidth",
            "a whole number from 100 to 10,000",
        ),
        (
            {"hostManifests": {"labplatform": {"startup_app": 1}}},
            "$.hostManifests.labplatform.startup_app",
            "an object",
        ),
        ({"hostManifests": {"labplatform": {"storage": 1}}}, "$.hostManifests.labplatform.storage", '"persistent" or'),
        ({"type": "native", "details": {"path": "/bin/sh"}}, "$.type", '"web"; an app of another type needs a page'),
    ],
)
def test_wrong_values(change, where, expected):
    error = refused(RECORD | change)
    assert error.detail["where"] == where
    assert expected in error.detail["expected"]


@pytest.mark.parametrize("key", ["appId", "type", "details"])
def test_what_is_required(key):
    record = {name: value for name, value in RECORD.items() if name != key}
    assert refused(record).detail["where"] == f"$.{key}"


def test_an_app_without_a_title_is_called_something_else_and_that_is_said():
    """FDC3's own conformance tests have one."""
    for name, shown in (("Old", "Old"), (None, "my-application")):
        manifest = read(RECORD | {"title": None, "name": name})
        assert manifest.title == shown
        assert manifest.warnings == (f"{FILE.name}: $ has no title; the app is called {shown!r}",)


def test_a_record_of_the_first_version_is_told_apart():
    error = refused({"appId": "a", "name": "a", "manifest": "https://x/", "manifestType": "openfin"})
    assert "appD v2, which a directory has at /v2/apps" in str(error)


# --- what a record from elsewhere may not say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        *(
            "file:///etc/passwd",
            "file:etc/passwd",
            "app://ticker-list/index.html",
            "chrome://crash",
            "data:text/html,x",
        ),
        *("javascript:alert(1)", "FILE:///etc/passwd", "http://[::1", "about:blank", "http://a:port/"),
    ],
)
def test_a_page_from_elsewhere_is_on_the_web(url):
    for record in (
        RECORD | {"details": {"url": url}},
        RECORD | {"hostManifests": {"labplatform": {"startup_app": {"url": url}}}},
    ):
        error = refused(record, FAR)
        assert error.detail["where"].endswith(".url")
        assert "http(s) address" in error.detail["expected"]


@pytest.mark.parametrize(
    "url", ["index.html", "/index.html", "../x.html", "//cdn.example/x.html", "https:///x", "\\\\host\\x"]
)
def test_a_relative_page_is_beside_its_record_on_the_web(url):
    page = read(RECORD | {"details": {"url": url}}, FAR).page_url
    assert page.startswith(("https://appd.example/", "https://cdn.example/"))


def test_a_record_from_elsewhere_reaches_nothing_of_this_machine():
    own = {
        "python": "os:abort",
        "folder": "/etc",
        "warnings": ["x"],
        "about": {"app_id": "ticker-list"},
        "openfin": {"uuid": "u", "name": "n"},
        "look": {"color": "#000000", "glyph": "../../glyph.svg"},
        "startup_app": {"processAffinity": "trading"},
        "sandbox": {"boundary": False},
    }
    manifest = read(RECORD | {"hostManifests": {"labplatform": own}}, FAR)
    assert (manifest.python, manifest.folder, manifest.openfin, manifest.look.glyph) == (None, None, None, None)
    assert manifest.app_id == "my-application"
    assert manifest.look.color == "#000000"
    # It shares a renderer with its like, and never with an app of the user's own that names the same affinity.
    assert manifest.startup_app.process_affinity == "trading@appd.example"
    said = "\n".join(manifest.warnings)
    assert manifest.sandbox.boundary is True
    for key in ("python", "folder", "about", "openfin", "sandbox", "look.glyph"):
        assert f"$.hostManifests.labplatform.{key} is not taken from elsewhere" in said
    # The same words in a file of this machine are the user's own.
    near = read(RECORD | {"details": {"url": "chart.html"}, "hostManifests": {"labplatform": {"python": "side:run"}}})
    assert (near.python, near.folder, near.page_url) == ("side:run", "/apps", "app://my-application/chart.html")


def test_a_service_comes_from_this_machine_only():
    record = RECORD | {"type": "other", "details": {}, "hostManifests": {"labplatform": {"python": "feed:run"}}}
    assert read(record).page_url is None
    assert refused(record, FAR).detail["where"] == "$.type"


def test_each_key_of_a_manifest_was_thought_about():
    """A key that is added to manifests is refused from elsewhere, until it is put into this list or the other."""
    ours = {field.encode_name for field in msgspec.structs.fields(Manifest)}
    app = {field.encode_name for field in msgspec.structs.fields(StartupApp)}
    assert _TAKEN[""] - {"resourceLimits"} <= ours
    assert _TAKEN["startup_app"] <= app
    assert ours - _TAKEN[""] >= {"python", "folder", "about", "openfin", "warnings"}


@given(st.dictionaries(st.sampled_from([*RECORD, "hostManifests"]), json_values, max_size=4), st.booleans())
def test_any_record_is_read_or_refused(change, far):
    source = FAR if far else FILE
    try:
        manifest = read(RECORD | change, source)
    except ManifestError as error:
        assert error.message.startswith(source.name)
        return
    assert messages.decode(messages.encode(manifest), Manifest) == manifest
    if far:
        assert manifest.folder is None and manifest.python is None
        assert manifest.page_url.startswith(("http://", "https://"))


@given(
    st.recursive(
        st.dictionaries(
            st.sampled_from(
                [
                    *("startup_app", "url", "python", "folder", "look", "glyph", "storage", "requires", "uuid", "name"),
                    *("processAffinity", "interop", "restart", "about", "x"),
                ]
            ),
            st.none()
            | st.integers()
            | st.sampled_from(
                ["os:abort", "/etc", "file:///etc/passwd", "x.svg", "persistent", "app://x/", "http://h/"]
            ),
            max_size=4,
        ),
        lambda inner: st.dictionaries(
            st.sampled_from(["startup_app", "look", "interop", "restart"]), inner, max_size=3
        ),
        max_leaves=6,
    )
)
def test_any_settings_from_elsewhere_reach_nothing(own):
    record = RECORD | {"hostManifests": {"labplatform": own}}
    try:
        manifest = read(record, FAR)
    except ManifestError:
        return
    assert (manifest.python, manifest.folder, manifest.look.glyph, manifest.openfin) == (None, None, None, None)
    assert manifest.page_url.startswith(("http://", "https://"))
    assert manifest.app_id == "my-application"
    affinity = manifest.startup_app.process_affinity
    assert affinity is None or affinity.endswith("@appd.example")


# --- many of them -----------------------------------------------------------------------------------------------------


def gathered(data: Any, source: Source = FAR, beside: dict[str, Manifest] | None = None) -> _Gathered:
    all_of_them = _Gathered(beside or {})
    all_of_them.read(data, source, None)
    return all_of_them


def named(app_id: str, **change: Any) -> dict[str, Any]:
    return RECORD | {"appId": app_id} | change


@pytest.mark.parametrize("form", ["list", "applications"])
def test_one_bad_record_does_not_cost_the_others(form):
    listed = [named("a"), named("b", title=7), named("c", interop=1), named("d")]
    found = gathered(listed if form == "list" else {"applications": [*listed, "e"], "message": "OK"})
    assert list(found.manifests) == ["a", "d"]
    assert len(found.remarks) == (2 if form == "list" else 3)
    at = "$[1]" if form == "list" else "$.applications[1]"
    assert found.remarks[0].startswith(
        f"{FAR.name}: at {at}.title: expected text of 1 to 200 characters, or null; found 7; "
    )
    assert all(remark.endswith("this record is passed over") for remark in found.remarks)


def test_a_directory_without_one_good_record_is_an_error():
    with pytest.raises(
        ManifestError, match=r"\$\.applications\[0\]\.appId.*no record of it can be used \(and 1 more\)"
    ):
        gathered({"applications": [{}, {}]})
    assert gathered({"applications": []}).manifests == {}
    with pytest.raises(ManifestError, match=r"at \$\.applications: expected a list of records"):
        gathered({"applications": {}})


def test_two_records_of_one_id_in_one_directory():
    found = gathered([named("a", title="First"), named("a", title="Second")])
    assert [one.title for one in found.manifests.values()] == ["First"]
    assert "at $[1].appId: 'a' is already the appId of" in found.remarks[0]


def test_apps_of_one_id_from_two_directories_are_told_apart():
    other = Source("https://other.example/apps", "https://other.example/apps")
    both = gathered([named("chart")])
    both.read([named("chart", title="Other")], other, None)
    assert {app_id: one.title for app_id, one in both.manifests.items()} == {
        "chart": "My Application",
        "chart@other.example": "Other",
    }
    assert [one.uuid for one in both.manifests.values()] == ["chart", "chart-2"]
    assert "there is another 'chart'; this one is called 'chart@other.example'" in both.remarks[0]


def test_an_app_from_elsewhere_never_takes_the_place_of_one_that_is_known():
    mine = read(named("ticker-list", details={"url": "index.html"}))
    for data in (
        named("ticker-list"),
        {"startup_app": {"uuid": "ticker-list", "name": "x", "url": "x.html"}},
        {"startup_app": {"uuid": "ticker-list", "name": "x", "url": "x.html"}, "runtime": {"version": "stable"}},
    ):
        found = gathered(data, FAR, beside={"ticker-list": mine})
        ((app_id, manifest),) = found.manifests.items()
        assert (app_id, manifest.uuid) == ("ticker-list@appd.example", "ticker-list-2")
    # Nor by a name that is written another way.
    found = gathered(named("Ticker List"), FAR, beside={"ticker-list": mine})
    assert [(one.app_id, one.uuid) for one in found.manifests.values()] == [("Ticker List", "ticker-list-2")]


def test_nobody_calls_itself_the_notebook():
    (manifest,) = gathered(named("jupyter")).manifests.values()
    assert manifest.app_id == "jupyter@appd.example"
    with pytest.raises(ManifestError, match="'jupyter' is already the appId of notebooks"):
        gathered(named("jupyter"), FILE)
    with pytest.raises(ManifestError, match=r"startup_app.uuid: 'jupyter' is already the uuid of notebooks"):
        gathered({"startup_app": {"uuid": "jupyter", "name": "x", "url": "https://x/"}}, Source("<manifest>"))


def test_our_own_manifest_from_elsewhere():
    own = {"startup_app": {"uuid": "far", "name": "Far", "url": "far.html"}, "python": "os:abort", "colour": 1}
    (manifest,) = gathered(own).manifests.values()
    assert (manifest.page_url, manifest.python, manifest.openfin) == ("https://appd.example/v2/far.html", None, None)
    assert manifest.directory == "appd.example"
    assert manifest.warnings == (
        f"{FAR.name}: $.python is not taken from elsewhere",
        f"{FAR.name}: unknown key $.colour",
    )
    with pytest.raises(ManifestError, match=r"startup_app\.url: expected an http\(s\) address"):
        gathered({"startup_app": {"uuid": "far", "name": "Far", "url": "file:///etc/passwd"}})


@given(json_values)
def test_any_json_is_something_or_nothing(data):
    data = json.loads(json.dumps(data))
    if kind_of(data):
        try:
            gathered(data)
        except ManifestError:
            pass
