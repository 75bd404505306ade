"""A worker killed by SIGKILL at any step, or in the midst of writing, ends in the weights of one that never was."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from search_spaces.policies import SlotClass
from sweeps.events import Reported
from sweeps.slots.cluster import start_ray
from sweeps.slots.records import Job
from sweeps.slots.slots import SlotPlan, Slots
from tests.faults.dying_trials import Deadly
from tests.faults.lengths import LONG, count, length
from tests.sweeps.slots.driving import drive, ends, starts
from tests.trainables.trials import Listener, WatchedTask, small_trial, timeless, train
from trainables.checkpoint import Checkpoints, Progress
from trainables.loop import run_trial
from trainables.memory.bank import Bank
from trainables.objectives.crd import CRD
from trainables.outcomes import Outcome
from trainables.storage import Storage
from trainables.world import SingleWorld

STEPS, RUNGS = 30, 5
CONFIG = small_trial(objective=CRD(), memory=Bank(size=900), steps=STEPS, rungs=RUNGS)  # a memory that must survive


def killed(train_it: Callable[[], object]) -> None:
    """Run it in a process of its own, which kills itself."""
    child = os.fork()
    if child == 0:
        train_it()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it was to be killed, and came to its end"
    assert os.WTERMSIG(status) == signal.SIGKILL


def finished(folder: Path) -> tuple[Outcome, int]:
    """What comes of it when it goes on, and how many steps that took."""
    task = WatchedTask(CONFIG.task.load())
    outcome = train(CONFIG, folder, task=task)
    return outcome, len(task.batches)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome, steps = finished(tmp_path_factory.mktemp("calm"))
    assert steps == STEPS
    return outcome


def same(found: Outcome, expected: Outcome) -> bool:
    return (found.weights_digest, timeless(found.metrics)) == (expected.weights_digest, timeless(expected.metrics))


def killed_at(step: int, folder: Path) -> tuple[Outcome, int]:
    killed(lambda: train(CONFIG, folder, Listener(), world=Deadly(SingleWorld(), step)))
    return finished(folder)


def test_killed_at_a_random_step_it_ends_in_the_same_weights(calm: Outcome, tmp_path: Path) -> None:
    at = random.Random(3).sample(range(1, STEPS), length(4, 20))
    ended = [killed_at(step, tmp_path / str(step)) for step in at]
    assert all(same(outcome, calm) for outcome, _ in ended)
    count("P3 training killed, without Ray", kills=len(at), same_weights=len(at))
    each = STEPS // RUNGS
    assert [steps for _, steps in ended] == [STEPS - step // each * each for step in at], "from its last checkpoint"


def test_a_restore_that_forgets_something_would_be_noticed(
    calm: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power of the test above: a checkpoint without the memory."""
    restore = Checkpoints.restore

    def forgetful(self: Checkpoints, training: Any, *others: Any) -> Progress:
        remembered = {name: value.clone() for name, value in training.state_dict().items() if "memory" in name}
        assert remembered
        progress = restore(self, training, *others)
        training.load_state_dict({**training.state_dict(), **remembered})
        return progress

    monkeypatch.setattr(Checkpoints, "restore", forgetful)
    assert not same(killed_at(20, tmp_path)[0], calm)


#: Two writes at each rung, and from the third on two deletions after them.
OPERATIONS = range(1, 2 * RUNGS + 2 * (RUNGS - 2) + 1)


@pytest.mark.parametrize("moment", ["before", "half", "after"])
def test_killed_in_the_midst_of_writing_it_ends_in_the_same_weights(
    calm: Outcome, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(CONFIG, tmp_path / "teacher")  # its outputs are written outside of this
    for number in OPERATIONS if LONG else (2, 8):
        folder = tmp_path / str(number)
        with monkeypatch.context() as patched:
            _kill_at_operation(patched, number, moment)
            killed(lambda: _train_beside(folder))  # noqa: B023
        outcome, _ = finished(folder)
        assert same(outcome, calm), number


def _train_beside(folder: Path) -> None:
    train(CONFIG, folder)


def _kill_at_operation(patched: pytest.MonkeyPatch, number: int, moment: str) -> None:
    """Kill the process at its n-th change to a checkpoint: before it, after half of its bytes, or after it."""
    write, delete, done = Storage._write, Storage.delete, [0]

    def counted(change: Callable[[], object], half: Callable[[], object]) -> None:
        done[0] += 1
        if done[0] == number and moment != "after":
            if moment == "half":
                half()
            os.kill(os.getpid(), signal.SIGKILL)
        change()
        if done[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying_write(self: Storage, path: str, content: bytes) -> None:
        if "step-" not in path:
            write(self, path, content)
            return
        counted(lambda: write(self, path, content), lambda: write(self, path, content[: len(content) // 2]))

    patched.setattr(Storage, "_write", dying_write)
    patched.setattr(Storage, "delete", lambda self, name: counted(lambda: delete(self, name), lambda: None))


def real_trial(number: int) -> dict[str, Any]:
    return small_trial(seed=number, steps=STEPS, rungs=RUNGS).to_json()


@pytest.fixture
def own_ray() -> Iterator[None]:
    start_ray(cpus=2)
    yield
    ray.shutdown()


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not LONG, reason="half a minute of Ray: make faults (tests/sweeps/slots kills workers too)")
@pytest.mark.usefixtures("own_ray")
def test_workers_of_ray_train_killed_at_random_steps_end_in_the_same_weights(tmp_path: Path) -> None:
    chance, kills = random.Random(5), 20
    jobs = [Job(number, {**real_trial(number), "dies_at": chance.randrange(1, STEPS)}) for number in range(kills)]
    plan = SlotPlan([SlotClass(slots=2)], run_trial="tests.faults.dying_trials:dies_once")
    with Slots(plan, "kills", "1", str(tmp_path / "killed")) as slots:
        (tmp_path / "killed").mkdir(exist_ok=True)
        events = drive(slots, jobs)
    ended = ends(events)
    for number in range(kills):
        assert [start.attempt for start in starts(events, number)] == [1, 2]
        reports = [event.rung for event in events[number] if isinstance(event, Reported)]
        assert reports == list(range(RUNGS)), "each rung is heard of once"
        alone = run_trial(
            real_trial(number),
            trial=number,
            workspace=str(tmp_path / "alone"),
            report=lambda _: "continue",
            world=SingleWorld(),
        )
        assert ended[number].weights_digest == alone.weights_digest
    count("P3 Ray Train workers killed", kills=kills, same_weights=kills)
