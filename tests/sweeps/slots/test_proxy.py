"""What a proxy loads and how events travel through Tune's results."""

import subprocess
import sys

from ray.tune.utils import flatten_dict

from sweeps.events import Reported
from sweeps.slots.proxy import event_of


def test_a_proxy_loads_neither_torch_nor_mlflow() -> None:
    script = "import sys, sweeps.slots.proxy; print(sorted({'torch', 'mlflow'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_an_event_survives_the_flattening_of_tune() -> None:
    event = Reported(trial=3, attempt=1, rung=0, step=5, fidelity=0.25, metrics={"transfer/knn_top1": 0.5})
    assert event_of(flatten_dict({"event": event.model_dump_json(), "done": False})) == event
