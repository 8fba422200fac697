"""Proofs: a forward over finished sequences gives sketches, log-probabilities and the validator's figures.

Shape and exactness. The same rows in a forward of the same shape give the same bits; another padded length does not
(measured on a CPU in bfloat16: attention sums differ, hidden states by up to 0.6), while on the CPU the number of rows
is without influence. So the shape is part of the proof: with rows = 1, the default on CPUs, every sequence has a
forward of its own length, and a replay is exact without knowing anything else. With more rows every forward has
exactly `rows` rows (short batches are filled up by repetition) padded to the longest sequence of the group, and a
replay must be told that length. A GPU out of memory halves the rows for good, so later replays repeat what was proved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

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
class ProofSettings:
    buckets: int
    #: Steps that make up the beginning of a completion in the distribution check.
    initial_steps: int


class Prover:
    def __init__(self, settings: ProofSettings, rows: int) -> None:
        self.settings = settings
        self.rows = rows

    @torch.inference_mode()
    def prove(
        self,
        loaded: Loaded,
        sequences: list[list[int]],
        prompt_length: int,
        coefficients: list[int],
        sampling: Sampling,
        checkpoint: Callable[[], None],
        padded_length: int = 0,
    ) -> list[Proof]:
        """Proofs in the order of the sequences. padded_length: at least this long, for a replay (0 = their longest)."""
        weights = torch.tensor(coefficients, device=loaded.device)
        longest = max(padded_length, *(len(sequence) for sequence in sequences))
        proofs: list[Proof] = []
        while len(proofs) < len(sequences):
            checkpoint()
            batch = sequences[len(proofs) : len(proofs) + self.rows]
            try:
                hidden = self._hidden(loaded, batch, len(batch[0]) if self.rows == 1 else longest)
                for row, sequence in enumerate(batch):
                    states = hidden[row, : len(sequence)]
                    proofs.append(self._proof(loaded, states, sequence, prompt_length, weights, sampling))
            except torch.cuda.OutOfMemoryError as error:
                if self.rows == 1:
                    raise Refusal(f"out of GPU memory proving one sequence of {longest} tokens", "never") from error
                self.rows //= 2
                # All of the group again: its rows must share one shape.
                proofs.clear()
                hidden = None
                torch.cuda.empty_cache()
        return proofs

    def _hidden(self, loaded: Loaded, batch: list[list[int]], length: int) -> Tensor:
        """Last hidden states [rows, length, d] after the final norm."""
        filled = batch + [batch[-1]] * (self.rows - len(batch))
        ids = torch.full((len(filled), length), loaded.pad_token_id, dtype=torch.long)
        mask = torch.zeros((len(filled), length), dtype=torch.long)
        for row, sequence in enumerate(filled):
            ids[row, : len(sequence)] = torch.tensor(sequence)
            mask[row, : len(sequence)] = 1
        base = loaded.model.base_model
        out = base(input_ids=ids.to(loaded.device), attention_mask=mask.to(loaded.device), use_cache=False)
        hidden: Tensor = out.last_hidden_state
        return hidden

    def _proof(
        self,
        loaded: Loaded,
        states: Tensor,
        sequence: list[int],
        prompt_length: int,
        weights: Tensor,
        sampling: Sampling,
    ) -> Proof:
        tokens = torch.tensor(sequence, device=loaded.device)
        head = loaded.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        first_seen = None
        if sampling.repetition_penalty != 1.0:
            positions = torch.arange(len(sequence), device=loaded.device)
            first_seen = torch.full((loaded.facts.vocab_size,), len(sequence), device=loaded.device)
            first_seen.scatter_reduce_(0, tokens, positions, "amin")
        raw: list[Tensor] = []
        chosen: list[Tensor] = []
        p_eos = math.nan
        for start in range(prompt_length, len(sequence), STEPS_AT_ONCE):
            end = min(start + STEPS_AT_ONCE, len(sequence))
            # The state before a token predicts it.
            logits = head(states[start - 1 : end - 1]).float()
            target = tokens[start:end].unsqueeze(1)
            logprobs = logits.log_softmax(dim=-1)
            raw.append(logprobs.gather(1, target).squeeze(1))
            if end == len(sequence):
                p_eos = float(logprobs[-1, loaded.facts.eos_token_id].exp())
            if first_seen is not None:
                steps = torch.arange(start, end, device=loaded.device).unsqueeze(1)
                logits = penalised(logits, first_seen.unsqueeze(0) < steps, sampling.repetition_penalty)
            tempered = logits if sampling.temperature == 1.0 else logits / sampling.temperature
            chosen.append(tempered.softmax(dim=-1).gather(1, target).squeeze(1))
        logprobs_cpu = torch.cat(raw).cpu()
        if not bool(torch.isfinite(logprobs_cpu).all()):
            raise Refusal("the model gave a log-probability that is not finite", "never")
        return Proof(
            sketches=sketches(states, weights, self.settings.buckets).to(torch.int32).cpu(),
            logprobs=logprobs_cpu,
            p_eos=p_eos,
            dist=self._distribution(torch.cat(chosen).double().cpu()),
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
