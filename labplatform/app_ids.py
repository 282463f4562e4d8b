"""FDC3's app ids: plain, or fully qualified by the host of the app directory they stand in (`app@host`). Any process.

https://fdc3.finos.org/docs/2.2/api/spec#fully-qualified-appids
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NOTEBOOK = "jupyter"
"""What every notebook is called among the apps."""
MOST_PLACE = 63
"""Characters of a name on the platform; it is also a host name in `app://` addresses."""


def split(app_id: str) -> tuple[str, str]:
    """The plain id and the directory's host; the host is empty for a plain id."""
    plain, at, host = app_id.rpartition("@")
    return (plain, host.lower()) if at and plain and host else (app_id, "")


def resolve(app_id: str, known: Mapping[str, str]) -> str | None:
    """The id under which an app is known that somebody calls `app_id`; `None` if there is none.

    `known`: ids, each with its directory's host, which is empty for apps that come from no directory. As the standard
    says: the id as it is given; then a qualified one by its plain part; then a plain one by the plain part of those
    that are qualified, the first of several. But an app of one directory is never taken for that of another.
    """
    if app_id in known:
        return app_id
    plain, host = split(app_id)
    if host:
        return plain if known.get(plain) in ("", host) else None
    return next((one for one in known if split(one)[0] == app_id), None)


def place_name(words: str) -> str:
    """Any text as a name on the platform: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower())[:MOST_PLACE].strip("-") or "app"
