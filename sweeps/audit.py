"""Everything in a ledger that follows from the rest of it, computed again: what was suggested, planned and judged.

Each trial was suggested by a search that knew the events up to the one it names (`Planned.told`). The ledger is gone
through once, with a search beside it that is asked and told what the sweep's own was, at the same events; where a
driver took over, it is rebuilt as that driver rebuilt its own. So one ask for each trial and one verdict for each
report is what an audit costs: as long as the driver itself thought, training aside. Where a suggestion differs, those
after it are held against what was recorded, not against what should have been.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search_spaces.policies import Nsga2
from search_spaces.sweep_file import SweepFile, trial_space
from sweeps.confirmation.plan import CONFIRMS
from sweeps.events import Ended, Event, Opened, Planned, Reported
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.provenance import code_digest, environment
from sweeps.search.planning import planned_compute
from sweeps.search.protocol import Search, Suggestion
from sweeps.stopping import Judge
from sweeps.sweep_search import sweep_search
from trainables.config import TrialConfig

#: What a suggestion may depend on, beside the code.
_LIBRARIES = ("optuna", "numpy", "scikit-learn", "python", "machine")


@dataclass(frozen=True)
class Difference:
    """Something on record about a trial that does not follow from the rest; `what` names the value."""

    trial: int
    what: str
    recorded: Any
    recomputed: Any

    def __str__(self) -> str:
        """One line."""
        return f"trial {self.trial}: {self.what} is {self.recorded!r}, and should be {self.recomputed!r}"


@dataclass
class Audit:
    """What was found; the counts are of what was computed again, equal or not.

    `promised` is whether the search promises to suggest the same again: NSGA-II does not, and its suggestions are not
    computed. `changed` is what is no more what it was when the sweep ran, and may be why something differs.
    """

    promised: bool
    suggestions: int = 0
    plans: int = 0
    verdicts: int = 0
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all is as it should be."""
        return not self.differences and not self.problems


def audit(ledger: Ledger) -> Audit:
    """Compute again what follows from the events of a ledger; one in use, up to the newest event there is now."""
    file = SweepFile.model_validate(ledger.spec["file"])
    promised = CONFIRMS in ledger.spec or not isinstance(file.search, Nsga2)
    problems = ledger.integrity_check()
    if problems:
        return Audit(promised, problems=problems)
    replay = _Replay(ledger, file, Audit(promised))
    replay.run()
    replay.found.changed = _changed(replay.history)
    return replay.found


class _Replay:
    """The driver's part of a sweep, gone through again beside its ledger."""

    def __init__(self, ledger: Ledger, file: SweepFile, found: Audit) -> None:
        self.ledger, self.file, self.found = ledger, file, found
        self.space = trial_space(file.trial, file.resources)
        self.history = History()
        self.judge = Judge(file.stop, self.history, file.goals)
        self.search = self._rebuilt()
        self.asked: dict[int, Suggestion | None] = {}

    def run(self) -> None:
        asks = [(event.told, event.trial) for _, _, event in self.ledger.events() if isinstance(event, Planned)]
        due = iter(asks if self.found.promised else [])
        told, trial = next(due, (None, -1))
        for seq, at, event in self.ledger.events():
            self._check(event)
            self.history.apply(seq, at, event)
            self._follow(event)
            while told is not None and told <= seq:
                if told == seq:
                    self._ask(trial)
                told, trial = next(due, (None, -1))

    def _ask(self, trial: int) -> None:
        """As the driver did when it had appended the last event that the search knew."""
        if trial == len(self.history.trials):
            self.asked[trial] = self.search.ask(trial)

    def _check(self, event: Event) -> None:
        if isinstance(event, Planned):
            self._check_plan(event)
        elif isinstance(event, Reported) and event.verdict is not None:
            self.found.verdicts += 1
            what = f"verdict at rung {event.rung}"
            verdict = self.judge(event)
            self._compare(event.trial, {what: event.verdict}, {what: verdict})

    def _follow(self, event: Event) -> None:
        """Tell the search what the driver told its own."""
        if not self.found.promised:
            return
        if isinstance(event, Opened):
            self.search = self._rebuilt()
        elif isinstance(event, Ended):
            self.search.tell(event.trial, event.state, self.history.trials[event.trial].metrics)
        elif isinstance(event, Planned) and not self._check_suggestion(event):
            self.search = self._rebuilt()

    def _check_plan(self, event: Planned) -> None:
        self.found.plans += 1
        config = TrialConfig.model_validate(event.config)
        recorded = {"config digest": event.config_digest, **event.compute}
        self._compare(event.trial, recorded, {"config digest": config.digest(), **planned_compute(config, self.file)})

    def _check_suggestion(self, event: Planned) -> bool:
        """Whether the search suggested this."""
        self.found.suggestions += 1
        if event.trial not in self.asked:
            told = f"event {event.told}"
            self._compare(event.trial, {"told": told}, {"told": "the event before which the search was asked"})
            return False
        suggestion = self.asked.pop(event.trial)
        recorded = _leaves({"parameters": event.parameters, "config": event.config})
        if suggestion is None:
            recomputed = {}
        else:
            config = TrialConfig.model_validate(suggestion.config).to_json()
            recomputed = _leaves({"parameters": suggestion.parameters, "config": config})
        return self._compare(event.trial, recorded, recomputed)

    def _compare(self, trial: int, recorded: Mapping[str, Any], recomputed: Mapping[str, Any]) -> bool:
        names = [name for name in {**recorded, **recomputed} if recorded.get(name) != recomputed.get(name)]
        self.found.differences += [Difference(trial, name, recorded.get(name), recomputed.get(name)) for name in names]
        return not names

    def _rebuilt(self) -> Search:
        search = sweep_search(self.ledger.spec, self.space, self.file, self.history.trials)
        search.restore(self.history.trials.values())
        return search


def _leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a JSON tree by their dotted paths."""
    if not isinstance(tree, dict | list) or not tree:
        return {path: tree}
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree)
    paths = {f"{path}.{key}" if path else str(key): branch for key, branch in branches}
    return {name: leaf for deeper, branch in paths.items() for name, leaf in _leaves(branch, deeper).items()}


def _changed(history: History) -> list[str]:
    now = environment()
    changed = {
        f"{name} {then[name]} is now {now[name]}"
        for then in (session.opened.environment for session in history.sessions)
        for name in _LIBRARIES
        if name in then and then[name] != now[name]
    }
    if any(session.opened.code_digest != code_digest() for session in history.sessions):
        changed.add("the code is not what it was")
    return sorted(changed)
