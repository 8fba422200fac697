"""Writes checkpoints of a real model's shape with random weights: random-checkpoint.py TOKENIZER SHAPE {FOLDER SEED}...

TOKENIZER is a folder with tokenizer.json and tokenizer_config.json, SHAPE the model's config as JSON. Random weights are
as fast and as large as trained ones, and what they compute has to be repeated as exactly. Prints a line with the
digest of the weights for each.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from worker.weights import weights_hash

tokenizer, shape = Path(sys.argv[1]), json.loads(sys.argv[2])
for folder, seed in zip(map(Path, sys.argv[3::2]), map(int, sys.argv[4::2]), strict=True):
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    # On the GPU some billions of random numbers take a second, on a CPU minutes.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape), dtype=torch.bfloat16)
    model.save_pretrained(folder)
    del model
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder / name)
    print(weights_hash(folder), flush=True)
