"""A process that judges one job after another, each in a forked child that is shut in.

Usage: python3 -s -B nursery.py JOB_MODULE

The nursery itself never runs a model's text: every job starts from the same clean state, and what it does to its
interpreter ends with it. Requests and answers are JSON lines on stdin and stdout:

    {"id": 1, "seconds": 25, "memory": 2147483648, "job": {...}}
    {"id": 1, "outcome": "done" | "timeout" | "crashed" | "refused", "parts": [...], "detail": "..."}

`parts` are the lines the child had written by then; the reader must take them for a stranger's word. The first line on
stdout is {"ready": {...}}. End of stdin ends the nursery and its child.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn, Protocol

from containment import shut_in

# Bytes a child may report: a job reports a few flags.
MAX_REPORT = 64 * 1024


class Job(Protocol):
    """What a job module has."""

    def describe(self) -> dict[str, object]: ...

    def run(self, job: Any, say: Any) -> None: ...


def _child(job_module: Job, request: dict[str, Any], report: int, nursery: int) -> NoReturn:
    """Never returns."""
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        os.closerange(3, report)
        os.closerange(report + 1, 256)

        def say(part: object) -> None:
            os.write(report, (json.dumps(part) + "\n").encode())

        shut_in(request["memory"], int(request["seconds"]) + 2)
        if os.getppid() != nursery:
            os._exit(0)  # it died before it could take its child along
        job_module.run(request["job"], say)
        say({"end": True})
    except BaseException as error:
        try:
            os.write(report, (json.dumps({"failed": type(error).__name__ + ": " + str(error)[:200]}) + "\n").encode())
        except BaseException:
            pass
    finally:
        os._exit(0)


def _listen(source: int, child: int, deadline: float) -> tuple[bytes, str]:
    """Bytes the child wrote, and how it ended: 'end', 'timeout', 'flood', or 'orphaned' when nobody waits any more."""
    heard = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return heard, "timeout"
        readable, _, _ = select.select([source, 0], [], [], left)
        if source in readable:
            chunk = os.read(source, 65536)
            if not chunk:
                return heard, "end"
            heard += chunk
            if len(heard) > MAX_REPORT:
                return heard[:MAX_REPORT], "flood"
        if 0 in readable:
            return heard, "orphaned"


def _judge(job_module: Job, request: dict[str, Any]) -> dict[str, Any]:
    source, report = os.pipe()
    nursery = os.getpid()
    try:
        child = os.fork()
    except OSError as error:
        os.close(source)
        os.close(report)
        return {"outcome": "refused", "parts": [], "detail": "fork: %s" % error}
    if child == 0:
        _child(job_module, request, report, nursery)
    os.close(report)
    heard, end = _listen(source, child, time.monotonic() + request["seconds"])
    if end != "end":
        os.kill(child, signal.SIGKILL)
    os.close(source)
    _, status = os.waitpid(child, 0)
    if end == "orphaned":
        sys.exit(0)

    parts = []
    for line in heard.split(b"\n")[:-1]:
        try:
            parts.append(json.loads(line))
        except ValueError:
            return {"outcome": "crashed", "parts": [], "detail": "its report is not JSON"}
    if end == "timeout":
        return {"outcome": "timeout", "parts": parts, "detail": ""}
    if end == "flood":
        return {"outcome": "crashed", "parts": [], "detail": "its report is too long"}
    last = parts[-1] if parts else None
    if last == {"end": True}:
        return {"outcome": "done", "parts": parts[:-1], "detail": ""}
    if isinstance(last, dict) and "failed" in last:
        return {"outcome": "crashed", "parts": parts[:-1], "detail": str(last["failed"])}
    how = "signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "exit %d" % os.WEXITSTATUS(status)
    return {"outcome": "crashed", "parts": parts, "detail": how}


def _check_containment() -> None:
    """Ends the nursery with one sentence on stderr where nothing may be run."""
    child = os.fork()
    if child == 0:
        try:
            shut_in(1 << 32, 10)
            os._exit(0)
        except BaseException as error:
            os.write(2, ("this machine cannot shut a process in (%r), so no answer is run on it\n" % error).encode())
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit(1)


def main() -> None:
    _check_containment()
    job_module: Any = importlib.import_module(sys.argv[1])
    ready = dict(job_module.describe(), python="%d.%d.%d" % sys.version_info[:3])
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(message: object) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    answer({"ready": ready})
    # os.read rather than sys.stdin: a reader that buffers ahead would hide the end of stdin from select
    waiting = b""
    while True:
        chunk = os.read(0, 1 << 20)
        if not chunk:
            return
        waiting += chunk
        if not waiting.endswith(b"\n"):
            continue
        request = json.loads(waiting)
        waiting = b""
        answer(dict(_judge(job_module, request), id=request["id"]))


if __name__ == "__main__":
    main()
