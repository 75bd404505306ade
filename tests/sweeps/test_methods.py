"""The method table: every member has its row, its source, its departures, and a test that is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from search_spaces.presets import PRESETS
from search_spaces.schema import models_in
from sweeps.cli import app
from sweeps.methods import FAMILIES, Method, methods, methods_markdown
from trainables.evaluation import Evaluation

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "search_spaces").glob("*.yaml"))

each_method = pytest.mark.parametrize("method", methods(), ids=lambda method: f"{method.family}-{method.name}")


def test_every_member_has_one_row() -> None:
    rows = [(method.family, method.name) for method in methods()]
    assert len(set(rows)) == len(rows)
    expected = sum(len(models_in(table)) for table in FAMILIES.values()) + len(Evaluation.model_fields) + len(PRESETS)
    assert len(rows) == expected


@each_method
def test_a_row_says_what_it_is_and_is_proved_by_a_test_that_exists(method: Method) -> None:
    assert len(method.what) > 20
    assert (ROOT / method.test).is_file(), method.test


@each_method
def test_a_method_of_a_paper_gives_paper_and_departures(method: Method) -> None:
    if method.family in ("objectives", "memory", "negatives", "policies", "presets"):
        assert method.sources
        assert method.departures


def test_the_table_of_the_readme_is_the_one_that_is_printed() -> None:
    readme = (ROOT / "README.md").read_text()
    written = readme.partition("<!-- methods -->\n")[2].partition("\n<!-- end of methods -->")[0]
    assert written == methods_markdown(), "paste the output of `python -m sweeps methods --markdown`"


def test_a_row_of_the_table_is_one_line_of_seven_cells() -> None:
    for line in methods_markdown().splitlines():
        assert len(line.replace("\\|", "").strip("|").split("|")) == 7, line


def test_an_equation_is_a_formula_of_its_paragraph_and_nothing_else() -> None:
    equations = {method.name: method.equation for method in methods()}
    assert equations["kd"] == "T^2 * KL(softmax(t/T) || softmax(s/T))"
    assert equations["geometry"] == ""
    assert all(equations[method.name] for method in methods() if method.family == "objectives")


def test_the_command_prints_every_name() -> None:
    found = CliRunner().invoke(app, ["methods"])
    assert found.exit_code == 0
    assert all(method.name in found.stdout for method in methods())


def names_in(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in ("name", "preset") and isinstance(value, str):
                yield value
            yield from names_in(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from names_in(item)


def test_every_method_has_a_place_in_a_shipped_sweep_file() -> None:
    shipped = {name for file in SHIPPED for name in names_in(yaml.safe_load(file.read_text())["trial"])}
    swept = {method.name for method in methods() if method.family != "evaluation"}
    brought = {"adapter", "encoder_decoder", "likelihood"}  # by presets
    too_large = {"mobilenet_v2", "resnet50"}  # for the one bundled task, of 8 x 8 pixels
    of_users = {"images", "timm", "function"}  # who bring the data, the weights, the code
    assert swept - shipped - brought == too_large | of_users
