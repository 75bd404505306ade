"""Metric names are spelled in one module: a name that is written twice drifts apart."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.trainables.trials import small_trial, train
from trainables.config import goal_metrics
from trainables.metrics import COMPUTE_PREFIX, TRAIN_LOSS, of_this_run, on_test

ROOT = Path(__file__).parents[2]
PACKAGES = ("trainables", "search_spaces", "sweeps", "dashboards")
SPELLED_IN = ROOT / "trainables" / "metrics.py"
METRIC = re.compile(r"^(train|test|compute|transfer|shift)/")


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Line and value of every text in the code, parts of f-strings included, docstrings not."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def test_no_metric_is_spelled_outside_its_module() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if file != SPELLED_IN]
    assert len(files) > 30
    spelled = [
        f"{file.relative_to(ROOT)}:{line}: {text!r}"
        for file in files
        for line, text in literals(file.read_text())
        if METRIC.match(text)
    ]
    assert not spelled, "use a name of trainables.metrics"


def test_the_rule_sees_what_it_should() -> None:
    source = '"""transfer/knn"""\nx = "transfer/knn"\ny = f"test/{x}"\n\n\ndef f():\n    "compute/cost_s"\n'
    assert [(line, text) for line, text in literals(source) if METRIC.match(text)] == [
        (2, "transfer/knn"),
        (3, "test/"),
    ]
    assert [text for _, text in literals(SPELLED_IN.read_text()) if METRIC.match(text)]


def test_a_complete_trial_has_every_goal_on_validation_and_on_test(tmp_path: Path) -> None:
    config = small_trial()
    metrics = train(config, tmp_path).metrics
    measured = [goal for goal in goal_metrics(config) if not goal.startswith("compute/")]
    expected = {TRAIN_LOSS, *measured, *(on_test(name) for name in measured)}
    assert expected == {name for name in metrics if not name.startswith(COMPUTE_PREFIX) and not of_this_run(name)}
