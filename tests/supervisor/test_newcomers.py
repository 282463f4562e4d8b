"""Processes are found as they are started, whatever else is given a pid, and each once."""

from __future__ import annotations

import os

from support.processes import send, until

from labplatform.supervisor import linux
from labplatform.supervisor import newcomers as module
from labplatform.supervisor.newcomers import Newcomers


def test_a_new_process_is_found_and_its_threads_are_not(spawned):
    newcomers = Newcomers()
    code = """
import subprocess, sys, threading
threads = [threading.Thread(target=sys.stdin.read) for _ in range(5)]
for thread in threads: thread.start()
child = subprocess.Popen(["sleep", "60"])
print(child.pid, *[thread.native_id for thread in threads], flush=True)
"""
    parent = spawned(code)
    child, *threads = map(int, parent.stdout.readline().split())
    try:
        owners = {os.getpid(), parent.pid}
        # None where a busy machine has given out very many meanwhile.
        all_of_them = range(parent.pid, max(child, *threads) + 1)
        found = dict(newcomers.below(owners) or newcomers._processes(all_of_them, owners))
        assert found[parent.pid] == os.getpid() and found[child] == parent.pid
        assert not found.keys() & set(threads)
        assert parent.pid not in dict(newcomers.below(owners) or ())
    finally:
        newcomers.close()
        send(child, 9)


def test_the_pids_given_out_are_all_of_them(spawned):
    newcomers = Newcomers()
    pids = [spawned("import sys; sys.stdin.read()").pid for _ in range(3)]
    seen = newcomers.take()
    newcomers.close()
    assert seen is None or set(pids) <= set(seen)


def test_where_pids_are_too_many_or_not_told_the_trees_are_listed_instead_now_and_then(monkeypatch):
    told = [100]
    monkeypatch.setattr(Newcomers, "_now", lambda self: told[0])
    monkeypatch.setattr(module, "LIST_EVERY", 0.2)
    newcomers = Newcomers()
    told[0] = 103
    assert list(newcomers.take()) == [101, 102, 103]
    told[0] = 103 + module.MOST_NEW + 1
    assert newcomers.take() is None
    told[0] = 5  # they began anew
    assert list(newcomers.take()) == []
    until(lambda: newcomers.take() is None, 5, "the next listing, which is still owed")
    told[0] = 7
    assert list(newcomers.take()) == [6, 7]
    told[0] = -1
    until(lambda: newcomers.take() is None, 5, "a listing where nothing is told")
    assert list(newcomers.take()) == []
    newcomers.close()


def test_what_is_no_process_yet_is_looked_for_once_more(spawned, monkeypatch):
    newcomers = Newcomers()
    pid = spawned("import sys; sys.stdin.read()").pid
    asked = []

    class Late(linux.Stat):
        def __init__(self, pid, text=None):
            asked.append(pid)
            if asked.count(pid) == 1:
                raise FileNotFoundError
            super().__init__(pid, text)

    monkeypatch.setattr(linux, "Stat", Late)
    monkeypatch.setattr(newcomers, "take", lambda: range(pid, pid + 1) if not asked else range(0))
    assert [list(newcomers.below({os.getpid()})) for _ in range(3)] == [[], [(pid, os.getpid())], []]
    assert asked == [pid, pid]
    newcomers.close()
