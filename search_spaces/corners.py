"""Holds a space against the model of its trials, before any of them is drawn.

Checked are the configs with all ranges at their low or at their high ends, and those in which one leaf at a time takes
another end or option: a number of configs linear in the leaves, enough for every rule on one value or on two. A seeded
sample of the inside is looked at last, for rules on three values and more.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from search_spaces.draws import CornerDraw, RandomDraw
from search_spaces.errors import ABSENT, Problem
from search_spaces.nodes import Branch, Choice, Node, Range, leaves
from search_spaces.resolution import Unbound, resolve
from search_spaces.validation import Fault, faults, without

_SAMPLE = 64


def problems_of(
    root: Branch, order: Sequence[str], model: type[BaseModel], broken: Iterable[str] = ()
) -> list[Problem]:
    """What the model has against the trials of a space, each thing once. Says nothing of the paths already `broken`."""
    check = _Check(root, order, model, [path.split(".") for path in broken])
    for draw in corner_draws(root):
        check.visit(draw)
    if not check.found and not check.broken:
        sample = RandomDraw(0)
        for _ in range(_SAMPLE):
            check.visit(sample)
    return list(check.found.values())


def corner_draws(root: Branch) -> Iterator[CornerDraw]:
    """All ranges at their low or at their high ends, and one leaf at a time at another end or option."""
    for high in (False, True):
        yield CornerDraw(high, {})
        for leaf, chosen in leaves(root):
            for end in leaf.ends:
                yield CornerDraw(high, {**chosen, leaf.name: end})


class _Check:
    def __init__(
        self, root: Branch, order: Sequence[str], model: type[BaseModel], broken: Sequence[Sequence[str]]
    ) -> None:
        self._root, self._order, self._model = root, order, model
        self.broken = broken
        self.found: dict[tuple[str, str], Problem] = {}
        self._seen: set[str] = set()

    def visit(self, draw: CornerDraw | RandomDraw) -> None:
        """Note what is wrong with one trial."""
        tree, unbound = resolve(self._root, self._order, self._model, draw)
        for missing in unbound:
            self._add(_without_bound(missing, draw.params))
        text = json.dumps(tree)
        if text in self._seen:
            return
        self._seen.add(text)
        found = faults(self._model, tree)
        single = [fault for fault in found if not fault.binds_several]
        if single:  # pydantic does not look at rules on several values until each of them is fine
            found += [fault for fault in faults(self._model, without(tree, single)) if fault.binds_several]
        complete = not (single or unbound or self.broken)
        for fault in found:
            node, source = _located(self._root, fault.path, draw.params)
            # Where something was left out, such a rule may speak of a default that nobody asked for.
            wanted = complete or not fault.binds_several or node is not None
            left_out = [*self.broken, *(missing.leaf.path.split(".") for missing in unbound)]
            if wanted and not _overlaps(fault.path, left_out):
                self._add(_problem(node, source, fault, draw.params))

    def _add(self, problem: Problem) -> None:
        without_numbers = re.sub(r"-?\d[\d.e+-]*", "#", problem.rule)
        self.found.setdefault((problem.path, without_numbers), problem)


def _overlaps(path: Sequence[str], others: Iterable[Sequence[str]]) -> bool:
    return any(tuple(path[: len(other)]) == tuple(other[: len(path)]) for other in others)


def _without_bound(unbound: Unbound, chosen: Mapping[str, Any]) -> Problem:
    leaf, bounds = unbound.leaf, " or ".join(unbound.leaf.at_most)
    options = ", ".join(f"{name} = {value}" for name, value in chosen.items() if isinstance(value, str))
    if unbound.value is ABSENT:
        rule = f"a bound must be there in every trial, and {bounds} is not{f' when {options}' if options else ''}"
        fix = "correct the path, or give a list of paths: the first that a trial has is its bound"
    elif isinstance(unbound.value, int | float) and not isinstance(unbound.value, bool):
        rule = f"the low end {leaf.low} must not exceed the bound {bounds}, which can be {unbound.value}"
        fix = f"start this range at {unbound.value} or below, or {bounds} at {leaf.low} or above"
    else:
        rule, fix = f"a bound is a number, and {bounds} is none", "give the path of a number"
    return Problem(leaf.source, leaf.written, rule, fix)


def _problem(node: Node | None, source: str, fault: Fault, chosen: Mapping[str, Any]) -> Problem:
    value, rule, fix = fault.value, fault.rule, fault.fix
    if not source:
        value = dict(chosen)
    if isinstance(node, Range):
        rule = rule if fault.wrong_key else f"{rule}, and this range reaches {value}"
        value = node.written
        if fault.binds_several and not node.at_most:
            fix = f"{fix}, or bind it to another value with `at_most`"
        elif fault.kind == "int_type":
            fix = "write `int` in place of `float`"
        elif fault.kind == "literal_error":
            fix = "list the values in a `choice`"
    elif isinstance(value, dict) and fault.wants_scalar:
        fix = f"{fix}, or a distribution: {{float: [low, high]}}, {{int: [low, high]}}, {{choice: [a, b]}}"
    return Problem(source, value, rule, fix)


def _located(root: Branch, path: Sequence[str], chosen: Mapping[str, Any]) -> tuple[Node | None, str]:
    """The node at a config path in the trial with these choices, and where in the file it is, or would be."""
    node: Node = root
    for index, key in enumerate(path):
        node = _option(node, chosen)
        if not isinstance(node, Branch) or key not in node.children:
            return None, ".".join([node.source, *path[index:]]).lstrip(".")
        node = node.children[key]
    node = _option(node, chosen)
    return node, node.source


def _option(node: Node, chosen: Mapping[str, Any]) -> Node:
    while isinstance(node, Choice):
        node = node.options[chosen[node.name]]
    return node
