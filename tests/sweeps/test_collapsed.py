"""A trial whose features have collapsed completes, and nobody who looks at it misses that."""

import io
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from sweeps.events import Event
from sweeps.ledger.history import History
from sweeps.live import event_line
from sweeps.tables import FLAG, collapsed_trials, trials_table
from sweeps.tracking.run_content import tags
from tests.sweeps import stories
from tests.trainables.trials import small_trial, train
from trainables.metrics import collapsed
from trainables.optimizer import Optimizer

FLAT = {
    "transfer/collapsed": 1.0,
    "transfer/collapsed_gain": 1.0,
    "test/transfer/collapsed": 1.0,
    "other/collapsed": 0.0,
}


def test_a_student_that_forgets_everything_completes_and_is_flagged(tmp_path: Path) -> None:
    decays = Optimizer(learning_rate=0.1, momentum=0.0, weight_decay=9.9, schedule="constant")
    outcome = train(small_trial(optimizer=decays), tmp_path)
    assert outcome.state == "complete"
    assert collapsed(outcome.metrics)


def test_an_ordinary_student_is_not(tmp_path: Path) -> None:
    outcome = train(small_trial(), tmp_path)
    assert any(name.endswith("/collapsed") for name in outcome.metrics)
    assert not collapsed(outcome.metrics)


def test_the_flag_names_the_transfer_sets_of_validation() -> None:
    assert collapsed(FLAT) == ["transfer"]
    assert collapsed({"transfer/knn_top1": 0.5}) == []


def test_it_is_seen_in_the_log_in_tables_and_in_mlflow() -> None:
    now = datetime.now(UTC)
    ended = stories.ended(0, transfer__knn_top1=0.1).model_copy(update={"metrics": {"transfer/knn_top1": 0.1, **FLAT}})
    events: list[Event] = [stories.opened(), stories.planned(0), stories.started(0), ended]
    history = History.of((seq, now, event) for seq, event in enumerate(events, start=1))
    trial = history.trials[0]
    assert trial.state == "complete"
    assert collapsed_trials(history) == {0: ["transfer"]}
    assert event_line(ended, stories.GOALS).endswith(", collapsed on transfer")
    assert tags(trial, None, on_front=True)["collapsed"] == "transfer"
    console = Console(file=io.StringIO(), width=100)
    console.print(trials_table("Front", [trial], stories.GOALS, []))
    assert isinstance(console.file, io.StringIO)
    assert f"0 {FLAG}" in console.file.getvalue()
