"""Places: files, folders and addresses, and what each of them turns out to be."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.apps import make_app

from labplatform.directory import Bounds, is_qualified, load, load_manifests
from labplatform.directory.places import MOST_APPS
from labplatform.errors import ManifestError

pytestmark = pytest.mark.usefixtures("no_way")

QUICK = Bounds(seconds=2)


def record(app_id: str, **more):
    return {"appId": app_id, "title": app_id.upper(), "type": "web", "details": {"url": "https://app.example/"}} | more


def write(path: Path, data) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


OPENFIN = {"startup_app": {"uuid": "fin", "name": "Fin", "url": "page.html"}, "runtime": {"version": "stable"}}
VIEWS = {
    "platform": {"uuid": "p"},
    "snapshot": {
        "windows": [
            {
                "layout": {
                    "content": [
                        {
                            "type": "stack",
                            "content": [
                                {"type": "component", "componentState": {"name": name, "url": f"{name}.html"}}
                                for name in ("a", "b")
                            ],
                        }
                    ]
                }
            }
        ]
    },
}


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        (record("one"), ["one"]),
        ([record("one"), record("two")], ["one", "two"]),
        ({"applications": [record("one")], "message": "OK"}, ["one"]),
        ({"startup_app": {"uuid": "own", "name": "Own", "url": "index.html"}}, ["own"]),
        (OPENFIN, ["fin"]),
        (VIEWS, ["p/a", "p/b"]),
    ],
)
def test_a_file_is_what_is_in_it(tmp_path, data, ids):
    file = write(tmp_path / "some.json", data)
    assert list(load_manifests(file)) == list(load_manifests(str(file), file)) == ids


def test_a_folder_of_apps_and_records(tmp_path):
    make_app(tmp_path, "own")
    write(tmp_path / "one.json", record("one", details={"url": "one.html"}))
    write(tmp_path / "more.json", [record("two"), record("bad", title=7)])
    write(tmp_path / "package.json", {"name": "x"})
    write(tmp_path / "broken.json", "{")
    found = load(tmp_path)
    assert list(found.manifests) == ["own", "two", "one"]
    assert found.of_place == (("own", "two", "one"),)
    assert found.manifests["one"].page_url == "app://one/one.html"
    broken, bad = sorted(found.remarks)
    assert broken.startswith(f"{tmp_path / 'broken.json'}: is not JSON") and broken.endswith("; it is passed over")
    assert bad.startswith(f"{tmp_path / 'more.json'}: at $[1].title: ")


def test_a_folder_with_nothing_for_us(tmp_path):
    with pytest.raises(
        ManifestError, match=r"no app in this folder; expected <app-id>/app.json below it, or an app dir"
    ):
        load(tmp_path)
    write(tmp_path / "package.json", {"name": "x"})
    with pytest.raises(ManifestError, match="holds no record of an app directory"):
        load(tmp_path)
    write(tmp_path / "one.json", {"appId": "x"})
    with pytest.raises(ManifestError, match=r"one.json: at \$\.(title|type|details): "):
        load(tmp_path)


def test_one_record_that_was_named_is_an_error(tmp_path):
    file = write(tmp_path / "one.json", record("x", type="webb"))
    with pytest.raises(ManifestError) as caught:
        load(file)
    assert str(caught.value).startswith(f'{file}: at $.type: expected "citrix" or ')


def test_one_id_in_two_files_is_an_error(tmp_path):
    one, two = write(tmp_path / "1.json", record("x")), write(tmp_path / "2.json", record("x", title="Other"))
    with pytest.raises(ManifestError, match=f"{two}: at \\$.appId: 'x' is already the appId of {one}; give one of the"):
        load(one, two)


def test_decoded_json_of_any_kind():
    assert list(load(record("one")).manifests) == ["one"]
    assert list(load({"startup_app": {"uuid": "own", "name": "Own", "url": "https://x/"}}).manifests) == ["own"]
    with pytest.raises(ManifestError, match="<manifest>: at "):
        load({"a": 1})


@pytest.mark.parametrize(
    ("place", "qualified"),
    [
        ("app1@appd.example", True),
        ("my app@appd.example:8080", True),
        ("a@b@appd.example", True),
        ("app@[::1]:80", True),
        ("folder/app@appd.example", False),
        ("app@folder/x", False),
        ("ticker-list", False),
        ("app@", False),
    ],
)
def test_what_is_a_qualified_id(place, qualified):
    assert is_qualified(place) is qualified


def test_a_folder_that_is_named_like_one(tmp_path, monkeypatch):
    make_app(tmp_path / "apps@home", "own")
    monkeypatch.chdir(tmp_path)
    assert list(load_manifests("apps@home")) == ["own"]


# --- addresses --------------------------------------------------------------------------------------------------------


def test_an_address_is_what_it_answers(web):
    page = web.page("/page", "<title>hi</title>")
    own = web.json("/own/app.json", {"startup_app": {"uuid": "own", "name": "Own", "url": "index.html"}})
    fin = web.json("/fin/app.json", OPENFIN)
    views = web.json("/views.json", VIEWS)
    one = web.json("/v2/apps/one", record("one"), kind="text/plain")
    many = web.json("/v2/apps", {"applications": [record("two"), record("three")]})
    found = load(page, own, fin, views, one, many)
    assert found.of_place == (("127-0-0-1-page",), ("own",), ("fin",), ("p/a", "p/b"), ("one",), ("two", "three"))
    pages = {app_id: manifest.page_url for app_id, manifest in found.manifests.items()}
    assert pages["127-0-0-1-page"] == page
    assert pages["own"] == f"{web.address}/own/index.html"
    assert pages["fin"] == f"{web.address}/fin/page.html"
    assert pages["p/b"] == f"{web.address}/b.html"
    assert {manifest.openfin is not None for app_id, manifest in found.manifests.items()} == {True, False}
    assert all(manifest.folder is None for manifest in found.manifests.values())
    assert found.manifests["two"].directory == urlsplit(web.address).netloc
    assert found.remarks == ()


@pytest.mark.parametrize("base", ["", "/", "/v2", "/v2/", "/?token=x"])
def test_a_directory_by_its_base(web, base):
    web.json("/api/appd/v2/apps", {"applications": [record("one")]})
    assert list(load_manifests(f"{web.address}/api/appd{base}")) == ["one"]


def test_a_directory_whose_base_answers_json_of_another_kind(web):
    base = web.json("/appd", {"status": "up"})
    web.json("/appd/v2/apps", {"applications": [record("one")]})
    assert list(load_manifests(base)) == ["one"]


@pytest.mark.parametrize("status", [401, 403, 405, 429])
def test_a_server_that_refuses_plain_requests_may_show_a_page(web, status):
    url = web.page("/app", "sorry", status)
    found = load(url)
    assert [one.page_url for one in found.manifests.values()] == [url]
    assert found.remarks == (f"{url}: a plain request answered with HTTP status {status}; it is taken for a page",)


def test_what_cannot_be_read_says_what_was_tried(web):
    url = f"{web.address}/nothing"
    with pytest.raises(ManifestError) as caught:
        load(url)
    assert str(caught.value) == (
        f"{url}: answered with HTTP status 404; {url}/v2/apps, where an app directory would be, "
        "answered with HTTP status 404"
    )
    url = web.json("/other.json", {"name": "x"})
    with pytest.raises(
        ManifestError, match=r'is JSON, but not an app.json or OpenFin manifest \(with "startup_app" or'
    ):
        load(url)
    url = web.serve("/broken", b'{"appId": ', Content_Type="application/json")
    with pytest.raises(ManifestError, match="/broken: is not JSON: Expecting value in line 1, column 11"):
        load(url)
    with pytest.raises(ManifestError, match=r"http://127.0.0.1:1/x: cannot be fetched: "):
        load("http://127.0.0.1:1/x", bounds=QUICK)


def test_a_wrong_record_names_its_address_and_path(web):
    url = web.json("/v2/apps/x", record("x", details={"url": "file:///etc/passwd"}))
    with pytest.raises(ManifestError) as caught:
        load(url)
    assert str(caught.value) == (
        f"{url}: at $.details.url: expected an http(s) address; what comes from elsewhere cannot name files of this "
        'machine; found "file:///etc/passwd"'
    )


def test_two_pages_of_one_address_but_for_their_query(web):
    one = web.page("/page", "hi")
    found = load(f"{one}?desk=1", f"{one}?desk=2", f"{one}?desk=1")
    assert {app_id: manifest.page_url[-1] for app_id, manifest in found.manifests.items()} == {
        "127-0-0-1-page": "1",
        "127-0-0-1-page-2": "2",
    }
    assert found.of_place == (("127-0-0-1-page",), ("127-0-0-1-page-2",), ("127-0-0-1-page",))


def test_a_large_directory_is_cut(web, monkeypatch):
    monkeypatch.setattr("labplatform.directory.places.MOST_APPS", 3)
    url = web.json("/v2/apps", {"applications": [record(str(number)) for number in range(5)]})
    found = load(url)
    assert list(found.manifests) == ["0", "1", "2"]
    assert found.remarks == (f"{url}: has 5 records; the first 3 are taken",)
    assert MOST_APPS >= 1000


# --- ids with a host --------------------------------------------------------------------------------------------------


def test_an_id_is_looked_up_at_its_directory(web):
    host = urlsplit(web.address).netloc
    web.json(f"/api/appd/v2/apps/my%20app@{host}", record("my app"))
    ((app_id, manifest),) = load(f"my app@{host}").manifests.items()
    assert (app_id, manifest.directory) == ("my app", host)
    with pytest.raises(ManifestError) as caught:
        load(f"nobody@{host}")
    url = f"{web.address}/api/appd/v2/apps/nobody@{host}"
    assert str(caught.value) == f"nobody@{host}: is not known here, and {url} answered with HTTP status 404"


# --- hostManifests.labplatform by address -----------------------------------------------------------------------------


def test_settings_by_address(web, tmp_path):
    web.json("/ours.json", {"startup_app": {"defaultWidth": 480}, "python": "os:abort"})
    far = web.json("/v2/apps", [record("a", hostManifests={"labplatform": "/ours.json"}), record("b")])
    near = write(tmp_path / "c.json", record("c", hostManifests={"labplatform": f"{web.address}/ours.json"}))
    found = load(far, near).manifests
    assert [found[one].startup_app.default_width for one in "abc"] == [480, 800, 480]
    # They were fetched, wherever the record lies.
    assert found["a"].python is found["c"].python is None
    assert found["c"].warnings == (f"{web.address}/ours.json: $.python is not taken from elsewhere",)


def test_settings_that_cannot_be_had_cost_their_own_record(web):
    web.json("/wrong.json", {"startup_app": {"defaultWidth": "wide"}})
    web.page("/page.html", "<p>")
    web.serve("/broken.json", b"{", Content_Type="application/json")
    named = ["/wrong.json", "/page.html", "/broken.json", "/none.json", "file:///etc/passwd", 7]
    url = web.json(
        "/v2/apps",
        [record("good"), *(record(str(one), hostManifests={"labplatform": one}) for one in named)],
    )
    found = load(url)
    assert list(found.manifests) == ["good"]
    told = "\n".join(found.remarks)
    for words in (
        f"{web.address}/wrong.json: at $.startup_app.defaultWidth: expected a whole number",
        f"{web.address}/page.html: is a page",
        f"{web.address}/broken.json: is not JSON",
        f"{web.address}/none.json: answered with HTTP status 404",
        f"{url}: at $[5].hostManifests.labplatform: expected an http(s) address",
        f"{url}: at $[6].hostManifests.labplatform: expected an object, or the http(s) address of one; found 7",
    ):
        assert words in told
    with pytest.raises(ManifestError, match=r"none.json: answered with HTTP status 404"):
        load(web.json("/v2/apps/x", record("x", hostManifests={"labplatform": "/none.json"})))


def test_one_directory_names_no_more_addresses_than_bearable(web, monkeypatch):
    monkeypatch.setattr("labplatform.directory.places.MOST_SETTINGS", 2)
    for number in range(4):
        web.json(f"/{number}.json", {})
    url = web.json(
        "/v2/apps", [record(str(number), hostManifests={"labplatform": f"/{number}.json"}) for number in range(4)]
    )
    found = load(url)
    assert list(found.manifests) == ["0", "1"]
    assert len([path for path in web.asked if path.endswith(".json")]) == 2
    assert "more than 2 addresses are named by one directory" in found.remarks[0]
