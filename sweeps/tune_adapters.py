"""Ray Tune's view of the driver: a searcher that hands out its trials, a scheduler that passes it what happened.

Tune ends no trial: every one ends by an event of its own (`sweeps.slots.proxy`), so the scheduler always continues.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.driver import Driver
from sweeps.slots.proxy import event_of, tune_config
from sweeps.slots.records import Job
from sweeps.slots.slots import Slots
from sweeps.slots.tuning import NotPickled
from trainables.outcomes import Verdict


class SlotPool:
    """The pool of running slots, as the driver speaks to it: told, not waited for."""

    def __init__(self, slots: Slots) -> None:
        self._pool = slots.pool

    def submit_ahead(self, job: Job) -> None:
        """Have the next trial wait for a slot."""
        self._pool.submit_ahead.remote(**asdict(job))

    def answer(self, trial: int, rung: int, verdict: Verdict) -> None:
        """Give the verdict to the worker that waits for it."""
        self._pool.answer.remote(trial, rung, verdict)

    def retry(self, trial: int, attempt: int) -> None:
        """Train a trial whose worker was lost again."""
        self._pool.retry.remote(trial, attempt)

    def abandon(self, trial: int, why: str) -> None:
        """Let a trial end whose worker was lost."""
        self._pool.abandon.remote(trial, why)

    def forget(self, trial: int) -> None:
        """Drop a trial's events."""
        self._pool.forget.remote(trial)


class DriverSearcher(NotPickled, Searcher):
    """Suggests what the driver says is next. Tune asks several times a second; `check` may raise, to end it all."""

    def __init__(self, driver: Driver, check: Callable[[], None]) -> None:
        super().__init__()
        self._driver, self._check = driver, check

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002 (trials have numbers of our own)
        """The next trial, None while every slot is taken, or the end."""
        self._check()
        job = self._driver.next_trial()
        if job is None:
            return Searcher.FINISHED if self._driver.finished else None
        return tune_config(job)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The scheduler hears of it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class DriverScheduler(NotPickled, FIFOScheduler):
    """Passes every result to the driver, whose verdicts go through the pool."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # ray leaves it untyped
        self._driver = driver

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002
        """Something happened to a trial."""
        self._driver.take_in(event_of(result))
        return TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:  # noqa: ARG002
        """A trial ended."""
        self._driver.take_in(event_of(result))
