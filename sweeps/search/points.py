"""Search of our own: points of the space that are chosen, not drawn by a sampler that would have to be told of them."""

from collections.abc import Callable, Iterable, Mapping

from optuna.distributions import distribution_to_json

from search_spaces.space import Point
from sweeps.events import TrialState
from sweeps.search.protocol import Record, Suggestion, check_next, in_order


class PointSearch:
    """Suggests for trial `number` the point that `choose(number)` gives; None ends it.

    Nothing is told to it: whoever chooses knows the ledger, or needs to know nothing. So it suggests after a restart
    what it would have suggested without.
    """

    def __init__(self, choose: Callable[[int], Point | None]) -> None:
        self._choose = choose
        self._trials = 0

    def ask(self, number: int) -> Suggestion | None:
        """What was chosen."""
        check_next(number, self._trials)
        point = self._choose(number)
        if point is None:
            return None
        self._trials += 1
        distributions = {name: distribution_to_json(of) for name, of in point.distributions.items()}
        return Suggestion(point.config, point.parameters, distributions, {})

    def tell(self, number: int, state: TrialState, metrics: Mapping[str, float]) -> None:
        """It is in the ledger."""

    def restore(self, records: Iterable[Record]) -> None:
        """Go on after the trials of a ledger."""
        self._trials = len(in_order(records))
