"""Says which tier of limits works here, as one line of JSON: `python -m labplatform.supervisor.limits`. For `doctor`.

It is tried, not concluded: the tier is opened as a platform would, in a process of its own, and closed again.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from ... import messages as m
from . import choose, enforcement


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="labplatform-limits-") as folder:
        tier, why = await choose("auto", Path(folder))
        await tier.close()
    print(m.encode(enforcement(tier, why)).decode())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
