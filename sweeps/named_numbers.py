"""Numbers by name, as a user writes them on the command line: bounds on metrics, caps of a budget."""

import math
from collections.abc import Iterable

from sweeps.front import Goal, Goals
from sweeps.refusals import Refusal
from trainables.metrics import TEST_PREFIX


def named_numbers(texts: Iterable[str], rule: str, example: str) -> dict[str, float]:
    """Numbers by name from ``name=number``; a lone number has no name.

    Raises `Refusal` for what is no finite number, and for a name that is given twice.
    """
    numbers: dict[str, float] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            number = int(value) if value.lstrip("+-").isdecimal() else float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise Refusal(f"{rule}, and {text!r} is not; write {example}, say")
        if name in numbers:
            raise Refusal(f"{rule} and is given once, and {text!r} comes after {numbers[name]:g}; keep one of the two")
        numbers[name] = number
    return numbers


def parsed_bounds(texts: Iterable[str], goals: Goals, way: Goal) -> dict[str, float]:
    """Bounds by metric from ``metric=number``; a lone number bounds the first goal of that way.

    Raises `Refusal` for what is no bound, and for a bound on a test metric.
    """
    first = next((goal for goal in goals if goals[goal] == way), "")
    given = named_numbers(texts, "a bound is metric=number", f"{next(iter(goals))}=0.6")
    bounds = {name or first: value for name, value in given.items()}
    for name, value in bounds.items():
        if not name:
            raise Refusal(f"a lone number bounds a goal to {way}, and there is none; write metric={value:g}")
        if name.startswith(TEST_PREFIX):
            allowed = name.removeprefix(TEST_PREFIX)
            raise Refusal(f"validation selects and test only reports, so {name} cannot be a bound. Bound {allowed}")
    return bounds
