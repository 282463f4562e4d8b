"""`labplatform doctor`: the report of `doctor`, and with `--launch` an app to read the sandbox from. CLI process."""

from __future__ import annotations

import argparse
import sys

from .. import doctor
from ..messages import SandboxInfo
from ..resources import manifests_folder

PROBE = "news-feed"
LAUNCH_SECONDS = 30.0


def main(options: argparse.Namespace) -> int:
    report = doctor.report(_launch if options.launch else None)
    print(doctor.as_json(report) if options.json else doctor.as_text(report))
    return report.exit_code


def _launch() -> SandboxInfo:
    from ..kernel.platform import Platform

    print(f"labplatform: starting {PROBE} to read its renderer's sandbox …", file=sys.stderr, flush=True)
    # The app alone, without what it would ask to be launched along with it: an empty page has the same sandbox.
    with Platform(manifests_folder() / PROBE, alongside=True, quiet=True) as platform:
        return platform.launch(PROBE, timeout=LAUNCH_SECONDS).sandbox
