"""`labplatform run`: apps in the foreground, what is told of them, and that nothing is left however it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal

import pytest
from support.apps import APPS, make_app
from support.processes import runs, until

from labplatform import machine, resources
from labplatform.cli.run import choose
from labplatform.errors import ManifestError, UnknownApp


def _connection_files() -> list:
    return list(machine.runtime_folder().glob("platform-*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_however_it_ends_nothing_is_left(talker, number, code):
    run = talker("run", "--json", APPS / "hello", APPS / "neighbour")
    started = run.told(event="started")
    pids = [run.told(event="state", state="running")["pid"] for _ in range(2)]
    assert _connection_files() and all(map(runs, pids))
    assert run.end(number) == code
    until(lambda: not any(map(runs, [*pids, started["platform"]])), 10, "the platform's end")
    until(lambda: not _connection_files(), 10, "the connection file's end")
    assert not any("Traceback" in line for line in run.said)


def test_an_interrupt_while_apps_start_leaves_nothing(talker):
    run = talker("run", APPS / "hello", APPS / "neighbour")
    run.line(lambda line: "starting 2 apps" in line)
    assert run.end(signal.SIGINT) == 130
    assert not _connection_files()
    assert not any("Traceback" in line for line in run.said)


def test_it_follows_an_app_through_its_crash_to_its_end(talker, cli):
    run = talker("run", APPS / "hello")
    pid = int(run.line(lambda line: "hello  running" in line).split()[-1])
    os.kill(pid, signal.SIGKILL)
    assert "killed" in run.line(lambda line: "hello  running → crashed" in line)
    again = int(run.line(lambda line: "starting → running" in line).split()[-1])
    assert again != pid
    assert cli("stop", "hello").returncode == 0
    run.line(lambda line: "stopping → stopped" in line)
    assert run.end() == 0  # its only window is closed


def test_for_a_while(cli):
    done = cli("run", "--json", "--for", "0.2", APPS / "hello")
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events][:1] == ["started"]
    assert any(event["event"] == "state" and event["state"] == "running" and event["pid"] for event in events)
    assert events[-1]["event"] == "stopped"


def test_a_page_from_the_web(talker, web):
    run = talker("run", web.page("/page.html", "<title>hi</title>hello"))
    name = run.line(lambda line: "  running  " in line).split()[1]
    assert name == "127-0-0-1-page-html"
    assert run.end(signal.SIGINT) == 130


def test_a_page_that_is_not_there_fails_with_its_cause(cli, web):
    address = f"{web.address}/none.html"
    done = cli("run", address)
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last == f"labplatform: {address}: answered with HTTP status 404"


def test_all_apps_of_an_address(cli, web):
    def view(name: str) -> dict:
        url = web.page(f"/{name}.html", f"<title>{name}</title>")
        return {"type": "component", "componentState": {"name": name, "url": url}}

    window = {"layout": {"content": [{"type": "stack", "content": [view("a"), view("b")]}]}, "state": "normal"}
    desk = web.json("/desk.json", {"platform": {"uuid": "desk"}, "snapshot": {"windows": [window]}})
    bad = {"appId": "bad", "title": "Bad", "type": "native", "details": {"path": "/bin/sh"}}
    good = {"appId": "Good", "title": "Good", "type": "web", "details": {"url": web.page("/good.html", "<p>")}}
    web.json("/appd/v2/apps", {"applications": [bad, good]})
    done = cli("run", "--for", "0.2", "--timeout", "60", desk, f"{web.address}/appd", seconds=120)
    assert done.returncode == 0, done.stderr
    running = {line.split()[1] for line in done.stdout.splitlines() if "  running  " in line}
    assert running == {"desk-a", "desk-b", "good"}
    told = done.stderr.splitlines()
    assert f"labplatform: {desk}: of what it says to OpenFin this is not used here: snapshot.windows.state" in told
    assert any("$.applications[0].type: expected" in line and "this record is passed over" in line for line in told)


def test_an_address_that_is_nothing_for_us_says_what_was_tried(cli, web):
    address = web.json("/status", {"up": True})
    done = cli("run", address)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f'labplatform: {address}: is JSON, but not an app.json or OpenFin manifest (with "startup_app" or "platform"), '
        'an app directory\'s record (with "appId"), a list of records, or {"applications": [...]}; '
        f"{address}/v2/apps, where an app directory would be, answered with HTTP status 404\n"
    )


def test_one_that_fails_does_not_hold_up_the_other(cli, web):
    done = cli("run", "--json", "--for", "0.2", f"{web.address}/none.html", APPS / "hello")
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["app"] for event in events if event["event"] == "failed"] == [f"{web.address}/none.html"]
    assert [event["app"] for event in events if event.get("state") == "running"] == ["hello"]


def test_a_bad_manifest_is_one_line(cli, tmp_path):
    file = make_app(tmp_path, "wide", startup_app={"defaultWidth": "wide"}) / "app.json"
    done = cli("run", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"labplatform: {file}: at $.startup_app.defaultWidth: "
        'expected a whole number from 100 to 10,000; found "wide"\n'
    )


def test_an_unknown_name_is_told_with_the_samples(cli):
    done = cli("run", "ticker-lst")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "'ticker-lst'" in done.stderr and "ticker-list" in done.stderr


def test_a_directory_without_apps_is_a_failure(tmp_path, web):
    """There is nothing to run; what else was named runs."""
    file = tmp_path / "apps.json"
    file.write_text('{"applications": []}')
    web.json("/v2/apps", {"applications": []})
    for name in (str(file), web.address):
        chosen = choose([name, "ticker-list"])
        assert [one.app_id for one in chosen.wanted] == ["ticker-list"]
        [(failed, error)] = chosen.failed
        assert failed == name and "without a record" in error.message


@pytest.mark.parametrize(
    "name", ["www.example.org", "example.org/page.html", "localhost:8000", "127.0.0.1:8000/x", "ftp://example.org/x"]
)
def test_an_address_without_its_beginning_is_told_what_it_lacks(name):
    with pytest.raises(UnknownApp, match=r"begins with https:// or http://"):
        choose([name])


@pytest.mark.parametrize("name", ["none.json", "./none", "folder/app.json", "nothing"])
def test_other_names_are_not_taken_for_addresses(name):
    with pytest.raises((UnknownApp, ManifestError)) as caught:
        choose([name])
    assert "https" not in str(caught.value)


def test_what_a_name_means(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples = resources.manifests_folder()
    own = shutil.copytree(samples / "ticker-list", tmp_path / "ticker-list")
    # A bare name is the sample, though there is a folder of that name; with a slash it is the folder.
    (wanted,), *_ = choose(["ticker-list"])
    assert wanted.folder == str(samples / "ticker-list")
    (wanted,), known, *_ = choose(["./ticker-list"])
    assert wanted.folder == str(own)
    # The sample of the same uuid is left out; what it requires is there.
    folders = [one.folder for one in known]
    assert str(samples / "ticker-list") not in folders and str(samples / "market-data") in folders
    wanted = choose([str(samples), "ticker-list"]).wanted
    assert [one.app_id for one in wanted] == [
        "cpu-hog",
        "leaky",
        "market-data",
        "news-feed",
        "order-ticket",
        "ticker-details",
        "ticker-list",
        "ticker-list",
    ]


def test_a_detached_platform_goes_on_and_is_seen_joined_and_ended_by_its_name(cli):
    assert "goes without --for" in cli("run", "--detach", "--for", "1", "ticker-list").stderr
    failed = cli("run", "--detach", "--display", "offscreen", APPS / "raises", seconds=60)
    assert failed.returncode == 1 and "no app is up, so the platform was stopped" in failed.stdout

    one = cli("run", "--detach", "--name", "desk", "--display", "offscreen", APPS / "hello", seconds=60)
    assert one.returncode == 0, one.stderr
    pid = int(re.search(r"platform (\d+) goes on by itself with 1 app\n", one.stdout)[1])
    assert "Platform.attach('desk')" in one.stdout and f"labplatform stop --platform {pid}" in one.stdout
    try:
        seen = cli("ps").stdout
        assert re.search(rf"platform {pid}   desk   isolation process   detached   up ", seen) and "hello" in seen
        (told,) = json.loads(cli("ps", "--json").stdout)
        assert (told["name"], told["detached"], told["apps"][0]["state"]) == ("desk", True, "running")
        taken = cli("run", "--json", "--detach", "--name", "desk", APPS / "hello")
        assert taken.returncode == 1 and "called 'desk' is running already" in taken.stderr
        unknown = cli("stop", "--platform", "disk")
        assert unknown.returncode == 1 and f"is called 'disk'; running: {pid} ('desk', detached)" in unknown.stderr
        assert "is stopped" in cli("stop", "hello", "--platform", "desk").stdout
    finally:
        ended = cli("stop", "--platform", "desk")
    assert f"platform {pid} was stopped" in ended.stdout
