"""The beginning of a confirmation, or what there is of it. Loads what a sweep runs on: Ray and torch."""

from sweeps.confirmation import plan
from sweeps.described import Described
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import Results
from sweeps.session import check_unchanged

SEEDS = 5


def start(results: Results, sweep: str, seeds: int | None, accept_changed_code: bool) -> str:
    """The id of the sweep's confirmation, which is made if there is none, with `SEEDS` seeds if not said otherwise.

    Raises `SweepChanged` where code or data would measure something else than the sweep did, and `Refusal` if there is
    nothing to confirm, or a confirmation with another number of seeds.
    """
    with Ledger.open(results.ledger(sweep)) as ledger:
        found = plan.find(ledger, results)
        if found is None:
            check_unchanged(sweep, History.of(ledger.events()), Described.by(ledger).task, accept_changed_code)
            return plan.create(ledger, results, SEEDS if seeds is None else seeds)
        with found:
            there = found.spec[plan.CONFIRMS]["seeds"]
            if seeds not in (None, there):
                raise Refusal(
                    f"a sweep is confirmed once, and '{found.sweep}' does it with --seeds {there}. Leave --seeds out "
                    f"to go on with it, or move {results.folder(found.sweep)} away to start afresh with {seeds}"
                )
            return found.sweep
