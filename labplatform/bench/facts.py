"""What machine the figures come from; without it they mean nothing. Runs in the bench's process."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from .. import machine
from .rivals import chromium_version

PACKAGES = ("labplatform", "PySide6-Essentials", "pywebview", "websockets", "msgspec")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def facts() -> dict[str, Any]:
    """The machine, as JSON values. Memory in bytes, load as the averages of 1, 5 and 15 minutes."""
    memory = psutil.virtual_memory()
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": memory.total,
        "memory_available": memory.available,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "chromium": chromium_version(),
        "load": list(os.getloadavg()),
        "display": "offscreen",
        "notes": list(machine.chromium_flags()[1]),
    }


def as_text(about: dict[str, Any]) -> str:
    """The same for people."""
    packages = about["packages"]
    return "\n".join(
        [
            f"labplatform {packages['labplatform']} bench, {about['time']}",
            f"{about['cores']} cores, {about['memory'] / 1e9:.1f} GB of memory "
            f"({about['memory_available'] / 1e9:.1f} GB free), {about['kernel']}, "
            f"load {' '.join(f'{load:.2f}' for load in about['load'])}",
            f"Python {about['python']}, PySide6 {packages['PySide6-Essentials']}, pywebview {packages['pywebview']}, "
            f"{about['chromium'] or 'no Chromium'}, windows off screen",
            *about["notes"],
        ]
    )
