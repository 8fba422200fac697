"""Generation of one group: the same prompt, continued several times in one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from .model import Loaded
from .refusal import Refusal


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of the checkpoint; top_k 0, top_p 1 and repetition_penalty 1 are off."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits of tokens seen before made less likely: divided where positive, multiplied where negative."""
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def draw(logits: Tensor, sampling: Sampling) -> Tensor:
    """One token per row from float32 logits [b, v], penalty already applied: temperature, then top k, then top p."""
    scaled = logits / sampling.temperature
    kept = min(sampling.top_k, scaled.shape[-1]) if sampling.top_k > 0 else scaled.shape[-1]
    values, ids = scaled.topk(kept, dim=-1)
    probabilities = values.softmax(dim=-1)
    if sampling.top_p < 1.0:
        # A token stays while the more likely ones together have not reached top_p; the most likely one always stays.
        before = probabilities.cumsum(dim=-1) - probabilities
        before[:, 0] = -1.0
        probabilities = probabilities.masked_fill(before >= sampling.top_p, 0.0)
    return ids.gather(-1, torch.multinomial(probabilities, 1)).squeeze(-1)


@torch.inference_mode()
def sample_group(
    loaded: Loaded, prompt: list[int], count: int, sampling: Sampling, checkpoint: Callable[[], None]
) -> list[list[int]]:
    """Completions, each ending with the tokenizer's EOS or exactly max_tokens long.

    The prompt is read once and its cache repeated; rows that have ended leave the batch. checkpoint() is called before
    every step and may raise to give the group up. Randomness is the process's own and never derived from anything
    public: whoever could repeat it could upload our completions before us.
    """
    model, eos = loaded.model, loaded.facts.eos_token_id
    ids = torch.tensor([prompt], device=loaded.device)
    cache = DynamicCache(config=model.config)
    checkpoint()
    logits = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
    cache.batch_repeat_interleave(count)
    logits = logits.float().repeat(count, 1)
    seen = None
    if sampling.repetition_penalty != 1.0:
        seen = torch.zeros(count, logits.shape[-1], dtype=torch.bool, device=loaded.device)
        seen[:, ids[0]] = True

    completions: list[list[int]] = [[] for _ in range(count)]
    alive = list(range(count))
    while True:
        if seen is not None:
            logits = penalised(logits, seen, sampling.repetition_penalty)
        tokens = draw(logits, sampling)
        if seen is not None:
            seen.scatter_(1, tokens.unsqueeze(1), True)
        keep: list[int] = []
        for row, token in enumerate(tokens.tolist()):
            completion = completions[alive[row]]
            completion.append(token)
            if token != eos and len(completion) < sampling.max_tokens:
                keep.append(row)
        if not keep:
            return completions
        if len(keep) < len(alive):
            # On the CPU: the cache of a model that is spread over several GPUs lies on all of them.
            rows = torch.tensor(keep)
            cache.batch_select_indices(rows)
            tokens = tokens[rows]
            seen = None if seen is None else seen[rows]
            alive = [alive[row] for row in keep]
        checkpoint()
        logits = model(tokens.unsqueeze(1), past_key_values=cache, use_cache=True).logits[:, -1].float()


class Sampler:
    """Samples groups in parts of `rows` completions (0 = all at once); fewer for good once the GPU's memory was short."""

    def __init__(self, rows: int = 0, say: Callable[[str], None] = lambda _: None) -> None:
        self.rows = rows
        self.say = say

    def sample(
        self, loaded: Loaded, prompt: list[int], count: int, sampling: Sampling, checkpoint: Callable[[], None]
    ) -> list[list[int]]:
        completions: list[list[int]] = []
        while len(completions) < count:
            rows = min(self.rows or count, count - len(completions))
            try:
                completions += sample_group(loaded, prompt, rows, sampling, checkpoint)
                continue
            except torch.cuda.OutOfMemoryError as error:
                if rows == 1:
                    raise Refusal("out of GPU memory sampling one completion", "never") from error
            # Only here is the failed attempt's memory free: until then the exception holds its frames.
            self.rows = rows // 2
            self.say(f"out of GPU memory sampling {rows} completions: {self.rows} at once from now on")
            if loaded.device.type == "cuda":
                torch.cuda.empty_cache()
        return completions
