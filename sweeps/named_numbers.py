"""Numbers by name, as a user writes them on the command line: bounds on metrics, caps of a budget."""

from collections.abc import Iterable

from sweeps.front import Goal, Goals
from sweeps.refusals import Refusal
from trainables.metrics import TEST_PREFIX


def named_numbers(texts: Iterable[str], rule: str, example: str) -> dict[str, float]:
    """Numbers by name from ``name=number``; a lone number has no name. Raises `Refusal` for what is no number."""
    numbers = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            numbers[name] = int(value) if value.isdecimal() else float(value)
        except ValueError:
            raise Refusal(f"{rule}, and {text!r} is not; write {example}, say") from None
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
