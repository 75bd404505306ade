"""The commands of pages: what they start, and what they refuse."""

import socket
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from dashboards.cli import app
from dashboards.live import server
from sweeps.cli import app as sweeps_app
from sweeps.commands.report import report_program
from sweeps.results import Results
from tests.sweeps import synthetic


@pytest.mark.parametrize("arguments", [[], ["serve"]])
def test_without_a_command_the_live_page_is_served(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    served: list[Any] = []
    monkeypatch.setattr(server, "serve", lambda *given: served.append(given))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert served == [(Results("results"), 8050, "http://127.0.0.1:5000")]
    assert "http://127.0.0.1:8050" in result.output


def test_a_taken_port_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "--storage", str(tmp_path), "--port", port])
    assert result.exit_code == 2
    assert "Give another --port" in result.stderr


def test_an_empty_storage_folder_is_shown_as_such(tmp_path: Path) -> None:
    client = TestClient(
        server.application(Results(str(tmp_path / "nothing")), "http://127.0.0.1:9"), base_url="http://127.0.0.1"
    )
    assert client.get("/api/sweeps").json() == []
    assert client.get("/").status_code == 200
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["report", "export"])
def test_a_sweep_that_is_not_there_and_a_folder_that_is_a_file_are_refused(tmp_path: Path, command: str) -> None:
    synthetic.finished(tmp_path / "swept", "swept", 2)
    (tmp_path / "file").write_text("")
    program = app if command == "report" else sweeps_app
    for arguments in (["nothing"], ["swept", "--output", str(tmp_path / "file")]):
        result = CliRunner().invoke(program, [command, *arguments, "--storage", str(tmp_path)])
        assert result.exit_code == 2, result.output
        assert result.stderr.count("\n") == 1


def test_the_report_is_made_by_the_program_of_pages() -> None:
    assert report_program("swept")[1:] == ["-m", "dashboards", "report", "swept"]
