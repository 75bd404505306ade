"""The table of methods: every member of every family, from the docstring of its config."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Group
from rich.table import Table
from rich.text import Text

from search_spaces.presets import PRESETS
from search_spaces.schema import models_in
from trainables.evaluation import Evaluation
from trainables.memory import MemoryConfig
from trainables.models import ModelConfig
from trainables.negatives import NegativesConfig
from trainables.objectives import ObjectiveConfig
from trainables.policies import PolicyConfig
from trainables.tasks import TaskConfig

_SOURCE = re.compile(
    r"((?:van den |van der |de )?[A-Z][\w-]+(?: et al\.| and [A-Z][\w-]+)?),? (\d{4}),?(?: [A-Z]\w+,)? \(?"
    r"(arXiv \d{4}\.\d{4,5})(?:\)?,? ((?:eqs?\.|sections?|table|algorithm) [\d.]+(?:(?:,| and) [\d.]+)*\d))?"
)

_FORMULA = re.compile(r"``([^`]+)``")
_PRESET_TEST = "tests/search_spaces/test_presets.py"
_ROOT = Path(__file__).parents[1]

FAMILIES: dict[str, Any] = {
    "objectives": ObjectiveConfig,
    "memory": MemoryConfig,
    "negatives": NegativesConfig,
    "policies": PolicyConfig,
    "models": ModelConfig,
    "tasks": TaskConfig,
}


@dataclass(frozen=True)
class Method:
    """One row: what a member is, where it comes from, where it departs from its source, and the test that proves it."""

    family: str
    name: str
    what: str
    sources: str
    equation: str
    departures: str
    test: str

    @classmethod
    def of(cls, family: str, name: str, member: type[BaseModel]) -> "Method":
        """The row of a member."""
        text = inspect.cleandoc(member.__doc__ or "")
        return cls(
            family=family,
            name=name,
            what=text.partition("\n\n")[0].replace("\n", " "),
            sources="; ".join(_sources(text)),
            equation="; ".join(_FORMULA.findall(_paragraph("Equation", text))),
            departures=_paragraph("Departures", text),
            test=_test_of(family, member),
        )


def methods() -> list[Method]:
    """Every member, family by family; presets last."""
    named = [
        Method.of(family, member.model_fields["name"].default, member)
        for family, table in FAMILIES.items()
        for member in models_in(table)
    ]
    probes = [Method.of("evaluation", name, type(getattr(Evaluation(), name))) for name in Evaluation.model_fields]
    presets = [
        Method("presets", name, preset.what, preset.source, "", preset.departures, _PRESET_TEST)
        for name, preset in PRESETS.items()
    ]
    return [*named, *probes, *presets]


def methods_table() -> Group:
    """For people at a terminal: a table for each family."""
    tables = []
    for family, rows in groupby(methods(), key=lambda method: method.family):
        table = Table("name", "what it is", "source, and where it departs from it", show_lines=True, title=family)
        table.columns[1].ratio, table.columns[2].ratio, table.expand = 1, 1, True
        for method in rows:
            what = Text.assemble(method.what, (f"\n{method.equation}" if method.equation else "", "cyan"))
            proof = [method.sources, f"Departures: {method.departures}" if method.departures else ""]
            source = Text.assemble("\n".join(filter(None, proof)), (f"\n{method.test}", "dim"))
            table.add_row(method.name, what, source)
        tables.append(table)
    return Group(*tables)


def methods_markdown() -> str:
    """For the README."""
    lines = ["| family | name | what it is | source | equation | departs from it | test |", "|---" * 7 + "|"]
    for method in methods():
        test = f"[{method.test.rpartition('/')[2]}]({method.test})"
        equation = f"`{method.equation}`" if method.equation else ""
        cells = (method.family, f"`{method.name}`", method.what, method.sources, equation, method.departures, test)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _test_of(family: str, member: type[BaseModel]) -> str:
    """The test of its own, or of its kind (a base class); else that of the whole family."""
    modules = [kind.__module__ for kind in member.__mro__ if kind.__module__.startswith(f"trainables.{family}.")]
    candidates = [f"tests/trainables/{family}/test_{module.rpartition('.')[2]}.py" for module in modules]
    return next((path for path in candidates if (_ROOT / path).is_file()), f"tests/contracts/test_{family}.py")


def _sources(text: str) -> Iterator[str]:
    """Each source once, with the place in it if the text names one."""
    seen: set[str] = set()
    for authors, year, identifier, place in _SOURCE.findall(" ".join(text.split())):
        if identifier not in seen:
            seen.add(identifier)
            yield f"{authors} {year}, {identifier}" + (f", {place}" if place else "")


def _paragraph(heading: str, text: str) -> str:
    found = re.search(rf"{heading}: (.*?)(?=\n\n|\Z)", text, re.DOTALL)
    return " ".join(found.group(1).split()) if found else ""
