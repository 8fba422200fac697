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
    from transformers.utils import logging

    from .listen import server
    from .model import pick_attention, pick_device
    from .prove import ProofSettings, Prover
    from .refusal import Refusal
    from .sample import Sampler
    from .serve import Worker

    # Bars are for terminals: in a log every step of theirs is a line.
    logging.disable_progress_bar()
    if settings["threads"] > 0:
        torch.set_num_threads(settings["threads"])
    try:
        device = pick_device(settings["device"])
        attention = pick_attention(settings["attention"], settings["profile_attention"], device)
    except Refusal as refusal:
        sys.exit(str(refusal))
    # One row per forward costs nothing on a CPU; a GPU needs the profile's batch to be busy.
    rows = settings["proof_rows"] or (settings["profile_rows"] if device.type == "cuda" else 1)

    def say(line: str) -> None:
        print(f"worker {os.getpid()}: {line}", file=sys.stderr, flush=True)

    proof = ProofSettings(buckets=settings["buckets"], initial_steps=settings["initial_steps"])
    worker = Worker(
        token=settings["token"],
        profile=settings["profile"],
        device=device,
        dtype=getattr(torch, settings["dtype"]),
        attention=attention,
        prover=Prover(proof, rows, say),
        sampler=Sampler(settings["sample_rows"], say),
    )
    listening = server(worker)
    with os.fdopen(REPORT_FD, "w") as report:
        report.write(json.dumps({"port": listening.server_address[1]}) + "\n")
    say(
        f"{device} {settings['dtype']} {attention}, {torch.get_num_threads()} threads, "
        f"{rows} rows per proof, up in {time.monotonic() - started:.1f} s"
    )
    listening.serve_forever()


if __name__ == "__main__":
    main()
