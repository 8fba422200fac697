"""The way of a Python miner: JSON groups from the staging queue, row dicts, one Arrow table, one Parquet file.

usage: python-path.py STAGED.jsonl OUT.parquet [OURS.parquet]

Prints one JSON object: CPU seconds by step, peak memory, rows, and with a third argument whether both files hold the same
rows. Nothing is signed or judged here; imports are not counted.
"""

import json
import resource
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq

MODEL = pa.struct([("name", pa.string()), ("layer_index", pa.int32())])
ROLLOUT = pa.struct(
    [
        ("total_reward", pa.float64()),
        ("advantage", pa.float64()),
        ("success", pa.bool_()),
        ("token_logprobs", pa.list_(pa.float32())),
        ("prompt_length", pa.int32()),
        ("completion_length", pa.int32()),
    ]
)
COMMIT = pa.struct(
    [
        ("tokens", pa.list_(pa.int32())),
        ("commitments", pa.string()),
        ("proof_version", pa.string()),
        ("model", MODEL),
        ("signature", pa.string()),
        ("beacon", pa.string()),
        ("rollout", ROLLOUT),
    ]
)
WINDOW = pa.schema(
    [(name, pa.int64()) for name in ("window_start", "block", "nonce")]
    + [("block_hash", pa.string()), ("randomness", pa.string()), ("use_drand", pa.bool_())]
    + [("rollout_group", pa.int64()), ("rollout_index", pa.int32()), ("total_in_group", pa.int32())]
    + [("checkpoint_window", pa.int64()), ("commit", COMMIT), ("timestamp", pa.float64())]
    + [(name, pa.string()) for name in ("challenge", "hotkey", "signature")]
)


def row_of(rollout):
    """Types made sure of field by field, what has no fixed shape as JSON text."""
    row = {}
    for field in WINDOW:
        value = rollout[field.name]
        if pa.types.is_integer(field.type):
            row[field.name] = int(value)
        elif pa.types.is_floating(field.type):
            row[field.name] = float(value)
        elif pa.types.is_boolean(field.type):
            row[field.name] = bool(value)
        elif pa.types.is_string(field.type):
            row[field.name] = str(value)
    commit = rollout["commit"]
    made = commit["rollout"]
    row["commit"] = {
        "tokens": [int(token) for token in commit["tokens"]],
        "commitments": json.dumps(commit["commitments"]),
        "proof_version": str(commit["proof_version"]),
        "model": {"name": str(commit["model"]["name"]), "layer_index": int(commit["model"]["layer_index"])},
        "signature": str(commit["signature"]),
        "beacon": json.dumps(commit["beacon"]),
        "rollout": {
            "total_reward": float(made["total_reward"]),
            "advantage": float(made["advantage"]),
            "success": bool(made["success"]),
            "token_logprobs": [float(logprob) for logprob in made["token_logprobs"]],
            "prompt_length": int(made["prompt_length"]),
            "completion_length": int(made["completion_length"]),
        },
    }
    return row


def same_rows(path, ours):
    """Equal but for signatures, which are random, and the spaces in JSON texts."""
    mine, theirs = pq.read_table(path).flatten().flatten(), pq.read_table(ours).flatten().flatten()
    texts = {"signature", "challenge", "commit.signature"}
    for name in mine.column_names:
        if name in texts:
            continue
        left, right = mine[name].to_pylist(), theirs[name].to_pylist()
        if name in ("commit.commitments", "commit.beacon"):
            left, right = [json.loads(text) for text in left], [json.loads(text) for text in right]
        if left != right:
            return False
    return mine.num_rows == theirs.num_rows


def main(staged, out, ours):
    steps = {}

    def measured(step, work):
        before = time.process_time()
        made = work()
        steps[step] = steps.get(step, 0) + time.process_time() - before
        return made

    rollouts = []
    with open(staged, "rb") as lines:
        for line in lines:
            rollouts.extend(measured("decode", lambda: json.loads(line)))
    rows = measured("convert", lambda: [row_of(rollout) for rollout in rollouts])
    table = measured("table", lambda: pa.Table.from_pylist(rows, schema=WINDOW))
    options = {"compression": "zstd", "compression_level": 1, "use_dictionary": True, "write_statistics": True}
    measured("write", lambda: pq.write_table(table, out, **options))
    answer = {
        "cpuSeconds": sum(steps.values()),
        "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "rows": table.num_rows,
        "steps": steps,
    }
    if ours:
        answer["same"] = same_rows(out, ours)
    json.dump(answer, sys.stdout)


main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
