"""Trials for Ray Tune, one after another, so that what each takes can be told from the others."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ray.tune.search import Searcher

from sweeps.slots.tuning import NotPickled

Reading = TypeVar("Reading")


class OneAtATime(NotPickled, Searcher, Generic[Reading]):
    """Suggests these configs in their order; `spans` has what `read` said when each began and when it had ended.

    Raises RuntimeError if one fails.
    """

    def __init__(self, configs: list[dict[str, Any]], read: Callable[[], Reading]) -> None:
        super().__init__()
        self.configs, self.read = configs, read
        self.spans: list[tuple[Reading, Reading]] = []
        self._began: list[Reading] = []

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002
        if len(self._began) > len(self.spans):
            return None
        if len(self.spans) == len(self.configs):
            return Searcher.FINISHED
        self._began.append(self.read())
        return self.configs[len(self.spans)]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if error or result is None:
            raise RuntimeError(f"trial {trial_id} failed: look at Ray's logs")
        self.spans.append((self._began[-1], self.read()))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass
