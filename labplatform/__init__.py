"""An interactive lab for multi-process app platforms: each app its own OS process, seen and steered from a notebook."""

from typing import TYPE_CHECKING, Any

from .dacp import AppIdentifier
from .errors import FDC3Error, LabError
from .manifest import Manifest, RecyclePolicy, ResourceLimits, RestartPolicy, load_manifest
from .messages import Heartbeat, IntentOption, IntentQuestion, Reporting

if TYPE_CHECKING:
    from .directory import load_manifests
    from .kernel.app import App
    from .kernel.platform import Platform

__version__ = "0.1.0"

__all__ = [
    "App",
    "AppIdentifier",
    "FDC3Error",
    "Heartbeat",
    "IntentOption",
    "IntentQuestion",
    "LabError",
    "Manifest",
    "Platform",
    "RecyclePolicy",
    "Reporting",
    "ResourceLimits",
    "RestartPolicy",
    "load_manifest",
    "load_manifests",
]


def __getattr__(name: str) -> Any:
    # Supervisor and app hosts import this package too, and must not pay for what only the kernel needs.
    if name == "Platform":
        from .kernel.platform import Platform

        return Platform
    if name == "App":
        from .kernel.app import App

        return App
    if name == "load_manifests":
        from .directory import load_manifests

        return load_manifests
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
