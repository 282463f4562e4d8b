"""The way to the web for pages: whose certificates they trust, and who they are to a proxy. The host's GUI thread.

Which proxy it is, Chromium is told at its start (`environment`).
"""

from __future__ import annotations

from typing import Any

from PySide6.QtNetwork import QSslCertificate, QSslSocket
from PySide6.QtWebEngineCore import QWebEngineProfile

from ...network import Network, credentials

try:
    from PySide6.QtWebEngineCore import QWebEngineProfileBuilder
except ImportError:  # before Qt 6.9
    QWebEngineProfileBuilder = None

CAN_TRUST = hasattr(QWebEngineProfileBuilder, "setAdditionalTrustedCertificates")
"""Whether this Qt lets a page trust more than the browser's own list; since 6.10."""


def make_profile(name: str, network: Network) -> QWebEngineProfile:
    """A profile whose pages trust the machine's certificates too."""
    if not network.certificates or not CAN_TRUST:
        return QWebEngineProfile(name)
    # Qt's own TLS, which nothing here uses, would take 0.1 s to load; to read certificates this does as well.
    QSslSocket.setActiveBackend("cert-only")
    builder = QWebEngineProfileBuilder()
    builder.setAdditionalTrustedCertificates(QSslCertificate.fromData("".join(network.certificates).encode()))
    return builder.createProfile(name)


def answer_proxy(page: Any, network: Network) -> None:
    """Let a page name itself to the proxy, where the proxy's address has a user in it."""

    def answer(url: Any, authenticator: Any, _host: str) -> None:
        user, password = credentials(network.proxy_for(url.toString()))
        # Asked a second time, the password was wrong: an empty answer ends it, and the launch with it.
        if user and authenticator.user() != user:
            authenticator.setUser(user)
            authenticator.setPassword(password)

    page.proxyAuthenticationRequired.connect(answer)


def remedy(error: str) -> str:
    """What to do about a network error of Chromium's, as the end of a sentence; empty where nothing is known."""
    if "ERR_CERT_AUTHORITY_INVALID" in error:
        if not CAN_TRUST:
            return ". If it is your company's certificate: PySide6 6.10 or newer lets pages trust it"
        return ". If it is your company's certificate, name its CA in SSL_CERT_FILE"
    return ""
