"""Sampling and proofs against the simplest way to compute the same: named verdicts, as JSON on stdout."""

from __future__ import annotations

import json
import math
import sys
import weakref
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy
import torch

import worker.forward as forward_module
import worker.sample as sample_module
from worker.forward import Prompt, Whole, padded, why_whole
from worker.model import is_spread, load, pick_attention, pick_device
from worker.prove import Batch, Place, Proof, ProofSettings, Prover, plan_batches
from worker.refusal import Refusal
from worker.sample import Sampler, Sampling, draw, sample_group

torch.set_num_threads(1)
verdicts: dict[str, bool] = {}


def say(name: str, verdict: bool) -> None:
    verdicts[name] = verdicts.get(name, True) and bool(verdict)


outside: list[str] = []
sys.addaudithook(lambda event, _: outside.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)

# --- device and attention
cpu, gpu = torch.device("cpu"), torch.device("cuda")
say("a CPU proves with SDPA", pick_attention("auto", "flash_attention_2", cpu) == "sdpa")
say("a GPU proves with the profile's attention", pick_attention("auto", "eager", gpu) == "eager")
say("another attention is taken when it is named", pick_attention("sdpa", "flash_attention_2", gpu) == "sdpa")
say("a CPU is no GPUs to spread over", not is_spread(cpu))
for name, there, pick in (
    ("FlashAttention", find_spec("flash_attn") is not None, lambda: pick_attention("auto", "flash_attention_2", gpu)),
    ("a GPU", torch.cuda.is_available(), lambda: pick_device("cuda")),
):
    try:
        pick()
        refused = False
    except Refusal as refusal:
        refused = refusal.next == "never"
    say(f"{name} that is not there is refused", refused != there)

loaded = load(Path(sys.argv[1]), 30, "tiny", "", torch.device("cpu"), torch.float32, "sdpa")
EOS = loaded.facts.eos_token_id
prompt = [3 + (7 * i) % 250 for i in range(50)]
coefficients = [17 * j - 127 for j in range(16)]


def nothing() -> None:
    """Always on time."""


def sampling(**changes: float) -> Sampling:
    values = {"max_tokens": 40, "temperature": 0.7, "top_p": 0.9, "top_k": 50, "repetition_penalty": 1.0, **changes}
    return Sampling(**values)  # type: ignore[arg-type]


@torch.no_grad()
def plain_logits(tokens: list[int]) -> torch.Tensor:
    return loaded.model(torch.tensor([tokens])).logits[0].float()


def greedy(steps: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(steps):
        tokens.append(int(plain_logits(tokens)[-1].argmax()))
        if tokens[-1] == EOS:
            break
    return tokens[len(prompt) :]


# --- sampling
for name, parameters in {"top_k 1": sampling(top_k=1), "top_p 0": sampling(top_p=0.0)}.items():
    completions = sample_group(loaded, prompt, 3, parameters, nothing)
    say(f"{name} always takes the likeliest token", completions == [greedy(40)] * 3)

torch.manual_seed(1)
ended = sample_group(loaded, prompt, 64, sampling(max_tokens=100, temperature=2.0, top_k=0, top_p=1.0), nothing)
say("a completion ends by EOS or at max_tokens", all(c[-1] == EOS or len(c) == 100 for c in ended))
say("some end by EOS before max_tokens", any(c[-1] == EOS and len(c) < 100 for c in ended))
say("nothing comes after EOS", all(EOS not in c[:-1] for c in ended))
say("a stop id of the model's own configuration does not end a completion", any(40 in c[:-1] for c in ended))

torch.manual_seed(2)
logits = torch.tensor([[3.0, 2.0, 1.0, 0.0, -1.0]]).repeat(20_000, 1)
plain = torch.softmax(logits[0] / 0.5, 0)
frequencies = torch.bincount(draw(logits, sampling(temperature=0.5, top_k=0, top_p=1.0)), minlength=5) / 20_000
say("the temperature divides the logits", bool((frequencies - plain).abs().max() < 0.02))
top3 = torch.bincount(draw(logits, sampling(temperature=1.0, top_k=3, top_p=1.0)), minlength=5)
say("top_k keeps the k likeliest", bool((top3[:3] > 0).all() and (top3[3:] == 0).all()))
# softmax(3, 2, 1, 0, -1) = .636 .234 .086 .032 .012: the first two reach .87, the third passes .9.
nucleus = torch.bincount(draw(logits, sampling(temperature=1.0, top_k=0, top_p=0.9)), minlength=5)
say("top_p keeps the tokens that reach it together", bool((nucleus[:3] > 0).all() and (nucleus[3:] == 0).all()))

# A penalty that shrinks every token seen: none of the prompt's and no token twice.
once = sample_group(loaded, prompt, 1, sampling(top_k=1, repetition_penalty=2.0, max_tokens=32), nothing)[0]
seen = set(prompt)
expected = list(prompt)
for _ in range(32):
    step = plain_logits(expected)[-1]
    for token in seen:
        step[token] = step[token] / 2.0 if step[token] > 0 else step[token] * 2.0
    expected.append(int(step.argmax()))
    seen.add(expected[-1])
    if expected[-1] == EOS:
        break
say("the repetition penalty counts prompt and completion", once == expected[len(prompt) :])

gave_up = False
try:
    steps = iter(range(5))

    def five_steps() -> None:
        next(steps)

    sample_group(loaded, prompt, 2, sampling(), five_steps)
except (StopIteration, RuntimeError):
    gave_up = True
say("a group is given up between two steps", gave_up)

# --- proofs
torch.manual_seed(3)
completions = sample_group(loaded, prompt, 16, sampling(max_tokens=200, temperature=1.5, top_k=0, top_p=1.0), nothing)
sequences = [prompt + c for c in completions]
settings = ProofSettings(buckets=8, initial_steps=50)
asked = sampling(temperature=0.7, repetition_penalty=1.2)
single, _ = Prover(settings, 1).prove(loaded, sequences, len(prompt), coefficients, asked, nothing)
for sequence, proof in list(zip(sequences, single))[:4]:
    raw = plain_logits(sequence)
    steps = range(len(prompt), len(sequence))
    logprobs = [float(raw[t - 1].log_softmax(0)[sequence[t]]) for t in steps]
    chosen = []
    for t in steps:
        step = raw[t - 1].clone()
        for token in set(sequence[:t]):
            step[token] = step[token] / 1.2 if step[token] > 0 else step[token] * 1.2
        chosen.append(float((step / 0.7).softmax(0)[sequence[t]]))
    close = lambda a, b: math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-6)  # noqa: E731
    say(
        "log-probabilities are those of the untempered softmax",
        numpy.allclose(proof.logprobs.numpy(), logprobs, atol=1e-4),
    )
    say("p(EOS) is that of the last step", close(proof.p_eos, float(raw[-2].softmax(0)[EOS])))
    say(
        "the figures are numpy's of the tempered, penalised probabilities",
        close(proof.dist["median"], float(numpy.median(chosen)))
        and close(proof.dist["q10"], float(numpy.quantile(chosen, 0.1)))
        and close(proof.dist["q10_50"], float(numpy.quantile(chosen[:50], 0.1)))
        and close(proof.dist["min"], min(chosen)),
    )

lengths = [len(sequence) for sequence in sequences]
plan = plan_batches(lengths, 5)
say("the longest sequences are proved first", [lengths[i] for b in plan for i in b.members] == sorted(lengths)[::-1])
say("every sequence is in one batch", sorted(i for b in plan for i in b.members) == list(range(16)))
say("a batch is as long as its longest sequence and one token", [b.length for b in plan] == [
    max(lengths[i] for i in b.members) + 1 for b in plan
])
say("batches are of several lengths", len({b.length for b in plan}) > 1)
say("equally long ones keep their order", plan_batches([7, 9, 7, 7], 2) == [Batch([1, 0], 10), Batch([2, 3], 8)])
say("a sequence alone is not padded", plan_batches([7, 9], 1) == [Batch([1], 9), Batch([0], 7)])


def same(a: Proof, b: Proof) -> bool:
    return torch.equal(a.sketches, b.sketches) and torch.equal(a.logprobs, b.logprobs) and a.dist == b.dist


# --- the prompt, read once
@torch.inference_mode()
def plainly(batch: list[list[int]]) -> torch.Tensor:
    """States of each sequence by itself, with nothing but its ids."""
    return torch.cat([loaded.model.base_model(torch.tensor([ids])).last_hidden_state[0] for ids in batch])


def states(reader: Prompt | Whole, batch: list[list[int]], length: int) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([row[: len(sequence)] for row, sequence in zip(reader.states_of(padded(loaded, batch, length)), batch)])


def closest(whole: torch.Tensor, shared: torch.Tensor) -> float:
    return float((whole - shared).abs().max() / whole.abs().max())


several = sorted(sequences, key=len)[::5]
for title, batch, length in (
    ("padded", several, max(map(len, several)) + 1),
    ("of one length, unpadded", [sequences[0], sequences[0]], len(sequences[0])),
    ("alone", [sequences[1]], len(sequences[1])),
    ("that ends with its first token", [prompt + [5]], len(prompt) + 1),
):
    shared = states(Prompt(loaded, prompt), batch, length)
    say(
        f"a prompt read once gives the states of sequences read whole, {title}",
        closest(plainly(batch), shared) < 1e-5 and closest(plainly(batch), states(Whole(loaded), batch, length)) < 1e-5,
    )
read_once = Prompt(loaded, prompt)
once_proved = Prover(settings, 1)
other = replace(loaded)
gone = weakref.ref(other)
once_proved.prove(other, sequences[:1], len(prompt), coefficients, asked, nothing)
del other
say("a prover keeps no model alive that others are to be loaded for", gone() is None)
say(
    "as often as it is gone on from",
    torch.equal(states(read_once, several, 300), states(read_once, several, 300))
    and read_once.cache.get_seq_length() == len(prompt),
)

tokens_read: list[int] = []
counting = loaded.model.base_model.register_forward_pre_hook(
    lambda _, __, given: tokens_read.append(given["input_ids"].numel()), with_kwargs=True
)
counted = Prover(settings, 5)
counted.prove(loaded, sequences, len(prompt), coefficients, asked, nothing)
tokens_read.clear()
counted.prove(loaded, sequences, len(prompt), coefficients, asked, nothing)
counting.remove()
say(
    "the model reads a group's prompt once, and what follows it in batches",
    tokens_read == [len(prompt), *(5 * (b.length - len(prompt)) for b in plan_batches([len(s) for s in sequences], 5))],
)


def forgetful(self, key_states, value_states, layer_idx, cache_kwargs=None):  # type: ignore[no-untyped-def]
    """A library that leaves the prompt's keys out of the last layers."""
    if layer_idx == 0:
        return remembering(self, key_states, value_states, layer_idx, cache_kwargs)
    layer = self.layers[layer_idx]
    shape = (key_states.shape[0], -1, -1, -1)
    keys, values = torch.zeros_like(layer.keys).expand(shape), layer.values.expand(shape)
    return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


def forgetful_of_one(self, key_states, value_states, layer_idx, cache_kwargs=None):  # type: ignore[no-untyped-def]
    """One that leaves them out for the second row of a batch."""
    keys, values = remembering(self, key_states, value_states, layer_idx, cache_kwargs)
    if len(keys) > 1 and layer_idx > 0:
        keys[1, :, : self.layers[layer_idx].keys.shape[-2]] = 0
    return keys, values


def unable(self, *_):  # type: ignore[no-untyped-def]
    raise TypeError("no such state")


remembering = forward_module._Continued.update
whole_said: list[str] = []
wholly: dict[str, Prover] = {}
for why, update in (
    ("states come out otherwise", forgetful),
    ("come out otherwise, by", forgetful_of_one),
    ("does not go on from a prompt (TypeError: no such state)", unable),
):
    forward_module._Continued.update = update
    wholly[why] = Prover(settings, 1, whole_said.append)
    wholly[why].prove(loaded, sequences[:1], len(prompt), coefficients, asked, nothing)
forward_module._Continued.update = remembering
changing = Prover(settings, 1)
changing.prove(loaded, sequences[:1], len(prompt), coefficients, asked, nothing)
loaded.model.config.layer_types = ["full_attention", "sliding_attention"]
loaded.model.config.sliding_window = 16
wholly["attend to the whole sequence"] = Prover(settings, 1, whole_said.append)
wholly["attend to the whole sequence"].prove(loaded, sequences[:1], len(prompt), coefficients, asked, nothing)
changing.say = (changing_said := []).append
changing.prove(replace(loaded), sequences[:1], len(prompt), coefficients, asked, nothing)
say("every model that is loaded is looked at", len(changing_said) == 1)
loaded.model.config.layer_types = None
loaded.model.config.sliding_window = None
loaded.model.base_model.rotary_emb.rope_type = "dynamic"
wholly["depend on how long"] = Prover(settings, 1, whole_said.append)
wholly["depend on how long"].prove(loaded, sequences[:1], len(prompt), coefficients, asked, nothing)
loaded.model.base_model.rotary_emb.rope_type = "default"
say("prompts of the other models are read once", why_whole(loaded) is None)
for (why, prover), line in zip(wholly.items(), whole_said, strict=True):
    say(f"a model is read whole, and it says so: {why}", why in line)
    unshared, _ = prover.prove(loaded, sequences, len(prompt), coefficients, asked, nothing)
    say(
        "which is asked once per model, and gives the same proofs",
        len(whole_said) == len(wholly) and all(torch.allclose(a.logprobs, b.logprobs, atol=1e-4) for a, b in zip(single, unshared)),
    )

read_whole = wholly["attend to the whole sequence"].prove(loaded, sequences[:2], len(prompt), coefficients, asked, nothing)[0]
for at in range(2):
    again = Prover(settings, 5).replay(loaded, sequences[at], len(prompt), coefficients, asked, whole=True)
    say("a sequence is read whole for a replay when that is asked for", same(again, read_whole[at]))
one_token = [[*prompt, 5], *sequences[:2]]
for rows in (1, 4):
    short, used = Prover(settings, rows).prove(loaded, one_token, len(prompt), coefficients, asked, nothing)
    place = Place([len(s) for s in one_token], 0, used)
    again = Prover(settings, rows).replay(loaded, one_token[0], len(prompt), coefficients, asked, place)
    say("a completion of one token is replayed exactly, too", same(again, short[0]))

batched = Prover(settings, 5)
rows5, used = batched.prove(loaded, sequences, len(prompt), coefficients, asked, nothing)
say(
    "padding leaves log-probabilities as they are, but for rounding",
    all(torch.allclose(a.logprobs, b.logprobs, atol=1e-4) for a, b in zip(single, rows5)),
)
say(
    "every proof of a batch belongs to its sequence",
    all(a.sketches.shape == b.sketches.shape for a, b in zip(single, rows5)),
)


say("a group's proofs say how many rows they were made with", used == 5)




# All of them: the longest, which needs no padding, the ones at the border of two batches, and those of a batch filled up.
for at, sequence in enumerate(sequences):
    again = batched.replay(loaded, sequence, len(prompt), coefficients, asked, Place(lengths, at, used))
    say("a replay of a batched proof is exact when told its place in the group", same(again, rows5[at]))
for rows in (1, 5):
    prover = Prover(settings, rows)
    alone = prover.prove(loaded, sequences[:1], len(prompt), coefficients, asked, nothing)[0][0]
    say(
        "without a place a sequence is a group of its own",
        same(prover.replay(loaded, sequences[0], len(prompt), coefficients, asked), alone),
    )
for place in (Place(lengths, 16, 5), Place(lengths, -1, 5), Place([1], 0, 5), Place(lengths, 0, 0)):
    try:
        batched.replay(loaded, sequences[0], len(prompt), coefficients, asked, place)
        refused = False
    except Refusal as refusal:
        refused = refusal.next == "never"
    say("a place that is not this sequence's is refused", refused)


class Crowded(Prover):
    """A prover on a GPU with room for a few sequences."""

    room = 4
    shapes: list[tuple[int, int]] = []

    def _hidden(self, reader, batch):  # type: ignore[no-untyped-def]
        if len(batch.ids) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.shapes.append(tuple(batch.ids.shape))
        return super()._hidden(reader, batch)


said: list[str] = []
crowded = Crowded(settings, 16, said.append)
halved, used = crowded.prove(loaded, sequences, len(prompt), coefficients, asked, nothing)
say("out of memory halves the rows until they fit, for good", crowded.rows == 4 and used == 4)
say("and says so", [line.split(": ")[1] for line in said] == [f"{n} rows per proof from now on" for n in (8, 4)])
say("the whole group is proved in batches of one plan", crowded.shapes == [
    (4, batch.length) for batch in plan_batches(lengths, 4)
])
say(
    "halved batches give the same proofs",
    all(torch.allclose(a.logprobs, b.logprobs, atol=1e-4) for a, b in zip(single, halved)),
)
batch_of_3 = next(b for b in plan_batches(lengths, 4) if 3 in b.members)


class Roomy(Crowded):
    """Another worker, whose GPU has room for a whole group."""

    room = 16


for prover in (crowded, Roomy(settings, 16), Roomy(settings, 1)):
    prover.shapes.clear()
    again = prover.replay(loaded, sequences[3], len(prompt), coefficients, asked, Place(lengths, 3, used))
    say(
        "and are replayed exactly, in the same shape, whatever the worker that replays proves with",
        same(again, halved[3]) and prover.shapes == [(4, batch_of_3.length)],
    )
crowded.shapes.clear()
try:
    crowded.replay(loaded, sequences[3], len(prompt), coefficients, asked, Place(lengths, 3, 5))
    refused = False
except Refusal as refusal:
    refused = refusal.next == "later" and "5 rows: another shape would not repeat it" in str(refusal)
say("a replay that does not fit is refused, not made in another shape", refused and crowded.shapes == [])
say("and leaves the rows of the next proof as they are", crowded.rows == 4)


class Hopeless(Prover):
    """A prover on a GPU that has no room at all."""

    def _hidden(self, reader, batch):  # type: ignore[no-untyped-def]
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")


try:
    Hopeless(settings, 2).prove(loaded, sequences, len(prompt), coefficients, asked, nothing)
    refused = False
except Refusal as refusal:
    refused = refusal.next == "never" and "one sequence" in str(refusal)
say("one sequence that does not fit is refused", refused)

# --- groups sampled in parts
asked_for: list[int] = []
whole_group = sample_module.sample_group


def narrow(loaded, prompt, count, sampling, checkpoint):  # type: ignore[no-untyped-def]
    asked_for.append(count)
    if count > 4:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")
    return whole_group(loaded, prompt, count, sampling, checkpoint)


sample_module.sample_group = narrow
said.clear()
sampler = Sampler(0, said.append)
parts = sampler.sample(loaded, prompt, 10, sampling(), nothing)
say("out of memory halves the completions sampled at once", asked_for == [10, 5, 2, 2, 2, 2, 2] and len(parts) == 10)
say("for good, and says so", sampler.rows == 2 and len(said) == 2 and "2 at once from now on" in said[1])
asked_for.clear()
say("a group is sampled in parts of as many as told", len(Sampler(4).sample(loaded, prompt, 9, sampling(), nothing)) == 9)
say("the last part is what is left", asked_for == [4, 4, 1])

say("nothing asked for a connection or a host's address", outside == [])
json.dump(verdicts, sys.stdout)
