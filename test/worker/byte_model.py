"""What the tiny models of tests and benchmarks have in common: a tokenizer of single bytes, and layers that add nothing."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaForCausalLM

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
EOS = 2


def write_tokenizer(folder: Path, longest: int) -> int:
    """Writes its files into a new folder, for sequences of at most `longest` tokens; returns how many tokens there are."""
    folder.mkdir(parents=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={token: id for id, token in enumerate(SPECIAL + alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": SPECIAL[EOS], "pad_token": SPECIAL[EOS], "model_max_length": longest}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(SPECIAL) + len(alphabet)


def forget_context(model: LlamaForCausalLM) -> None:
    """Attention and MLP add nothing from now on: a token's successor depends on that token alone."""
    for layer in model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
