"""One causal language model from a local checkpoint folder."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM
from transformers.modeling_utils import PreTrainedModel

from .refusal import Refusal
from .weights import weights_hash


@dataclass(frozen=True)
class Facts:
    """What is loaded, as it goes over the wire."""

    checkpoint_window: int
    model_name: str
    weights_hash: str
    eos_token_id: int
    vocab_size: int
    max_positions: int

    def wire(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Loaded:
    model: PreTrainedModel
    facts: Facts
    device: torch.device
    pad_token_id: int


def pick_device(wanted: str) -> torch.device:
    """'auto' takes the first visible GPU where there is one, else the CPU."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise Refusal(f"device {wanted} asked for, but torch {torch.__version__} sees no GPU", "never")
    return torch.device(wanted)


def pick_attention(wanted: str, profile: str, device: torch.device) -> str:
    """'auto' takes the protocol profile's on a GPU, SDPA on a CPU, where FlashAttention does not run."""
    if wanted == "auto":
        wanted = profile if device.type == "cuda" else "sdpa"
    if wanted == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        raise Refusal(
            "flash-attn is not installed, and validators prove with it; install it (docs/gpu.md), "
            "or set engine.attention to sdpa for a rehearsal",
            "never",
        )
    return wanted


def is_spread(device: torch.device) -> bool:
    """A worker that sees several GPUs and was given none of them by number puts some layers on each."""
    return device.type == "cuda" and device.index is None and torch.cuda.device_count() > 1


def read_eos(folder: Path) -> int:
    """Id of the tokenizer's EOS: the only id a validator takes as an end."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    eos = config["eos_token"]
    text = eos["content"] if isinstance(eos, dict) else eos
    token = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(text)
    if token is None:
        raise Refusal(f"{folder}: eos_token {text!r} is not in tokenizer.json", "never")
    return int(token)


def load(
    folder: Path,
    window: int,
    model_name: str,
    expected_hash: str,
    device: torch.device,
    dtype: torch.dtype,
    attention: str,
) -> Loaded:
    """Loads weights and facts; refuses ('never') weights of another digest than expected ('' = any)."""
    for needed in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if not (folder / needed).is_file():
            raise Refusal(f"{folder} has no {needed}: is it a checkpoint folder?", "never")
    if not any(folder.glob("*.safetensors")):
        raise Refusal(
            f"{folder} has no *.safetensors: the transformers engine needs a checkpoint with weights", "never"
        )
    found_hash = weights_hash(folder)
    if expected_hash and found_hash != expected_hash:
        raise Refusal(f"{folder}: weights hash is {found_hash}, expected {expected_hash}", "never")
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation=attention,
        local_files_only=True,
        use_safetensors=True,
        device_map="balanced" if is_spread(device) else None,
    )
    if is_spread(device):
        # Inputs go to the first layers.
        device = model.device
    else:
        model.to(device)  # type: ignore[arg-type]
    model.eval()  # type: ignore[no-untyped-call]
    config = model.config
    eos = read_eos(folder)
    pad = config.pad_token_id if config.pad_token_id is not None else eos
    facts = Facts(
        checkpoint_window=window,
        model_name=model_name,
        weights_hash=found_hash,
        eos_token_id=eos,
        vocab_size=int(config.vocab_size),
        max_positions=int(config.max_position_embeddings),
    )
    return Loaded(model=model, facts=facts, device=device, pad_token_id=int(pad))
