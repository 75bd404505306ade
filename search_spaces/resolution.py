"""From a space and somebody who picks to the config of one trial."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import BaseModel

from search_spaces.errors import ABSENT, Absent
from search_spaces.nodes import Branch, Choice, Draw, Node, Range, leaves
from search_spaces.schema import value_at


@dataclass(frozen=True)
class Unbound:
    """A range without an upper bound in some trial: its bound is not there (`ABSENT`), is no number or is below it."""

    leaf: Range
    value: Any | Absent


def bounded_order(root: Branch) -> tuple[list[str], list[list[str]]]:
    """The paths that are bounded by other values, each after those that bound it; and the cycles, left out."""
    bounds: dict[str, list[str]] = {}
    for leaf, _ in leaves(root):
        if isinstance(leaf, Range) and leaf.at_most:
            bounds.setdefault(leaf.path, []).extend(leaf.at_most)
    cycles: list[list[str]] = []
    while True:
        graph = {path: [other for other in others if other in bounds] for path, others in bounds.items()}
        try:
            return list(TopologicalSorter(graph).static_order()), cycles
        except CycleError as error:
            cycle: list[str] = error.args[1]
            cycles.append(cycle)
            bounds = {path: others for path, others in bounds.items() if path not in cycle}


def resolve(
    root: Branch, order: Sequence[str], model: type[BaseModel], draw: Draw
) -> tuple[dict[str, Any], list[Unbound]]:
    """The config that `draw` picks, always asking in the same order; ranges without a bound are left out and listed."""
    waiting: dict[str, tuple[Range, dict[str, Any], str]] = {}
    tree = _picked(root, draw, waiting)
    unbound: list[Unbound] = []
    for path in order:
        if path not in waiting:
            continue
        leaf, parent, key = waiting[path]
        bound = _bound(leaf, model, tree)
        if isinstance(bound, int | float) and not isinstance(bound, bool) and bound >= leaf.low:
            parent[key] = leaf.draw_below(draw, bound)
        else:
            unbound.append(Unbound(leaf, bound))
    return tree, unbound


def _bound(leaf: Range, model: type[BaseModel], tree: dict[str, Any]) -> Any | Absent:
    found = (value_at(model, tree, path.split(".")) for path in leaf.at_most)
    return next((value for value in found if value is not ABSENT), ABSENT)


def _picked(branch: Branch, draw: Draw, waiting: dict[str, tuple[Range, dict[str, Any], str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, child in branch.children.items():
        if isinstance(child, Range) and child.at_most:
            waiting[child.path] = (child, tree, key)
        else:
            tree[key] = _value(child, draw, waiting)
    return tree


def _value(node: Node, draw: Draw, waiting: dict[str, tuple[Range, dict[str, Any], str]]) -> Any:
    match node:
        case Branch():
            return _picked(node, draw, waiting)
        case Choice():
            return _value(node.options[draw.suggest_categorical(node.name, list(node.options))], draw, waiting)
        case Range():
            return node.draw(draw)
    return copy.deepcopy(node.value)
