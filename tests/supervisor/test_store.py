"""The store: what it answered for is there, whatever happens to its process or its file."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.ordinary_user import ordinary_user

from labplatform.errors import StoreError
from labplatform.supervisor.store import Store

# Counts up in the store until it is killed, and says each number once it is kept.
COUNTS = """
import asyncio, sys
from pathlib import Path
from labplatform.supervisor.store import Store

async def main():
    store = Store(Path(sys.argv[1]), print)
    store.start()
    number = 0
    while True:
        number += 1
        row = (number, b"x" * 5000)
        await store.write(lambda db: db.execute("REPLACE INTO states VALUES ('s', 'p', 0, ?, ?)", row))
        print(number, flush=True)

asyncio.run(main())
"""


def keep(db: sqlite3.Connection, place: str, text: str) -> None:
    db.execute("REPLACE INTO states VALUES ('session', ?, 0, 0, ?)", (place, text))


def kept(db: sqlite3.Connection, place: str) -> str | None:
    row = db.execute("SELECT state FROM states WHERE place = ?", (place,)).fetchone()
    return row and row[0]


def use(path: Path | None, body) -> list[str]:
    """Run `body(store)` and close the store; returns what it warned of."""
    said: list[str] = []

    async def main() -> None:
        store = Store(path, said.append)
        store.start()
        try:
            await asyncio.wait_for(body(store), 20)
        finally:
            await store.close()
            # What was said on the store's thread comes with the loop's next turn.
            await asyncio.sleep(0)

    asyncio.run(main())
    return said


def put_and_get(path: Path | None) -> list[str]:
    async def body(store: Store) -> None:
        await store.write(keep, "place", "here")
        assert await store.read(kept, "place") == "here"

    return use(path, body)


@pytest.mark.parametrize("times", [3, pytest.param(100, marks=pytest.mark.long)])
def test_what_was_answered_for_survives_sigkill(tmp_path, times):
    path = tmp_path / "store.db"
    for number in range(times):
        with subprocess.Popen([sys.executable, "-c", COUNTS, path], stdout=subprocess.PIPE, text=True) as counter:
            for _ in range(1 + 7 * number % 40):
                last = int(counter.stdout.readline())
            counter.send_signal(signal.SIGKILL)
            last = max([last, *map(int, counter.stdout.read().split())])

        async def body(store: Store, last: int = last) -> None:
            version, state = await store.read(
                lambda db: db.execute("SELECT version, state FROM states WHERE session = 's'").fetchone()
            )
            # The one under way when it was killed may have been kept as well; nobody was told.
            assert last <= version <= last + 1
            assert state == b"x" * 5000

        assert use(path, body) == []


def test_writes_that_wait_are_kept_in_order_and_a_wrong_one_harms_no_other(tmp_path):
    async def body(store: Store) -> None:
        def wrong(db: sqlite3.Connection) -> None:
            keep(db, "place", "undone")
            raise ValueError("wrong")

        works = [store.write(keep, "place", str(number)) for number in range(500)]
        works.insert(250, store.write(wrong))
        done = await asyncio.gather(*works, return_exceptions=True)
        assert [one for one in done if one is not None] == [done[250]]
        assert isinstance(done[250], ValueError)
        assert await store.read(kept, "place") == "499"

    assert use(tmp_path / "store.db", body) == []


def test_a_damaged_store_is_kept_aside_and_said(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(os.urandom(20_000))
    damage = path.read_bytes()
    (said,) = put_and_get(path)
    assert "was damaged" in said
    (aside,) = tmp_path.glob("store.db.damaged-*")
    assert aside.name in said and aside.read_bytes() == damage
    assert put_and_get(path) == [], "the new one is sound"


def test_a_store_in_the_middle_of_which_bytes_were_overwritten_is_damaged(tmp_path):
    path = tmp_path / "store.db"

    async def body(store: Store) -> None:
        for number in range(200):
            await store.write(keep, f"place-{number}", "x" * 500)

    use(path, body)
    with path.open("r+b") as file:
        file.seek(20_000)
        file.write(os.urandom(40_000))
    (said,) = put_and_get(path)
    assert "was damaged" in said


def test_where_no_file_can_be_the_memory_serves_and_it_is_said(tmp_path):
    (tmp_path / "file").touch()
    (said,) = put_and_get(tmp_path / "file" / "store.db")
    assert "cannot be used" in said and "in memory" in said
    assert put_and_get(None) == []


def test_a_store_that_is_damaged_while_it_is_used_refuses_and_a_new_one_begins_next_time(tmp_path):
    """Nothing but a `StoreError` comes of it: its thread goes on, and so does the platform."""
    path = tmp_path / "store.db"

    async def body(store: Store) -> None:
        for number in range(200):
            await store.write(keep, f"place-{number}", "x" * 2000)
        # So that what is read next comes from the file.
        await store.read(lambda db: db.execute("PRAGMA cache_size=0"))
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.write(os.urandom(size))
        for wal in tmp_path.glob("*-wal"):
            wal.write_bytes(os.urandom(wal.stat().st_size))
        outcomes = []
        for number in range(200):
            try:
                outcomes.append(await store.read(kept, f"place-{number}") == "x" * 2000)
                await store.write(keep, f"more-{number}", "y")
            except StoreError as error:
                assert str(path) in str(error)
                outcomes.append(False)
        assert False in outcomes

    use(path, body)
    (said,) = put_and_get(path)
    assert "was damaged" in said


READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
from labplatform.supervisor.store import Store

def keep(db):
    db.execute("REPLACE INTO states VALUES ('s', 'p', 0, 0, 'here')")

async def main(path):
    said = []
    store = Store(path, said.append)
    store.start()
    await store.write(keep)
    print(await store.read(lambda db: db.execute("SELECT state FROM states").fetchone()[0]), *said, sep="|")
    await store.close()

folder = Path.home() / "store"
folder.mkdir()
asyncio.run(main(folder / "sound.db"))
sound = (folder / "sound.db").read_bytes()
folder.chmod(0o500)
asyncio.run(main(folder / "new.db"))
asyncio.run(main(folder / "sound.db"))
folder.chmod(0o700)
(folder / "sound.db").chmod(0o400)
asyncio.run(main(folder / "sound.db"))
print((folder / "sound.db").read_bytes() == sound, sorted(os.listdir(folder)))
"""


def test_where_an_ordinary_user_may_not_write_the_memory_serves(tmp_path_factory):
    """A folder that is read-only, without a store in it and with one; and a file that is."""
    with ordinary_user(tmp_path_factory) as user:
        done = user.run("-c", READ_ONLY)
        assert done.returncode == 0, done.stderr
        first, *others, last = done.stdout.splitlines()
        assert first == "here"
        assert last == "True ['sound.db']"
        assert len(others) == 3
        for line, name in zip(others, ("new.db", "sound.db", "sound.db"), strict=True):
            value, said = line.split("|")
            assert value == "here"
            assert f"store/{name} cannot be used: " in said and "in memory" in said


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    (said,) = put_and_get(path)
    assert "newer labplatform" in said
    assert path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which takes root")
def test_a_full_disk_refuses_what_does_not_fit_and_keeps_the_rest(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:

        async def body(store: Store) -> None:
            await store.write(keep, "small", "here")
            with pytest.raises(StoreError, match="disk is full"):
                for number in range(50):
                    await store.write(keep, f"large-{number}", "x" * 200_000)
            assert await store.read(kept, "small") == "here"

        assert use(folder / "store.db", body) == []

        async def again(store: Store) -> None:
            assert await store.read(kept, "small") == "here"
            assert await store.read(kept, "large-0") == "x" * 200_000

        assert use(folder / "store.db", again) == []
    finally:
        subprocess.run(["umount", folder], check=True)


def test_two_platforms_may_write_one_store(tmp_path):
    path = tmp_path / "store.db"

    async def body(store: Store) -> None:
        other = Store(path, lambda text: pytest.fail(text))
        other.start()
        try:
            for number in range(100):
                await asyncio.gather(store.write(keep, "one", str(number)), other.write(keep, "two", str(number)))
            assert (await store.read(kept, "two"), await other.read(kept, "one")) == ("99", "99")
        finally:
            await other.close()

    assert use(path, body) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_many_may_open_one_store_at_the_same_time(tmp_path, damaged):
    for number in range(10):
        path = tmp_path / f"{number}.db"
        if damaged:
            path.write_bytes(os.urandom(20_000))
        said: list[str] = []

        async def main(path: Path = path, said: list[str] = said) -> None:
            stores = [Store(path, said.append) for _ in range(6)]
            for store in stores:
                store.start()
            await asyncio.gather(*(store.write(keep, str(n), str(n)) for n, store in enumerate(stores)))
            for store in stores:
                assert [await store.read(kept, str(n)) for n in range(6)] == list("012345")
            await asyncio.gather(*(store.close() for store in stores))

        asyncio.run(main())
        assert len(said) == damaged, said
        assert len(list(tmp_path.glob(f"{number}.db.damaged-*"))) == damaged


def test_nobody_else_can_read_it(tmp_path):
    put_and_get(tmp_path / "of" / "mine" / "store.db")
    folder = tmp_path / "of" / "mine"
    assert {path.stat().st_mode & 0o077 for path in [folder, *folder.iterdir()]} == {0}
