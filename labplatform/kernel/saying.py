"""A line for the person who runs the code. Kernel."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """One line for the person: on the cell's output in a notebook, else on standard error."""
    ipython = sys.modules.get("IPython")
    in_notebook = ipython is not None and type(ipython.get_ipython()).__name__ == "ZMQInteractiveShell"
    print(line, file=sys.stdout if in_notebook else sys.stderr)
