"""pywebview's Qt module, `backend`, with PySide6 under it and not all of qtpy. Runs in the host, before any other Qt.

pywebview takes some thirty of Qt's classes from qtpy, whose modules take everything from their binding by `import *`.
PySide6 makes a class when it is first asked for, and would then make all of them: a third of the CPU that a host's
imports cost, and 12 MB in every app. So PySide6's own modules stand where pywebview looks for qtpy's.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtNetwork, QtWebChannel, QtWebEngineCore, QtWebEngineWidgets, QtWidgets


class _Both(ModuleType):
    """Two of Qt 6's modules as the one of Qt 5 that qtpy makes of them."""

    def __init__(self, name: str, first: ModuleType, second: ModuleType) -> None:
        super().__init__(name)
        self._modules = (first, second)

    def __getattr__(self, name: str) -> Any:
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"neither {self._modules[0].__name__} nor {self._modules[1].__name__} has {name}")


for _module in (
    *(QtCore, QtGui, QtNetwork, QtWebChannel, QtWebEngineCore),
    ModuleType("QtDataVisualization"),  # qtpy itself imports it, and with it two of Qt's libraries that nobody uses
    _Both("QtWidgets", QtWidgets, QtGui),
    _Both("QtWebEngineWidgets", QtWebEngineWidgets, QtWebEngineCore),
):
    sys.modules.setdefault(f"qtpy.{_module.__name__.rpartition('.')[2]}", _module)

from webview.platforms import qt as backend  # noqa: E402, F401 - what stands above is for this
