"""What TPE is told of a large study."""

from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

from search_spaces.policies import Tpe
from sweeps.search import study
from sweeps.search.planning import search_for
from sweeps.search.told import newest
from tests.sweeps.search.test_study import GOALS, SPACE, Trial, serial

CONFIG = Tpe(startup_trials=3)


def trials(states: str) -> list[Any]:
    """By the first letters of their states: complete, pruned, running, failed."""
    of = {"c": TrialState.COMPLETE, "p": TrialState.PRUNED, "r": TrialState.RUNNING, "f": TrialState.FAIL}
    made = [create_trial(state=of[letter], value=0.0 if letter == "c" else None) for letter in states]
    for number, trial in enumerate(made):
        trial.number = number
    return made


@pytest.mark.parametrize(
    ("states", "told"),
    [("cpf", [0, 1, 2]), ("cccc", [2, 3]), ("rccp", [0, 2, 3]), ("ccfpr", [1, 2, 3, 4]), ("fcrcpc", [2, 4, 5])],
)
def test_the_newest_that_ended_are_told_and_all_that_run(states: str, told: list[int]) -> None:
    assert [trial.number for trial in newest(trials(states), 2)] == told


def test_a_sampler_knows_nothing_of_what_it_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sweeps that differ in trials that are no longer told go on alike; while they are told, they do not."""

    def follows(most: int, first_is: float) -> Any:
        ledger: list[Trial] = []
        monkeypatch.setattr(study, "MOST", 1_000)
        serial(search_for(SPACE, GOALS, CONFIG), 30, ledger)
        ledger[0].metrics = {"accuracy": first_is, "cost": 1.0}
        monkeypatch.setattr(study, "MOST", most)
        search = search_for(SPACE, GOALS, CONFIG)
        search.restore(ledger)
        return search.ask(30)

    assert follows(10, 1e6) == follows(10, -1e6)
    assert follows(1_000, 1e6) != follows(1_000, -1e6)


def test_a_restored_search_is_told_what_an_uninterrupted_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "MOST", 6)
    expected = serial(search_for(SPACE, GOALS, CONFIG), 24, [])
    for cut in (5, 13, 20):
        ledger: list[Trial] = []
        before = serial(search_for(SPACE, GOALS, CONFIG), cut, ledger)
        restored = search_for(SPACE, GOALS, CONFIG)
        restored.restore(ledger)
        assert before + serial(restored, 24, ledger) == expected


def test_random_starts_come_to_an_end_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "MOST", 4)
    ten = serial(search_for(SPACE, GOALS, Tpe(startup_trials=10)), 20, [])
    monkeypatch.setattr(study, "MOST", 1_000)
    chance = serial(search_for(SPACE, GOALS, Tpe(startup_trials=1_000)), 20, [])
    assert [s.parameters for s in ten[:10]] == [s.parameters for s in chance[:10]]
    assert [s.parameters for s in ten[14:]] != [s.parameters for s in chance[14:]]
