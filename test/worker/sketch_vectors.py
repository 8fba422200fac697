"""What the worker's functions give for the reference's vectors, as JSON on stdout: python sketch_vectors.py FOLDER."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from worker.sketch import log_buckets, sketches
from worker.weights import weights_hash

vectors = Path(sys.argv[1])


def cases(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((vectors / file).read_text())["cases"]
    return found


def bf16(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.int16).view(torch.bfloat16)


every = torch.arange(32768, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
answer: dict[str, Any] = {
    "bf16": {
        str(buckets): {
            "buckets": log_buckets(every, buckets).tolist(),
            "mirrored": bool((log_buckets(-every, buckets) == -log_buckets(every, buckets)).all()),
            "sha256": hashlib.sha256(log_buckets(every, buckets).to(torch.int8).numpy().tobytes()).hexdigest(),
        }
        for buckets in (8, 16)
    },
    "doubles": [
        [
            int(log_buckets(torch.tensor([float.fromhex(case["hex"])], dtype=torch.float64), buckets)[0])
            for buckets in (8, 16)
        ]
        for case in cases("log_bucket.json")
    ],
    "sketches": [
        sketches(
            bf16(bytes.fromhex(case["hidden_bf16_le_hex"])).view(case["seq_len"], case["hidden_dim"]),
            torch.tensor(case["coeffs"]),
            8,
        ).tolist()
        for case in cases("sketch_commitments_v5.json")
    ],
    "weights": [],
}


DTYPES = {"torch.bfloat16": "BF16", "torch.float32": "F32", "torch.float16": "F16", "torch.int64": "I64"}
for case in cases("weights_hash.json"):
    # The file holds its tensors in the case's own order; the digest must not depend on it.
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in case["tensors"].items():
        raw = bytes.fromhex(tensor["le_hex"])
        header[name] = {
            "dtype": DTYPES[tensor["dtype"]],
            "shape": tensor["shape"],
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        answer["weights"].append(weights_hash(Path(folder)))

json.dump(answer, sys.stdout)
