"""What a sweep would take: trials, compute, memory, time, what stopping saves, what does not fit, what caps cut."""

import math
import os
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from typing import Any

import torch

from search_spaces.policies import Bound, Budget
from search_spaces.sweep_file import LoadedSweep
from sweeps.constraints import planned
from sweeps.outline import cautions, most_trials
from sweeps.preview import fit
from sweeps.preview.caps import ending, trials_by_cap, trials_in_all
from sweeps.preview.correlations import rung_correlations
from sweeps.preview.foresight import Foresight, foresee
from sweeps.preview.savings import Simulation, share_spent, simulate
from sweeps.preview.spans import Span
from sweeps.preview.timers import Timed, Timers
from sweeps.preview.totals import total
from sweeps.preview.wall import START_S, Model, Pace, wall_seconds
from sweeps.results import Results
from sweeps.spending import MODELLED
from trainables.config import TrialConfig
from trainables.metrics import COST_S, FLOPS, PEAK_BYTES

_PER_TRIAL = (COST_S, FLOPS, PEAK_BYTES)


def preview(loaded: LoadedSweep, results: Results) -> dict[str, Any]:
    """All of it, as plain values. `results` keeps the teacher, which is trained if it is not there.

    What lies between two ends is ``{least, likely, most}``; where these are equal it is known, unless trials fail. What
    cannot be known here is None. Raises `Refusal` if `results` is no place to write in.
    """
    results.make()
    file, resources = loaded.file, loaded.file.resources
    slots = sum(kind.slots_in(os.cpu_count() or 1, torch.cuda.device_count()) for kind in resources.kinds())
    memory = max(fit.memory_bytes(kind, slots) for kind in resources.kinds())
    timers = _timers(loaded, slots, results)  # they get ready while the rest is worked out
    foresight = foresee(loaded)
    simulation = simulate(file, foresight.known if foresight.all_known else [*foresight.known, *foresight.sample])
    played = {metric: _played(simulation, metric) for metric in MODELLED.values()}
    spent = {metric: _possible(simulation, share) for metric, share in played.items()}
    timed, why = _timed(timers, foresight, memory)
    pace = Pace.of(Model.of(timed), foresight, simulation, slots) if timed else None
    limit = len(foresight.known) if foresight.all_known else most_trials(loaded) or math.inf
    caps = trials_by_cap(foresight, file.budget, resources, spent, limit, pace)
    trials, limits = trials_in_all(caps), file.budget.caps()
    return {
        "name": file.name,
        "digest": loaded.digest,
        "search": file.search.name,
        "trials": _plain(trials),
        "caps": {name: {"cap": getattr(file.budget, name), "trials": _plain(span)} for name, span in caps.items()},
        "ended_by": ending(caps),
        "trial": {metric: {"least": foresight.least[metric], "most": foresight.most[metric]} for metric in _PER_TRIAL},
        "total": {
            metric: _plain(total(foresight, metric, trials, spent[metric]).at_most(limits.get(cap, math.inf)))
            for cap, metric in MODELLED.items()
        },
        "stopping": _stopping(loaded, foresight, played[COST_S]),
        "wall": _wall(pace, trials, foresight, file.budget, timed, why),
        "fit": _fit(loaded, foresight, memory),
        "cautions": cautions(loaded),
    }


def _timers(loaded: LoadedSweep, slots: int, results: Results) -> Timers | None:
    """None where this machine cannot tell."""
    resources = loaded.file.resources.kinds()[0]
    if resources.gpus_per_worker and not torch.cuda.is_available():
        return None
    example = TrialConfig.model_validate(next(loaded.space.corners()))
    return Timers(example, results.absolute, resources, slots)


def _timed(timers: Timers | None, foresight: Foresight, memory: float) -> tuple[list[Timed], str | None]:
    """Timings of trials that fit: the cheapest and the dearest corner, then corners and random trials; or why none."""
    if timers is None:
        return [], "trials ask for a GPU, and this machine has none to measure them on"
    corners, others = (
        [trial for trial in trials if trial.compute[PEAK_BYTES] <= memory]
        for trials in (foresight.corners, foresight.sample)
    )
    corners.sort(key=lambda trial: trial.compute[COST_S])
    inner = [trial for pair in zip(corners[1:-1], others, strict=False) for trial in pair]
    chosen = [*corners[:1], *corners[-1:], *inner] or others
    try:
        timed = timers.time([trial.config for trial in chosen])
    except BrokenProcessPool:
        return [], "a process that timed trials was killed, most likely for want of memory"
    return timed, None if timed else "no trial fits into the memory of its worker, or none had a finite loss"


def _played(simulation: Simulation, metric: str) -> Span:
    """The share of its planned compute that a simulated sweep spends."""
    full = [trial.compute[metric] for trial in simulation.trials]
    repeats = [[cost * share for cost, share in zip(full, repeat, strict=True)] for repeat in simulation.repeats]
    return share_spent(simulation, full, repeats)


def _possible(simulation: Simulation, played: Span) -> Span:
    """The least share is that of a sweep that stops every trial at its first rung, the most that of one without."""
    if not simulation.stops:
        return Span.exactly(1.0)
    first = min(trial.config.rung_steps()[0] / trial.config.steps for trial in simulation.trials)
    return Span(first, played.likely, 1.0)


def _stopping(loaded: LoadedSweep, foresight: Foresight, played: Span) -> dict[str, Any]:
    config = foresight.sample[0].config
    rungs = zip(config.rung_steps(), rung_correlations(config), strict=False)
    return {
        "rule": loaded.file.stop.to_json(),
        "rungs": [{"fidelity": step / config.steps, "correlation": list(ends)} for step, ends in rungs],
        "saved": _plain(Span(1 - played.most, 1 - played.likely, 1 - played.least)),
    }


def _wall(
    pace: Pace | None, trials: Span, foresight: Foresight, budget: Budget, timed: list[Timed], why: str | None
) -> dict[str, Any]:
    if pace is None:
        return {"seconds": None, "why": why}
    hours = math.inf if budget.wall_hours is None else budget.wall_hours
    seconds = wall_seconds(pace, trials, len(foresight.known)).at_most(3600 * hours)
    return {
        "seconds": _plain(seconds),
        "why": None,
        "slots": pace.slots,
        "seconds_of_a_trial": _plain(pace.others),
        "start_seconds": _plain(START_S),
        "timed": len(timed),
        "error": pace.error,
    }


def _fit(loaded: LoadedSweep, foresight: Foresight, memory: float) -> dict[str, Any]:
    trials, bounds = foresight.anywhere, planned(loaded.file.constraints)

    def keeps(metric: str, bound: Bound) -> fit.Misfits:
        return fit.misfits(trials, lambda trial: bound.excess(trial.compute[metric]) <= 0)

    return {
        "trials": len(trials),
        "memory_bytes": memory,
        "too_large": asdict(fit.misfits(trials, lambda trial: trial.compute[PEAK_BYTES] <= memory)),
        "constraints": {metric: asdict(keeps(metric, bound)) for metric, bound in bounds.items()},
    }


def _plain(span: Span) -> dict[str, float | None]:
    """As JSON has it, which knows no infinity."""
    return {end: value if math.isfinite(value) else None for end, value in asdict(span).items()}
