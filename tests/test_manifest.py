"""The manifest: what is read, what is refused, and with which words."""

import json
import math
import os
import posixpath
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labplatform import messages
from labplatform.directory import load_manifests, manifest_for_url
from labplatform.errors import ManifestError
from labplatform.manifest import (
    Manifest,
    ResourceLimits,
    Size,
    load_manifest,
    parse_manifest,
    parse_size,
    size_in_words,
)
from labplatform.reading import MAX_FILE

APP = {"uuid": "ticker-list", "name": "Ticker List", "url": "index.html"}

FULL = {
    "startup_app": {
        "uuid": "ticker-list",
        "name": "Ticker List",
        "url": "index.html?theme=dark#top",
        "description": "Prices",
        "defaultWidth": 480,
        "defaultHeight": 640,
        "defaultLeft": -20,
        "defaultTop": 0,
        "autoShow": False,
        "resizable": False,
        "processAffinity": "trading",
        "resourceLimits": {"maxMemory": "500MB", "maxCPU": 50},
    },
    "python": "my.feed:run",
    "storage": "persistent",
    "requires": ["market-data"],
    "look": {"color": "#0072B2", "glyph": "art/glyph.svg"},
    "restart": {"maxRestarts": 3, "withinSeconds": 4, "backoff": 0.5, "maxBackoff": 8, "stableAfter": 2.5},
    "recycle": {"memory": "400MiB", "maxAge": 3600},
    "interop": {
        "intents": {"listensFor": {"ViewInstrument": {"contexts": ["fdc3.instrument"]}}},
        "currentContextGroup": "fdc3.channel.1",
    },
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def parsed(extra=None, **app):
    return parse_manifest({"startup_app": APP | app, **(extra or {})}, file="x/app.json")


def refused(extra=None, **app):
    with pytest.raises(ManifestError) as caught:
        parsed(extra, **app)
    error = caught.value
    assert error.detail.keys() == {"file", "where", "expected", "got"}
    assert str(error).startswith("x/app.json: ")
    assert error.detail["where"] in str(error)
    assert error.detail["expected"] in str(error)
    return error


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_full_manifest():
    manifest = parse_manifest(FULL, file="x/app.json", folder="/apps/x")
    assert manifest.warnings == ()
    assert manifest.app_id == "ticker-list"
    assert manifest.title == "Ticker List"
    app = manifest.startup_app
    assert (app.default_width, app.default_height, app.default_left, app.default_top) == (480, 640, -20, 0)
    assert (app.auto_show, app.resizable, app.process_affinity) == (False, False, "trading")
    assert app.resource_limits == ResourceLimits(max_memory=Size(500_000_000), max_cpu=50)
    assert manifest.python == "my.feed:run"
    assert manifest.storage == "persistent"
    assert manifest.requires == ("market-data",)
    assert manifest.look.glyph == "art/glyph.svg"
    assert manifest.restart.stable_after == 2.5
    assert manifest.recycle.memory == 400 * 2**20
    assert manifest.folder == "/apps/x"
    assert manifest.page_url == "app://ticker-list/index.html?theme=dark#top"
    assert manifest.origin == "app://ticker-list"


def test_frozen():
    with pytest.raises(AttributeError):
        parsed().storage = "persistent"


def test_a_service_needs_no_page():
    manifest = parse_manifest({"startup_app": {"uuid": "market-data", "name": "Market Data"}, "python": "feed:run"})
    assert manifest.page_url is None and manifest.origin is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://example.org/a?b#c", "https://example.org"),
        ("http://example.org:80/", "http://example.org"),
        ("http://Example.org:8080/", "http://example.org:8080"),
        ("https://user@example.org:443", "https://example.org"),
        ("http://[::1]:8080/x", "http://[::1]:8080"),
    ],
)
def test_origin_of_an_address(url, origin):
    manifest = parsed(url=url)
    assert manifest.page_url == url
    assert manifest.origin == origin


def test_unknown_keys_warn_and_say_what_was_probably_meant():
    manifest = parsed({"recylce": {}, "look": {"shape": 1}, "folder": "/etc", "x": {"y": 1}}, defaultWidht=5)
    assert manifest.folder is None
    assert sorted(manifest.warnings) == [
        "x/app.json: unknown key $.folder",
        "x/app.json: unknown key $.look.shape",
        "x/app.json: unknown key $.recylce; did you mean recycle?",
        "x/app.json: unknown key $.startup_app.defaultWidht; did you mean defaultWidth?",
        "x/app.json: unknown key $.x",
    ]


def test_resource_limits_inside_or_beside_startup_app():
    inside = parsed(resourceLimits={"maxMemory": "1GB"})
    beside = parsed({"resourceLimits": {"maxMemory": "1GB"}})
    assert inside == beside
    assert beside.warnings == ()
    assert refused({"resourceLimits": {}}, resourceLimits={}).detail["where"] == "$.resourceLimits"
    assert refused({"resourceLimits": {"maxCPU": 0}}).detail["where"] == "$.resourceLimits.maxCPU"
    assert parsed({"resourceLimits": {"maxCpu": 5}}).warnings[0].endswith("did you mean maxCPU?")


# --- what is refused --------------------------------------------------------------------------------------------------

ID_WORDS = "lower-case letters, digits and hyphens, at most 63"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("uuid", "Ticker List", ID_WORDS),
        ("uuid", "-a", ID_WORDS),
        ("uuid", "a" * 64, ID_WORDS),
        ("uuid", "a\n", ID_WORDS),
        ("uuid", "", ID_WORDS),
        ("uuid", None, ID_WORDS),
        ("name", "", "text of 1 to 200 characters"),
        ("name", 7, "text of 1 to 200 characters"),
        ("description", [], "text"),
        ("defaultWidth", 99, "a whole number from 100 to 10,000"),
        ("defaultWidth", 10**30, "a whole number from 100 to 10,000"),
        ("defaultHeight", 480.5, "a whole number from 100 to 10,000"),
        ("defaultHeight", "480", "a whole number from 100 to 10,000"),
        ("defaultLeft", 10**7, "a whole number from -100,000 to 100,000, or null"),
        ("autoShow", "yes", "true or false"),
        ("processAffinity", "", "text of 1 to 200 characters, or null"),
        ("resourceLimits", [], "an object"),
    ],
)
def test_wrong_values_of_startup_app(key, value, words):
    error = refused(**{key: value})
    assert error.detail["where"] == f"$.startup_app.{key}"
    assert error.detail["got"] == value
    assert words in error.detail["expected"]


@pytest.mark.parametrize(
    ("extra", "where", "words"),
    [
        ({"python": "feed.py"}, "$.python", 'a Python function as "module:function"'),
        ({"python": "a..b:c"}, "$.python", "a Python function"),
        ({"python": "a:b\n"}, "$.python", "a Python function"),
        ({"storage": "disk"}, "$.storage", '"persistent" or "session"'),
        ({"requires": "market-data"}, "$.requires", "a list"),
        ({"requires": ["market-data", "Market"]}, "$.requires[1]", ID_WORDS),
        ({"requires": ["ticker-list"]}, "$.requires", "other apps than this one"),
        ({"look": {"color": "blue"}}, "$.look.color", 'a color as "#rrggbb"'),
        ({"look": {"color": "#0072b2\n"}}, "$.look.color", "a color"),
        ({"look": {"glyph": "../glyph.svg"}}, "$.look.glyph", "inside the manifest's folder"),
        ({"look": {"glyph": "glyph.png"}}, "$.look.glyph", "an SVG file"),
        ({"restart": {"maxRestarts": -1}}, "$.restart.maxRestarts", "a whole number from 0"),
        ({"restart": {"backoff": 0}}, "$.restart.backoff", "a number above 0"),
        ({"restart": {"maxBackoff": 1e300}}, "$.restart.maxBackoff", "a number above 0"),
        ({"recycle": {"memory": "5 apples"}}, "$.recycle.memory", "a size above zero"),
        ({"recycle": {"memory": 0}}, "$.recycle.memory", "a size above zero"),
        ({"recycle": {"memory": 1.5}}, "$.recycle.memory", "a size above zero"),
        ({"recycle": {"memory": 10**20}}, "$.recycle.memory", "a size below 8 EiB"),
        ({"recycle": {"maxAge": math.nan}}, "$.recycle.maxAge", "a finite number"),
        ({"recycle": {"maxAge": 10**400}}, "$.recycle.maxAge", "a number below 1e308"),
        ({"interop": []}, "$.interop", "an object"),
        ({"interop": {"currentContextGroup": 1}}, "$.interop.currentContextGroup", "the id of a user channel"),
        ({"interop": {"a": [math.inf]}}, "$.interop.a[0]", "a finite number"),
        ({"interop": {"a": "\ud800"}}, "$.interop.a", "Unicode text"),
        ({"interop": {"a": {"\ud800": 1}}}, "$.interop.a", "Unicode text"),
        ({"interop": {"a": {1: 2}}}, "$.interop.a", "keys that are text"),
        ({"interop": {"a": {1, 2}}}, "$.interop.a", "a JSON value"),
    ],
)
def test_wrong_values_beside_startup_app(extra, where, words):
    error = refused(extra)
    assert error.detail["where"] == where
    assert words in error.detail["expected"]


@pytest.mark.parametrize("data", [None, [], "text", 5, True])
def test_not_an_object(data):
    with pytest.raises(ManifestError, match=r"at \$: expected an object; found "):
        parse_manifest(data)


def test_missing_keys():
    for app, where in [
        ({}, "$.startup_app.uuid"),
        ({"uuid": "a"}, "$.startup_app.name"),
        ({"uuid": "a", "name": "A"}, "$.startup_app.url"),
    ]:
        with pytest.raises(ManifestError, match="found nothing") as caught:
            parse_manifest({"startup_app": app})
        assert caught.value.detail["where"] == where


@pytest.mark.parametrize(
    "url",
    [
        *["", "?a", "#a", ".", "./", "..", "../x", "a/../../x", "a/../..", "/x", "//host/x", "\\x", "a\\b", "..\\x"],
        *["%2e%2e/x", "a/%2E%2E/%2e./x", "%2fetc/passwd", "a%5c..%5cx", "x%00", "x\0", "x\n", " x", "x ", "a\tb"],
        *["C:\\x", "file:///etc/passwd", "javascript:1", "data:text/html,x", "app://other/x", "chrome://gpucrash"],
        *["http:", "http:///x", "http:x", "http://[x", "http://h:99999/", "http://h:x/", "https://:80/"],
    ],
)
def test_pages_that_are_refused(url):
    assert refused(url=url).detail["where"] == "$.startup_app.url"


@given(
    st.lists(
        st.sampled_from(["..", ".", "", "a", "b.html", "%2e%2e", "%2E.", "%2f", "%5c", "\\", "/", "//", "~", "c:", "é"])
    ).map("/".join)
    | st.text(max_size=12)
)
def test_no_accepted_page_leaves_its_folder(url):
    try:
        manifest = parsed(url=url)
    except ManifestError:
        return
    if manifest.page_url == url:
        assert urlsplit(url).scheme in ("http", "https")
        return
    # As the file server sees it, and as a browser resolves it.
    inside = posixpath.normpath(posixpath.join("/folder", unquote(urlsplit(url).path)))
    assert inside.startswith("/folder/")
    assert urljoin("http://ticker-list/", url).startswith("http://ticker-list/")
    assert manifest.origin == "app://ticker-list"


def test_parts_made_in_python_are_checked_too():
    app = parsed().startup_app
    with pytest.raises(ValueError, match="inside the manifest's folder"):
        type(app)(uuid="a", name="A", url="../x")
    with pytest.raises(ValueError, match="expected a page, or a `python` function"):
        Manifest(startup_app=type(app)(uuid="a", name="A"))


# --- anything at all --------------------------------------------------------------------------------------------------


def check_clear(error):
    assert error.detail.keys() == {"file", "where", "expected", "got"}
    str(error).encode()
    assert len(str(error)) < 1000
    assert error.detail["where"].startswith("$")
    # It crosses to the kernel by its detail.
    messages.encode(error.detail)


def check_round_trip(manifest):
    assert messages.decode(messages.encode(manifest), Manifest) == manifest


@given(json_values)
def test_any_json_parses_or_says_what_is_wrong(data):
    try:
        check_round_trip(parse_manifest(data))
    except ManifestError as error:
        check_clear(error)


PATHS = [
    *[("startup_app", key) for key in FULL["startup_app"]],
    *[(part, key) for part in ("look", "restart", "recycle", "interop") for key in FULL[part]],
    *[(key,) for key in FULL],
    ("startup_app", "resourceLimits", "maxMemory"),
    ("startup_app", "resourceLimits", "maxCPU"),
    ("extra",),
]


@given(st.lists(st.tuples(st.sampled_from(PATHS), json_values), min_size=1, max_size=3))
def test_a_manifest_with_any_values_put_into_it(changes):
    data = json.loads(json.dumps(FULL))
    for path, value in changes:
        part = data
        for key in path[:-1]:
            part = part.get(key) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part[path[-1]] = value
    try:
        check_round_trip(parse_manifest(data))
    except ManifestError as error:
        check_clear(error)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_file_parses_or_says_what_is_wrong(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_bytes(text)
    try:
        check_round_trip(load_manifest(file))
    except ManifestError as error:
        check_clear(error)
        assert error.detail["file"] == str(file)


@given(
    st.sampled_from(["http://", "https://", "ftp://", "", "http://[", "http://h:"]).flatmap(
        lambda start: st.text(max_size=300).map(lambda rest: start + rest)
    )
)
def test_any_address_becomes_an_app_or_an_error(url):
    try:
        manifest = manifest_for_url(url)
    except ManifestError:
        return
    assert manifest.page_url == url
    check_round_trip(manifest)


def test_the_full_manifest_crosses_the_wire_as_it_is():
    check_round_trip(parse_manifest(FULL, file="x/app.json", folder="/apps/ü"))


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (1, 1),
        ("1", 1),
        ("1B", 1),
        ("500MB", 500_000_000),
        ("500MiB", 524_288_000),
        ("500 mib", 524_288_000),
        (" 1.5GB ", 1_500_000_000),
        ("0.5KiB", 512),
        ("2TB", 2 * 10**12),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["0 MB", "250 MB", "9999 MB", "25.3 GB", "900 TB"])
def test_sizes_in_words(text):
    assert size_in_words(parse_size(text) if text != "0 MB" else 0) == text


@pytest.mark.parametrize(
    "text",
    [
        0,
        -1,
        True,
        1.5,
        None,
        2**63,
        "",
        "MB",
        "5 apples",
        "-5MB",
        "1e5",
        "1,5GB",
        "0MB",
        "0.1B",
        "9" * 500,
        "٣MB",
        "1GB\0",
    ],
)
def test_no_sizes(text):
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


@given(st.integers(1, 10**6), st.sampled_from("KMG"), st.booleans())
def test_units(number, letter, binary):
    base = 1024 if binary else 1000
    text = f"{number}{letter}{'i' * binary}B"
    assert parse_size(text) == number * base ** (" KMG".index(letter))


# --- files ------------------------------------------------------------------------------------------------------------


def written(folder, app_id="ticker-list", text=None):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "app.json"
    data = {"startup_app": APP | {"uuid": app_id}}
    file.write_bytes(json.dumps(data).encode() if text is None else text)
    return file


def unreadable(path, match):
    with pytest.raises(ManifestError, match=match) as caught:
        load_manifest(path)
    check_clear(caught.value)
    return caught.value


def test_a_file_and_its_folder_are_the_same(tmp_path):
    file = written(tmp_path / "a")
    assert load_manifest(file) == load_manifest(file.parent) == load_manifest(str(file))
    assert load_manifest(file).folder == str(file.parent)


def test_a_byte_order_mark_is_read_over(tmp_path):
    file = written(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_manifest(file).app_id == "ticker-list"


GOOD = json.dumps({"startup_app": APP}).encode()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"", "is not JSON: .* line 1, column 1"),
        (b"{\n  'startup_app': 1}", "is not JSON: .* line 2, column 3"),
        (GOOD[:-1], "is not JSON"),
        (GOOD + b"x", "is not JSON: Extra data"),
        (b"\xff" + GOOD, "is not UTF-8"),
        (GOOD.decode().encode("utf-16"), "is not UTF-8"),
        (b'{"startup_app": NaN}', "NaN is no JSON number"),
        (b'{"startup_app": {}, "interop": {"x": 1e999}}', r"at \$\.interop\.x: expected a finite number"),
        (b'{"interop": %s}' % (b"9" * 5000), "is not JSON: Exceeds the limit"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested too deeply"),
        (
            b'{"startup_app": {"uuid": "a", "uuid": "b"}}',
            r'at \$\.startup_app\.uuid: expected each key once; found "b"',
        ),
        (b'{"interop": [{"x": 1, "x": 1}]}', r"at \$\.interop\[0\]\.x: expected each key once"),
    ],
)
def test_files_that_are_no_manifest(tmp_path, text, match):
    unreadable(written(tmp_path, text=text), match)


def test_a_large_file(tmp_path):
    file = written(tmp_path, text=GOOD + b" " * (MAX_FILE - len(GOOD)))
    assert load_manifest(file).app_id == "ticker-list"
    with file.open("ab") as stream:
        stream.write(b" ")
    unreadable(file, "is larger than 1 MiB")


def test_many_unknown_keys_take_no_time(tmp_path):
    data = json.loads(GOOD) | {f"restrat-{number}": 1 for number in range(40_000)}
    assert len(load_manifest(written(tmp_path, text=json.dumps(data).encode())).warnings) == 50


def test_paths_that_are_no_file(tmp_path):
    unreadable(tmp_path / "none.json", "there is no such file")
    unreadable(tmp_path / "none" / "app.json", "there is no such file")
    unreadable(tmp_path, "there is no such file; an app is a folder with an app.json in it")
    unreadable(written(tmp_path / "file") / "app.json", "cannot be read: Not a directory")
    (tmp_path / "x" / "app.json" / "app.json").mkdir(parents=True)
    unreadable(tmp_path / "x", "is not a file")
    unreadable("a\0b", "cannot be read: .*null")
    unreadable("x" * 300, "cannot be read: .*too long")
    unreadable("\udcff.json", "cannot be read")
    os.mkfifo(tmp_path / "pipe")
    unreadable(tmp_path / "pipe", "is not a file")
    unreadable("/dev/zero", "is not a file")
    (tmp_path / "loop").symlink_to("loop")
    unreadable(tmp_path / "loop", "cannot be read: Too many levels of symbolic links")
    unreadable(tmp_path / "loop" / "app.json", "cannot be read")
    with pytest.raises(ManifestError, match="cannot be read"):
        load_manifests(tmp_path / "loop")


def as_ordinary_user(function):
    """Run `function` in a child that has no privilege, and give back what it returns, a text."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            os.write(writer, function().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        text = stream.read().decode()
    os.waitpid(child, 0)
    return text


@pytest.fixture
def open_folder():
    """A folder that other users may enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_files_that_may_not_be_read(open_folder):
    locked, shut = open_folder / "locked", open_folder / "shut"
    written(locked).chmod(0)
    written(shut / "app")
    shut.chmod(0)

    def complaints():
        said = []
        for read, path in [
            (load_manifest, locked),
            (load_manifest, shut / "app"),
            (load_manifests, shut),
            (load_manifests, shut / "app"),
        ]:
            try:
                read(path)
            except ManifestError as error:
                said.append(str(error))
        return "\n".join(said)

    try:
        said = as_ordinary_user(complaints).splitlines()
    finally:
        shut.chmod(0o700)
    assert len(said) == 4
    assert all("cannot be read" in line and "Permission denied" in line for line in said), said


def test_a_glyph_that_is_not_there_is_a_warning_and_one_outside_an_error(tmp_path):
    data = {"startup_app": APP, "look": {"glyph": "glyph.svg"}}
    file = written(tmp_path / "a", text=json.dumps(data).encode())
    assert load_manifest(file).warnings == (f"{file}: at $.look.glyph: there is no file glyph.svg beside the manifest",)
    (tmp_path / "a" / "glyph.svg").write_text("<svg/>")
    assert load_manifest(file).warnings == ()
    (tmp_path / "a" / "glyph.svg").rename(tmp_path / "outside.svg")
    (tmp_path / "a" / "glyph.svg").symlink_to("../outside.svg")
    assert unreadable(file, "not a link out of it").detail["where"] == "$.look.glyph"


def test_folders_of_apps(tmp_path):
    one, two = written(tmp_path / "one", "one"), written(tmp_path / "two", "two")
    (tmp_path / "notes").mkdir()
    (tmp_path / "read.me").write_text("not an app")
    assert list(load_manifests(tmp_path)) == ["one", "two"]
    assert list(load_manifests(two, one.parent)) == ["two", "one"]
    assert list(load_manifests(tmp_path, one, one.parent, tmp_path / "two" / ".." / "one")) == ["one", "two"]
    assert load_manifests() == {}


def test_two_manifests_with_one_uuid(tmp_path):
    one, two = written(tmp_path / "one", "same"), written(tmp_path / "two", "same")
    with pytest.raises(ManifestError, match="is already the uuid of") as caught:
        load_manifests(tmp_path)
    assert str(one) in str(caught.value) and str(two) in str(caught.value)
    check_clear(caught.value)


def test_a_folder_without_apps(tmp_path):
    with pytest.raises(ManifestError, match="no app in this folder"):
        load_manifests(tmp_path)


def test_reading_a_manifest_starts_nothing_heavy():
    heavy = {"PySide6", "webview", "IPython", "asyncio"}
    code = f"import sys, labplatform.manifest; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "set()"
