"""Which boundary works here, as JSON on standard output: for `labplatform doctor`. A process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import choose


def main() -> None:
    found = choose("auto", Path())
    sys.stdout.write(json.dumps({"kind": found.kind, "why": found.why}))


if __name__ == "__main__":
    main()
