"""Digest of a checkpoint's weights (one-covenant/grail, weights_hash of metadata.json, commit 54d6342)."""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path

import xxhash


def weights_hash(folder: Path) -> str:
    """xxh3-128, hex, over the raw bytes of all tensors in the folder's safetensors files, ordered by name."""
    digest = xxhash.xxh3_128()
    tensors: dict[str, memoryview] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as handle:
            content = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        (header_length,) = struct.unpack("<Q", content[:8])
        header = json.loads(bytes(content[8 : 8 + header_length]))
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                tensors[name] = content[8 + header_length + start : 8 + header_length + end]
    for name in sorted(tensors):
        digest.update(tensors[name])
    return digest.hexdigest()
