"""`app://<app-id>/`: a stable, secure origin for each app, served from its own folder. Runs on the host's GUI thread.

No port and no server: the same origin after every restart, so that storage stays, and one that no other app can ask.
Which file a path names is `files`' to say.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from PySide6 import QtCore
from PySide6.QtWebEngineCore import QWebEngineUrlRequestJob, QWebEngineUrlScheme, QWebEngineUrlSchemeHandler

from ..files import find

Error = QWebEngineUrlRequestJob.Error


def register_scheme() -> None:
    """Make `app:` a scheme like https. Call before the application exists.

    Not a local scheme: pages of one would all have the origin `null`.
    """
    scheme = QWebEngineUrlScheme(b"app")
    flag = QWebEngineUrlScheme.Flag
    scheme.setSyntax(QWebEngineUrlScheme.Syntax.Host)
    scheme.setFlags(flag.SecureScheme | flag.CorsEnabled | flag.FetchApiAllowed | flag.ServiceWorkersAllowed)
    QWebEngineUrlScheme.registerScheme(scheme)


class FolderHandler(QWebEngineUrlSchemeHandler):
    """Serves `app://<app-id>/path` from that app's folder, to pages of that app only."""

    def __init__(self, folder_for: Callable[[str, str], str | None]) -> None:
        super().__init__()
        self._folder_for = folder_for

    def requestStarted(self, job: Any) -> None:
        """Answer one request; Qt calls this."""
        parts = urlsplit(job.requestUrl().toString())
        app_id = parts.hostname or ""
        asker = job.initiator().toString().rstrip("/")
        folder = self._folder_for(app_id, asker)
        if folder is None:
            return job.fail(Error.RequestDenied)
        file = find(Path(folder), unquote(parts.path))
        if file is None:
            return job.fail(Error.RequestDenied)
        source = QtCore.QFile(str(file), job)
        # A file, and no pipe that would hold up the GUI thread until somebody writes into it.
        if not file.is_file() or not source.open(QtCore.QIODevice.OpenModeFlag.ReadOnly):
            return job.fail(Error.UrlNotFound)
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind.endswith(("javascript", "json")):
            kind += ";charset=utf-8"
        job.reply(kind.encode(), source)
