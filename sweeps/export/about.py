"""What a sweep's tables say of the sweep itself: kept in the metadata of each of them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from search_spaces.policies import Budget
from sweeps.confirmation import plan
from sweeps.confirmation.report import Confirmation
from sweeps.export.shareable import shareable, shareable_values
from sweeps.hypervolume import reference_point
from sweeps.ledger.history import History
from sweeps.ledger.store import Ledger
from sweeps.results import Results
from sweeps.spending import in_force, used
from sweeps.tables import elapsed, varying

State = Literal["running", "killed", "not started", "done", "stopped", "interrupted", "error"]


class About(BaseModel):
    """One sweep, as plain values. `seq` is the last event of its ledger that the tables know of.

    `storage_flag` is what commands must say of where the sweep is; nothing of the default.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer version may say more

    sweep: str
    storage_flag: str = ""  # tables of versions before it said nothing
    uid: str
    seq: int
    state: State
    name: str
    description: str
    source: str
    goals: dict[str, Literal["maximize", "minimize"]]
    constraints: dict[str, dict[str, float | None]]
    varying: list[str]
    search: dict[str, Any]
    stop: dict[str, Any]
    confirms: str | None
    budget: dict[str, float]
    used: dict[str, float]
    trials: dict[str, int]
    opened: str | None
    held_s: float
    code_digest: str | None
    data_digest: str | None
    environment: dict[str, str]
    hypervolume_reference: dict[str, float] | None
    hypervolume_95: tuple[float, float] | None


def state_of(ledger: Ledger, history: History) -> State:
    """How the sweep stands: held by a driver, let go of with a reason, left by one that was killed, or never begun.

    One that is done is so while its driver still holds it, to write the last report: that report shall say it.
    """
    if history.closed == "done":
        return "done"
    if ledger.driven():
        return "running"
    last = history.sessions[-1] if history.sessions else None
    if last is None:
        return "not started"
    return last.closed.reason if last.closed else "killed"


def about(ledger: Ledger, history: History, results: Results, confirmation: Confirmation | None) -> About:
    """What the ledger says of its sweep."""
    file = ledger.spec["file"]
    within = in_force(Budget.model_validate(file["budget"]), history)
    session = history.sessions[-1] if history.sessions else None
    said: dict[str, Any] = {
        "sweep": ledger.sweep,
        "storage_flag": results.shareable_flag,
        "uid": ledger.uid,
        "seq": history.last_seq,
        "state": state_of(ledger, history),
        "name": file["name"],
        "description": shareable(file.get("description", "").strip()),
        "source": shareable(str(ledger.spec.get("source", ""))),
        "goals": file["goals"],
        "constraints": file.get("constraints", {}),
        "varying": varying(history.trials.values()),
        "search": file["search"],
        "stop": file["stop"],
        "confirms": ledger.spec.get(plan.CONFIRMS, {}).get("sweep"),
        "budget": within.caps(),
        "used": used(within, history),
        "trials": history.counts(),
        "opened": history.sessions[0].opened_at.isoformat() if session else None,
        "held_s": elapsed(history).total_seconds(),
        "code_digest": session.opened.code_digest if session else None,
        "data_digest": session.opened.data_digest if session else None,
        "environment": shareable_values(session.opened.environment) if session else {},
        "hypervolume_reference": reference_point(history, plan.aims_of(ledger.spec)),
        "hypervolume_95": confirmation.hypervolume if confirmation else None,
    }
    return About.model_validate(said)
