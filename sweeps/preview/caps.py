"""Which of a budget's caps ends a sweep, and how many trials each of them allows."""

import math

from search_spaces.policies import Budget, Resources
from sweeps.preview.foresight import Foresight
from sweeps.preview.spans import Span
from sweeps.preview.totals import allowed
from sweeps.preview.wall import START_S, Pace
from sweeps.spending import MODELLED, seconds_per_unit


def trials_by_cap(
    foresight: Foresight, budget: Budget, resources: Resources, spent: dict[str, Span], limit: float, pace: Pace | None
) -> dict[str, Span]:
    """How many trials the space and each cap allow, by cap; infinity where all trials end before it.

    `limit` is the number of trials of budget and grid, `spent` the share of their planned compute that trials spend.
    Caps on time are left out where there is no `pace`.
    """
    caps = {"trials": Span.exactly(limit)} if math.isfinite(limit) else {}
    limits = budget.caps()
    for name, metric in MODELLED.items():
        if name in limits:
            caps[name] = allowed(foresight, metric, limits[name], spent[metric])
    if pace is not None:
        units = seconds_per_unit(budget, resources.devices(pace.slots))
        caps |= {name: _in_time(limits[name] * seconds, pace) for name, seconds in units.items()}
    return caps


def trials_in_all(caps: dict[str, Span]) -> Span:
    """How many trials end: those of the cap that is reached first."""
    ends = [[getattr(span, end) for span in caps.values()] for end in ("least", "likely", "most")]
    return Span(*(min(counts, default=math.inf) for counts in ends))


def ending(caps: dict[str, Span]) -> list[str]:
    """The caps that may end the sweep, the likeliest first."""
    most = min((span.most for span in caps.values()), default=math.inf)
    return sorted((name for name, span in caps.items() if span.least <= most), key=lambda name: caps[name].likely)


def _in_time(cap_s: float, pace: Pace) -> Span:
    """The most trials where they are shortest."""
    counts = [
        max(0.0, (cap_s - start) * pace.slots // each)
        for start, each in (
            (START_S.most, pace.others.most),
            (START_S.likely, pace.others.likely),
            (START_S.least, pace.others.least),
        )
    ]
    return Span(*counts)
