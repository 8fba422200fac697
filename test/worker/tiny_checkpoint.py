"""Writes checkpoint folders with tiny models of random weights: python tiny_checkpoint.py FOLDER SEED KIND [FOLDER SEED KIND]...

KIND is "whole" or "bigram". In a bigram attention and MLP add nothing: a token's successor depends on that token alone, so that
the stand-in for a generation server (test/helpers/bigram-model.ts) can sample from the same model. Its heads are 32 wide, the
least that the attention kernels of real servers take.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def write(folder: Path, seed: int, bigram: bool) -> None:
    folder.mkdir(parents=True)

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={token: id for id, token in enumerate(SPECIAL + alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))

    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(SPECIAL) + len(alphabet),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2 if bigram else 4,
            num_key_value_heads=1 if bigram else 2,
            max_position_embeddings=512,
            initializer_range=0.15,
            # A model that would also stop on another id: the engine must not.
            eos_token_id=[2, 40],
            pad_token_id=2,
            bos_token_id=None,
        )
    )
    if bigram:
        for layer in model.model.layers:
            torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
            torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    model.to(torch.bfloat16).save_pretrained(folder)


for folder, seed, kind in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3], strict=True):
    write(Path(folder), int(seed), {"whole": False, "bigram": True}[kind])
