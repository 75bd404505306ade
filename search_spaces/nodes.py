"""The nodes of a space: fixed values, mappings, ranges and choices; and how a draw turns them into a config."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, Protocol

Scalar = None | bool | int | float | str


class Draw(Protocol):
    """Whoever picks the values: an `optuna.trial.Trial`, or one of `search_spaces.draws`."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number of [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number of [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""


@dataclass(frozen=True)
class Fixed:
    """A value that is the same in every trial. `source` is its dotted path in the file, as in every node."""

    source: str
    value: Any


@dataclass(frozen=True)
class Branch:
    """A mapping of keys to nodes."""

    source: str
    children: Mapping[str, "Node"]


@dataclass(frozen=True)
class Range:
    """A number between two ends, both included.

    `path` is the place in the trial's config, `parameter` the same with the name of each option on the way. With
    `at_most` the upper end is the first of those paths that the trial has, where it is below `high`; what is sampled is
    then a fraction of the range, whose own ends are fixed. `written` is the leaf as it stands in the file.
    """

    source: str
    path: str
    parameter: str
    written: Any
    kind: Literal["float", "int"]
    low: float
    high: float
    log: bool = False
    step: float | None = None
    at_most: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of what is sampled."""
        return f"{self.parameter}.fraction" if self.at_most else self.parameter

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of what is sampled."""
        return (0.0, 1.0) if self.at_most else (self.low, self.high)

    def draw(self, draw: Draw) -> float:
        """A value of a range with ends of its own."""
        if self.kind == "int":
            return draw.suggest_int(self.name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        value = draw.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)
        fraction = (value - self.low) / (self.high - self.low)
        return value if self.step is None else number_between(self.low, self.high, fraction, step=self.step, log=False)

    def draw_below(self, draw: Draw, bound: float) -> float:
        """A value of a range that ends at `bound` (at least `low`), if that comes before `high`."""
        high = min(self.high, bound)
        value = interpolate(self.low, high, draw.suggest_float(self.name, 0.0, 1.0), log=self.log)
        # Rounding down at the upper end: a whole number may not exceed a bound that is none.
        return value if self.kind == "float" else min(round(value), int(high // 1))

    def division(self, points: int) -> tuple[float, ...]:
        """At most `points` values of what is sampled, spread evenly."""
        low, high = self.ends
        if self.kind == "int" and not self.at_most:
            return even_wholes(int(low), int(high), points, step=int(self.step or 1), log=self.log)
        return even_numbers(low, high, points, step=self.step, log=self.log and not self.at_most)


@dataclass(frozen=True)
class Choice:
    """One of several options, by label: a scalar stands for itself, a mapping goes by its `name`."""

    source: str
    path: str
    parameter: str
    options: Mapping[Scalar, "Node"]

    @property
    def name(self) -> str:
        """The name of what is sampled."""
        return self.parameter

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """Every label."""
        return tuple(self.options)


Leaf = Range | Choice
Node = Fixed | Branch | Leaf


def interpolate(low: float, high: float, fraction: float, *, log: bool) -> float:
    """The point between `low` (at fraction 0) and `high` (at 1), by ratio if `log`; both ends are met exactly."""
    if fraction >= 1:
        return high
    value = low * (high / low) ** fraction if log else low + fraction * (high - low)
    return min(max(value, low), high)


def leaves(node: Node, chosen: Mapping[str, Scalar] | None = None) -> Iterator[tuple[Leaf, dict[str, Scalar]]]:
    """Every leaf in the order of the file, with the options that must have been chosen for it to be there."""
    path = dict(chosen or {})
    if isinstance(node, Branch):
        for child in node.children.values():
            yield from leaves(child, path)
    elif isinstance(node, Choice):
        yield node, path
        for label, option in node.options.items():
            yield from leaves(option, {**path, node.name: label})
    elif isinstance(node, Range):
        yield node, path


def count(node: Node, points: int) -> int:
    """How many configs a grid has that divides each range in at most `points` values."""
    match node:
        case Branch():
            product = 1
            for child in node.children.values():
                product *= count(child, points)
            return product
        case Choice():
            return sum(count(option, points) for option in node.options.values())
        case Range():
            return len(node.division(points))
    return 1


def whole_between(low: int, high: int, fraction: float, *, step: int, log: bool) -> int:
    """The whole number nearest to a fraction of the way from `low` to `high`, on its steps."""
    if log:
        return round(interpolate(low, high, fraction, log=True))
    steps = (high - low) // step
    return low + min(round(fraction * steps), steps) * step


def number_between(low: float, high: float, fraction: float, *, step: float | None, log: bool) -> float:
    """The number at a fraction of the way from `low` to `high`; with a step, the nearest that lies on one."""
    if step is None:
        return interpolate(low, high, fraction, log=log)
    # In decimal, since 0.1 + 2 * 0.1 would come out as 0.30000000000000004.
    first, size = Decimal(str(low)), Decimal(str(step))
    return float(first + round(fraction * int((Decimal(str(high)) - first) / size)) * size)


@lru_cache
def even_wholes(low: int, high: int, points: int, *, step: int, log: bool) -> tuple[int, ...]:
    """At most `points` whole numbers, spread evenly (by ratio if `log`) from `low` to `high`."""
    even = (index / (points - 1) for index in range(points))
    return tuple(dict.fromkeys(whole_between(low, high, fraction, step=step, log=log) for fraction in even))


@lru_cache
def even_numbers(low: float, high: float, points: int, *, step: float | None, log: bool) -> tuple[float, ...]:
    """At most `points` numbers, spread evenly (by ratio if `log`) from `low` to `high`."""
    even = (index / (points - 1) for index in range(points))
    return tuple(dict.fromkeys(number_between(low, high, fraction, step=step, log=log) for fraction in even))
