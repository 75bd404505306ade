"""PyYAML's parser with the core schema of YAML 1.2, which keeps out anchors, aliases, tags and deep nesting."""

import re
from typing import Any

import yaml

MAX_DEPTH = 32
CORE = "tag:yaml.org,2002:"
LEADING_ZERO = "leading zero"


class TooDeepError(Exception):
    """A value that nests too deep, and its line."""

    def __init__(self, line: int) -> None:
        self.line = line


class CoreLoader(yaml.SafeLoader):
    """PyYAML's parser with the core schema; notes by position what may not be there, and leaves it out."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own shape)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.refusals: dict[int, list[str]] = {}
        self._depth = 0

    def single_document(self) -> yaml.Node | None:
        """The root node; None for a text without one."""
        self._next_event()
        if self.check_event(yaml.StreamEndEvent):
            return None
        root: yaml.Node | None = self.compose_document()
        if not self.check_event(yaml.StreamEndEvent):
            mark = self._event().start_mark
            raise yaml.MarkedYAMLError(problem="a file holds one document, and a second begins here", problem_mark=mark)
        return root

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As PyYAML's, without anchors, aliases and tags."""
        event: Any = self._event()
        notes = self.refusals.setdefault(event.start_mark.index, [])
        if self.check_event(yaml.AliasEvent):
            self._next_event()
            notes.append("alias")
            return yaml.ScalarNode(CORE + "null", "", event.start_mark, event.end_mark)
        if event.anchor is not None:
            notes.append("anchor")
            event.anchor = None
        if event.tag is not None:
            notes.append("python" if event.tag.startswith(CORE + "python") else "tag")
            event.tag = None
        if self._depth >= MAX_DEPTH and not self.check_event(yaml.ScalarEvent):
            raise TooDeepError(event.start_mark.line + 1)
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _event(self) -> Any:
        return self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it untyped

    def _next_event(self) -> Any:
        return self.get_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it untyped


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (LEADING_ZERO, r"[-+]?0[0-9]+", list("-+0")),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,29})", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.")),
):
    CoreLoader.add_implicit_resolver(CORE + _tag, re.compile(f"^(?:{_pattern})$"), _first)
