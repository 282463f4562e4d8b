"""pywebview runs on PySide6's own modules in an app host, and none of qtpy's are filled for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

LOOK = """
import json, sys
from labplatform.apphost.qt.backend import backend
import PySide6.QtCore, PySide6.QtGui, PySide6.QtWidgets
print(json.dumps({
    "of qtpy": [
        name for name, module in sys.modules.items()
        if name.startswith("qtpy.Qt") and "qtpy" in (getattr(module, "__file__", None) or "")
    ],
    "core": backend.QtCore is PySide6.QtCore,
    "action": backend.QAction is PySide6.QtGui.QAction,
    "page": backend.QWebPage.__module__,
    "made": sum(isinstance(value, type) for value in vars(PySide6.QtWidgets).values()),
    "there": len(dir(PySide6.QtWidgets)),
}))
"""


def test_pywebview_takes_what_it_needs_and_no_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], env=os.environ | {"QT_API": "pyside6"}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["of qtpy"] == []
    assert seen["core"] and seen["action"]
    assert seen["page"] == "PySide6.QtWebEngineCore"
    assert seen["made"] < seen["there"] / 3, seen
