"""Sketches of hidden states (one-covenant/grail grail/protocol/grail_verifier.py:84-119, 221-298, commit 54d6342)."""

from __future__ import annotations

import torch
from torch import Tensor

#: Modulus of the sketches, 2^31 - 1.
PRIME_Q = 2_147_483_647
#: Activations smaller than this fall into bucket 0.
SMALLEST_ACTIVATION = 1e-6
#: log2(|x| + 1) is scaled so that this value would reach the last bucket.
LOG_RANGE = 10.0


def log_buckets(values: Tensor, buckets: int) -> Tensor:
    """Signed logarithmic bucket of every value: int64, in [-(buckets - 1), buckets - 1]; NaN gives 0."""
    wide = values.to(torch.float64)
    magnitude = wide.abs()
    scaled = torch.log2(magnitude + 1.0) * (buckets / LOG_RANGE)
    bucket = scaled.nan_to_num(nan=0.0, posinf=float(buckets)).clamp(max=buckets - 1).to(torch.int64)
    bucket = torch.where(magnitude < SMALLEST_ACTIVATION, 0, bucket)
    return torch.where(wide < 0, -bucket, bucket)


def sketches(hidden: Tensor, coefficients: Tensor, buckets: int) -> Tensor:
    """Sketch of every position.

    hidden: [n, d] last hidden state after the final norm, in the model's dtype: the largest activations are picked at
    that precision. Where several share the border of the top k, torch.topk decides, as in the reference.
    coefficients: integers [k] on the same device. Returns int64 [n], each in [0, PRIME_Q).
    """
    index = hidden.abs().topk(coefficients.numel(), dim=-1).indices.sort(dim=-1).values
    chosen = log_buckets(hidden.gather(-1, index), buckets)
    # |sum| <= 16 * 7 * 127, far inside int64; torch's % takes the divisor's sign: negative sums wrap.
    return (chosen * coefficients.to(torch.int64)).sum(dim=-1) % PRIME_Q
