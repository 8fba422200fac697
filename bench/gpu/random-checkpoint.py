"""Writes a checkpoint of a real model's shape with random weights: random-checkpoint.py FOLDER SEED TOKENIZER SHAPE.

TOKENIZER is a folder with tokenizer.json and tokenizer_config.json, SHAPE the model's config as JSON. Random weights are
as fast and as large as trained ones, and what they compute has to be repeated as exactly. Prints the weights' digest.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from worker.weights import weights_hash

folder, seed, tokenizer, shape = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
folder.mkdir(parents=True)
torch.manual_seed(seed)
config = AutoConfig.for_model(**shape)
# On the GPU some billions of random numbers take a second, on a CPU minutes.
with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
model.save_pretrained(folder)
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(tokenizer / name, folder / name)
print(weights_hash(folder))
