"""A web server on 127.0.0.1 whose every path is a function; for pages that come from elsewhere and answer badly."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Web:
    """`web[path] = page` or a function of the handler; `web.address` is where it listens."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}
        self.released = threading.Event()
        self.asked: list[str] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                answer = web._answers.get(self.path.partition("?")[0])
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            def log_message(self, *_: Any) -> None:
                """A test's log is no place for requests."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def page(self, path: str, html: str, status: int = 200, **headers: str) -> str:
        """Serve a page, and return its address."""
        return self.serve(path, html.encode(), status, **{"Content_Type": "text/html; charset=utf-8"} | headers)

    def json(self, path: str, data: Any, status: int = 200, kind: str = "application/json") -> str:
        """Serve some JSON, and return its address."""
        return self.serve(path, json.dumps(data).encode(), status, Content_Type=kind)

    def serve(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """Serve these bytes with these headers (`Content_Type`), and return their address."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        return self.call(path, answer)

    def call(self, path: str, answer: Answer) -> str:
        """Let a function answer, and return the address."""
        self._answers[path] = answer
        return self.address + path

    def redirect(self, path: str, address: str) -> str:
        """Send whoever asks for this path elsewhere; returns its address."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", address)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self._answers[path] = answer
        return self.address + path

    def break_off(self, path: str) -> None:
        """From now on end the connection of whoever asks for this path, without a word."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)

        self._answers[path] = answer

    def never(self, path: str) -> str:
        """Serve the first bytes of a page, and the rest never."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "text/html")
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            handler.wfile.write(b"<!doctype html><h1>half")
            handler.wfile.flush()
            self.released.wait(60)

        return self.call(path, answer)

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """From now on, and before anybody has asked anything, speak https."""
        # The handshake on the connection's own thread: a client that gives up on it must not hold up the others.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = self.address.replace("http:", "https:")

    def close(self) -> None:
        """Stop serving; requests that hang are let go."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
