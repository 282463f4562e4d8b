"""Who observes, and which changes it hears of, while those before are still to be told."""

from __future__ import annotations

import threading

import pytest
import traitlets

from labplatform.kernel.observers import Observable, ObserverThread


class Thing(Observable):
    x = traitlets.Int()


@pytest.fixture
def busy():
    """A thing whose observers' thread has something to do until the event is set."""
    thing, free = Thing(), threading.Event()
    thing._observers = ObserverThread()
    thing._observers.submit(lambda: free.wait(10))
    yield thing, free
    free.set()
    thing._observers.stop()


def test_an_observer_hears_of_what_changes_from_then_on(busy):
    thing, free = busy
    heard: list[int] = []
    thing.x = 1
    thing.observe(lambda change: heard.append(change["new"]), "x")
    thing.x = 2
    thing.x = 3
    free.set()
    thing._observers.stop()
    assert heard == [2, 3]


def test_who_observes_no_more_hears_nothing(busy):
    thing, free = busy
    heard: list[int] = []

    def note(change):
        heard.append(change["new"])

    thing.observe(note, "x")
    thing.x = 1
    thing.unobserve(note, "x")
    thing.unobserve(note, "x")
    thing.x = 2
    free.set()
    thing._observers.stop()
    # Changed while it did observe; told later.
    assert heard == [1]
