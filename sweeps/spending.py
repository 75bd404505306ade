"""What a sweep has used of its budget and what it may still begin: functions of its history, and of the time.

Modelled cost and FLOPs are charged before they are trained. What a trial has `begun` (`sweeps.ledger.history`) is up to
the rung that it trains towards, and once more for each attempt that may have to train the same again. So a driver that
is killed at any instant has charged all that ran. Time is one account: a session holds all its devices until the last
that was heard of it, so wall time, device hours and money are three readings of it.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np
from scipy.optimize import nnls

from search_spaces.policies import Budget
from search_spaces.validation import faults
from sweeps.ledger.history import History, Session, TrialRecord
from sweeps.refusals import Refusal
from trainables.metrics import COST_S, FLOPS

#: Caps on what is modelled, and the planned metric that each of them bounds.
MODELLED = {"cost_s": COST_S, "train_flops": FLOPS}

_HOUR_S = 3600.0

#: Sums of shares are inexact: a cap that is the exact total of a grid must bear its last trial.
_ROUNDING = 1e-9

#: Trials from which it is told how long one takes: it is asked before each one, and must not take longer as they grow.
_NEWEST = 200


def in_force(budget: Budget, history: History) -> Budget:
    """A file's budget, with what the sweep was given since."""
    return budget.model_copy(update=history.budget)


def larger(budget: Budget, given: Mapping[str, float], history: History) -> Budget:
    """A budget with what it is given over it. Raises `Refusal` for what is no budget, or was used already."""
    tree = {**budget.model_dump(exclude_none=True), **given}
    if found := faults(Budget, tree):
        told = "; ".join(f"{'.'.join(fault.path) or 'it'}: {fault.rule}; {fault.fix}" for fault in found)
        raise Refusal(f"a budget is as in a sweep file, and {dict(given)} is not: {told}")
    wanted = Budget.model_validate(tree)
    spent = used(wanted, history)
    for cap, limit in wanted.caps().items():
        if cap in given and limit <= spent[cap]:
            raise Refusal(
                f"a budget is for the whole sweep, and {cap}={limit:g} is no more than the {spent[cap]:g} that it has "
                "used. Give more"
            )
    return wanted


def used(budget: Budget, history: History, now: datetime | None = None) -> dict[str, float]:
    """What is used of each cap that the budget has, in the cap's own unit.

    `now` is the time for a session that is under way; without it, that counts until it was last heard of.
    """
    wall_s, device_s = _held_seconds(history.sessions, now)
    amounts = {
        "trials": float(len(history.trials)),
        **{cap: begun(history, metric) for cap, metric in MODELLED.items()},
        "wall_hours": wall_s / _HOUR_S,
        "device_hours": device_s / _HOUR_S,
        "money": device_s / _HOUR_S * (budget.price_per_device_hour or 0.0),
    }
    return {cap: amounts[cap] for cap in budget.caps()}


def begun(history: History, metric: str) -> float:
    """How much of a planned metric was begun by all trials, with what was begun again."""
    return history.begun.get(metric, 0.0)


def seconds_left(budget: Budget, history: History, now: datetime) -> float:
    """Until the first cap on time is used up by the session under way; infinite without one."""
    spent, caps = used(budget, history, now), budget.caps()
    devices = history.sessions[-1].opened.devices if history.sessions else 1.0
    units = seconds_per_unit(budget, devices)
    return min(((caps[cap] - spent[cap]) * seconds for cap, seconds in units.items()), default=math.inf)


def seconds_per_unit(budget: Budget, devices: float) -> dict[str, float]:
    """Seconds of wall time that a unit of each cap on time comes to, where so many devices are held."""
    price = budget.price_per_device_hour or math.inf
    units = {"wall_hours": _HOUR_S, "device_hours": _HOUR_S / devices, "money": _HOUR_S / devices / price}
    return {cap: seconds for cap, seconds in units.items() if cap in budget.caps()}


def without_room(
    budget: Budget, history: History, kept: Iterable[TrialRecord], compute: Mapping[str, float], share: float
) -> str | None:
    """The first cap on modelled compute that would not bear `share` of a trial of this planned compute; None if all do.

    Kept back is what the trials that are under way, `kept`, have still to begin.
    """
    limits = {cap: limit for cap, limit in budget.caps().items() if cap in MODELLED}
    reserved = [(trial.compute, 1 - trial.paid) for trial in kept if not trial.stopped] if limits else []
    for cap, limit in limits.items():
        metric = MODELLED[cap]
        back = math.fsum(planned.get(metric, 0.0) * rest for planned, rest in reserved)
        if begun(history, metric) + back + compute.get(metric, 0.0) * share > limit * (1 + _ROUNDING):
            return cap
    return None


def expected_seconds(history: History, cost_s: float) -> float:
    """How long a trial of this modelled cost may take: 0 while none has ended.

    A constant and a rate, fitted to the newest trials that one attempt brought to their end (non-negative least
    squares), as trials that cost little still have to be evaluated; times the most by which one of them took longer
    than that.
    """
    newest = history.ended[-_NEWEST:]
    seen = [(trial, len(trial.attempts)) for trial in newest if trial.state in ("complete", "pruned")]
    costs, seconds = [], []
    for trial, attempts in seen:
        if attempts == 1 and trial.ended:
            costs.append([1.0, trial.compute.get(COST_S, 0.0) * trial.fidelity])
            seconds.append((trial.ended - trial.attempts[0].started).total_seconds())
    if not costs:
        return 0.0
    weights, _ = nnls(np.array(costs), np.array(seconds))
    fitted = np.array(costs) @ weights
    overrun = np.max(np.array(seconds) / np.where(fitted > 0, fitted, np.inf), initial=1.0)
    return float(overrun * (weights @ [1.0, cost_s]))


def _held_seconds(sessions: Iterable[Session], now: datetime | None) -> tuple[float, float]:
    """Seconds of all sessions, and the same for each device that they held."""
    wall_s = device_s = 0.0
    for session in (sessions := list(sessions)):
        under_way = session is sessions[-1] and session.closed is None
        until = now if now is not None and under_way else session.last_at
        held = (until - session.opened_at).total_seconds()
        wall_s, device_s = wall_s + held, device_s + held * session.opened.devices
    return wall_s, device_s
