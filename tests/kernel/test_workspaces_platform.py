"""Workspaces: what was on one platform is there on another, and nothing is doubled, lost or half done in silence."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.apps import APPS, QUICK, make_app
from support.processes import Ground, until

from labplatform import LabError, Platform, ResourceLimits
from labplatform.errors import StoreError, UnknownWorkspace, WorkspaceError

WHERE = """Promise.all([
    lab.getState(),
    lab.restored && lab.restored.after,
    fdc3.getCurrentChannel().then((channel) => channel && channel.id),
])"""


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """See `nothing_left_by_module`."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspaces")


def platform_of(folder: Path, *places: Any, **options: Any) -> Platform:
    fixed = {"display": "offscreen", "alongside": True, "heartbeat": QUICK, "store": folder / "store.db", "quiet": True}
    return Platform(*places, **(fixed | options))


@pytest.fixture(scope="module")
def lab(folder: Path, _clean: None) -> Iterator[Platform]:
    """A platform that has never heard of the app `guest`, where the workspace "morning" was saved on another."""
    with platform_of(folder, APPS) as first:
        hello = first.launch("hello", resource_limits=ResourceLimits(max_processes=90))
        guest = first.launch(make_app(folder, "guest"))
        hello.evaluate_js("lab.saveState('kept').then(() => fdc3.joinUserChannel('fdc3.channel.3')).then(() => null)")
        hello.set_resource_limits(max_processes=80)
        saved = first.save_workspace("morning")
        assert [(app.place, app.user_channel, app.state_size, app.limits.max_processes) for app in saved.apps] == [
            ("hello", "fdc3.channel.3", 6, 80),
            ("guest", None, None, None),
        ]
        assert first.workspaces == (saved,) and repr(saved) == "<Workspace 'morning': hello, guest>"
        until(lambda: first.save_workspace("morning").apps[1].bounds, 10, "the place of its window")
        # What is saved later does not reach what was saved before.
        hello.evaluate_js("lab.saveState('of no worth')")
        guest.stop()
    with platform_of(folder, APPS, quiet=False) as second:
        yield second


def change(folder: Path, sql: str, *rows: tuple[Any, ...]) -> None:
    """Change the store behind everybody's back."""
    db = sqlite3.connect(folder / "store.db", timeout=10)
    with db:
        db.executemany(sql, rows or [()])
    db.close()


def test_a_workspace_is_there_on_another_platform(lab, capfd):
    (morning,) = lab.workspaces
    assert str(morning).startswith("morning, saved 20") and str(morning).endswith(": hello, guest")
    hello, guest = lab.restore_workspace("morning", timeout=60)
    assert (hello.name, guest.name, "guest" in lab.manifests) == ("hello", "guest", False)
    assert hello.evaluate_js(WHERE) == ["kept", "workspace", "fdc3.channel.3"]
    assert hello.evaluate_js("lab.restored.age") > 0
    assert guest.evaluate_js(WHERE) == [None, "workspace", None]
    assert (hello.limits.max_processes, guest.limits.max_processes) == (80, None)
    said = capfd.readouterr().err
    assert "workspace 'morning': 2 of its 2 apps are being launched" in said and "is up (2 of 2)" in said


def test_what_runs_already_is_not_doubled_and_not_touched(lab):
    hello, guest = lab["hello"], lab["guest"]
    hello.evaluate_js("lab.saveState('later').then(() => fdc3.joinUserChannel('fdc3.channel.6')).then(() => null)")
    before = hello.incarnation
    guest.stop()
    assert lab.restore_workspace("morning", timeout=60) == [hello, guest]
    assert (hello.incarnation, guest.state, len(lab.apps)) == (before, "running", 2)
    assert hello.evaluate_js(WHERE) == ["later", "workspace", "fdc3.channel.6"]
    assert any("hello runs already, and is left as it is" in entry.text for entry in hello.events)

    # Unless that is wanted: then each is as it was kept.
    assert lab.restore_workspace("morning", timeout=60, running="restart") == [hello, guest]
    assert (hello.incarnation, len(lab.apps)) == (before + 1, 2)
    assert hello.evaluate_js(WHERE) == ["kept", "workspace", "fdc3.channel.3"]


def test_what_does_not_come_up_is_named_and_the_rest_stays(lab, folder):
    lab.save_workspace("evening")
    hello, guest = lab["hello"], lab["guest"]
    guest.stop()
    shutil.rmtree(folder / "guest")
    with pytest.raises(
        WorkspaceError, match=r"'evening' is not there as a whole\. Up: hello\. Not up: guest: "
    ) as raised:
        lab.restore_workspace("evening", timeout=60)
    assert list(raised.value.detail["failed"]) == ["guest"] and hello.state == "running"
    change(folder, "UPDATE workspace_apps SET data = 'torn' WHERE workspace = 'evening' AND place = 'guest'")
    evening, _ = lab.workspaces
    assert str(evening).endswith(": hello, guest (damaged)") and "damaged" in evening.apps[1].problem
    with pytest.raises(WorkspaceError, match="guest: what the store holds of it is damaged"):
        lab.restore_workspace("evening")
    lab.delete_workspace("evening")
    assert [one.name for one in lab.workspaces] == ["morning"] and hello.state == "running"


@pytest.mark.parametrize("name", ["", " x", "x ", "two\nlines", "x" * 81, "\x00"])
def test_what_is_no_name(lab, name):
    for call in (lab.save_workspace, lab.restore_workspace, lab.delete_workspace):
        with pytest.raises(ValueError, match="1 to 80 printable characters"):
            call(name)


def test_names_that_nobody_has_given(lab):
    for call in (lab.restore_workspace, lab.delete_workspace):
        with pytest.raises(UnknownWorkspace, match=r"no workspace is called 'Morning'; there are: 'morning'"):
            call("Morning")
    with pytest.raises(TypeError, match="is a text"):
        lab.save_workspace(7)
    with pytest.raises(ValueError, match='"keep" or "restart"'):
        lab.restore_workspace("morning", running="twice")


def test_too_many_and_none_at_all(lab, folder, tmp_path):
    change(folder, "INSERT INTO workspaces VALUES (?, 'never', 'process')", *((f"w{number}",) for number in range(99)))
    with pytest.raises(WorkspaceError, match="100 workspaces are kept already, and 'noon' would be one more"):
        lab.save_workspace("noon")
    assert len(lab.workspaces) == 100 and lab.save_workspace("w7").apps
    change(folder, "DELETE FROM workspaces WHERE name LIKE 'w%'")
    with platform_of(folder, APPS) as empty:
        with pytest.raises(
            WorkspaceError, match="no app is up on this platform, so there is nothing to keep as 'morning'"
        ):
            empty.save_workspace("morning")
        assert len(empty.workspaces[0].apps) == 2
    (tmp_path / "file").touch()
    with platform_of(tmp_path / "file", APPS) as forgetful:
        for call in (lambda: forgetful.workspaces, lambda: forgetful.save_workspace("x")):
            with pytest.raises(StoreError, match=r"there are no workspaces here: .* cannot be used"):
                call()
        with pytest.raises(LabError, match="in memory"):
            forgetful.restore_workspace("morning")
