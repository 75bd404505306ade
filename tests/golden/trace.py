"""The loss of every step of a few small trials, kept in a file so that no change of the mathematics goes unseen.

The configs stand in ``traces.json`` in full, beside their losses: a tuned default changes nothing here. Losses are
compared to 1e-6 of the largest of their trace, since CPUs differ in the last bits of their sums and some losses pass
through zero. Who draws by score may draw another row on another CPU once that has grown for a while: there the first
steps count.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.trainables.trials import Listener, train
from trainables.config import TrialConfig
from trainables.metrics import TRAIN_LOSS

STEPS = 20
STEPS_BY_SCORE = 6
BY_SCORE = ("retrieval", "ring", "teacher_near")
FILE = Path(__file__).with_name("traces.json")


def stored() -> dict[str, dict[str, Any]]:
    """``{name: {"config": ..., "losses": [...]}}``"""
    traces: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return traces


def losses(config: dict[str, Any]) -> list[float]:
    """The loss of each step; the config makes each a rung."""
    listener = Listener()
    with tempfile.TemporaryDirectory() as folder:
        train(TrialConfig.model_validate(config), Path(folder), listener)
    return [report.metrics[TRAIN_LOSS] for report in listener.reports]
