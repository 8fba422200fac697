"""msgpack over HTTP on the loopback, one model, one group at a time."""

from __future__ import annotations

import hmac
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgpack
import numpy
import torch

from .model import Facts, Loaded, load
from .prove import Prover
from .refusal import Abandoned, Refusal
from .sample import Sampling, sample_group

#: A prompt of 100,000 tokens is 400 kB; anything far beyond is a mistake.
LARGEST_REQUEST_BYTES = 16 * 1024 * 1024
#: A request waits at most this long for the one before it.
LONGEST_WAIT_S = 60.0
#: Tokens of the health check's own generation.
HEALTH_TOKENS = 4

Json = Mapping[str, Any]
Checkpoint = Callable[[], None]


@dataclass
class Worker:
    """What the handlers share."""

    token: str
    profile: str
    device: torch.device
    dtype: torch.dtype
    attention: str
    prover: Prover
    loaded: Loaded | None = None

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    @contextmanager
    def model(self, request: Json | None, wait_s: float) -> Iterator[Loaded]:
        """The model, for one request at a time; refuses another profile or checkpoint than the one that is held."""
        if not self.lock.acquire(timeout=max(0.0, min(wait_s, LONGEST_WAIT_S))):
            raise Refusal("the worker is busy with another group", "later", 1_000)
        try:
            if self.loaded is None:
                raise Refusal("no checkpoint is loaded", "later", 1_000)
            if request is not None:
                if request["profile"] != self.profile:
                    raise Refusal(
                        f"asked for profile {request['profile']!r}, this worker proves for {self.profile!r}", "never"
                    )
                held = self.loaded.facts.checkpoint_window
                if request["checkpoint_window"] != held:
                    raise Refusal(f"asked for checkpoint {request['checkpoint_window']}, but {held} is loaded", "never")
            yield self.loaded
        finally:
            self.lock.release()

    def weights(self, request: Json, _: Checkpoint) -> dict[str, Any]:
        folder = Path(request["checkpoint_dir"])
        with self.lock:
            # The old weights go first: two sets of them may not fit.
            self.loaded = None
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self.loaded = load(
                folder,
                request["checkpoint_window"],
                request["model_name"],
                request["weights_hash"],
                self.device,
                self.dtype,
                self.attention,
            )
            return self.loaded.facts.wire()

    def group(self, request: Json, checkpoint: Checkpoint) -> dict[str, Any]:
        deadline_s = request["deadline_unix_ms"] / 1_000

        def on_time() -> None:
            checkpoint()
            if time.time() >= deadline_s:
                raise Refusal("the deadline has passed", "deadline")

        prompt = _ints(request["prompt_ids"], "<i4")
        sampling = Sampling(**request["generation_params"])
        on_time()
        with self.model(request, deadline_s - time.time()) as loaded:
            _check_ids(prompt, loaded.facts)
            if len(prompt) + sampling.max_tokens > loaded.facts.max_positions:
                raise Refusal(
                    f"a prompt of {len(prompt)} tokens and max_tokens {sampling.max_tokens} exceed the model's "
                    f"{loaded.facts.max_positions} positions",
                    "never",
                )
            started = time.monotonic()
            completions = sample_group(loaded, prompt, request["group_size"], sampling, on_time)
            generated = time.monotonic()
            rollouts = self._proved(loaded, request, prompt, completions, sampling, on_time)
            timings = {"generate": generated - started, "prove": time.monotonic() - generated}
            return {"rollouts": rollouts, "timings": timings, **loaded.facts.wire()}

    def prove(self, request: Json, checkpoint: Checkpoint) -> dict[str, Any]:
        """Proofs of completions that another program generated: the same as /v1/group's from there on."""
        deadline_s = request["deadline_unix_ms"] / 1_000

        def on_time() -> None:
            checkpoint()
            if time.time() >= deadline_s:
                raise Refusal("the deadline has passed", "deadline")

        prompt = _ints(request["prompt_ids"], "<i4")
        completions = [_ints(ids, "<i4") for ids in request["completions"]]
        sampling = Sampling(**request["generation_params"])
        if not completions:
            raise Refusal("there are no completions to prove", "never")
        on_time()
        with self.model(request, deadline_s - time.time()) as loaded:
            _check_ids(prompt, loaded.facts)
            for completion in completions:
                _check_ids(completion, loaded.facts)
            longest = len(prompt) + max(len(completion) for completion in completions)
            if longest > loaded.facts.max_positions:
                raise Refusal(
                    f"{longest} tokens exceed the model's {loaded.facts.max_positions} positions",
                    "never",
                )
            started = time.monotonic()
            rollouts = self._proved(loaded, request, prompt, completions, sampling, on_time)
            timings = {"generate": 0.0, "prove": time.monotonic() - started}
            return {"rollouts": rollouts, "timings": timings, **loaded.facts.wire()}

    def _proved(
        self,
        loaded: Loaded,
        request: Json,
        prompt: list[int],
        completions: list[list[int]],
        sampling: Sampling,
        on_time: Checkpoint,
    ) -> list[dict[str, Any]]:
        """Completions with their proofs, as they go over the wire."""
        proofs = self.prover.prove(
            loaded,
            [prompt + completion for completion in completions],
            len(prompt),
            _ints(request["coefficients"], "<i1"),
            sampling,
            on_time,
        )
        eos = loaded.facts.eos_token_id
        return [
            {
                "completion_ids": numpy.array(completion, dtype="<i4").tobytes(),
                "finish": "eos" if completion[-1] == eos else "length",
                **proof.wire(),
            }
            for completion, proof in zip(completions, proofs, strict=True)
        ]

    def verify(self, request: Json, checkpoint: Checkpoint) -> dict[str, Any]:
        tokens = _ints(request["tokens"], "<i4")
        with self.model(request, LONGEST_WAIT_S) as loaded:
            _check_ids(tokens, loaded.facts)
            proofs = self.prover.prove(
                loaded,
                [tokens],
                request["prompt_length"],
                _ints(request["coefficients"], "<i1"),
                Sampling(**request["generation_params"]),
                checkpoint,
                request["padded_length"],
            )
            return proofs[0].wire()

    def health(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Generates and proves a few tokens; a worker that is busy doing so for a group need not."""
        if self.lock.locked():
            return {"busy": True}
        with self.model(None, LONGEST_WAIT_S) as loaded:
            sampling = Sampling(max_tokens=HEALTH_TOKENS, temperature=1.0, top_p=1.0, top_k=0, repetition_penalty=1.0)
            prompt = [loaded.facts.eos_token_id]
            started = time.monotonic()
            completion = sample_group(loaded, prompt, 1, sampling, checkpoint)[0]
            self.prover.prove(loaded, [prompt + completion], 1, [1] * 16, sampling, checkpoint)
            return {"busy": False, "seconds": time.monotonic() - started, **loaded.facts.wire()}


def _ints(data: bytes, dtype: str) -> list[int]:
    values: list[int] = numpy.frombuffer(data, dtype=dtype).tolist()
    return values


def _check_ids(ids: list[int], facts: Facts) -> None:
    if not ids or min(ids) < 0 or max(ids) >= facts.vocab_size:
        raise Refusal(f"token ids must be given and lie in [0, {facts.vocab_size})", "never")


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
