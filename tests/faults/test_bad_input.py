"""Bad input: refused before anything starts, with a message that says the rule, the value or its place, and the fix."""

import io
import socket
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from typer.testing import CliRunner

from search_spaces.sweep_file import load
from sweeps import session
from sweeps.cli import app
from sweeps.described import Described
from sweeps.events import Opened
from sweeps.ledger.store import Ledger
from sweeps.live import LiveView
from sweeps.results import Results
from sweeps.tracking.mirror import MlflowWriter
from sweeps.tracking.of_sweep import tracking
from tests.faults.bad_inputs import SMOKE, TABLE, Row
from tests.sweeps import stories
from tests.sweeps.plain_slot import PlainSlot, driving, formula, smoke
from tests.sweeps.test_driver import run_out


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage folder with two finished sweeps and links out of it, and a file."""
    here = tmp_path_factory.mktemp("here")
    for name in ("one", "same-data"):
        slot = PlainSlot(formula)
        with driving(here / "results" / name, smoke("budget.trials=4", f"name={name}"), slot) as driver:
            run_out(driver, slot)
            driver.ledger.append(stories.closed(1))
    with_data(here / "results" / "same-data")
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "ledger.db").write_bytes((here / "results" / "one" / "ledger.db").read_bytes())
    (here / "results" / "linked").symlink_to(here / "elsewhere")
    (here / "results" / "half").mkdir()
    (here / "results" / "half" / "ledger.db").symlink_to(here / "elsewhere" / "ledger.db")
    (here / "file").write_text("")
    return here


def with_data(folder: Path) -> None:
    """The ledger again, as one that began with the data that there is."""
    with Ledger.open(folder) as old:
        spec, events, digest = old.spec, [event for _, _, event in old.events()], Described.by(old).task.digest
    (folder / "ledger.db").unlink()
    with Ledger.create(folder, folder.name, spec) as ledger:
        ledger.claim()
        for event in events:
            real = {"data_digest": digest}
            ledger.append(event.model_copy(update=real) if isinstance(event, Opened) else event)


def content(folder: Path) -> dict[str, object]:
    """Every file below a folder: its bytes, and of a ledger its events. SQLite's own files come and go."""
    return {
        str(path): told(path) if path.name == "ledger.db" and not path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def told(path: Path) -> list[str]:
    with Ledger.open(path.parent) as ledger:
        return [event.model_dump_json() for _, _, event in ledger.events()]


def trace(folder: Path) -> tuple[object, ...]:
    """What would show that something was started or written: files, folders, processes."""
    folders = [path for path in folder.rglob("*") if path.is_dir()]
    processes = {child.pid for child in psutil.Process().children(recursive=True)}
    return content(folder), folders, sorted(Path.cwd().iterdir()), processes


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_bad_input_is_refused_before_anything_starts(row: Row, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if row.tracking is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", row.tracking)
    if row.text is not None:
        (here / "bad.yaml").write_bytes(row.text if isinstance(row.text, bytes) else row.text.encode())
    command, bar, rest = row.command.partition("|")
    arguments = [*command.split(), *(rest.split("|") if bar else [])]
    before = trace(here)
    result = CliRunner().invoke(row.app, [argument.replace("{here}", str(here)) for argument in arguments])
    assert result.exit_code == row.code, result.output
    assert isinstance(result.exception, SystemExit)
    for part in row.said:
        assert part.replace("{here}", str(here)) in result.stderr
    assert "Traceback" not in result.output
    assert "w0rd" not in result.output
    assert trace(here) == before
    (here / "bad.yaml").unlink(missing_ok=True)


def test_the_table_is_long_and_says_each_thing_once() -> None:
    assert len(TABLE) >= 60
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_a_taken_port_is_refused(here: Path) -> None:
    (here / "served").mkdir()
    (here / "served" / "mlflow.db").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        result = CliRunner().invoke(app, ["ui", "--storage", str(here / "served"), "--port", port])
    assert result.exit_code == 2
    for part in (f"port {port} on 127.0.0.1 must be free", "already in use", "Give another --port"):
        assert part in result.stderr


def test_a_space_of_one_point_is_allowed_with_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("name: one\ntrial: {}\ngoals: {transfer/knn_top1: maximize}\nbudget: {trials: 9}\n")
    result = CliRunner().invoke(app, ["validate", str(file)])
    assert result.exit_code == 0
    assert "nothing varies, so every trial is the same one" in result.stdout
    result = CliRunner().invoke(app, ["validate", str(file), "--set", "budget.trials=1"])
    assert "nothing varies" not in result.stdout


@pytest.fixture
def dead_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:w0rd@127.0.0.1:9")


@pytest.mark.usefixtures("dead_server")
def test_an_mlflow_that_cannot_be_reached_is_no_reason_to_refuse_and_is_said(tmp_path: Path) -> None:
    session.create(load(SMOKE), Results(str(tmp_path)), "offline")
    slot = PlainSlot(formula)
    with driving(tmp_path / "offline", smoke("budget.trials=2"), slot) as driver:
        run_out(driver, slot)
        described = tracking("offline", driver.ledger.spec, Results(str(tmp_path)))
        writer = MlflowWriter(tmp_path / "offline", described, interval_s=0.1)
        assert not writer.flush(5.0)
        assert writer.last_error is not None
        assert "w0rd" not in writer.last_error + repr(described)
        shown = io.StringIO()
        with LiveView(tmp_path / "offline", writer, Console(file=shown, force_terminal=True, width=300)):
            pass
        assert "MLflow: " in shown.getvalue()
        assert "w0rd" not in shown.getvalue()
        writer.drain(0.1)
