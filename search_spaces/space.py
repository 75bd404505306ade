"""A space: which trials may exist. A trial's config in which some leaves are distributions."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from optuna.distributions import BaseDistribution
from pydantic import BaseModel

from search_spaces import corners
from search_spaces.draws import RandomDraw, grid
from search_spaces.errors import ConfigErrors, Problem
from search_spaces.grammar import Grammar
from search_spaces.nodes import Branch, Draw, Leaf, count, leaves
from search_spaces.resolution import bounded_order, resolve


@dataclass(frozen=True)
class Point:
    """One point of a space: the config, and the picks that lead to it, with the distribution of each."""

    config: dict[str, Any]
    parameters: dict[str, Any]
    distributions: dict[str, BaseDistribution]


class Space:
    """The trials of a tree with distributions (`search_spaces.grammar`), all of which `model` accepts.

    A parameter goes by its config path with the name of each option on the way (``memory.bank.size``), a choice by its
    own path (``memory``), a bounded range by its fraction (``negatives.count.fraction``).
    """

    def __init__(self, root: Branch, model: type[BaseModel]) -> None:
        self._root = root
        self._model = model
        self._order, _ = bounded_order(root)

    @classmethod
    def parse(cls, tree: Mapping[str, Any], model: type[BaseModel]) -> Self:
        """The space of `tree`. Raises `ConfigErrors` with every problem; their paths start at `tree`."""
        grammar = Grammar()
        root = grammar.branch(tree)
        order, cycles = bounded_order(root)
        for cycle in cycles:
            rule = f"a bound may not depend on itself: {' <- '.join(cycle)}"
            grammar.problems.append(
                Problem(cycle[0], cycle, rule, "give one of them ends of its own, without `at_most`")
            )
            grammar.broken.update(cycle)
        found = [*grammar.problems, *corners.problems_of(root, order, model, grammar.broken)]
        if found:
            raise ConfigErrors("space", found)
        return cls(root, model)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every distribution, in the order of the file."""
        return tuple(leaf for leaf, _ in leaves(self._root))

    def suggest(self, draw: Draw) -> dict[str, Any]:
        """The config that `draw` (an `optuna.trial.Trial`, say) picks: plain values, without the model's defaults.

        Asks in the same order whatever was picked, but for what hangs on an option, so a seeded sampler repeats itself.
        """
        tree, _ = resolve(self._root, self._order, self._model, draw)
        return tree

    def corners(self) -> Iterator[dict[str, Any]]:
        """The configs at the ends of the space, each once and each option in one; their number is linear in leaves."""
        found = map(self.suggest, corners.corner_draws(self._root))
        yield from {json.dumps(config): config for config in found}.values()

    def sample(self, seed: int) -> Iterator[Point]:
        """Independent draws, without end; two of them may be equal."""
        draw = RandomDraw(seed)
        while True:
            draw.begin()
            config = self.suggest(draw)
            yield Point(config, draw.params, draw.distributions)

    def size(self, points: int) -> int:
        """The number of `enumerate`'s points; an upper bound of it if whole numbers are bounded by other values."""
        return count(self._root, points)

    def enumerate(self, points: int) -> Iterator[Point]:
        """Each config once, in a fixed order, with every range divided in at most `points` values (two or more)."""
        seen: set[str] = set()
        for draw, config in grid(points, self.suggest):
            key = json.dumps(config, sort_keys=True)
            if key not in seen:  # two fractions of a range may round to the same whole number
                seen.add(key)
                yield Point(config, draw.params, draw.distributions)
