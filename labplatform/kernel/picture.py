"""A picture of an app's window, as a notebook shows it and a script saves it. Kernel."""

from __future__ import annotations

from pathlib import Path

from .. import messages as m


class Screenshot:
    """PNG bytes of a window at one moment. `width` and `height` in pixels."""

    def __init__(self, picture: m.Picture, title: str) -> None:
        self.data = picture.data
        self.width = picture.width
        self.height = picture.height
        self.title = title

    def save(self, path: str | Path) -> Path:
        """Write the PNG to a file and return its path."""
        path = Path(path)
        path.write_bytes(self.data)
        return path

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> tuple[dict, dict]:
        size = {"width": self.width, "height": self.height}
        return {"image/png": self.data, "text/plain": repr(self)}, {"image/png": size}

    def __repr__(self) -> str:
        return f"<Screenshot of {self.title}, {self.width} x {self.height}>"
