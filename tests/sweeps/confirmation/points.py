"""Trials of a sweep with two goals, drawn by hand, and a confirmation of them."""

from datetime import UTC, datetime
from typing import Any

from sweeps.confirmation.membership import Aims
from sweeps.ledger.history import TrialRecord

ACCURACY, COST = "transfer/knn_top1", "compute/cost_s"
AIMS = Aims({ACCURACY: "maximize", COST: "minimize"}, {})


def trial(number: int, accuracy: float, cost: float, state: Any = "complete") -> TrialRecord:
    return TrialRecord(
        number=number,
        config={"seed": 0, "steps": number},
        config_digest="",
        parameters={},
        distributions={},
        sampler_attributes={},
        compute={COST: cost},
        rungs=[1.0],
        told=0,
        planned=datetime(2026, 1, 1, tzinfo=UTC),
        state=state,
        metrics={ACCURACY: accuracy, COST: cost},
    )


def confirms(*points: tuple[int, bool, float, float], seeds: int = 5) -> dict[str, Any]:
    """What a confirmation's spec says: (trial, on front, accuracy, cost) for each point."""
    return {
        "sweep": "swept",
        "seeds": seeds,
        "used_seeds": [0],
        "points": [
            {"trial": number, "on_front": on_front, "values": [accuracy, cost], "config": {"seed": 0, "steps": number}}
            for number, on_front, accuracy, cost in points
        ],
    }
