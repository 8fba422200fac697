"""Entry: settings as one JSON line on stdin, the port as one JSON line on file descriptor 3, log on stderr."""

from __future__ import annotations

import json
import os
import sys
import time

REPORT_FD = 3


def main() -> None:
    started = time.monotonic()
    # Unbuffered: what follows the first line is left to the thread that watches for the parent's end.
    stdin = os.fdopen(0, "rb", buffering=0)
    line = b""
    while not line.endswith(b"\n"):
        byte = stdin.read(1)
        if not byte:
            sys.exit("no settings: the worker is started by the fleet, with one line of JSON on stdin")
        line += byte
    settings = json.loads(line)

    from .orphan import die_with_parent

    die_with_parent(stdin)

    import torch

    from .model import pick_attention, pick_device
    from .prove import ProofSettings, Prover
    from .refusal import Refusal
    from .serve import Worker, server

    if settings["threads"] > 0:
        torch.set_num_threads(settings["threads"])
    try:
        device = pick_device(settings["device"])
        attention = pick_attention(settings["attention"], device)
    except Refusal as refusal:
        sys.exit(str(refusal))
    # One row per forward costs nothing on a CPU and makes replays exact; a GPU needs the batch to be busy.
    rows = settings["proof_rows"] or (16 if device.type == "cuda" else 1)
    proof = ProofSettings(buckets=settings["buckets"], initial_steps=settings["initial_steps"])
    worker = Worker(
        token=settings["token"],
        profile=settings["profile"],
        device=device,
        dtype=getattr(torch, settings["dtype"]),
        attention=attention,
        prover=Prover(proof, rows),
    )
    listening = server(worker)
    with os.fdopen(REPORT_FD, "w") as report:
        report.write(json.dumps({"port": listening.server_address[1]}) + "\n")
    print(
        f"worker {os.getpid()}: {device} {settings['dtype']} {attention}, {torch.get_num_threads()} threads, "
        f"{rows} rows per proof, up in {time.monotonic() - started:.1f} s",
        file=sys.stderr,
        flush=True,
    )
    listening.serve_forever()


if __name__ == "__main__":
    main()
