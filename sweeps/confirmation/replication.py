"""The search of a confirmation: which point is trained next, and with which fresh seed."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeps.confirmation.candidates import distances, row
from sweeps.confirmation.membership import Aims, on_front, worth_of_a_seed
from sweeps.confirmation.posterior import Floats, draw_means, seed_deviation
from sweeps.events import TrialState
from sweeps.front import REPLICATE
from sweeps.search.protocol import Record, Suggestion, check_next, in_order

_DRAWS = 1000
_LEAST = 2  # seeds of every point
_NEAR = 4.0  # seed deviations: two of the difference of two seeds, rounded up since few seeds tell how large they are
_SETTLED = 0.01


class Replication:
    """A search (`sweeps.search.protocol`) among points that are there.

    Two seeds for each point of the front; then for each neighbour that noise of the size now known may have kept off
    it; then one at a time where it should tell most (`worth_of_a_seed`), until every point is on the front or off it
    with 99 % chance, or the points have `seeds` seeds on average. What is asked depends on nothing but what was asked
    and told before, and a seed on the sweep, the point and how many it had: so a serial confirmation that was killed
    goes on as if it had not been.
    """

    def __init__(self, confirms: Mapping[str, Any], aims: Aims) -> None:
        self._sweep: str = confirms["sweep"]
        self._seeds: int = confirms["seeds"]
        self._used = frozenset(confirms["used_seeds"])
        self._points: list[dict[str, Any]] = confirms["points"]
        self._aims = aims
        self._point_of: list[int] = []  # by number of the trial
        self._values: list[dict[int, Floats]] = [{} for _ in self._points]  # by number of the trial
        self._failed: list[int] = [0 for _ in self._points]

    @property
    def trials(self) -> int:
        """How many trials have been asked for; the number of the next one."""
        return len(self._point_of)

    def ask(self, number: int) -> Suggestion | None:
        """The config of trial `number`, which must be the next; None when more seeds would tell nothing.

        Raises ValueError for any other number.
        """
        check_next(number, self.trials)
        index = self._next_point()
        if index is None:
            return None
        point, replicate = self._points[index], self._point_of.count(index)
        self._point_of.append(index)
        config = {**point["config"], "seed": fresh_seed(self._sweep, point["trial"], replicate, self._used)}
        return Suggestion(config, {"point": index, "trial": point["trial"], REPLICATE: replicate}, {}, {})

    def tell(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Trial `number` ended. Only a complete trial has its goals read from `metrics`."""
        index = self._point_of[number]
        if state == "complete":
            self._values[index][number] = row(metrics, self._aims.metrics)
        else:
            self._failed[index] += 1

    def restore(self, records: Iterable[Record]) -> None:
        """Take in the trials of a ledger, in any order. Raises ValueError unless they are numbered 0, 1, 2, ..."""
        for record in in_order(records):
            self._point_of.append(record.parameters["point"])
            if record.state not in ("waiting", "running"):
                self.tell(record.number, record.state, record.metrics)

    def _next_point(self) -> int | None:
        asked = np.bincount(self._point_of, minlength=len(self._points))
        front = [index for index, point in enumerate(self._points) if point["on_front"]]
        for group in (front, self._enrolled(len(front))):
            least = _least(group, asked)
            if asked[least] < _LEAST:
                return least
        if self.trials >= self._seeds * len(group):
            return None
        return self._most_telling(group, asked)

    def _enrolled(self, front: int) -> list[int]:
        """The front, and the neighbours that noise of the size known by now may have kept off it; else all."""
        noise = seed_deviation([self._told(index) for index in range(front)])
        if np.isnan(noise).any():
            return list(range(len(self._points)))
        swept = np.array([point["values"] for point in self._points])
        away = distances(swept, front, self._aims, np.where(noise > 0, noise, 1.0))
        begun = set(self._point_of)
        return [index for index in range(len(self._points)) if index in begun or away[index] <= _NEAR]

    def _told(self, index: int) -> Floats:
        values = [value for _, value in sorted(self._values[index].items())]
        return np.array(values).reshape(-1, len(self._aims.metrics))

    def _most_telling(self, group: list[int], asked: NDArray[np.int_]) -> int | None:
        """The point of which a seed should tell most; None if nothing is left in doubt, or nothing can be told.

        With many slots all first seeds may be under way: then the next go round, and nothing is settled yet.
        """
        points = [index for index in group if self._values[index]]
        values = [self._told(index) for index in points]
        done = np.array([len(each) for each in values])
        unheard = any(len(self._values[index]) < min(_LEAST, asked[index] - self._failed[index]) for index in group)
        if done.max(initial=0) < _LEAST:
            return _least(group, asked) if unheard else None
        draws = draw_means(values, self._aims.exact, _DRAWS)
        standing = on_front(draws, self._aims)
        chances = standing.mean(axis=0)
        if not unheard and (np.minimum(chances, 1 - chances) <= _SETTLED).all():
            return None
        under_way = asked[points] - np.array([self._failed[index] for index in points])
        return points[int(np.argmax(worth_of_a_seed(draws, standing, self._aims, done, under_way)))]


def _least(group: list[int], asked: NDArray[np.int_]) -> int:
    return min(group, key=lambda index: (asked[index], index))


def fresh_seed(sweep: str, trial: int, replicate: int, used: frozenset[int]) -> int:
    """32 bits that depend on the arguments alone and are none of `used`."""
    seed = int.from_bytes(hashlib.sha256(f"{sweep}/{trial}/{replicate}".encode()).digest()[:4], "big")
    while seed in used:
        seed += 1
    return seed
