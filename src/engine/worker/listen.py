"""msgpack over HTTP on the loopback."""

from __future__ import annotations

import hmac
import select
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgpack

from .refusal import Abandoned, Refusal
from .serve import Checkpoint, Json, Worker

#: A prompt of 100,000 tokens is 400 kB; anything far beyond is a mistake.
LARGEST_REQUEST_BYTES = 16 * 1024 * 1024


def server(worker: Worker) -> ThreadingHTTPServer:
    """A server on a loopback port of the kernel's choice; every request must carry the worker's token."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({"/health": lambda _, checkpoint: worker.health(checkpoint)}, {})

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if length > LARGEST_REQUEST_BYTES:
                self.close_connection = True
                self._send(413, {"error": f"a request of {length} bytes is too large", "next": "never"})
                return
            body = self.rfile.read(length)
            routes = {
                "/v1/group": worker.group,
                "/v1/prove": worker.prove,
                "/v1/verify": worker.verify,
                "/v1/weights": worker.weights,
            }
            self._answer(routes, body)

        def _answer(self, routes: Mapping[str, Callable[[Json, Checkpoint], dict[str, Any]]], body: Any) -> None:
            given = self.headers.get("authorization") or ""
            if not hmac.compare_digest(given.encode(), f"Bearer {worker.token}".encode()):
                self._send(401, {"error": "no or wrong token", "next": "never"})
                return
            route = routes.get(self.path)
            if route is None:
                self._send(404, {"error": f"no such endpoint: {self.path}", "next": "never"})
                return
            try:
                request = msgpack.unpackb(body) if body else {}
                self._send(200, route(request, self._still_there))
            except Abandoned:
                print(f"worker: {self.path} given up, the caller hung up", file=sys.stderr, flush=True)
                self.close_connection = True
            except Refusal as refusal:
                status = {"never": 422, "later": 503, "deadline": 408}[refusal.next]
                self._send(
                    status, {"error": str(refusal), "next": refusal.next, "retry_after_ms": refusal.retry_after_ms}
                )
            except (KeyError, TypeError, ValueError, msgpack.UnpackException) as error:
                traceback.print_exc()
                self._send(400, {"error": f"malformed request: {type(error).__name__}: {error}", "next": "never"})
            except Exception as error:
                traceback.print_exc()
                self._send(500, {"error": f"{type(error).__name__}: {error}", "next": "later", "retry_after_ms": 1_000})

        def _still_there(self) -> None:
            """Raises when the caller has closed its connection: what it asked for need not be finished."""
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and self.connection.recv(1, socket.MSG_PEEK) == b"":
                raise Abandoned

        def _send(self, status: int, answer: Mapping[str, Any]) -> None:
            body = msgpack.packb(answer)
            self.send_response(status)
            self.send_header("content-type", "application/msgpack")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Quiet: the caller logs what it asked for."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)
