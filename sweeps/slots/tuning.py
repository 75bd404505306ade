"""Ray Tune at work: a searcher and a scheduler, proxies for trials, and nothing kept or printed by Tune."""

from typing import Any

from ray import tune
from ray.tune import Callback, Stopper
from ray.tune.execution import class_cache
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweeps.slots.cluster import ray_files
from sweeps.slots.errors import TuneFailedError
from sweeps.slots.proxy import RESOURCES, TrialProxy
from sweeps.slots.slots import Slots

#: How often Tune restarts a proxy that died, before the sweep ends with an error.
PROXY_RESTARTS = 3

# Tune would give these to its proxies, which need no cloud, by a runtime environment, and Ray writes those into a log
# that every user of the machine can read.
class_cache.ENV_VARS_TO_PROPAGATE.difference_update(
    [name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")]
)


class NotPickled:
    """For what lives in the driver alone, such as a searcher that holds a study or a ledger.

    Tune writes all that it is given to a file for `Tuner.restore`, which no sweep uses.
    """

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """A blank object in the file."""
        return object, ()


class _Guard(NotPickled, Stopper, Callback):
    """Ends the experiment when nobody is left to train its trials, or a proxy cannot be kept alive."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.failed: str | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002
        return False

    def stop_all(self) -> bool:
        return self.failed is not None or self.slots.lost()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        self.failed = f"the proxy of Tune's trial {trial.trial_id} failed: {trial.get_error()}"


def run_trials(searcher: Searcher, scheduler: TrialScheduler, slots: Slots) -> None:
    """Run what `searcher` suggests (`proxy.tune_config`) in `slots` until it says `Searcher.FINISHED`.

    The searcher must be `NotPickled` or picklable, must itself limit how many trials are under way (None: not now) and
    must not say None while none is: Tune would sleep for a second. The scheduler must always continue; it gives its
    verdicts by `slots.pool.answer`. Raises `SlotsLostError` and `TuneFailedError`; trials without an end can be
    continued then.
    """
    guard = _Guard(slots)
    tuner = tune.Tuner(
        tune.with_resources(TrialProxy, RESOURCES),
        param_space={"pool": slots.pool_name},
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name=f"{slots.name}-tune",
            storage_path=ray_files(),
            stop=guard,
            callbacks=[guard],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=PROXY_RESTARTS),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()
    slots.check()
    if guard.failed:
        raise TuneFailedError(guard.failed)
