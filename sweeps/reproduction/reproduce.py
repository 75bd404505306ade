"""A recorded trial run again, from its ledger to its verdict."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from search_spaces.policies import Resources, SlotClass
from sweeps.events import Opened
from sweeps.ledger.history import History, Session, TrialRecord
from sweeps.ledger.store import Ledger
from sweeps.provenance import PLATFORM, ROOT, code_digest, environment
from sweeps.refusals import Refusal, Unsafe
from sweeps.reproduction.code_state import recorded_code
from sweeps.reproduction.comparison import Compared, Judged, Rules, compared, judged
from sweeps.reproduction.process import Request, run_again
from sweeps.reproduction.spread import Spread, known_deviations, spread
from sweeps.results import Results
from trainables.metrics import PEAK_BYTES
from trainables.storage import Storage


@dataclass(frozen=True)
class Settings:
    """How a trial is run again: with how many threads if not with its own, with whose code, and how far from exact."""

    threads: int | None
    current_code: bool
    tolerance: float


@dataclass(frozen=True)
class Reproduction:
    """A verdict and what it rests on. `environment` holds what differs, as (recorded, now); `code` says which ran."""

    sweep: str
    trial: int
    at: datetime
    values: list[Compared]
    environment: dict[str, tuple[str | None, str | None]]
    rules: Rules
    threads: tuple[int, int]
    digests: dict[str, tuple[str | None, str | None]]
    code: str

    @cached_property
    def judged(self) -> Judged:
        """The verdict."""
        return judged(self.values, self.rules)

    @property
    def where(self) -> str:
        """On what it ran, in words."""
        if self.threads[0] != self.threads[1]:
            return "another number of threads"
        platform = "the same platform" if self.rules.same_platform else "another platform"
        recorded, ran = self.digests["code"]
        return platform if recorded == ran else f"{platform}, other code"

    @property
    def needs_seeds(self) -> bool:
        """Whether the verdict waits for how far seeds are apart."""
        return not self.rules.bitwise and not self.rules.deviations and self.judged.seeds_decide

    @property
    def exit_code(self) -> int:
        """0, or 5 for a reproduction that does not match."""
        return 5 if self.judged.kind == "failed" else 0

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        first = self.judged.first
        return {
            "sweep": self.sweep,
            "trial": self.trial,
            "at": self.at.isoformat(),
            "verdict": self.judged.kind,
            "first_difference": vars(first) if first else None,
            "same_platform": self.rules.same_platform,
            "bits_promised": self.rules.bits_promised,
            "tolerance": None if self.rules.bitwise else self.rules.tolerance,
            "seed_deviations": None if self.rules.bitwise else self.rules.deviations,
            "threads": self.threads,
            "code": self.code,
            "digests": self.digests,
            "environment": self.environment,
            "values": self.judged.compared,
            "differing": [vars(value) for value in self.judged.differing],
        }


def recorded_trial(ledger: Ledger, history: History, number: int, results: Results) -> TrialRecord:
    """The trial, if there is something to reproduce. Raises `Refusal` if not, `Unsafe` if its config was changed."""
    trial = history.trials.get(number)
    if trial is None or trial.state not in ("complete", "pruned"):
        state = trial.state if trial else "not there"
        raise Refusal(
            f"a trial is reproduced that is complete, or was pruned, and trial {number} of '{ledger.sweep}' is "
            f"{state}. python -m sweeps front {ledger.sweep}{results.flag} shows which are best"
        )
    found = hashlib.sha256(json.dumps(trial.config, sort_keys=True).encode()).hexdigest()
    if found != trial.config_digest:
        raise Unsafe(
            f"the config of trial {number} has the digest {found}, and {trial.config_digest} is on record: it was "
            "changed. Restore a backup of the ledger"
        )
    return trial


def reproduced(ledger: Ledger, history: History, number: int, results: Results, settings: Settings) -> Reproduction:
    """Train a trial again and compare.

    Raises `Refusal` where it cannot be run as it was, and `Unsafe` where what is on record was changed.
    """
    trial = recorded_trial(ledger, history, number, results)
    sessions = _sessions(history, trial)
    opened = sessions[-1].opened
    folder = Storage(results.folder(ledger.sweep))
    request = _request(ledger, trial, opened.data_digest, settings.threads)
    with _code(opened, folder, settings) as code:
        again, ran = run_again(request, code, results), code_digest(code)
    threads = _slots(ledger, trial).cpus_per_worker, request.threads
    recorded = [session.opened.environment for session in sessions]
    now = environment()
    same = threads[0] == threads[1] and _same_platform(recorded, now) and _trained_beside_driver(trial, opened.host)
    weights = again.outcome["weights_digest"] if again.outcome else None
    return Reproduction(
        sweep=ledger.sweep,
        trial=number,
        at=datetime.now(UTC),
        values=compared(trial, again),
        environment={name: (recorded[-1].get(name), now.get(name)) for name in _differing(recorded[-1], now)},
        rules=Rules(same, not request.gpus, settings.tolerance, known_deviations(ledger, results, number)),
        threads=threads,
        digests={
            "config": (trial.config_digest, trial.config_digest),
            "code": (opened.code_digest, ran),
            "data": (opened.data_digest, again.data_digest),
            "weights": (trial.weights_digest, weights),
        },
        code="the code of this checkout" if code == ROOT else f"its own code, {_state(opened)}",
    )


def spread_of(
    ledger: Ledger, history: History, number: int, results: Results, settings: Settings, seeds: int
) -> Spread:
    """Train a trial with fresh seeds. Raises as `reproduced`."""
    trial = recorded_trial(ledger, history, number, results)
    opened = _sessions(history, trial)[-1].opened
    request = _request(ledger, trial, opened.data_digest, settings.threads)
    used = frozenset(each.config["seed"] for each in history.trials.values())
    with _code(opened, Storage(results.folder(ledger.sweep)), settings) as code:
        return spread(ledger.sweep, trial, request, used, seeds, (code, results))


@contextmanager
def _code(opened: Opened, folder: Storage, settings: Settings) -> Iterator[Path]:
    """A folder with the code to run, while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="recorded-code-") as temporary:
        yield ROOT if settings.current_code else recorded_code(opened, folder, Path(temporary) / "code")


def _request(ledger: Ledger, trial: TrialRecord, data_digest: str | None, threads: int | None) -> Request:
    """The trial as its sweep would run it, told to stop where it was."""
    return Request(
        config=trial.config,
        trial=trial.number,
        trials=ledger.spec["file"]["budget"].get("trials") or 1,
        stops=tuple(rung for rung, report in trial.reports.items() if report.verdict == "stop"),
        data_digest=data_digest,
        threads=threads or _slots(ledger, trial).cpus_per_worker,
        gpus=_slots(ledger, trial).gpus_per_worker,
    )


def _slots(ledger: Ledger, trial: TrialRecord) -> SlotClass:
    """The class of slots that the trial was for."""
    resources = Resources.model_validate(ledger.spec["file"].get("resources", {}))
    place = resources.class_of(trial.config["workers"], trial.compute.get(PEAK_BYTES, 0.0))
    return resources.kinds()[place or 0]


def _sessions(history: History, trial: TrialRecord) -> list[Session]:
    """The drivers' sessions in which a trial was trained. Raises `Refusal` if they had different code."""
    begun = [
        [session for session in history.sessions if session.opened_at <= attempt.started][-1]
        for attempt in trial.attempts
    ]
    sessions = list({id(session): session for session in begun}.values())
    if len({session.opened.code_digest for session in sessions}) > 1:
        raise Refusal(
            f"a trial is reproduced with the code that trained it, and trial {trial.number} was begun with one and "
            "finished with another (resume --accept-changed-code). Choose another trial"
        )
    return sessions


def _same_platform(recorded: Sequence[Mapping[str, str]], now: Mapping[str, str]) -> bool:
    """Whether nothing differs that bits depend on. A sweep that did not record all of it ran on another platform."""
    return all(each.get(name) == now.get(name) for each in recorded for name in PLATFORM)


def _trained_beside_driver(trial: TrialRecord, host: str) -> bool:
    """Whether the environment on record, the driver's, is that of the workers."""
    return all(worker.host == host for attempt in trial.attempts for worker in attempt.workers)


def _differing(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What of the environment differs; which code ran is told by its digest, whatever this checkout is at."""
    names = (name for name in dict.fromkeys([*recorded, *now]) if not name.startswith("git_"))
    return [name for name in names if recorded.get(name) != now.get(name)]


def _state(opened: Opened) -> str:
    commit = f"commit {opened.environment.get('git_commit', '')[:12]}"
    return f"{commit} with patch {opened.patch[:12]}" if opened.patch else commit
