"""A strict reader of YAML: what a file seems to say is what it says, and nothing in it is executed.

The core schema of YAML 1.2 (``1e-3`` is a number, ``no`` is a string), without anchors, aliases and tags, with at most
one value per key. PyYAML scans and parses; the values are built here, so that each keeps its line.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from search_spaces.core_yaml import CORE, LEADING_ZERO, MAX_DEPTH, CoreLoader, TooDeepError
from search_spaces.errors import ABSENT, ConfigErrors, Problem, nearest

MAX_BYTES = 1024 * 1024
SET = "--set"

_RULES = {
    "alias": ("an alias (*name) may not stand for a value", "write the value itself"),
    "anchor": ("a value may not carry an anchor (&name)", "remove the anchor"),
    "tag": ("a value may not carry a tag (!name)", "remove the tag"),
    "python": ("a tag that asks for Python code is refused", "remove the tag; do not use files that you do not trust"),
    "key": ("a key must be a string without dots", "put the key in quotes, and nest keys in place of dots"),
    LEADING_ZERO: ("a number may not start with 0, since YAML 1.1 reads it as octal", "remove the zero, or use quotes"),
}


@dataclass
class Document:
    """A tree of plain values, the line of each by dotted path, and what was wrong with the text.

    Where there were problems the tree holds the first value of a doubled key and None for what could not be read.
    """

    name: str
    tree: Any
    lines: dict[str, int]
    problems: list[Problem] = field(default_factory=list)
    overridden: set[str] = field(default_factory=set)

    def where(self, path: str) -> str:
        """``file:line`` of the value at `path`, or of the nearest value around it; ``--set`` if it was given there."""
        parts = path.split(".")
        for end in range(len(parts), 0, -1):
            prefix = ".".join(parts[:end])
            if prefix in self.overridden:
                return SET
            if prefix in self.lines:
                return f"{self.name}:{self.lines[prefix]}"
        return self.name


def read(path: Path) -> tuple[str, Document]:
    """The text of a file, and the document in it. Raises `ConfigErrors` if there is none that can be read at all."""
    try:
        data = path.read_bytes()[: MAX_BYTES + 1] if path.stat().st_size <= MAX_BYTES else b" " * (MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _refused(path.name, "", "a config is at most 1 MiB", "keep data out of it")
        text = data.decode()
    except OSError as error:
        siblings = [found.name for found in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        fix = nearest(path.name, sorted(siblings)) if siblings else "give the path of a YAML file"
        raise _refused(str(path), "", f"the file must be readable: {error.strerror}", fix) from error
    except UnicodeDecodeError as error:
        raise _refused(path.name, "", f"a config is UTF-8 text: {error.reason}", "save it as UTF-8") from error
    return text, parse(text, path.name)


def parse(text: str, name: str) -> Document:
    """The one document of `text`. Raises `ConfigErrors` for text that is no YAML, nests too deep or holds several."""
    try:
        loader = CoreLoader(text)
        root = loader.single_document()
    except TooDeepError as error:
        rule = f"values nest at most {MAX_DEPTH} deep"
        raise _refused(name, f"{name}:{error.line}", rule, "flatten the file") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        rule = f"the text must be YAML: {error.problem}"
        raise _refused(name, f"{name}:{line}", rule, "correct the line") from error
    except yaml.YAMLError as error:
        rule = f"the text must be YAML: {str(error).splitlines()[0]}"
        raise _refused(name, name, rule, "remove the character") from error
    if root is None:
        raise _refused(name, name, "a document holds a value", "write one")
    document = Document(name, None, {})
    document.tree = _Builder(document, loader.refusals).build(root, "")
    return document


def _refused(name: str, where: str, rule: str, fix: str) -> ConfigErrors:
    return ConfigErrors(name, [Problem("", ABSENT, rule, fix, where or name)])


class _Builder:
    """Turns nodes into plain values, keeping the line of each and collecting what is wrong."""

    def __init__(self, document: Document, refusals: dict[int, list[str]]) -> None:
        self._document = document
        self._refusals = refusals

    def build(self, node: yaml.Node, path: str) -> Any:
        """The value of `node`, which stands at `path`."""
        self._document.lines[path] = node.start_mark.line + 1
        for refusal in self._refusals.pop(node.start_mark.index, []):
            self._refuse(refusal, path, getattr(node, "value", None) if isinstance(node, yaml.ScalarNode) else None)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, f"{path}.{index}".lstrip(".")) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        first: dict[Hashable, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            inner = f"{path}.{key}".lstrip(".")
            line = key_node.start_mark.line + 1
            if key in first:
                rule = f"a key stands once, and this one stands on line {first[key]} already"
                self._problem(inner, self._peek(value_node), rule, "remove one of the two", line)
                continue
            first[key] = line
            tree[key] = self.build(value_node, inner)
            self._document.lines[inner] = line
        return tree

    def _key(self, node: yaml.Node, path: str) -> str | None:
        for refusal in self._refusals.pop(node.start_mark.index, []):
            self._refuse(refusal, path, node.value if isinstance(node, yaml.ScalarNode) else None)
        if isinstance(node, yaml.ScalarNode) and node.tag == CORE + "str" and node.value and "." not in node.value:
            return str(node.value)
        shown = node.value if isinstance(node, yaml.ScalarNode) else "?"
        self._problem(path, shown, *_RULES["key"], node.start_mark.line + 1)
        return None

    def _scalar(self, node: yaml.Node, path: str) -> Any:
        text: str = node.value
        match node.tag.removeprefix(CORE):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text)
            case "float":
                return float(re.sub(r"\.(?=[iInN])", "", text))
            case "leading zero":
                self._refuse(LEADING_ZERO, path, text)
                return None
        return text

    @staticmethod
    def _peek(node: yaml.Node) -> str:
        return str(node.value) if isinstance(node, yaml.ScalarNode) else "..."

    def _refuse(self, refusal: str, path: str, value: Any) -> None:
        self._problem(path, value, *_RULES[refusal], self._document.lines[path], security=refusal == "python")

    def _problem(self, path: str, value: Any, rule: str, fix: str, line: int, *, security: bool = False) -> None:
        where = f"{self._document.name}:{line}"
        self._document.problems.append(Problem(path, value, rule, fix, where, security))
