"""A sweep as Parquet: what is in the files, and who can read them."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sweeps.cli import app
from sweeps.export import files
from sweeps.export.tables import NAMES
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from tests.sweeps import stories, synthetic


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("results")
    synthetic.finished(storage / "swept", "swept", 60)
    return storage


def history(storage: Path, sweep: str) -> History:
    with Ledger.open(storage / sweep) as ledger:
        return History.of(ledger.events())


def test_the_files_hold_what_the_ledger_holds(storage: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["export", "swept", "--storage", str(storage), "--output", str(tmp_path / "tables")]
    )
    assert result.exit_code == 0
    told = history(storage, "swept")
    trials = pd.read_parquet(tmp_path / "tables" / "trials.parquet")
    assert len(trials) == 60
    for row in trials.itertuples():
        trial = told.trials[row.trial]
        assert (row.state, row.fidelity, json.loads(row.config)) == (trial.state, trial.fidelity, trial.config)
    columns = pq.read_schema(tmp_path / "tables" / "trials.parquet")
    assert columns.field("params.memory.size").type == pa.int64()
    assert columns.field("params.objective.temperature").type == pa.float64()
    assert columns.field("params.teacher_cache").type == pa.bool_()
    assert columns.field("ended").type == pa.timestamp("us", tz="UTC")
    sizes = [trial.config["memory"]["size"] for trial in told.trials.values()]
    assert trials["params.memory.size"].tolist() == sizes
    reports = pd.read_parquet(tmp_path / "tables" / "reports.parquet")
    assert len(reports) == sum(len(trial.reports) for trial in told.trials.values())
    front = pd.read_parquet(tmp_path / "tables" / "front.parquet")
    assert set(front["trial"]) == set(trials[trials["on_front"]]["trial"])
    assert front["knee"].sum() == 1
    assert front["reproduce"].iloc[0] == f"python -m sweeps reproduce swept:{front['trial'].iloc[0]} --storage STORAGE"


@pytest.mark.parametrize(("given", "flag"), [("results", ""), ("./results", " --storage ./results")])
def test_commands_name_storage_that_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, flag: str
) -> None:
    synthetic.finished(tmp_path / "results" / "swept", "swept", 4)
    monkeypatch.chdir(tmp_path)
    tables = files.tables("swept", Results(given))
    assert tables.about.storage_flag == flag
    number = tables.front["trial"][0].as_py()
    assert tables.front["reproduce"][0].as_py() == f"python -m sweeps reproduce swept:{number}{flag}"


def test_duckdb_reads_them(storage: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    files.write(files.tables("swept", Results(str(storage))), tmp_path)
    query = f"""SELECT count(*), max("metrics.transfer/knn_top1") FROM '{tmp_path}/trials.parquet' WHERE on_front"""
    count, best = duckdb.sql(query).fetchall()[0]
    assert count > 0
    assert best == max(
        t.metrics[synthetic.GOAL] for t in history(storage, "swept").trials.values() if t.state == "complete"
    )


def test_what_is_read_again_is_what_was_written_and_a_flipped_byte_is_seen(storage: Path, tmp_path: Path) -> None:
    tables = files.tables("swept", Results(str(storage)))
    files.write(tables, tmp_path)
    again = files.read(tmp_path)
    assert again.about == tables.about
    assert all(getattr(again, name).equals(getattr(tables, name)) for name in NAMES)
    path = tmp_path / "trials.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
    with pytest.raises(OSError, match=r"[Cc]hecksum|CRC"):
        files.read(tmp_path)


def test_kept_tables_are_those_of_this_ledger_only(storage: Path, tmp_path: Path) -> None:
    tables = files.tables("swept", Results(str(storage)))
    files.write(tables, tmp_path / files.FOLDER)
    assert files.stored(tmp_path, tables.about.uid) is not None
    assert files.stored(tmp_path, "another") is None
    assert files.stored(tmp_path / "nothing", tables.about.uid) is None


@pytest.mark.parametrize("events", [[], [stories.opened()], [stories.opened(), stories.planned(0)]])
def test_a_sweep_that_has_hardly_begun_has_tables_too(tmp_path: Path, events: list[object]) -> None:
    loaded = synthetic.digits()
    synthetic.write(tmp_path / "young", "young", events, loaded)  # type: ignore[arg-type]
    tables = files.tables("young", Results(str(tmp_path)))
    assert (tables.trials.num_rows, tables.front.num_rows, tables.progress.num_rows) == (len(events) // 2, 0, 0)
    files.write(tables, tmp_path / "tables")
    assert files.read(tmp_path / "tables").about.state == ("killed" if events else "not started")


def test_a_sweep_that_is_done_is_so_while_its_driver_writes_the_last_report(tmp_path: Path) -> None:
    synthetic.finished(tmp_path / "swept", "swept", 2)
    with Ledger.open(tmp_path / "swept") as ledger:
        fence = ledger.claim()
        assert files.tables("swept", Results(str(tmp_path))).about.state == "done"
        ledger.append(stories.opened(fence))
        assert files.tables("swept", Results(str(tmp_path))).about.state == "running"


def test_mixed_values_become_text_and_absent_ones_null(tmp_path: Path) -> None:
    one = stories.planned(0, memory={"name": "queue", "size": 8}, lr=1, widths=[1, 2], odd=1.5)
    two = stories.planned(1, memory={"name": "in_batch"}, lr=0.5, widths="all", odd="auto")
    synthetic.write(tmp_path / "mixed", "mixed", [stories.opened(), one, two], synthetic.digits())
    trials = files.tables("mixed", Results(str(tmp_path))).trials
    assert trials["params.memory.size"].to_pylist() == [8, None]
    assert trials["params.lr"].to_pylist() == [1.0, 0.5]
    assert trials["params.widths"].to_pylist() == ["[1, 2]", "all"]
    assert trials["params.odd"].to_pylist() == ["1.5", "auto"]
