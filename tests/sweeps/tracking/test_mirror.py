"""MLflow says what the ledger says: once, whatever dies in between."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.tracking.database import create_database
from sweeps.tracking.mirror import MlflowWriter, Tracking, sync
from sweeps.tracking.run_content import PARAM_LIMIT, params
from sweeps.tracking.uri import tracking_uri
from tests.sweeps import stories
from tests.sweeps.tracking.place import Place, datasets

pytestmark = pytest.mark.timeout(120)


def test_a_complete_trial_is_mirrored_whole(place: Place) -> None:
    place.tell(stories.opened(), *stories.trial_story(7, knn=0.8, cost=2.0))
    assert place.sync() == 7
    run = place.trials()[7]
    trial = place.ledger.history.trials[7]
    assert (run.info.run_name, run.info.status) == ("trial-0007", "FINISHED")
    assert trial.ended is not None
    assert run.info.start_time == int(trial.planned.timestamp() * 1000)
    assert run.info.end_time == int(trial.ended.timestamp() * 1000)
    assert run.data.params == {"memory.name": "queue", "memory.size": "512", "widths": "[1, 2]", "teacher": "null"}
    assert place.points(run, "compute/cost_s") == [(0, 2.0)]
    assert place.points(run, "transfer/knn_top1") == [(10, 0.2), (20, 0.4), (30, pytest.approx(0.6)), (40, 0.8)]
    assert place.points(run, "test/transfer/knn_top1") == [(40, 0.8 - 0.1)]
    tags = run.data.tags
    assert {name: tags[name] for name in ("sweep", "trial", "attempt", "state", "on_front", "fidelity")} == {
        "sweep": "sweep",
        "trial": "7",
        "attempt": "1",
        "state": "complete",
        "on_front": "true",
        "fidelity": "1",
    }
    assert (tags["config_digest"], tags["data_digest"]) == (f"{7:064x}", stories.DATA_DIGEST)
    assert (tags["code_digest"], tags["weights_digest"]) == ("c" * 64, "b" * 64)
    assert tags["attempt.1.slot"] == "1"
    workers = json.loads(tags["attempt.1.workers"])
    assert [(worker["rank"], worker["world_size"], worker["pid"]) for worker in workers] == [(0, 2, 100), (1, 2, 101)]


def test_the_config_and_the_dataset_travel_along(place: Place, tmp_path: Path) -> None:
    place.tell(stories.opened(), stories.planned(0))
    place.sync()
    run = place.trials()[0]
    file = place.client.download_artifacts(run.info.run_id, "config.json", str(tmp_path))
    assert json.loads(Path(file).read_text()) == place.ledger.history.trials[0].config
    assert str(run.info.artifact_uri).startswith((tmp_path / "artifacts").as_uri())
    (dataset,) = datasets(run)
    assert (dataset.dataset.name, dataset.dataset.digest) == ("digits", stories.DATA_DIGEST[:36])
    assert [(tag.key, tag.value) for tag in dataset.tags] == [("mlflow.data.context", "training")]


def test_the_sweep_is_the_parent_of_its_trials(place: Place) -> None:
    place.tell(stories.opened(), stories.planned(0), stories.planned(1))
    place.sync()
    (parent,) = [run for run in place.runs() if "trial" not in run.data.tags]
    assert (parent.info.run_name, parent.info.status, parent.data.tags["state"]) == ("sweep", "RUNNING", "running")
    assert parent.data.tags["mlflow.note.content"] == "# A sweep"
    assert {run.data.tags["mlflow.parentRunId"] for run in place.trials().values()} == {parent.info.run_id}
    place.tell(stories.closed())
    place.sync()
    (parent,) = [run for run in place.runs() if "trial" not in run.data.tags]
    assert (parent.info.status, parent.data.tags["state"]) == ("FINISHED", "done")
    place.tell(stories.opened(2))
    place.sync()
    (parent,) = [run for run in place.runs() if "trial" not in run.data.tags]
    assert (parent.info.status, parent.data.tags["state"]) == ("RUNNING", "running")


def test_every_state_has_its_status(place: Place) -> None:
    place.tell(stories.opened(), *(stories.planned(trial) for trial in range(5)))
    place.tell(*(stories.started(trial) for trial in range(1, 5)))
    place.tell(*(stories.ended(trial, state) for trial, state in [(2, "complete"), (3, "pruned"), (4, "failed")]))
    place.sync()
    trials = place.trials()
    states = [(trials[number].data.tags["state"], trials[number].info.status) for number in range(5)]
    assert states == [
        ("waiting", "SCHEDULED"),
        ("running", "RUNNING"),
        ("complete", "FINISHED"),
        ("pruned", "KILLED"),
        ("failed", "FAILED"),
    ]
    assert trials[4].data.tags["failure"] == "nan: loss is NaN at step 3"
    assert "failure" not in trials[2].data.tags


def test_mirroring_again_changes_nothing(place: Place) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.8), *stories.trial_story(1, 0.7), stories.closed())
    place.sync()
    before = place.content()
    assert place.sync() == 0
    assert place.content() == before
    assert len(place.runs()) == 3


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_writer_killed_anywhere_is_taken_over_from(place: Place, tmp_path: Path, database: bytes, cut: int) -> None:
    events = [stories.opened(), *stories.trial_story(0, 0.8), stories.planned(1)]
    place.tell(*events[:cut])
    place.sync()
    place.tell(*events[cut:])
    place.sync()
    (tmp_path / "twin").mkdir()
    (tmp_path / "twin" / "mlflow.db").write_bytes(database)
    twin = Tracking(**{**vars(place.tracking), "uri": f"sqlite:///{tmp_path / 'twin' / 'mlflow.db'}"})
    in_steps = place.content()
    sync(place.ledger.location, twin)
    place.client = MlflowClient(tracking_uri=twin.uri)
    assert in_steps == place.content()


class Killed(BaseException):
    """Ends a writer on the spot: nothing catches it."""


def test_a_writer_that_dies_after_any_call_leaves_nothing_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.8))
    place.tell(stories.planned(1, **{f"option{number}": number for number in range(250)}))
    place.tell(*(stories.started(1, attempt) for attempt in range(1, 56)), stories.closed())
    place.sync()
    whole = place.content()
    left = 0

    def deadly(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal left
            answer = method(*arguments)
            left -= 1
            if left == 0:
                raise Killed
            return answer

        return call

    for name in ("create_run", "log_batch", "log_dict", "log_inputs", "set_terminated", "update_run"):
        monkeypatch.setattr(MlflowClient, name, deadly(getattr(MlflowClient, name)))
    deaths = 0
    while True:
        left = deaths + 1
        try:
            place.sync(rebuild=True)
            break  # it made fewer calls than that
        except Killed:
            deaths += 1
        place.sync()
        assert place.content() == whole, f"after a death behind call {deaths}"
        assert len(place.runs()) == 3
    assert deaths > 10


def test_a_run_doubled_by_a_lost_answer_is_made_one(place: Place) -> None:
    place.tell(stories.opened(), stories.planned(0), stories.started(0))
    place.sync()
    before = place.content()
    run = place.trials()[0]
    identity = {name: run.data.tags[name] for name in ("sweep", "ledger", "trial", "mlflow.parentRunId")}
    place.client.create_run(run.info.experiment_id, tags=identity)
    place.sync()
    assert place.content() == before
    assert place.trials()[0].info.run_id == run.info.run_id


def test_deleted_runs_come_back(place: Place) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.8), *stories.trial_story(1, 0.6))
    place.sync()
    before = place.content()
    place.client.delete_run(place.trials()[0].info.run_id)
    assert place.sync() == 7
    assert place.content() == before


def test_rebuilding_makes_the_same_content_in_new_runs(place: Place) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.8), *stories.trial_story(1, 0.6), stories.closed())
    place.sync()
    before, old = place.content(), place.trials()[0].info.run_id
    assert place.sync(rebuild=True) == 14
    assert place.content() == before
    assert place.trials()[0].info.run_id != old
    deleted = place.client.search_runs([place.runs()[0].info.experiment_id], "", ViewType.DELETED_ONLY)
    assert len(deleted) == 3


def test_another_ledger_of_the_same_name_has_runs_of_its_own(place: Place, tmp_path: Path) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.8))
    place.sync()
    with Ledger.create(tmp_path / "again", "sweep", {}) as again:
        again.claim()
        again.append(stories.planned(0))
        assert sync(again.location, place.tracking) == 1
    assert sorted(run.data.tags["state"] for run in place.runs("tags.trial = '0'")) == ["complete", "waiting"]


def test_the_front_moves_and_only_changes_are_written(place: Place) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.5, cost=1.0), *stories.trial_story(1, 0.8, cost=4.0))
    place.tell(*stories.trial_story(2, 0.4, cost=9.0))
    place.sync()
    assert {number: run.data.tags["on_front"] for number, run in place.trials().items()} == {
        0: "true",
        1: "true",
        2: "false",
    }
    place.tell(*stories.trial_story(3, 0.9, cost=2.0))
    place.sync()
    assert {number: run.data.tags["on_front"] for number, run in place.trials().items()} == {
        0: "true",
        1: "false",
        2: "false",
        3: "true",
    }


def test_compute_stays_what_was_planned(place: Place) -> None:
    place.tell(stories.opened(), stories.planned(0, cost=8.0), stories.started(0))
    place.tell(stories.reported(0, 0, compute__cost_s=1.0))
    place.tell(stories.ended(0, "pruned", step=10, compute__cost_s=2.0))
    place.sync()
    assert place.points(place.trials()[0], "compute/cost_s") == [(0, 8.0)]


def test_infinity_and_nan_are_named_but_not_sent(place: Place) -> None:
    place.tell(stories.opened(), stories.planned(0), stories.started(0))
    place.tell(stories.reported(0, 0, knn=0.5, loss=float("inf")), stories.reported(0, 1, knn=float("nan"), loss=1.0))
    place.sync()
    run = place.trials()[0]
    assert (place.points(run, "loss"), place.points(run, "transfer/knn_top1")) == ([(20, 1.0)], [(10, 0.5)])
    assert run.data.tags["non_finite"] == "loss, transfer/knn_top1"


def test_large_trials_fit_mlflows_limits(place: Place, tmp_path: Path) -> None:
    config: dict[str, Any] = {f"option{number}": number for number in range(250)} | {"text": "x" * 10_000}
    metrics = {f"loss{number}": float(number) for number in range(1700)}
    place.tell(stories.opened(), stories.planned(0, **config), stories.started(0))
    place.tell(stories.reported(0, 0, 0.5, 1, **metrics))
    place.sync()
    run = place.trials()[0]
    assert len(run.data.params) == 251
    assert len(run.data.params["text"]) == PARAM_LIMIT
    assert {name: value for name, value in run.data.metrics.items() if name.startswith("loss")} == metrics
    file = place.client.download_artifacts(run.info.run_id, "config.json", str(tmp_path))
    assert json.loads(Path(file).read_text()) == config


def test_clipped_params_of_different_texts_differ() -> None:
    one, other = (params({"text": "x" * 9_000 + end})["text"] for end in "ab")
    assert len(one) == len(other) == PARAM_LIMIT
    assert one != other


def test_the_writer_follows_the_driver(place: Place) -> None:
    writer = MlflowWriter(place.ledger.location, place.tracking, interval_s=0.05)
    place.tell(stories.opened(), stories.planned(0), stories.started(0))
    assert writer.flush(timeout_s=60)
    assert place.trials()[0].data.tags["state"] == "running"
    place.tell(stories.reported(0, 0), stories.ended(0), stories.closed())
    assert writer.drain(timeout_s=60)
    assert (writer.last_error, place.trials()[0].info.status) == (None, "FINISHED")
    place.sync(rebuild=True)
    assert len(place.trials()) == 1


def test_the_writer_leaves_the_cores_to_slots_that_start(place: Place) -> None:
    place.tell(stories.opened(1), *stories.trial_story(0, 0.8))
    place.sync()
    place.tell(stories.opened(2), stories.planned(1))  # a resumed sweep, whose slots start
    writer = MlflowWriter(place.ledger.location, place.tracking, interval_s=0.01)
    time.sleep(0.3)
    assert list(place.trials()) == [0]
    place.tell(stories.started(1))
    while writer.lag:
        time.sleep(0.01)
    assert sorted(place.trials()) == [0, 1]
    assert writer.drain(timeout_s=60)


def test_a_fault_in_the_middle_is_made_good(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.8), *stories.trial_story(1, 0.6))
    log_batch, calls = MlflowClient.log_batch, []

    def fails_twice(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) in (2, 4):
            raise ConnectionError("the line is down")
        return log_batch(*arguments)

    monkeypatch.setattr(MlflowClient, "log_batch", fails_twice)
    writer = MlflowWriter(place.ledger.location, place.tracking, interval_s=0.01)
    assert writer.drain(timeout_s=60)
    assert (writer.last_error, len(place.runs())) == (None, 3)
    after_faults = place.content()
    place.sync(rebuild=True)
    assert place.content() == after_faults


def test_a_database_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    make = "from mlflow import MlflowClient; from sweeps.tracking.database import create_database"
    killed = subprocess.Popen([sys.executable, "-c", f"{make}; create_database({uri!r}, MlflowClient)"])
    while not list(tmp_path.glob("mlflow.db.*.new")):
        assert killed.poll() is None
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "mlflow.db").exists()
    create_database(uri, MlflowClient)
    made = (tmp_path / "mlflow.db").read_bytes()
    create_database(uri, MlflowClient)
    assert [found.name for found in MlflowClient(uri).search_experiments()] == ["Default"]
    assert (tmp_path / "mlflow.db").read_bytes() == made


def test_the_uri_is_the_users_or_a_database_in_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(Results(str(tmp_path))) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org:5000")
    assert tracking_uri(Results(str(tmp_path))) == "https://example.org:5000"
    for refused in ("file:///results/mlruns", "./mlruns", "ftp://example.org"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", refused)
        with pytest.raises(Refusal, match="sqlite:////absolute/path"):
            tracking_uri(Results(str(tmp_path)))
