"""Apps from files, folders, OpenFin manifests and FDC3 app directories. Controller (kernel, CLI).

`places` says what a place holds, `source` what it may say, `fetch` gets it; `records` and `openfin` read two formats
into the platform's own manifest.
"""

from .fetch import Bounds
from .places import Found, Place, is_address, is_qualified, load, load_manifests, manifest_for_url

__all__ = ["Bounds", "Found", "Place", "is_address", "is_qualified", "load", "load_manifests", "manifest_for_url"]
