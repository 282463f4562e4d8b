"""Who may launch what: an app gets no more than is good for the others."""

from types import SimpleNamespace

import pytest

from labplatform.capacity import Capacity
from labplatform.errors import LaunchError
from labplatform.manifest import parse_manifest
from labplatform.supervisor.launching import RESERVE, USUAL_MEMORY, Launching
from labplatform.supervisor.slot import Slot

MEMORY = 8 << 30


@pytest.mark.parametrize("container", [(), ("memory",)])
def test_the_last_memory_is_not_for_an_app_to_take(container):
    """A person is warned, and may; an app that opens others is told that it did not work, and the log says why."""
    manifest = parse_manifest(
        {"startup_app": {"uuid": "one", "name": "One", "url": "https://example.org/"}}, file="one"
    )
    left = USUAL_MEMORY + int(MEMORY * RESERVE) - 1
    capacity = Capacity(memory=MEMORY, memory_left=left, cores=2, container=container)
    watch = SimpleNamespace(metrics=SimpleNamespace(capacity=capacity))
    platform = SimpleNamespace(slots={}, stopping=False, watch=watch)
    with pytest.raises(LaunchError, match=f"{'container' if container else 'machine'} has {left >> 20} MiB") as caught:
        Launching(platform).begin(manifest, 30, opener=Slot("opener", manifest))
    assert "stop other apps first" in str(caught.value) and not platform.slots
