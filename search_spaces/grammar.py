"""Reads a trial's tree with distributions at some leaves.

========================================================= ==============================================================
``{float: [0.03, 0.5], log: true}``                       a number; ``log`` and ``step: 0.1`` are optional
``{int: [16, 4096], log: true}``                          a whole number
``{int: [16, 1024], log: true, at_most: memory.size}``    no more than another value of the same trial; of a list of
                                                          paths the first that the trial has
``{choice: [32, 64]}``                                    one of several values
``{choice: [{name: bank, size: {int: [2, 9]}}, ...]}``    one of several sub-trees, which may hold distributions
========================================================= ==============================================================
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from search_spaces.errors import ABSENT, Problem, nearest
from search_spaces.nodes import Branch, Choice, Fixed, Node, Range, Scalar

RangeKind = Literal["float", "int"]
Kind = RangeKind | Literal["choice"]
KINDS: tuple[Kind, ...] = ("float", "int", "choice")


class Grammar:
    """One reading of a tree: its nodes, every problem, and the config paths (`broken`) whose leaf could not be read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.broken: set[str] = set()

    def branch(self, tree: Mapping[str, Any], path: str = "", parameter: str = "", source: str = "") -> Branch:
        """The nodes of a mapping; leaves that could not be read are left out."""
        children = {
            key: self._node(value, _join(path, key), _join(parameter, key), _join(source, key))
            for key, value in tree.items()
        }
        return Branch(source, {key: child for key, child in children.items() if child is not None})

    def _node(self, tree: Any, path: str, parameter: str, source: str) -> Node | None:
        if isinstance(tree, list) and (inner := _leaf_in_list(tree, source)):
            self._broken(path, inner, tree, "a distribution may not stand in a list", "make the whole list a choice")
            return None
        if not isinstance(tree, dict):
            return Fixed(source, tree)
        kinds: list[Kind] = [kind for kind in KINDS if kind in tree]
        if not kinds:
            return self.branch(tree, path, parameter, source)
        if reserved := next((kind for kind in kinds if isinstance(tree[kind], dict)), None):
            rule = f"`{reserved}` begins a distribution, which is a list; a part may not go by that name"
            self._broken(path, f"{source}.{reserved}", tree[reserved], rule, "give it another name, or write a list")
            return None
        if len(kinds) > 1:
            self._broken(path, source, tree, "a leaf has one distribution", f"keep one of: {', '.join(kinds)}")
            return None
        kind = kinds[0]
        if kind == "choice":
            return self._choice(tree, path, parameter, source)
        return self._range(tree, kind, path, parameter, source)

    def _choice(self, tree: Mapping[str, Any], path: str, parameter: str, source: str) -> Choice | None:
        before = len(self.problems)
        options = tree["choice"]
        for key in tree:
            if key != "choice":
                rule = "a choice has no parts beside its options"
                self._broken(path, f"{source}.{key}", tree[key], rule, _in_options(key, options))
        if not isinstance(options, list) or len(options) < 2:
            rule = "a choice is a list of two options or more"
            one = isinstance(options, list) and len(options) == 1
            self._broken(path, source, tree, rule, "write the option itself" if one else "list the options: [a, b]")
            return None
        nodes: dict[Scalar, Node] = {}
        for index, option in enumerate(options):
            place = f"{source}.choice.{index}"
            label = self._label(option, path, place)
            if label in nodes:
                rule = f"two options may not go by the same name, {label!r}"
                self._broken(path, place, option, rule, "remove one, or put a distribution inside it")
            elif label is not ABSENT:
                inner = _join(parameter, str(label))
                nodes[label] = (
                    self.branch(option, path, inner, place) if isinstance(option, dict) else Fixed(place, option)
                )
        return Choice(source, path, parameter, nodes) if len(self.problems) == before else None

    def _label(self, option: Any, path: str, place: str) -> Any:
        if isinstance(option, dict) and isinstance(option.get("name"), str):
            return option["name"]
        if isinstance(option, dict | list) or (isinstance(option, float) and not math.isfinite(option)):
            rule = "an option is a value, or a mapping with a `name`"
            self._broken(path, place, option, rule, "add `name`" if isinstance(option, dict) else "write one value")
            return ABSENT
        return option

    def _range(self, tree: Mapping[str, Any], kind: RangeKind, path: str, parameter: str, source: str) -> Range | None:
        before = len(self.problems)
        self._known_keys(tree, (kind, "log", "step", "at_most"), path, source)
        log, step, at_most = tree.get("log", False), tree.get("step"), tree.get("at_most", [])
        bounds = [at_most] if isinstance(at_most, str) else at_most
        ends = tree[kind]
        if not isinstance(log, bool):
            self._broken(path, f"{source}.log", log, "must be true or false", "write `log: true`, or remove it")
        if not isinstance(bounds, list) or not all(isinstance(bound, str) for bound in bounds):
            rule = "must be the path of a value of the trial, or a list of such paths"
            self._broken(path, f"{source}.at_most", at_most, rule, "write `at_most: memory.size`")
        if not self._ends_fit(ends, kind, path, source):
            return None
        if log and ends[0] <= 0:
            rule = f"a log range starts above 0, this one at {ends[0]}"
            self._broken(path, source, tree, rule, "raise the low end, or remove `log`")
        if step is not None:
            self._step_fits(tree, kind, path, source)
        if len(self.problems) > before:
            return None
        low, high = (float(end) if kind == "float" else end for end in ends)
        return Range(source, path, parameter, dict(tree), kind, low, high, log, step, tuple(bounds))

    def _ends_fit(self, ends: Any, kind: str, path: str, source: str) -> bool:
        place = f"{source}.{kind}"
        if not isinstance(ends, list) or len(ends) != 2 or not all(_is_number(end, kind) for end in ends):
            noun = "whole numbers" if kind == "int" else "numbers"
            self._broken(path, place, ends, f"a range is a list of two {noun}", f"write `{kind}: [low, high]`")
        elif ends[0] > ends[1]:
            self._broken(path, place, ends, "the low end comes first", f"write `{kind}: [{ends[1]}, {ends[0]}]`")
        elif ends[0] == ends[1]:
            self._broken(path, place, ends, "a range has more than one value", f"write the value itself: {ends[0]}")
        else:
            return True
        return False

    def _step_fits(self, tree: Mapping[str, Any], kind: str, path: str, source: str) -> None:
        step, (low, high), place = tree["step"], tree[kind], f"{source}.step"
        for key in ("log", "at_most"):
            if tree.get(key):
                self._broken(path, place, step, f"`step` and `{key}` exclude each other", "remove one of the two")
        if not _is_number(step, kind) or step <= 0:
            noun = "a whole number" if kind == "int" else "a number"
            self._broken(path, place, step, f"must be {noun} above 0", "write a step above 0, or remove it")
        elif (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)) != 0:
            steps = (Decimal(str(high)) - Decimal(str(low))) // Decimal(str(step))
            fitting = Decimal(str(low)) + max(steps, Decimal(1)) * Decimal(str(step))
            rule = f"the step must divide the range [{low}, {high}]"
            self._broken(path, place, step, rule, f"let the range end at {fitting}, or change the step")

    def _known_keys(self, tree: Mapping[str, Any], known: tuple[str, ...], path: str, source: str) -> None:
        for key in tree:
            if key not in known:
                rule = "a leaf has no such key"
                self._broken(path, f"{source}.{key}", tree[key], rule, nearest(key, known))

    def _broken(self, path: str, source: str, value: Any, rule: str, fix: str) -> None:
        self.broken.add(path)
        self.problems.append(Problem(source, value, rule, fix))


def _in_options(key: str, options: Any) -> str:
    """Where a part would stand that was given to a choice itself."""
    numbered = enumerate(options) if isinstance(options, list) else ()
    places = [
        f"choice.{index}.{key} ({option.get('name', '...')})" for index, option in numbered if isinstance(option, dict)
    ]
    return f"set it in the option that is meant: {', '.join(places)}" if places else "remove it"


def _is_number(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if kind == "int" else int | float):
        return False
    return math.isfinite(value)


def _leaf_in_list(tree: Any, source: str) -> str | None:
    """The place of the first distribution inside a list, if there is one."""
    if isinstance(tree, dict) and any(kind in tree for kind in KINDS):
        return source
    items = enumerate(tree) if isinstance(tree, list) else tree.items() if isinstance(tree, dict) else ()
    return next((found for key, value in items if (found := _leaf_in_list(value, f"{source}.{key}"))), None)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
