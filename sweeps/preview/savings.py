"""What stopping saves: the sweep's own rule, played on trials whose values at rungs are drawn by chance.

Assumed is that the end values of measured goals are independent of planned compute and of each other, that a rung
correlates with the end as `sweeps.preview.correlations` says, at the one end of that range or at the other, and that
its noise is another one at each rung. Where accuracy rises with cost more trials are non-dominated, and fewer stopped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.policies import NoStop
from search_spaces.sweep_file import SweepFile
from sweeps.preview.correlations import rung_correlations
from sweeps.preview.foresight import PlannedTrial
from sweeps.preview.spans import Span
from sweeps.stopping import keeps
from trainables.metrics import PLANNED_METRICS

#: Trials of a simulated sweep at most, and sweeps for each end of the correlations.
_TRIALS, _REPEATS = 120, 3


@dataclass(frozen=True)
class Simulation:
    """How far each of `trials` comes: one list of fidelities (those of their rungs, 1 for complete) for each repeat."""

    trials: Sequence[PlannedTrial]
    repeats: list[list[float]]
    stops: bool


def simulate(file: SweepFile, trials: Sequence[PlannedTrial]) -> Simulation:
    """Sweeps of (the first of) these trials, one after another, under the sweep's stopping rule."""
    trials = trials[:_TRIALS]
    if isinstance(file.stop, NoStop):
        return Simulation(trials, [[1.0] * len(trials)], stops=False)
    random = np.random.default_rng(0)
    repeats = [_sweep(file, trials, end, random) for end in (0, 1) for _ in range(_REPEATS)]
    return Simulation(trials, repeats, stops=True)


def share_spent(simulation: Simulation, full: Sequence[float], spent: Sequence[Sequence[float]]) -> Span:
    """What the trials spend as a share of what they would unstopped: over the repeats the least, the mean, the most."""
    if not simulation.stops:
        return Span.exactly(1.0)
    whole = math.fsum(full)
    shares = [math.fsum(each) / whole for each in spent]
    return Span(min(shares), math.fsum(shares) / len(shares), max(shares))


def _sweep(file: SweepFile, trials: Sequence[PlannedTrial], end: int, random: np.random.Generator) -> list[float]:
    reached: dict[int, list[list[float]]] = {}
    fidelities = []
    for trial in trials:
        config, correlations = trial.config, [ends[end] for ends in rung_correlations(trial.config)]
        drawn = _values(correlations, len(file.goals), random)
        for rung, step in enumerate(config.rung_steps()):
            fidelity = step / config.steps
            if fidelity >= 1:
                break
            own = _own(file, trial, drawn[rung])
            others = reached.setdefault(rung, [])
            verdict = keeps(file.stop, own, others)
            others.append(own)
            if verdict == "stop":
                break
        fidelities.append(fidelity)
    return fidelities


def _values(correlations: Sequence[float], goals: int, random: np.random.Generator) -> NDArray[np.float64]:
    """A value for each rung and goal, normal, with these rank correlations to an end that nobody needs to see.

    The correlation of two normal numbers whose ranks correlate by s is 2 sin(pi s / 6) (Pearson 1907).
    """
    linear = 2 * np.sin(np.pi * np.asarray(correlations) / 6)[:, None]
    noise = random.standard_normal((len(correlations), goals))
    mixed: NDArray[np.float64] = linear * random.standard_normal(goals) + np.sqrt(1 - linear**2) * noise
    return mixed


def _own(file: SweepFile, trial: PlannedTrial, drawn: NDArray[np.float64]) -> list[float]:
    """The values of a trial by goal, to be minimised; planned compute is what it is."""
    own = []
    for (goal, way), chance in zip(file.goals.items(), drawn, strict=True):
        planned = trial.compute[goal] if goal in PLANNED_METRICS else float(chance)
        own.append(planned if way == "minimize" else -planned)
    return own
