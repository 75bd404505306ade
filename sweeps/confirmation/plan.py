"""The ledger of a confirmation: a sweep of its own beside the one that it confirms, whose ledger stays as it is."""

from collections.abc import Mapping
from typing import Any

from sweeps.confirmation.candidates import candidates
from sweeps.confirmation.membership import Aims
from sweeps.constraints import constraints_of
from sweeps.ids import check_id
from sweeps.ledger.errors import LedgerMissing
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.refusals import Refusal
from sweeps.results import Results

#: Key of a confirmation's spec: which sweep it confirms (`sweep`, `uid`), how many seeds a point has on average
#: (`seeds`), which the sweep used (`used_seeds`), and its points (`trial`, `on_front`, `values` there, `config`).
CONFIRMS = "confirms"

_SUFFIX = "-confirm"


def confirmation_id(sweep: str) -> str:
    """The id of a sweep's confirmation. Of a long id the end is kept: the time stands there."""
    return check_id(f"{sweep[-(63 - len(_SUFFIX)) :].lstrip('-')}{_SUFFIX}")


def subject(sweep: str, results: Results) -> str:
    """The sweep itself, or the one that it confirms: whose front is meant."""
    with Ledger.open(results.ledger(sweep)) as ledger:
        return check_id(str(ledger.spec[CONFIRMS]["sweep"])) if CONFIRMS in ledger.spec else sweep


def aims_of(spec: Mapping[str, Any]) -> Aims:
    """What a sweep aims at."""
    return Aims(spec["file"]["goals"], constraints_of(spec["file"]))


def find(sweep: Ledger, results: Results) -> Ledger | None:
    """The ledger of a sweep's confirmation, to be closed by the caller; None if there is none.

    Raises `Refusal` if another sweep's confirmation is in its place.
    """
    name = confirmation_id(sweep.sweep)
    results.refuse_links(name)
    try:
        found = Ledger.open(results.ledger(name))
    except LedgerMissing:
        return None
    if found.spec.get(CONFIRMS, {}).get("uid") == sweep.uid:
        return found
    found.close()
    raise Refusal(
        f"the confirmation of '{sweep.sweep}' is called '{name}', and {results.folder(name)} holds something else: a "
        "sweep of that name, or the confirmation of a sweep that is gone. Move it away"
    )


def create(sweep: Ledger, results: Results, seeds: int) -> str:
    """The ledger of a new confirmation of `sweep` with `seeds` seeds for each point on average; its id.

    Raises `Refusal` while the sweep is being driven, or if there is nothing to confirm.
    """
    if sweep.driven():
        raise Refusal(
            f"a sweep is confirmed when it is at rest, and '{sweep.sweep}' is running. Wait for it, or stop it"
        )
    trials = History.of(sweep.events()).trials
    aims = aims_of(sweep.spec)
    points = [
        {
            "trial": trial.number,
            "on_front": on_front,
            "values": [trial.metrics[name] for name in aims.metrics],
            "config": trial.config,
        }
        for trial, on_front in candidates(trials.values(), aims)
    ]
    file = {
        **sweep.spec["file"],
        "description": f"Fresh seeds for the front of {sweep.sweep} and its neighbours.",
        "stop": {"name": "none"},
        "budget": {"trials": len(points) * seeds},
    }
    confirms = {
        "sweep": sweep.sweep,
        "uid": sweep.uid,
        "seeds": seeds,
        "used_seeds": sorted({trial.config["seed"] for trial in trials.values()}),
        "points": points,
    }
    name = confirmation_id(sweep.sweep)
    Ledger.create(results.ledger(name), name, {**sweep.spec, "file": file, CONFIRMS: confirms}).close()
    return name
