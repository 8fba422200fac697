"""Why a request could not be done, and what the caller should do next."""

from __future__ import annotations

from typing import Literal

Next = Literal["never", "later", "deadline"]


class Refusal(Exception):
    """'never': this request is wrong; 'later': ask again after retry_after_ms; 'deadline': too late for this window."""

    def __init__(self, message: str, next: Next, retry_after_ms: int = 0) -> None:
        super().__init__(message)
        self.next: Next = next
        self.retry_after_ms = retry_after_ms


class Abandoned(Exception):
    """The caller has hung up: nobody waits for the answer."""
