"""Writes checkpoint folders with tiny models of random weights: python tiny_checkpoint.py FOLDER SEED KIND [FOLDER SEED KIND]...

KIND is "whole" or "bigram". In a bigram attention and MLP add nothing: a token's successor depends on that token alone, so that
the stand-in for a generation server (test/helpers/bigram-model.ts) can sample from the same model. Its heads are 32 wide, the
least that the attention kernels of real servers take.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from byte_model import EOS, forget_context, write_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

LONGEST = 512


def write(folder: Path, seed: int, bigram: bool) -> None:
    vocabulary = write_tokenizer(folder, longest=LONGEST)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2 if bigram else 4,
            num_key_value_heads=1 if bigram else 2,
            max_position_embeddings=LONGEST,
            initializer_range=0.15,
            # A model that would also stop on another id: the engine must not.
            eos_token_id=[EOS, 40],
            pad_token_id=EOS,
            bos_token_id=None,
        )
    )
    if bigram:
        forget_context(model)
    model.to(torch.bfloat16).save_pretrained(folder)


for folder, seed, kind in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3], strict=True):
    write(Path(folder), int(seed), {"whole": False, "bigram": True}[kind])
