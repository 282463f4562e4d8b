"""A way to the web for tests: an HTTP proxy that leads every name to servers of the test, and a company's own CA."""

from __future__ import annotations

import base64
import http.client
import http.server
import select
import socket
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme

from support.web import Web


class Company:
    """A certificate authority that no browser knows. `file`: its certificate, as PEM."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA(organization_name="A company")
        self.file = folder / "company-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def secure(self, web: Web, *names: str) -> Web:
        """Let a server speak TLS, with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        web.speak_tls(context)
        return web


class Proxy:
    """Asked for any host, it asks `plain` (or for a tunnel, leads to `tunnel`). `seen`: what it was asked for.

    `user`, `password`: who may use it; `refused`: how often somebody else tried.
    """

    def __init__(self, plain: Web, tunnel: Web | None = None, user: str = "", password: str = "") -> None:
        self.seen: list[tuple[str, str]] = []
        self.refused = 0
        proxy = self
        expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _admitted(self) -> bool:
                if not user or self.headers.get("Proxy-Authorization") == expected:
                    proxy.seen.append((self.command, self.path))
                    return True
                proxy.refused += 1
                self.send_response(407)
                self.send_header("Proxy-Authenticate", 'Basic realm="company"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return False

            def do_GET(self) -> None:
                if not self._admitted():
                    return
                connection = http.client.HTTPConnection(urlsplit(plain.address).netloc, timeout=10)
                connection.request("GET", urlsplit(self.path).path or "/")
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
                self.send_response(answer.status)
                for name in ("Content-Type", "Location"):
                    if value := answer.headers.get(name):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_CONNECT(self) -> None:
                if not self._admitted() or tunnel is None:
                    return
                self.close_connection = True
                with socket.create_connection(("127.0.0.1", urlsplit(tunnel.address).port), timeout=10) as far:
                    self.send_response(200)
                    self.end_headers()
                    _pump(self.connection, far)

            def log_message(self, *_: Any) -> None:
                """A test's log is no place for requests."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        who = f"{user}:{password}@" if user else ""
        self.address = f"http://{who}127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways, until one side ends or is silent for long."""
    ways = {one: other, other: one}
    while True:
        ready, _, _ = select.select(list(ways), [], [], 30)
        if not ready:
            return
        for end in ready:
            try:
                data = end.recv(1 << 16)
                if not data:
                    return
                ways[end].sendall(data)
            except OSError:
                return
