"""Are two answers the same expression? As the reference asks sympy (one-covenant/grail
grail/environments/math_hendrycks_env.py:_math_answers_equal, 54d6342), in a process that cannot do anything else:
sympy's parser evaluates what it reads."""

from __future__ import annotations

from typing import Callable

try:
    import sympy
except ImportError:
    sympy = None
else:
    # load now what sympy loads late, so that judged processes start with it
    sympy.simplify(sympy.parse_expr("sqrt(8)/2 + 1/3*x*(x+1)") - sympy.parse_expr("sin(x)**2 + 0.5"))


def describe() -> dict[str, object]:
    return {"sympy": sympy.__version__ if sympy else None}


def run(job: dict[str, str], say: Callable[[object], None]) -> None:
    """job: {predicted, gold}. Says {"equal": bool}."""
    try:
        difference = sympy.parse_expr(job["predicted"]) - sympy.parse_expr(job["gold"])
        equal = bool(sympy.simplify(difference) == 0)
    except Exception:
        equal = False
    say({"equal": equal})
