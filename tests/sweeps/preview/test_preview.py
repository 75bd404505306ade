"""The whole command, with trials that are really timed, and what it prints."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from search_spaces.sweep_file import load
from sweeps.preview.page import preview_page
from sweeps.preview.preview import preview
from sweeps.results import Results
from tests.sweeps.test_cli import invoke

SETTINGS = (
    "search={name: random}",
    "budget={trials: 30, cost_s: 0.02, wall_hours: 5}",
    "constraints={compute/peak_bytes: {at_most: 200000}}",
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def previewed(storage: Path) -> dict[str, Any]:
    overrides = [part for setting in SETTINGS for part in ("--set", setting)]
    result = invoke("preview", "search_spaces/smoke.yaml", *overrides, "--storage", storage, "--json")
    assert result.exit_code == 0, result.output
    described: dict[str, Any] = json.loads(result.stdout)
    return described


def test_a_preview_says_everything_and_leaves_the_teacher_alone(previewed: dict[str, Any], storage: Path) -> None:
    assert [path.name for path in storage.iterdir()] == ["cache"]
    assert set(previewed["caps"]) == {"trials", "cost_s", "wall_hours"}
    assert previewed["wall"]["seconds"]["least"] > 8
    assert previewed["wall"]["timed"] >= 4
    assert 0 < previewed["stopping"]["saved"]["likely"] < 1
    assert previewed["fit"]["too_large"]["share"] == 0
    assert 0 < previewed["fit"]["constraints"]["compute/peak_bytes"]["share"] <= 1
    assert previewed["total"]["compute/cost_s"]["most"] <= 0.02


@pytest.mark.parametrize("width", [80, 160])
def test_the_page_fits_its_console(previewed: dict[str, Any], width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(preview_page(previewed))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    for word in ("no trial was trained", "compute/cost_s", "saved by stopping", "wall time", "too large", "breaks"):
        assert word in text


def test_a_gpu_that_is_not_here_leaves_time_unknown_and_the_rest_known(storage: Path) -> None:
    loaded = load(Path("search_spaces/smoke.yaml"), ["resources.gpus_per_worker=1", "budget={wall_hours: 1}"])
    described = preview(loaded, Results(str(storage)))
    assert described["wall"]["seconds"] is None
    assert "none to measure them on" in described["wall"]["why"]
    assert described["trials"]["likely"] is None
    assert described["total"]["compute/cost_s"]["most"] is None
    assert described["trial"]["compute/cost_s"]["least"] > 0
    Console(width=100, file=io.StringIO()).print(preview_page(described))


def test_mistakes_are_refused_before_anything_starts(tmp_path: Path) -> None:
    assert invoke("preview", "search_spaces/smoke.yaml", "--set", "budget.trials=0").exit_code == 2
    (tmp_path / "file").write_text("")
    refused = invoke("preview", "search_spaces/smoke.yaml", "--storage", tmp_path / "file")
    assert refused.exit_code == 2
    assert "--storage must be a place to write in" in refused.stderr
