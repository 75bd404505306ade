"""The shape of the project: where names resolve, what importing a part loads, and which way imports run."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("trainables", "search_spaces", "sweeps", "dashboards")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_our_names_resolve_inside_the_checkout(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(ROOT)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_packages_init_holds_a_docstring_only(package: str) -> None:
    lines = (ROOT / package / "__init__.py").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith('"""')
    assert lines[0].endswith('"""')


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import dashboards.cli, dashboards.report.page, dashboards.live.server", {"ray", "torch", "mlflow"}),
        ("import sweeps.cli", {"ray", "torch", "mlflow"}),
        ("import sweeps.ledger.store, sweeps.front, sweeps.events", {"ray", "torch", "mlflow"}),
        ("import trainables.loop", {"ray", "optuna", "mlflow"}),
        ("import search_spaces.sweep_file", {"ray", "mlflow"}),
        ("import sweeps.slots.proxy, sweeps.slots.pool", {"torch", "mlflow"}),
        ("import sweeps.data.ingest, sweeps.data.check, sweeps.data.sources", {"ray", "torch", "mlflow"}),
    ],
)
def test_importing_a_part_loads_no_more_than_it_needs(statement: str, banned: set[str]) -> None:
    assert loaded_by(statement) & banned == set()


def test_mlflow_and_ray_stand_where_they_belong() -> None:
    def importers(library: str, package: str) -> set[str]:
        paths = (ROOT / package).rglob("*.py")
        marks = (f"import {library}", f"from {library}")
        return {
            str(path.relative_to(ROOT))
            for path in paths
            if any(line.strip().startswith(marks) for line in path.read_text().splitlines())
        }

    assert all(path.startswith("sweeps/tracking/") for path in importers("mlflow", "sweeps"))
    assert importers("ray", "trainables") == {"trainables/ray_worker.py"}
    assert importers("optuna", "trainables") == set()
    for library in ("ray", "mlflow", "torch"):
        assert importers(library, "dashboards") == set()
