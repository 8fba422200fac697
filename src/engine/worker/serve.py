"""What a worker does when asked: one model, one group at a time."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from .model import Facts, Loaded, load
from .prove import Place, Prover
from .refusal import Refusal
from .sample import Sampler, Sampling

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
    sampler: Sampler
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
            gc.collect()
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
            completions = self.sampler.sample(loaded, prompt, request["group_size"], sampling, on_time)
            generated = time.monotonic()
            proved = self._proved(loaded, request, prompt, completions, sampling, on_time)
            timings = {"generate": generated - started, "prove": time.monotonic() - generated}
            return {**proved, "timings": timings, **loaded.facts.wire()}

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
            proved = self._proved(loaded, request, prompt, completions, sampling, on_time)
            timings = {"generate": 0.0, "prove": time.monotonic() - started}
            return {**proved, "timings": timings, **loaded.facts.wire()}

    def _proved(
        self,
        loaded: Loaded,
        request: Json,
        prompt: list[int],
        completions: list[list[int]],
        sampling: Sampling,
        on_time: Checkpoint,
    ) -> dict[str, Any]:
        """Completions with their proofs and how many were proved at once, as they go over the wire."""
        proofs, rows = self.prover.prove(
            loaded,
            [prompt + completion for completion in completions],
            len(prompt),
            _ints(request["coefficients"], "<i1"),
            sampling,
            on_time,
        )
        eos = loaded.facts.eos_token_id
        rollouts = [
            {
                "completion_ids": numpy.array(completion, dtype="<i4").tobytes(),
                "finish": "eos" if completion[-1] == eos else "length",
                **proof.wire(),
            }
            for completion, proof in zip(completions, proofs, strict=True)
        ]
        return {"rollouts": rollouts, "proof_rows": rows}

    def verify(self, request: Json, checkpoint: Checkpoint) -> dict[str, Any]:
        tokens = _ints(request["tokens"], "<i4")
        with self.model(request, LONGEST_WAIT_S) as loaded:
            _check_ids(tokens, loaded.facts)
            checkpoint()
            lengths = _ints(request["group_lengths"], "<i4")
            proof = self.prover.replay(
                loaded,
                tokens,
                request["prompt_length"],
                _ints(request["coefficients"], "<i1"),
                Sampling(**request["generation_params"]),
                Place(lengths, request["group_at"], request["group_rows"]) if lengths else None,
                request["whole"],
            )
            return proof.wire()

    def health(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Generates and proves a few tokens; a worker that is busy doing so for a group need not."""
        if self.lock.locked():
            return {"busy": True}
        with self.model(None, LONGEST_WAIT_S) as loaded:
            sampling = Sampling(max_tokens=HEALTH_TOKENS, temperature=1.0, top_p=1.0, top_k=0, repetition_penalty=1.0)
            prompt = [loaded.facts.eos_token_id]
            started = time.monotonic()
            completion = self.sampler.sample(loaded, prompt, 1, sampling, checkpoint)[0]
            self.prover.prove(loaded, [prompt + completion], 1, [1] * 16, sampling, checkpoint)
            return {"busy": False, "seconds": time.monotonic() - started, **loaded.facts.wire()}


def _ints(data: bytes, dtype: str) -> list[int]:
    values: list[int] = numpy.frombuffer(data, dtype=dtype).tolist()
    return values


def _check_ids(ids: list[int], facts: Facts) -> None:
    if not ids or min(ids) < 0 or max(ids) >= facts.vocab_size:
        raise Refusal(f"token ids must be given and lie in [0, {facts.vocab_size})", "never")
