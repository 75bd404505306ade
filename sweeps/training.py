"""A sweep at work: slots, search, driver and Ray Tune. Imported while Ray starts: it loads the heavy half of Ray."""

import uuid
from collections.abc import Callable

import ray
import torch

from sweeps.described import Described
from sweeps.driver import Driver
from sweeps.gauges import Gauges
from sweeps.ledger.store import Ledger
from sweeps.live import LiveView
from sweeps.results import Results
from sweeps.slots.slots import PREPARE_FUNCTION, SlotPlan, Slots
from sweeps.slots.tuning import run_trials
from sweeps.sweep_search import sweep_search
from sweeps.tune_adapters import DriverScheduler, DriverSearcher, SlotPool
from trainables.loop import TEACHERS
from trainables.storage import Storage
from trainables.teacher import load_teacher


def train(
    ledger: Ledger,
    sweep: Described,
    results: Results,
    check: Callable[[], None],
    view: LiveView,
) -> list[int]:
    """Run the trials of a sweep in a Ray that is there, from the first that is left to the last.

    The answer is the trials that an earlier driver left and that the budget does not let end (`Driver.cut`).

    The teacher is trained here while the slots start: once, instead of by every slot that finds none. `check` may
    raise, to end it all. Raises `SlotsLostError` and `TuneFailedError`.
    """
    torch.set_num_threads(1)  # more would spin on the cores that the slots start on
    workspace = results.folder(ledger.sweep)
    with Slots(plan(sweep), ledger.sweep, uuid.uuid4().hex[:8], workspace) as slots:
        view.preparing = slots.progress
        search = sweep_search(ledger.spec, sweep.space, sweep.file, ledger.history.trials)
        driver = Driver(ledger, sweep.file, search, slots.plan.slots, SlotPool(slots))
        load_teacher(sweep.example.teacher, sweep.task, Storage(results.absolute).folder(TEACHERS))
        gauges = Gauges(ledger.sweep, ledger.history, sweep.file, slots.plan.slots)

        def look() -> None:
            check()
            gauges.tell()

        run_trials(DriverSearcher(driver, look), DriverScheduler(driver), slots)
        return driver.cut


def plan(sweep: Described) -> SlotPlan:
    """The slots of a sweep in the Ray that is there: as many as there is room for, if the file says ``auto``."""
    resources = sweep.file.resources
    there: dict[str, float] = ray.cluster_resources()
    cpus, gpus = there.get("CPU", 0), there.get("GPU", 0)
    return SlotPlan(
        kinds=[kind.model_copy(update={"slots": kind.slots_in(cpus, gpus)}) for kind in resources.kinds()],
        deadline_s=resources.deadline_s,
        prepare=PREPARE_FUNCTION,
        example=sweep.example.to_json(),
    )
