"""Which of a budget's caps ends a sweep, and how many trials each of them allows."""

import math

from search_spaces.policies import Budget, Resources
from sweeps.preview.foresight import Foresight
from sweeps.preview.spans import Span
from sweeps.preview.totals import allowed
from sweeps.preview.wall import START_S, Pace
from trainables.metrics import COST_S, FLOPS


def trials_by_cap(
    foresight: Foresight, budget: Budget, resources: Resources, spent: dict[str, Span], limit: float, pace: Pace | None
) -> dict[str, Span]:
    """How many trials the space and each cap allow, by cap; infinity where all trials end before it.

    `limit` is the number of trials of budget and grid, `spent` the share of their planned compute that trials spend.
    Caps on time are left out where there is no `pace`.
    """
    caps = {"trials": Span.exactly(limit)} if math.isfinite(limit) else {}
    for name, metric, cap in (("cost_s", COST_S, budget.cost_s), ("train_flops", FLOPS, budget.train_flops)):
        if cap is not None:
            caps[name] = allowed(foresight, metric, cap, spent[metric])
    if pace is not None:
        caps |= {name: _in_time(seconds, pace) for name, seconds in _time_caps(budget, resources, pace.slots).items()}
    return caps


def trials_in_all(caps: dict[str, Span]) -> Span:
    """How many trials end: those of the cap that is reached first."""
    ends = [[getattr(span, end) for span in caps.values()] for end in ("least", "likely", "most")]
    return Span(*(min(counts, default=math.inf) for counts in ends))


def ending(caps: dict[str, Span]) -> list[str]:
    """The caps that may end the sweep, the likeliest first."""
    most = min((span.most for span in caps.values()), default=math.inf)
    return sorted((name for name, span in caps.items() if span.least <= most), key=lambda name: caps[name].likely)


def _time_caps(budget: Budget, resources: Resources, slots: int) -> dict[str, float]:
    """Seconds of wall time that each cap on time comes to."""
    devices = slots * resources.workers * (resources.gpus_per_worker or 1)
    hours = {"wall_hours": budget.wall_hours}
    hours["device_hours"] = None if budget.device_hours is None else budget.device_hours / devices
    if budget.money is not None and budget.price_per_device_hour is not None:
        hours["money"] = budget.money / budget.price_per_device_hour / devices
    return {name: 3600 * value for name, value in hours.items() if value is not None}


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
