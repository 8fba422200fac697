"""A worker never outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import BinaryIO

PR_SET_PDEATHSIG = 1


def die_with_parent(pipe: BinaryIO) -> None:
    """Ends this process when the parent closes `pipe` or dies.

    Two ways, since each has a gap: the kernel's signal exists on Linux only, and the watching thread needs the
    interpreter to run.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)

    def watch() -> None:
        while pipe.read(4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()
