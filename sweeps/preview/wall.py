"""How long a sweep takes here, from the timings of a few of its trials.

The parts of a trial are modelled as a non-negative combination of a constant and the FLOPs and bytes of its step, which
are known for every trial. What that leaves unexplained among those says how far the mean may be off.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import t as student_t

from sweeps.preview.foresight import Foresight, PlannedTrial
from sweeps.preview.savings import Simulation, share_spent
from sweeps.preview.spans import Span
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.metrics import BYTES, FLOPS
from trainables.timing import Timing

#: Seconds before the first trial and after the last, with Ray's start: as measured on two cores (benchmarks/README.md).
START_S = Span(8.0, 16.0, 30.0)
#: How much longer trials may take beside the driver and MLflow's writer, of which timings know nothing, and how far a
#: machine may be from what it was while trials were timed.
_SLOWER, _FASTER = 1.3, 0.9
#: Relative error of a mean of which next to nothing is known.
_AT_MOST = 0.9
#: Of random trials the cheapest and the dearest share stand for those that a search may come to prefer.
_TENTH = 0.1


@dataclass(frozen=True)
class Model:
    """Seconds of each part of a trial, by the coefficients of a constant, FLOPs and bytes; and their relative error."""

    coefficients: dict[str, NDArray[np.float64]]
    error: float

    @classmethod
    def of(cls, timed: Sequence[tuple[TrialConfig, Timing]]) -> "Model":
        """Fitted to timings, at least one."""
        features = np.array([_features(config, planned_metrics(config)) for config, _ in timed])
        scale = np.maximum(features.max(axis=0), 1e-300)
        parts = {name: np.array([getattr(timing, name) for _, timing in timed]) for name in asdict(timed[0][1])}
        coefficients = {name: nnls(features / scale, seconds)[0] / scale for name, seconds in parts.items()}
        exact = cls(coefficients, 0.0)
        ratios = [
            _sum_of_parts(config, asdict(timing), 1.0) / exact.seconds(config, planned_metrics(config), 1.0)
            for config, timing in timed
        ]
        return cls(coefficients, _error_of_mean(ratios))

    def seconds(self, config: TrialConfig, compute: dict[str, float], fidelity: float) -> float:
        """Of one trial that comes so far, in one of its slots."""
        features = _features(config, compute)
        return _sum_of_parts(config, {name: float(of @ features) for name, of in self.coefficients.items()}, fidelity)


def _error_of_mean(ratios: Sequence[float]) -> float:
    """Half the 95% interval of the mean of ratios around 1; a single one says nothing."""
    count = len(ratios)
    if count < 2:
        return _AT_MOST
    half = float(student_t.ppf(0.975, count - 1) * np.std(ratios, ddof=1)) / math.sqrt(count)
    return min(half, _AT_MOST)


def _features(config: TrialConfig, compute: dict[str, float]) -> NDArray[np.float64]:
    return np.array([1.0, compute[FLOPS] / config.steps, compute[BYTES] / config.steps])


def _sum_of_parts(config: TrialConfig, parts: dict[str, float], fidelity: float) -> float:
    rungs = sum(step <= fidelity * config.steps for step in config.rung_steps())
    end_s = parts["end_s"] if fidelity >= 1 else 0.0
    return parts["begin_s"] + fidelity * config.steps * parts["step_s"] + rungs * parts["rung_s"] + end_s


@dataclass(frozen=True)
class Pace:
    """Mean seconds of a trial in one of `slots` slots: of those that are known, and of others; `error` is relative.

    Others may be like the cheapest tenth of random trials or like the dearest. The least is with as much stopping as
    any simulated sweep had, the most without any; both hold the error.
    """

    known: Span
    others: Span
    slots: int
    error: float

    @classmethod
    def of(cls, model: Model, foresight: Foresight, simulation: Simulation, slots: int) -> "Pace":
        """As a model has it."""
        spent = share_spent(
            simulation,
            _full(model, simulation.trials),
            [_spent(model, simulation.trials, repeat) for repeat in simulation.repeats],
        )
        others = _full(model, foresight.sample)
        known = _full(model, foresight.known) or others
        low, high = map(float, np.quantile(others, [_TENTH, 1 - _TENTH]))
        if foresight.all_known:
            low = high = _mean(others)
        between = Span(low, _mean(others), high)
        return cls(
            known=_uncertain(model, Span.exactly(_mean(known)), spent),
            others=_uncertain(model, between, spent),
            slots=slots,
            error=model.error,
        )


def wall_seconds(pace: Pace, trials: Span, known: int) -> Span:
    """From the command to its end: start, trials in their slots, and the last one while other slots have none left.

    The first `known` trials are those that are known.
    """
    last_s = max(pace.known.most, pace.others.most) * (1 - 1 / pace.slots)

    def at(end: Literal["least", "likely", "most"], last: float) -> float:
        count = getattr(trials, end)
        first = min(count, known)
        seconds = first * getattr(pace.known, end) + (count - first) * getattr(pace.others, end)
        return float(getattr(START_S, end) + seconds / pace.slots + last)

    return Span(at("least", 0.0), at("likely", last_s / 2), at("most", last_s))


def _full(model: Model, trials: Sequence[PlannedTrial]) -> list[float]:
    return _spent(model, trials, [1.0] * len(trials))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _spent(model: Model, trials: Sequence[PlannedTrial], fidelities: Sequence[float]) -> list[float]:
    return [
        model.seconds(trial.config, trial.compute, fidelity) for trial, fidelity in zip(trials, fidelities, strict=True)
    ]


def _uncertain(model: Model, full: Span, spent: Span) -> Span:
    low = full.least * spent.least * (1 - model.error) * _FASTER
    return Span(low, full.likely * spent.likely, full.most * (1 + model.error) * _SLOWER)
