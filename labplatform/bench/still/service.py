"""An app without a window that does nothing until it is asked to stop. Runs in its app host."""

from typing import Any


def run(lab: Any) -> None:
    """Wait."""
    lab.stopping.wait()
