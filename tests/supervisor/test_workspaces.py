"""What a workspace makes of what it finds: on the platform, in its manifests, in the store. Pure but for the store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from labplatform import messages as m
from labplatform.errors import StoreError, WorkspaceError
from labplatform.manifest import Manifest, ResourceLimits, parse_manifest
from labplatform.supervisor import workspaces
from labplatform.supervisor.keeping import Keeping, Saved
from labplatform.supervisor.lifecycle import Life, State
from labplatform.supervisor.slot import Slot
from labplatform.supervisor.store import Store
from labplatform.supervisor.workspaces import Workspaces, _required_first


def manifest(uuid: str, folder: str | None = None, **keys: Any) -> Manifest:
    startup = {"uuid": uuid, "name": uuid.title(), "url": "https://example.org/" if folder is None else "index.html"}
    return parse_manifest({"startup_app": startup, **keys}, folder=folder)


def slot_of(app: Manifest, name: str = "", state: State = State.RUNNING, **life: Any) -> Slot:
    slot = Slot(name or app.uuid, app)
    slot.life = Life(state=state, **life)
    return slot


class Platform(SimpleNamespace):
    """As much of a supervisor as workspaces see; what is begun is up at once, unless it is in `broken`."""

    def __init__(self, store: Store, *slots: Slot, **manifests: Manifest) -> None:
        order = SimpleNamespace(session="session", isolation="process")
        said: list[str] = []
        log = SimpleNamespace(remark=lambda text, **about: said.append(text))
        super().__init__(order=order, log=log, said=said, launching=self, manifests=manifests)
        self.slots = {slot.name: slot for slot in slots}
        self.keeping = Keeping(self, store)
        self.workspaces = Workspaces(self, store)

    def user_channel(self, slot: Slot) -> str | None:
        return slot.user_channel

    def begin(self, manifest: Manifest, timeout: float, *, placement: Any, place: str, prepare: Any) -> Slot:
        slot = slot_of(manifest, place)
        prepare(slot)
        self.slots[place] = slot
        return slot

    async def finish(self, slot: Slot, seconds: float) -> None:
        await asyncio.sleep(0)


def use(path: Path | None, body: Any, *slots: Slot, **manifests: Manifest) -> Any:
    """Run `body(platform)` with a store in this file."""

    async def main() -> Any:
        store = Store(path, lambda text: None)
        store.start()
        try:
            return await asyncio.wait_for(body(Platform(store, *slots, **manifests)), 20)
        finally:
            await store.close()

    return asyncio.run(main())


def test_each_that_runs_stands_for_one_and_its_own_place_first(tmp_path):
    app, other = manifest("hello"), manifest("other")

    async def save(platform: Platform) -> None:
        await platform.workspaces.save("two")

    use(tmp_path / "store.db", save, slot_of(app), slot_of(app, "hello-2"), slot_of(other))

    async def restore(platform: Platform) -> None:
        done = await platform.workspaces.restore("two", "keep", 1)
        assert done.kept == ("hello-3", "hello-2") and not done.failed
        assert [one.place for one in done.apps] == ["hello-3", "hello-2", "other"]
        assert list(platform.slots) == ["gone", "hello-2", "hello-3", "hello-7", "other"]
        # Twice at once doubles nothing either.
        platform.slots.clear()
        await asyncio.gather(*(platform.workspaces.restore("two", "keep", 1) for _ in range(2)))
        assert sorted(platform.slots) == ["hello", "hello-2", "other"]

    there = [
        slot_of(other, "gone", State.STOPPING),
        slot_of(app, "hello-2"),
        slot_of(app, "hello-3", State.BACKING_OFF),
        slot_of(app, "hello-7"),
    ]
    use(tmp_path / "store.db", restore, *there)


def test_only_what_is_up_or_comes_back_by_itself_is_kept(tmp_path):
    async def body(platform: Platform) -> None:
        saved = await platform.workspaces.save("one")
        assert [app.place for app in saved.apps] == ["a", "b", "c"]
        platform.slots = {"d": platform.slots["d"]}
        with pytest.raises(WorkspaceError, match="no app is up"):
            await platform.workspaces.save("one")
        assert await platform.workspaces.all() == [saved]

    slots = [
        slot_of(manifest("a"), state=State.BACKING_OFF),
        slot_of(manifest("b"), state=State.STOPPING, start_again=True),
        slot_of(manifest("c"), state=State.STARTING),
        slot_of(manifest("d"), state=State.STOPPED),
        slot_of(manifest("e"), state=State.FAILED),
        slot_of(manifest("f"), state=State.STOPPING),
    ]
    use(tmp_path / "store.db", body, *slots)


def test_an_app_is_as_it_is_on_disk_now_or_else_as_it_was(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    limits = ResourceLimits(max_processes=7)

    async def save(platform: Platform) -> None:
        for slot in platform.slots.values():
            slot.limits = limits
        await platform.workspaces.save("all")

    slots = [slot_of(manifest(name, str(here))) for name in ("same", "elsewhere", "unknown")]
    use(tmp_path / "store.db", save, *slots, slot_of(manifest("moved", str(tmp_path / "away"))))

    async def restore(platform: Platform) -> dict[str, Manifest]:
        await platform.workspaces.restore("all", "keep", 1)
        return {name: slot.manifest for name, slot in platform.slots.items()}

    newer = {"restart": {"maxRestarts": 42}}
    known = {
        "same": manifest("same", str(here), **newer),
        "elsewhere": manifest("elsewhere", str(there), **newer),
        "moved": manifest("moved", str(there), **newer),
    }
    found = use(tmp_path / "store.db", restore, **known)
    assert {name: app.restart.max_restarts for name, app in found.items()} == {
        "same": 42,  # edited since
        "elsewhere": 5,  # another app of that name
        "moved": 42,  # its folder is another now
        "unknown": 5,
    }
    assert {app.startup_app.resource_limits for app in found.values()} == {limits}
    assert (found["elsewhere"].folder, found["moved"].folder) == (str(here), str(there))


def test_what_others_require_is_begun_before_them():
    parts = [
        workspaces.Part(place=app.uuid, kept=workspaces.Kept(manifest=app))
        for app in (manifest("list", requires=["feed"]), manifest("news"), manifest("feed"))
    ]
    assert [part.place for part in _required_first(parts)] == ["feed", "list", "news"]


def test_states_come_along_but_do_not_set_back_what_an_app_has_for_good(tmp_path):
    session, lasting = slot_of(manifest("one")), slot_of(manifest("two", storage="persistent"))
    lasting.persistent = "two"

    async def body(platform: Platform) -> None:
        keeping = platform.keeping
        keeping.give(session, Saved(1.0, 3), b'"of its place"')
        await platform._store_write(("", "two"), 2.0, b'"its own"')
        saved = await platform.workspaces.save("both")
        assert [(app.state_size, app.state_at) for app in saved.apps] == [(14, 1.0), (9, 2.0)]
        await platform._store_write(("", "two"), 5.0, b'"its own, later"')
        platform.slots.clear()
        await platform.workspaces.restore("both", "keep", 1)
        one, two = platform.slots["one"], platform.slots["two"]
        two.persistent = "two"
        await keeping.look_up(two)
        told = [keeping.restored(slot, 0.0) for slot in (one, two)]
        assert [(one.after, one.version) for one in told] == [("workspace", 3), ("workspace", 0)]
        assert told[0].age > told[1].age > 1e9

    async def with_store(platform: Platform) -> None:
        store = platform.keeping._store

        def put(db: Any, key: tuple[str, str], at: float, state: bytes) -> None:
            db.execute("REPLACE INTO states VALUES (?, ?, ?, 0, ?)", (*key, at, state))

        platform._store_write = lambda *row: store.write(put, *row)
        await body(platform)

    use(tmp_path / "store.db", with_store, session, lasting)


def test_what_an_app_has_for_good_is_put_aside_for_longer_than_the_session(tmp_path):
    app = slot_of(manifest("one", storage="persistent"))
    app.persistent = "one"

    async def body(platform: Platform) -> None:
        keeping = platform.keeping

        def put(db: Any) -> None:
            db.execute("REPLACE INTO states VALUES ('', 'one', 2.0, 7, '\"its own\"')")

        await keeping._store.write(put)
        await keeping.look_up(app)
        keeping.set_aside(app, "it crashed of it")
        keeping.end()
        aside = await keeping.aside("one")
        assert (aside.why, aside.version, bytes(aside.state)) == ("it crashed of it", 7, b'"its own"')

    use(tmp_path / "store.db", body, app)


@pytest.mark.parametrize(
    "column, value",
    [("data", "torn"), ("data", b"\xff"), ("data", "{}"), ("state", "[1"), ("saved", "soon"), ("place", "../../other")],
)
def test_a_damaged_row_is_said_and_costs_the_others_nothing(tmp_path, column, value):
    def damage(db: Any) -> None:
        db.execute(
            f"UPDATE workspace_apps SET saved = 1, version = 0, state = '1', {column} = ? WHERE position = 0", (value,)
        )

    async def body(platform: Platform) -> None:
        await platform.workspaces.save("all")
        await platform.workspaces._store.write(damage)
        ((bad, good),) = [one.apps for one in await platform.workspaces.all()]
        assert "damaged" in bad.problem and not good.problem
        msgspec.json.decode(m.encode(await platform.workspaces.all()), type=list[m.Workspace])
        platform.slots.clear()
        done = await platform.workspaces.restore("all", "keep", 1)
        assert list(platform.slots) == ["sound"] and list(done.failed) == [bad.place]

    use(tmp_path / "store.db", body, slot_of(manifest("hurt")), slot_of(manifest("sound")))


def test_without_a_store_on_disk_there_are_none(tmp_path):
    async def body(platform: Platform) -> None:
        for call in (platform.workspaces.save("x"), platform.workspaces.all(), platform.workspaces.delete("x")):
            with pytest.raises(StoreError, match="there are no workspaces here"):
                await call

    (tmp_path / "file").touch()
    for path in (None, tmp_path / "file" / "store.db"):
        use(path, body, slot_of(manifest("one")))
