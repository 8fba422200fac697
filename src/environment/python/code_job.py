"""Runs tests against code that a model wrote, the way the reference's pool does.

One namespace and one alarm per test; a list of builtins and a list of modules that may be imported
(one-covenant/grail grail/environments/execution.py:637-880, 54d6342).
"""

import builtins
import signal
import sys
import typing
import warnings

# Imported here, once, so that every judged process has them without reading files.
import bisect  # noqa: F401
import collections.abc  # noqa: F401
import functools  # noqa: F401
import heapq  # noqa: F401
import itertools  # noqa: F401
import math  # noqa: F401
import operator  # noqa: F401
import re  # noqa: F401
import string  # noqa: F401

IMPORTABLE = {"math", "itertools", "functools", "collections", "heapq", "bisect", "operator", "re", "string"}

BUILTINS = (
    "None False True bool int float complex str bytes bytearray list tuple set frozenset dict range enumerate zip map "
    "filter sorted reversed slice abs all any min max sum len round pow divmod chr ord hex oct bin format repr print "
    "isinstance BaseException Exception AssertionError ValueError TypeError KeyError IndexError StopIteration "
    "ZeroDivisionError __build_class__ object type"
).split()


class TimeIsUp(Exception):
    """An Exception, as in the reference: code that swallows every exception also swallows its alarm."""


def _import(
    name: str,
    globals: typing.Any = None,
    locals: typing.Any = None,
    fromlist: typing.Any = (),
    level: int = 0,
) -> object:
    if name.split(".")[0] not in IMPORTABLE:
        raise ImportError("Module '%s' is not allowed in sandboxed execution" % name)
    return builtins.__import__(name, globals, locals, fromlist, level)


# Nothing of __future__ may be imported here: compile and exec hand it on to what they are given.
def _compiles(code: str) -> str:
    try:
        compile(code, "<string>", "exec")
    except SyntaxError:
        return "invalid"
    except Exception:
        # e.g. RecursionError or a lone surrogate: the reference then has no code at all
        return "unreadable"
    return "valid"


def _passes(source: str, names: dict[str, object], seconds: int) -> bool:
    def ring(_signal: int, _frame: object) -> None:
        raise TimeIsUp()

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.alarm(seconds)
        try:
            exec(source, {"__builtins__": names})
            return True
        finally:
            signal.alarm(0)
    except BaseException:
        return False
    finally:
        signal.signal(signal.SIGALRM, before)


def describe() -> dict[str, object]:
    return {}


def run(job: dict[str, typing.Any], say: typing.Callable[[object], None]) -> None:
    """job: {code, tests, seconds}. Says {"syntax": ...}, then, for code that compiles, {"passed": [...]}."""
    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True
    syntax = _compiles(job["code"])
    say({"syntax": syntax})
    if syntax != "valid":
        return
    names = {name: getattr(builtins, name) for name in BUILTINS}
    names["__import__"] = _import
    say({"passed": [_passes(job["code"] + "\n\n" + test, names, job["seconds"]) for test in job["tests"]]})
