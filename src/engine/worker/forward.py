"""Last hidden states of sequences that begin with the same prompt, which is read once for all of them.

Sixteen completions of one prompt of 300 tokens have 4,800 tokens of prompt in them; read once, it costs 300. What follows
attends to the prompt's keys and values as it would have attended to those of its own row, so the states are the same but
for rounding: a causal model's states at a prompt do not depend on what comes after it.

Whether a model's forward can go on from a prompt is found by trying: the same few sequences both ways, for every model
that is loaded. One that cannot (or a library that does it wrong) reads every sequence whole, and says so. Sequences as
long as a window's are compared by the canary, with what a validator sees (canary.ts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .model import Loaded

#: Of the trial: a prompt, and two sequences that go on differently far, so that one of them is padded more.
TRIAL_PROMPT, TRIAL_LENGTHS = 40, (64, 57)
#: How far states may be apart (1 less the cosine): rounding, which the trial measures, with a margin, or this much.
#: SmolLM2-135M in bfloat16 has 0.0003 between the two ways, 0.0013 with one key of a prompt masked, 0.007 without its keys
#: in the last layer, 0.012 with positions off by one.
ROUNDING = 0.001
MARGIN = 3.0


@dataclass(frozen=True)
class Padded:
    """Sequences of one batch, filled up on the right, on the model's device."""

    #: int64[rows, length]
    ids: Tensor
    #: int64[rows, length]: 1 where there is a token.
    mask: Tensor


def padded(loaded: Loaded, batch: list[list[int]], length: int) -> Padded:
    ids = torch.full((len(batch), length), loaded.pad_token_id, dtype=torch.long)
    mask = torch.zeros((len(batch), length), dtype=torch.long)
    for row, sequence in enumerate(batch):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return Padded(ids.to(loaded.device), mask.to(loaded.device))


class _Continued(DynamicCache):  # type: ignore[misc]
    """Keys and values of a prompt, read by sequences that go on from it; theirs are used and not kept."""

    def __init__(self, prompt: DynamicCache) -> None:
        super().__init__()
        self.layers = prompt.layers

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, cache_kwargs: dict[str, Any] | None = None
    ) -> tuple[Tensor, Tensor]:
        layer = self.layers[layer_idx]
        shape = (key_states.shape[0], -1, -1, -1)
        keys, values = layer.keys.expand(shape), layer.values.expand(shape)
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


class Prompt:
    """A prompt that was read by a model. Its states depend on the prompt alone, whatever goes on from it."""

    @torch.inference_mode()
    def __init__(self, loaded: Loaded, prompt: list[int]) -> None:
        self.loaded = loaded
        self.length = len(prompt)
        self.cache = DynamicCache(config=loaded.model.config)
        ids = torch.tensor([prompt], device=loaded.device)
        out = loaded.model.base_model(input_ids=ids, past_key_values=self.cache, use_cache=True)
        #: [1, prompt, d]
        self.states: Tensor = out.last_hidden_state

    def states_of(self, batch: Padded) -> Tensor:
        """Last hidden states [rows, length, d] of sequences that begin with the prompt."""
        # One token more than a completion of one: FlashAttention takes another kernel where no sequence has more than one
        # query, and a replay of the short one would take it alone. No state looks at what comes after it.
        mask = batch.mask.clone()
        mask[:, : self.length + 2] = 1
        out = self.loaded.model.base_model(
            input_ids=batch.ids[:, self.length :],
            attention_mask=mask,
            past_key_values=_Continued(self.cache),
            use_cache=True,
        )
        rest: Tensor = out.last_hidden_state
        return torch.cat([self.states.expand(len(mask), -1, -1), rest], dim=1)


class Whole:
    """Reads every sequence whole."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded

    def states_of(self, batch: Padded) -> Tensor:
        """Last hidden states [rows, length, d] after the final norm."""
        out = self.loaded.model.base_model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
        states: Tensor = out.last_hidden_state
        return states


def why_whole(loaded: Loaded) -> str | None:
    """Why this model's prompts cannot be read once for many sequences; None when they can."""
    rope_types = {str(getattr(module, "rope_type", "")) for module in loaded.model.modules()}
    if any("dynamic" in kind or kind == "longrope" for kind in rope_types):
        return "its rotary frequencies depend on how long a sequence is"
    try:
        if any(type(layer) is not DynamicLayer for layer in DynamicCache(config=loaded.model.config).layers):
            return "not all of its layers attend to the whole sequence"
        return _apart(loaded)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        # Models that keep another kind of state than keys and values end here, each in its own way.
        return f"it does not go on from a prompt ({type(error).__name__}: {error})"


@torch.inference_mode()
def _apart(loaded: Loaded) -> str | None:
    """The trial: where states of the two ways are further apart than rounding leaves them."""
    vocabulary = loaded.facts.vocab_size
    tokens = [[(11 + 7_919 * position + 104_729 * row) % vocabulary for position in range(100)] for row in range(2)]
    prompt = tokens[0][:TRIAL_PROMPT]
    batch = [prompt + tokens[row][TRIAL_PROMPT:length] for row, length in enumerate(TRIAL_LENGTHS)]
    length = max(TRIAL_LENGTHS) + 1
    whole, shared = Whole(loaded), Prompt(loaded, prompt)
    both, each = padded(loaded, batch, length), [padded(loaded, [sequence], len(sequence)) for sequence in batch]
    alone = [whole.states_of(one)[0] for one in each]
    in_batch = whole.states_of(both)
    allowed = max(ROUNDING, MARGIN * max(_far(alone[row], in_batch[row]) for row in range(len(batch))))
    shared_in_batch = shared.states_of(both)
    for row, one in enumerate(each):
        ways = (shared_in_batch[row], shared.states_of(one)[0])
        # A distance that is no number is none that is small enough.
        if not all(_far(alone[row], states) <= allowed for states in ways):
            return f"states come out otherwise, by {max(_far(alone[row], states) for states in ways):.4f}"
    return None


def _far(a: Tensor, b: Tensor) -> float:
    """Of [n, d] and [n or more, d]: the largest distance of two states, 1 less their cosine."""
    return 1.0 - float(torch.cosine_similarity(a.double(), b[: len(a)].double(), dim=-1).min())
