"""Who picks the values of a space when no sampler does: its corners, a grid, and plain chance."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.nodes import Scalar, even_numbers, even_wholes, number_between, whole_between

T = TypeVar("T")


@dataclass
class CornerDraw:
    """Every range at its low end and every choice at its first option (or high and last), but for the `forced`."""

    high: bool
    forced: Mapping[str, Scalar]
    params: dict[str, Any] = field(default_factory=dict)

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,  # noqa: ARG002 (an end is an end)
        log: bool = False,  # noqa: ARG002
    ) -> float:
        """An end, or what is forced."""
        return float(self.suggest_categorical(name, (low, high)))

    def suggest_int(
        self,
        name: str,
        low: int,
        high: int,
        *,
        step: int = 1,  # noqa: ARG002 (an end is an end)
        log: bool = False,  # noqa: ARG002
    ) -> int:
        """An end, or what is forced."""
        return int(self.suggest_categorical(name, (low, high)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The first or last option, or what is forced."""
        self.params[name] = self.forced.get(name, choices[-1 if self.high else 0])
        return self.params[name]


class RandomDraw:
    """Uniform chance, seeded."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Any number of the range."""
        value = number_between(low, high, self._random.random(), step=step, log=log)
        return float(self._note(name, value, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Any whole number of the range."""
        value = whole_between(low, high, self._random.random(), step=step, log=log)
        return int(self._note(name, value, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Any option."""
        return self._note(name, self._random.choice(choices), CategoricalDistribution(choices))

    def begin(self) -> None:
        """Forget what was picked, before the next trial."""
        self.params, self.distributions = {}, {}

    def _note(self, name: str, value: Any, distribution: BaseDistribution) -> Any:
        self.params[name], self.distributions[name] = value, distribution
        return value


class GridDraw:
    """One point of a grid: `prefix` says which value each of its first picks takes; later picks take their first."""

    def __init__(self, points: int, prefix: Sequence[int]) -> None:
        self._points = points
        self._prefix = prefix
        self.digits: list[tuple[int, int]] = []
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """One of the points that divide the range."""
        values = even_numbers(low, high, self._points, step=step, log=log)
        return float(self._pick(name, values, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """One of the points that divide the range."""
        values = even_wholes(low, high, self._points, step=step, log=log)
        return int(self._pick(name, values, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the options."""
        return self._pick(name, choices, CategoricalDistribution(choices))

    def _pick(self, name: str, values: Sequence[Any], distribution: BaseDistribution) -> Any:
        place = len(self.digits)
        index = self._prefix[place] if place < len(self._prefix) else 0
        self.digits.append((index, len(values)))
        self.params[name], self.distributions[name] = values[index], distribution
        return values[index]


def grid(points: int, visit: Callable[[GridDraw], T]) -> Iterator[tuple[GridDraw, T]]:
    """Every point of a grid, the last pick turning fastest, and what `visit` made of it.

    `visit` makes the picks of one point; what it asks for may depend on its earlier picks, but on nothing else.
    """
    prefix: list[int] | None = []
    while prefix is not None:
        draw = GridDraw(points, prefix)
        yield draw, visit(draw)
        prefix = _next(draw.digits)


def _next(digits: Sequence[tuple[int, int]]) -> list[int] | None:
    for place in reversed(range(len(digits))):
        index, count = digits[place]
        if index + 1 < count:
            return [*(earlier for earlier, _ in digits[:place]), index + 1]
    return None
