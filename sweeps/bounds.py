"""Bounds on metrics, as a user writes them to choose a point of a front."""

from collections.abc import Iterable

from sweeps.front import Goal, Goals
from sweeps.refusals import Refusal
from trainables.metrics import TEST_PREFIX


def parsed_bounds(texts: Iterable[str], goals: Goals, way: Goal) -> dict[str, float]:
    """Bounds by metric from `metric=number`; a lone number bounds the first goal of that way.

    Raises `Refusal` for what is no bound, and for a bound on a test metric.
    """
    first = next((goal for goal in goals if goals[goal] == way), "")
    bounds = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        name = name or first
        try:
            bounds[name] = float(value)
        except ValueError:
            raise Refusal(f"a bound is metric=number, and {text!r} is not; write transfer/knn_top1=0.6, say") from None
        if not name:
            raise Refusal(f"a lone number bounds a goal to {way}, and there is none; write {text!r} as metric=number")
        if name.startswith(TEST_PREFIX):
            allowed = name.removeprefix(TEST_PREFIX)
            raise Refusal(f"validation selects and test only reports, so {name} cannot be a bound. Bound {allowed}")
    return bounds
