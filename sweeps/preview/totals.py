"""What all trials of a sweep take together, and how many of them its budget allows."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from sweeps.preview.foresight import Foresight
from sweeps.preview.spans import Span


def total(foresight: Foresight, metric: str, trials: Span, spent: Span) -> Span:
    """The sum of a planned metric over so many trials, each of which spends a share `spent` of its own.

    Summed as a finished sweep sums (`sweeps.tables.cost_so_far`), so that what is known is known to the last bit. The
    least is that of a sweep whose unknown trials are the cheapest there are, the most that of the dearest.
    """
    known = [trial.compute[metric] for trial in foresight.known]
    beyond = Span(foresight.least[metric], _mean(foresight, metric), foresight.most[metric])
    return Span(*(_sum(known, *end) for end in zip(_ends(trials), _ends(beyond), _ends(spent), strict=True)))


def allowed(foresight: Foresight, metric: str, cap: float, spent: Span) -> Span:
    """How many trials a cap on a planned metric allows; infinitely many where the sweep ends before it."""
    known = [trial.compute[metric] for trial in foresight.known]
    beyond = Span(foresight.most[metric], _mean(foresight, metric), foresight.least[metric])
    shares = Span(spent.most, spent.likely, spent.least)
    counts = [
        _count([cost * share for cost in known], each * share, cap, foresight.all_known)
        for each, share in zip(_ends(beyond), _ends(shares), strict=True)
    ]
    return Span(*counts)


def _count(known: Sequence[float], each: float, cap: float, all_known: bool) -> float:
    sums = list(accumulate(known, initial=0.0))
    if cap < sums[-1]:
        return bisect_right(sums, cap) - 1
    return math.inf if all_known else len(known) + (cap - sums[-1]) // each


def _sum(known: Sequence[float], trials: float, each: float, share: float) -> float:
    first = known[: int(min(trials, len(known)))]
    return math.fsum([*(cost * share for cost in first), (trials - len(first)) * each * share])


def _mean(foresight: Foresight, metric: str) -> float:
    return math.fsum(trial.compute[metric] for trial in foresight.sample) / len(foresight.sample)


def _ends(span: Span) -> tuple[float, float, float]:
    return span.least, span.likely, span.most
