"""A checkpoint's weights and tokenizer out of a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM
from transformers.modeling_utils import PreTrainedModel

#: token_type of control tokens (gguf.TokenType.CONTROL).
CONTROL = 3


def read_model(file: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model with its weights dequantised to dtype."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=dtype)
    return model


def read_tokenizer(file: Path) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer as its tokenizer.json would have it, and what belongs in tokenizer_config.json.

    transformers' own conversion knows neither how the file's pre-tokenizer cuts digits nor that no BOS is added, and so
    gives other ids than the model was trained on; hence this one, for the one pre-tokenizer needed here.
    """
    fields = GGUFReader(file).fields

    def field(name: str) -> Any:
        return fields[f"tokenizer.ggml.{name}"].contents()

    if (field("model"), field("pre")) != ("gpt2", "smollm"):
        raise SystemExit(f"{file}: tokenizer {field('model')}/{field('pre')} is not known here, only gpt2/smollm")
    tokens: list[str] = field("tokens")
    merges = [tuple(merge.split(" ")) for merge in field("merges")]
    tokenizer = Tokenizer(BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, type in zip(tokens, field("token_type"), strict=True) if type == CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    config = {
        "bos_token": tokens[field("bos_token_id")],
        "eos_token": tokens[field("eos_token_id")],
        "unk_token": tokens[field("unknown_token_id")],
        "pad_token": tokens[field("padding_token_id")],
    }
    return tokenizer, config
