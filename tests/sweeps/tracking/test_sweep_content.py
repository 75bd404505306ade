"""What MLflow shows of a sweep besides its trials."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from sweeps.ledger.store import Ledger
from sweeps.results import Results
from sweeps.tracking import mirror
from sweeps.tracking.mirror import MlflowWriter, Tracking
from sweeps.tracking.of_sweep import tracking
from sweeps.tracking.pages_of_sweep import PagesFailed, write_pages
from sweeps.tracking.run_content import params, picked
from sweeps.tracking.uri import pages_address
from tests.dashboards import canaries
from tests.sweeps import stories, synthetic
from tests.sweeps.tracking.place import Place

pytestmark = pytest.mark.timeout(180)


def sweep_run(place: Place) -> Any:
    (run,) = [run for run in place.runs() if "trial" not in run.data.tags]
    return run


def file_of(place: Place, name: str, folder: Path) -> Any:
    return json.loads(
        Path(place.client.download_artifacts(sweep_run(place).info.run_id, name, str(folder))).read_text()
    )


def test_hypervolume_is_a_metric_by_trials_that_ended(place: Place) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.2, 4.0), *stories.trial_story(1, 0.5, 1.0))
    place.sync()
    assert "front/hypervolume" not in sweep_run(place).data.metrics
    place.tell(stories.closed())
    place.sync()
    run = sweep_run(place)
    assert place.points(run, "front/hypervolume") == [(1, 0.0), (2, pytest.approx(0.9))]
    assert place.points(run, "front/trials") == [(1, 1.0), (2, 1.0)]
    assert place.points(run, "compute/spent_s") == [(1, 4.0), (2, 5.0)]
    assert (run.data.tags["trials"], run.data.tags["progress"]) == ("2", "2")


def test_the_front_is_a_table_in_the_description_and_in_a_file(place: Place, tmp_path: Path) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.4, 1.0), *stories.trial_story(1, 0.6, 2.0))
    place.tell(*stories.trial_story(2, 0.1, 9.0))
    place.sync()
    table = file_of(place, "front.json", tmp_path)
    goals = ["transfer/knn_top1", "compute/cost_s", "test/transfer/knn_top1"]
    assert table["columns"] == ["trial", *goals, "memory.size", "reproduce"]
    assert [row[0] for row in table["data"]] == [0, 1]
    assert table["data"][0][-2:] == [64, "python -m sweeps reproduce sweep:0"]
    tags = sweep_run(place).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "front.json", "type": "table"}]
    assert "| 1 | 0.6 | 2 | 0.5 | 128 | python -m sweeps reproduce sweep:1 |" in tags["mlflow.note.content"]
    place.tell(*stories.trial_story(3, 0.9, 0.5))
    place.sync()
    assert [row[0] for row in file_of(place, "front.json", tmp_path)["data"]] == [3]


def test_a_trial_has_a_card_and_says_where_its_checkpoint_is(place: Place) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.8))
    place.sync()
    tags = place.trials()[0].data.tags
    assert tags["checkpoint"] == f"trials/0/{0:064x}"
    card = tags["mlflow.note.content"]
    assert "| memory.size | 64 |" in card
    assert "| transfer/knn_top1 | 0.800 |" in card
    assert "python -m sweeps reproduce sweep:0" in card
    assert "widths" not in card


def test_every_command_names_the_storage(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    spec = {"file": synthetic.digits().file.to_json(), "source": ""}
    told = tracking("sweep", spec, Results("s3://bucket/swept"))
    place.tracking = replace(place.tracking, description=told.description, storage_flag=told.storage_flag)
    place.tell(stories.opened(), *stories.trial_story(0, 0.8))
    place.sync()
    notes = [run.data.tags["mlflow.note.content"] for run in place.runs()]
    commands = [re.search("python -m sweeps[^|`]*", line) for note in notes for line in note.splitlines()]
    shown = [found[0].strip() for found in commands if found]
    assert len(shown) == 8
    assert all(command.endswith(" --storage s3://bucket/swept") for command in shown), shown
    (row,) = file_of(place, "front.json", tmp_path)["data"]
    assert row[-1] == "python -m sweeps reproduce sweep:0 --storage s3://bucket/swept"


def test_what_was_picked_comes_first() -> None:
    config = {"batch": 8, "memory": {"name": "bank", "size": 4}, "negatives": {"count": 2, "name": "uniform"}}
    chosen = ["memory.bank.size", "negatives.count.fraction"]
    assert list(params(config, chosen)) == ["memory.size", "negatives.count", "batch", "memory.name", "negatives.name"]
    assert picked("memory.size", ["memory"])
    assert not picked("memory.name", ["memory.bank.size"])


def test_searches_that_people_type_find_what_they_mean(place: Place) -> None:
    place.tell(stories.opened(), *stories.trial_story(0, 0.8, 1.0), *stories.trial_story(1, 0.7, 2.0))
    place.sync()
    (run,) = place.runs('tags.on_front = "true" and params."memory.size" = "64"')
    assert run.data.tags["trial"] == "0"
    assert place.runs('metrics."transfer/knn_top1" > 0.75')[0].data.tags["trial"] == "0"


def test_the_report_and_the_tables_are_files_of_the_sweep_and_nothing_tells_too_much(tmp_path: Path) -> None:
    canaries.sweep(tmp_path / "swept", "swept", 40)
    with Ledger.open(tmp_path / "swept") as ledger:
        told = tracking("swept", ledger.spec, Results(str(tmp_path)))
        mirror.sync(ledger.location, told)
    client = MlflowClient(told.uri)
    experiment = client.get_experiment_by_name(told.experiment)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "trial" not in run.data.tags]
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    expected = {"report.html", "front.png", "hypervolume.png", "tables", "front.json", "sweep.yaml", "environment.json"}
    assert files == expected
    assert "python -m sweeps best swept --storage STORAGE" in parent.data.tags["mlflow.note.content"]
    for run in runs:
        assert canaries.told(f"{run.data.params} {run.data.tags} {run.data.metrics}") == []
    for path in (tmp_path / "artifacts").rglob("*"):
        if path.suffix in (".json", ".yaml", ".html"):
            assert canaries.told(path.read_text()) == [], path


def blocking(asked: list[float]) -> Callable[[Callable[[], bool]], Path | None]:
    def pages(cancelled: Callable[[], bool]) -> Path | None:
        asked.append(time.monotonic())
        while not cancelled():
            time.sleep(0.01)
        return None

    return pages


def test_pages_that_take_long_do_not_hold_up_what_happened(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_PAGES_EVERY_S", 0.0)
    asked: list[float] = []
    told = Tracking(**{**vars(place.tracking), "pages": blocking(asked)})
    place.tell(stories.opened(), *stories.trial_story(0, 0.8))
    writer = MlflowWriter(place.ledger.location, told, interval_s=0.05)
    while not asked:
        time.sleep(0.01)
    place.tell(*stories.trial_story(1, 0.9))
    assert writer.flush(60)
    assert writer.drain(60)
    assert set(place.trials()) == {0, 1}


def test_pages_that_cannot_be_made_cost_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(_: Callable[[], bool]) -> Path | None:
        raise PagesFailed("no room")

    monkeypatch.setattr(mirror, "_PAGES_EVERY_S", 0.0)
    told = Tracking(**{**vars(place.tracking), "pages": failing})
    place.tell(stories.opened(), *stories.trial_story(0, 0.8), stories.closed())
    writer = MlflowWriter(place.ledger.location, told, interval_s=0.05)
    assert writer.drain(60)
    assert writer.last_error is None
    assert place.points(place.trials()[0], "transfer/knn_top1")[-1] == (40, 0.8)
    assert mirror.sync(place.ledger.location, told) == 0
    assert "no room" in caplog.text


def test_what_the_program_of_the_pages_says_is_told(tmp_path: Path) -> None:
    with pytest.raises(PagesFailed, match="nothing-there"):
        write_pages("nothing-there", Results(str(tmp_path)), lambda: False)
    assert partial(write_pages, "nothing-there", Results(str(tmp_path)))(lambda: True) is None


def test_an_address_that_is_shown_holds_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret-word@example.org:8443/tracking")
    assert pages_address(Results(str(tmp_path))) == "https://example.org:8443/tracking"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert pages_address(Results(str(tmp_path))) == "http://127.0.0.1:5000"


def test_a_synthetic_sweep_is_a_ledger_like_any_other(tmp_path: Path) -> None:
    synthetic.finished(tmp_path / "made", "made", 3)
    with Ledger.open(tmp_path / "made") as ledger:
        assert ledger.integrity_check() == []
