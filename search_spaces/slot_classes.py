"""Which class of slots a trial is for, and how many workers it has there."""

from pydantic import ValidationError

from search_spaces.policies import Resources, SlotClass
from trainables.compute import planned_metrics
from trainables.config import TrialConfig
from trainables.metrics import PEAK_BYTES


def settled(config: TrialConfig, resources: Resources) -> TrialConfig | None:
    """The trial with as many workers as the smallest class has that holds it; None if none does.

    What a worker needs is `compute/peak_bytes`: less where several share the batch, whose size must be a multiple of
    their number. The class is then `Resources.class_of` these workers and bytes.
    """
    for kind in resources.kinds():
        form = _with_workers(config, kind.workers)
        if form is not None and _fits(form, kind):
            return form
    return None


def _fits(config: TrialConfig, kind: SlotClass) -> bool:
    return kind.memory_gb is None or planned_metrics(config)[PEAK_BYTES] <= kind.memory_bytes


def _with_workers(config: TrialConfig, workers: int) -> TrialConfig | None:
    if config.workers == workers:
        return config
    try:
        return TrialConfig.model_validate({**config.to_json(), "workers": workers})
    except ValidationError:  # its batch has no such shares
        return None
