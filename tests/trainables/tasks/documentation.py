"""Real sentences that are on every machine: the docstrings of installed packages, labelled by their package."""

import ast
import importlib.metadata
import re
from collections.abc import Iterator
from itertools import islice

#: Packages that ours needs anyway.
PACKAGES = ("optuna", "scikit-learn", "pyarrow", "SQLAlchemy", "matplotlib", "pydantic")

_LENGTHS = range(40, 200)  # characters


def documented(of_each: int) -> tuple[list[str], list[int]]:
    """So many different sentences of each package, in turn, and the number of the package of each."""
    found = [list(islice(_sentences(package), of_each)) for package in PACKAGES]
    return [text for texts in zip(*found, strict=True) for text in texts], list(range(len(PACKAGES))) * of_each


def _sentences(package: str) -> Iterator[str]:
    seen = set()
    for file in importlib.metadata.files(package) or []:
        if file.suffix == ".py" and "test" not in str(file):
            for docstring in _docstrings(file.read_text(encoding="utf-8")):
                for sentence in re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", docstring)):
                    if len(sentence) in _LENGTHS and sentence not in seen:
                        seen.add(sentence)
                        yield sentence


def _docstrings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
