"""A small searcher and scheduler, and what they heard: the driver's part of a sweep without a study or a ledger."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.events import Ended, Lost, Reported, SlotEvent, Started
from sweeps.slots.proxy import event_of, tune_config
from sweeps.slots.records import Job
from sweeps.slots.slots import Slots
from sweeps.slots.tuning import NotPickled, run_trials
from trainables.outcomes import Verdict

Decide = Callable[[Reported], Verdict]


class ListSearcher(NotPickled, Searcher):
    """Suggests jobs in their order, at most `at_once` under way."""

    def __init__(self, jobs: list[Job], at_once: int) -> None:
        super().__init__()
        self.jobs, self.at_once = list(jobs), at_once
        self.under_way: set[str] = set()
        self.events: dict[int, list[SlotEvent]] = defaultdict(list)

    def suggest(self, trial_id: str) -> Any:
        if not self.jobs:
            return Searcher.FINISHED
        if len(self.under_way) >= self.at_once:
            return None
        self.under_way.add(trial_id)
        return tune_config(self.jobs.pop(0))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        event = event_of(result)
        self.events[event.trial].append(event)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.under_way.discard(trial_id)
        if result is not None and not error:
            self.on_trial_result(trial_id, result)

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass


class Answering(NotPickled, FIFOScheduler):
    """Always continues; verdicts go to the pool."""

    def __init__(self, slots: Slots, decide: Decide) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # ray
        self.slots, self.decide = slots, decide

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002
        event = event_of(result)
        if isinstance(event, Reported):
            self.slots.pool.answer.remote(event.trial, event.rung, self.decide(event))
        if isinstance(event, Lost):
            self.slots.pool.retry.remote(event.trial, event.attempt + 1)
        return TrialScheduler.CONTINUE


def drive(
    slots: Slots, jobs: list[Job], decide: Decide = lambda _: "continue", at_once: int | None = None
) -> dict[int, list[SlotEvent]]:
    """The events of every trial, as Tune passed them on."""
    searcher = ListSearcher(jobs, at_once or slots.plan.slots)
    run_trials(searcher, Answering(slots, decide), slots)
    return dict(searcher.events)


def ends(events: dict[int, list[SlotEvent]]) -> dict[int, Ended]:
    """The end of every trial: its last event, and the only one of its kind."""
    found = {trial: [event for event in told if isinstance(event, Ended)] for trial, told in events.items()}
    assert all(len(of_trial) == 1 and events[trial][-1] is of_trial[0] for trial, of_trial in found.items())
    return {trial: of_trial[0] for trial, of_trial in found.items()}


def starts(events: dict[int, list[SlotEvent]], trial: int) -> list[Started]:
    """The attempts of a trial."""
    return [event for event in events[trial] if isinstance(event, Started)]
