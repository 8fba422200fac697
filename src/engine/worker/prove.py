"""Proofs: a forward over finished sequences gives sketches, log-probabilities and the validator's figures.

Shape and exactness. The same rows in a forward of the same shape give the same bits; another padded length does not
(measured on a CPU in bfloat16: attention sums differ, hidden states by up to 0.6), while on the CPU the number of rows
is without influence. So the shape is part of the proof. What else is in the batch is not: a row of a matrix product is
summed in an order that depends on the shape alone, and attention never looks at another sequence.

The prompt, which all sequences of a group begin with, is read once, in a forward of its own length (forward.py): its
states depend on nothing else. What is said of shapes here is said of the forward over what follows it.

With rows = 1, the default on CPUs, every sequence has a forward of its own length, and a replay is exact without knowing
anything else. With more rows a group's sequences are sorted by length and proved in batches (plan_batches): each batch has
exactly `rows` rows, short ones being filled up by repetition, and is padded to its own longest sequence and one token
more. Sorting moves a sequence to another shape, so it has to be repeatable: the plan depends on the group's lengths and on
`rows` alone, and a replay, told both and its place in the group, makes the same plan and gets the same shape. The one
token more sees to it that every batch has padding: without any, transformers leaves the mask out and another kernel
runs, so the longest sequence, replayed alone, need not get the bits it got among shorter ones (not seen on a CPU).

A GPU out of memory halves this worker's rows for good, and the whole group is proved again with fewer: a group's proofs
all have one number of rows, which the answer tells. A replay takes that number, whatever this worker proves with now,
since another worker may have proved the group, or this one before it ran out of memory; where it does not fit, the
replay is refused rather than made in another shape. The longest batch of a group goes first: if one does not fit it is
that one, before the others are done in vain.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .forward import Padded, Prompt, Whole, padded, why_whole
from .model import Loaded
from .refusal import Refusal
from .sample import Sampling, penalised
from .sketch import sketches

#: Steps whose logits are held at once: 512 x 151,665 float32 are 310 MB.
STEPS_AT_ONCE = 512


@dataclass(frozen=True)
class Proof:
    """Of one sequence of p prompt and c completion tokens."""

    #: int32[p + c]
    sketches: Tensor
    #: float32[c]
    logprobs: Tensor
    #: Probability of EOS at the last step, untempered.
    p_eos: float
    #: {median, q10, q10_50, min} of the chosen tokens' probabilities after penalty and temperature.
    dist: dict[str, float]

    def wire(self) -> dict[str, Any]:
        return {
            "sketches": self.sketches.numpy().astype("<i4").tobytes(),
            "logprobs": self.logprobs.numpy().astype("<f4").tobytes(),
            "p_eos": self.p_eos,
            "dist": self.dist,
        }


@dataclass(frozen=True)
class _Computed:
    """A proof's numbers where they were computed."""

    sketches: Tensor
    logprobs: Tensor
    p_eos: Tensor
    #: float64[c], probabilities of the chosen tokens after penalty and temperature.
    chosen: Tensor


@dataclass(frozen=True)
class ProofSettings:
    buckets: int
    #: Steps that make up the beginning of a completion in the distribution check.
    initial_steps: int


@dataclass(frozen=True)
class Batch:
    #: Which sequences of the group.
    members: list[int]
    #: Tokens of a row, padding included.
    length: int


def plan_batches(lengths: list[int], rows: int) -> list[Batch]:
    """Batches of at most `rows` sequences, the longest first; equally long ones stay in the group's order."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    chunks = [order[start : start + rows] for start in range(0, len(order), rows)]
    spare = 0 if rows == 1 else 1
    return [Batch(members=chunk, length=lengths[chunk[0]] + spare) for chunk in chunks]


@dataclass(frozen=True)
class Place:
    """Where a sequence that is replayed stood when it was proved."""

    #: Tokens of every sequence of its group, in the group's order.
    lengths: list[int]
    at: int
    #: Rows of the batches its group was proved in.
    rows: int


class Prover:
    def __init__(self, settings: ProofSettings, rows: int, say: Callable[[str], None] = lambda _: None) -> None:
        self.settings = settings
        #: Of the next proof; only ever becomes less.
        self.rows = rows
        self.say = say
        #: The model that was looked at last, and whether its prompts are read once. Weak: other weights are only loaded
        #: when these are gone.
        self._looked: tuple[weakref.ref[Loaded], bool] | None = None

    def prove(
        self,
        loaded: Loaded,
        sequences: list[list[int]],
        prompt_length: int,
        coefficients: list[int],
        sampling: Sampling,
        checkpoint: Callable[[], None],
    ) -> tuple[list[Proof], int]:
        """Proofs of a group, in the order of its sequences, and the rows of the batches they were made in."""
        lengths = [len(sequence) for sequence in sequences]

        def attempt(rows: int) -> list[Proof]:
            proofs: dict[int, Proof] = {}
            reader = self._reader(loaded, sequences[0][:prompt_length])
            for batch in plan_batches(lengths, rows):
                checkpoint()
                members = [sequences[index] for index in batch.members]
                made = self._batch(loaded, reader, members, rows, batch.length, prompt_length, coefficients, sampling)
                proofs.update(zip(batch.members, made, strict=True))
            return [proofs[index] for index in range(len(sequences))]

        return self._fitting(loaded, max(lengths), attempt)

    def replay(
        self,
        loaded: Loaded,
        sequence: list[int],
        prompt_length: int,
        coefficients: list[int],
        sampling: Sampling,
        place: Place | None = None,
        whole: bool = False,
    ) -> Proof:
        """One sequence again, in a batch of the shape it was proved in; without a place, as a group of its own.

        whole: in one forward over prompt and completion, as a validator may read it. That need not give the same bits.
        """
        lengths, at = (place.lengths, place.at) if place else ([len(sequence)], 0)
        if not 0 <= at < len(lengths) or lengths[at] != len(sequence):
            raise Refusal(f"a sequence of {len(sequence)} tokens is not number {at} of a group of {lengths}", "never")

        if whole:
            reader, length = Whole(loaded), len(sequence)
            return self._batch(loaded, reader, [sequence], 1, length, prompt_length, coefficients, sampling)[0]

        def attempt(rows: int) -> list[Proof]:
            batch = next(batch for batch in plan_batches(lengths, rows) if at in batch.members)
            reader = self._reader(loaded, sequence[:prompt_length])
            return self._batch(loaded, reader, [sequence], rows, batch.length, prompt_length, coefficients, sampling)

        if place is None:
            return self._fitting(loaded, len(sequence), attempt)[0][0]
        if place.rows < 1:
            raise Refusal(f"a group cannot have been proved {place.rows} rows at once", "never")
        try:
            return attempt(place.rows)[0]
        except torch.cuda.OutOfMemoryError as error:
            # Another worker may have the room for it, or this one when its GPU's memory is free again.
            raise Refusal(
                f"out of GPU memory replaying a sequence of {len(sequence)} tokens in the shape it was proved in, "
                f"{place.rows} rows: another shape would not repeat it",
                "later",
            ) from error

    def _fitting(
        self, loaded: Loaded, longest: int, attempt: Callable[[int], list[Proof]]
    ) -> tuple[list[Proof], int]:
        """Tries with ever fewer rows until the GPU's memory suffices: the proofs, and the rows that did."""
        while True:
            try:
                return attempt(self.rows), self.rows
            except torch.cuda.OutOfMemoryError as error:
                if self.rows == 1:
                    raise Refusal(f"out of GPU memory proving one sequence of {longest} tokens", "never") from error
            # Only here is the failed attempt's memory free: until then the exception holds its frames.
            self.rows //= 2
            self.say(f"out of GPU memory in a proof of {longest} tokens: {self.rows} rows per proof from now on")
            if loaded.device.type == "cuda":
                torch.cuda.empty_cache()

    def _reader(self, loaded: Loaded, prompt: list[int]) -> Prompt | Whole:
        """What reads sequences that begin with the prompt."""
        if self._looked is None or self._looked[0]() is not loaded:
            why = why_whole(loaded)
            if why is not None:
                self.say(f"{loaded.facts.model_name}: every sequence is read whole, prompt and all: {why}")
            self._looked = (weakref.ref(loaded), why is None)
        return Prompt(loaded, prompt) if self._looked[1] else Whole(loaded)

    @torch.inference_mode()
    def _batch(
        self,
        loaded: Loaded,
        reader: Prompt | Whole,
        batch: list[list[int]],
        rows: int,
        length: int,
        prompt_length: int,
        coefficients: list[int],
        sampling: Sampling,
    ) -> list[Proof]:
        # Everything goes to the GPU before, and comes back after: each copy in between would wait for all that was begun.
        given = padded(loaded, batch + [batch[-1]] * (rows - len(batch)), length)
        weights = torch.tensor(coefficients, device=loaded.device)
        hidden = self._hidden(reader, given)
        # Of a model that is spread over several GPUs the last layer need not be where its first one is.
        ids, weights = given.ids.to(hidden.device), weights.to(hidden.device)
        computed = [
            self._compute(
                loaded, hidden[row, : len(sequence)], ids[row, : len(sequence)], prompt_length, weights, sampling
            )
            for row, sequence in enumerate(batch)
        ]
        return [self._proof(one) for one in computed]

    def _hidden(self, reader: Prompt | Whole, batch: Padded) -> Tensor:
        """Last hidden states [rows, length, d] after the final norm."""
        return reader.states_of(batch)

    def _compute(
        self,
        loaded: Loaded,
        states: Tensor,
        tokens: Tensor,
        prompt_length: int,
        weights: Tensor,
        sampling: Sampling,
    ) -> _Computed:
        """On the device of the states, without waiting for it."""
        device, length = states.device, len(tokens)
        head = loaded.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        first_seen = None
        if sampling.repetition_penalty != 1.0:
            positions = torch.arange(length, device=device)
            first_seen = torch.full((loaded.facts.vocab_size,), length, device=device)
            first_seen.scatter_reduce_(0, tokens, positions, "amin")
        raw: list[Tensor] = []
        chosen: list[Tensor] = []
        p_eos = torch.tensor(math.nan)
        for start in range(prompt_length, length, STEPS_AT_ONCE):
            end = min(start + STEPS_AT_ONCE, length)
            # The state before a token predicts it.
            logits = head(states[start - 1 : end - 1]).to(device).float()
            target = tokens[start:end].unsqueeze(1)
            logprobs = logits.log_softmax(dim=-1)
            raw.append(logprobs.gather(1, target).squeeze(1))
            if end == length:
                p_eos = logprobs[-1, loaded.facts.eos_token_id].exp()
            if first_seen is not None:
                steps = torch.arange(start, end, device=device).unsqueeze(1)
                logits = penalised(logits, first_seen.unsqueeze(0) < steps, sampling.repetition_penalty)
            tempered = logits if sampling.temperature == 1.0 else logits / sampling.temperature
            chosen.append(tempered.softmax(dim=-1).gather(1, target).squeeze(1))
        return _Computed(
            sketches=sketches(states, weights, self.settings.buckets).to(torch.int32),
            logprobs=torch.cat(raw),
            p_eos=p_eos,
            chosen=torch.cat(chosen).double(),
        )

    def _proof(self, computed: _Computed) -> Proof:
        logprobs = computed.logprobs.cpu()
        if not bool(torch.isfinite(logprobs).all()):
            raise Refusal("the model gave a log-probability that is not finite", "never")
        return Proof(
            sketches=computed.sketches.cpu(),
            logprobs=logprobs,
            p_eos=float(computed.p_eos),
            dist=self._distribution(computed.chosen.cpu()),
        )

    def _distribution(self, probabilities: Tensor) -> dict[str, float]:
        """What the validator looks at (grail/validation/validators/distribution.py:48-277, commit 54d6342)."""
        first = probabilities[: self.settings.initial_steps]
        return {
            "median": float(probabilities.quantile(0.5)),
            "q10": float(probabilities.quantile(0.1)),
            "q10_50": float(first.quantile(0.1)),
            "min": float(probabilities.min()),
        }
