"""The sweep file: one YAML that says which trials may exist, what is good, how to search, and when to stop."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from search_spaces.documents import SET, Document, read
from search_spaces.draws import RandomDraw
from search_spaces.errors import ABSENT, ConfigErrors, Problem, nearest
from search_spaces.nodes import Leaf
from search_spaces.overrides import apply, parsed
from search_spaces.policies import Bound, Budget, CostAware, Gp, NoStop, Resources, SearchConfig, StopConfig, Tpe
from search_spaces.presets import KEY, expand
from search_spaces.schema import value_at
from search_spaces.secrets import secrets_in
from search_spaces.slot_classes import settled
from search_spaces.space import Space
from search_spaces.validation import faults
from trainables.base import Config
from trainables.compute import planned_metrics
from trainables.config import TrialConfig, goal_metrics
from trainables.metrics import PEAK_BYTES, PLANNED_METRICS, TOP1
from trainables.models.adapter import Adapter

Goal = Literal["maximize", "minimize"]

_SAMPLE = 64

#: A search over these would find the easiest measurement, not the best student.
_YARDSTICKS = ("task", "evaluation", "device", "seed", "rungs", "rung_growth")


class SweepFile(Config):
    """A sweep as it is written down. `trial` is a `TrialConfig` with distributions (`search_spaces.grammar`).

    `goals` are metrics of the validation split, or planned compute, each to be maximised or minimised; `constraints`
    bound such metrics, and a trial that breaks one never stands on the front.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    description: str = Field("", max_length=10_000)
    trial: dict[str, Any]
    goals: Annotated[dict[str, Goal], Field(min_length=1, max_length=3)]
    constraints: dict[str, Bound] = Field({})
    search: SearchConfig = Tpe()
    stop: StopConfig = NoStop()
    budget: Budget
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _search_and_stop_agree(self) -> Self:
        if isinstance(self.search, Gp) and not isinstance(self.stop, NoStop):
            raise PydanticCustomError(
                "gp_with_stop",
                "gp learns nothing from trials that were stopped, so it is offered without stopping only"
                "; write `stop: {name: none}`, or search with tpe",
                {"path": "stop.name", "value": self.stop.name},
            )
        measures = [goal for goal in self.goals if goal not in PLANNED_METRICS]
        prices = [way for goal, way in self.goals.items() if goal in PLANNED_METRICS]
        if isinstance(self.search, CostAware) and (len(measures) != 1 or prices not in ([], ["minimize"])):
            raise PydanticCustomError(
                "cost_aware_goals",
                "cost_aware buys one measure, and minimises at most one metric of planned compute"
                "; leave the other goals out, or search with tpe",
                {"path": "search.name", "value": self.search.name},
            )
        return self


@dataclass(frozen=True)
class LoadedSweep:
    """A sweep file with its overrides, checked. `digest` is the SHA-256 of `file` as canonical JSON, defaults included.

    `source` is the text of the file as it stood, before overrides.
    """

    file: SweepFile
    space: Space
    digest: str
    source: str
    overrides: tuple[str, ...]


def load(path: Path | str, overrides: Sequence[str] = ()) -> LoadedSweep:
    """The sweep of a file and its ``--set`` values. Raises `ConfigErrors` with everything that is wrong in both."""
    source, document = read(Path(path))
    if not isinstance(document.tree, dict):
        rule, fix = "a sweep file is a mapping of keys to values", "start it with `name:`"
        raise ConfigErrors(document.name, [Problem("", document.tree, rule, fix, document.where(""))])
    preset_problems = _override(document, overrides)
    document.problems += _secrets(source, document.name, overrides)
    file, file_problems = _file(document.tree)
    space, space_problems = _space(document.tree)
    metric_problems = _metric_problems(document.tree, space)
    found = [*preset_problems, *file_problems, *space_problems, *metric_problems]
    if not found and file is not None and space is not None:
        found += _unkept(file, space) + _homeless(file, space)
    problems = _placed(document, found)
    if problems or file is None or space is None:
        raise ConfigErrors(document.name, problems)
    digest = hashlib.sha256(json.dumps(file.to_json(), sort_keys=True).encode()).hexdigest()
    return LoadedSweep(file, space, digest, source, tuple(overrides))


def _override(document: Document, overrides: Sequence[str]) -> list[Problem]:
    """Set what the command line says. Between what may name a preset, and what may set a part of it, expand it."""
    default_at = partial(_default_at, document.tree)
    values = parsed(document, overrides)
    apply(document, {path: values.pop(path) for path in ("trial", f"trial.{KEY}") if path in values}, default_at)
    problems: list[Problem] = []
    if isinstance(document.tree.get("trial"), dict):
        document.tree["trial"], problems = expand(document.tree["trial"])
    apply(document, values, default_at)
    return problems


def _secrets(source: str, name: str, overrides: Sequence[str]) -> list[Problem]:
    """Secrets anywhere in what will be stored, comments included."""
    found = [(f"{name}:{line}", kind) for line, kind in secrets_in(source)]
    found += [(SET, kind) for override in overrides for _, kind in secrets_in(override)]
    fix = (
        "take it out, and revoke it if others have seen the file; what a sweep needs to log in somewhere stays in "
        "environment variables, such as MLFLOW_TRACKING_URI, which are never stored"
    )
    rule = "a sweep file is stored as it is, so it holds no secret, and this looks like {}"
    return [Problem("", ABSENT, rule.format(kind), fix, where, security=True) for where, kind in found]


_SMALLEST = {"name": "smallest", "trial": {}, "goals": {"goal": "maximize"}, "budget": {"trials": 1}}


def _default_at(tree: dict[str, Any], path: Sequence[str]) -> Any:
    if path[0] == "trial":
        return value_at(TrialConfig, tree.get("trial", {}), path[1:])
    return value_at(SweepFile, tree, path)


def _file(tree: dict[str, Any]) -> tuple[SweepFile | None, list[Problem]]:
    found = faults(SweepFile, tree)
    if not found:
        return SweepFile.model_validate_json(json.dumps(tree)), []
    # Pydantic looks at rules on several parts only when each part is fine: so hold the good parts against them again.
    wrong = {key for fault in found for key in fault.path[:1]}
    good = {key: value for key, value in tree.items() if key not in wrong}
    found += [fault for fault in faults(SweepFile, _SMALLEST | good) if fault.binds_several and fault not in found]
    return None, [Problem(".".join(fault.path), fault.value, fault.rule, fault.fix) for fault in found]


def _swept_yardstick(leaf: Leaf) -> Problem:
    rule = f"{', '.join(_YARDSTICKS)} say what trials are measured by, which is the same for all of them"
    return Problem(f"trial.{leaf.source}", "a distribution", rule, "give it one value")


def trial_space(trial: dict[str, Any], resources: Resources) -> Space:
    """The space of a sweep's trials, each trained by as many workers as a slot has. Raises `ConfigErrors`.

    Of several classes, the one with the fewest: which class a trial is for is seen when its parameters are known.
    """
    return Space.parse({**trial, "workers": min(kind.workers for kind in resources.kinds())}, TrialConfig)


def _space(tree: dict[str, Any]) -> tuple[Space | None, list[Problem]]:
    trial = tree.get("trial")
    if not isinstance(trial, dict):
        return None, []
    if "workers" in trial:
        rule, fix = (
            "workers belong to a slot, which has the same for all of its trials",
            "write resources.workers instead",
        )
        return None, [Problem("trial.workers", trial["workers"], rule, fix)]
    try:
        resources = Resources.model_validate(tree.get("resources", {}))
    except ValidationError:  # said elsewhere
        resources = Resources()
    try:
        space = trial_space(trial, resources)
        return space, [_swept_yardstick(leaf) for leaf in space.leaves if leaf.path.split(".")[0] in _YARDSTICKS]
    except ConfigErrors as errors:
        return None, [replace(problem, path=f"trial.{problem.path}".rstrip(".")) for problem in errors.problems]


def _metric_problems(tree: dict[str, Any], space: Space | None) -> list[Problem]:
    """Goals and constraints that not every trial of the space has; without a space those that no trial could have."""
    asked = [(key, name) for key in ("goals", "constraints") if isinstance(tree.get(key), dict) for name in tree[key]]
    if not asked:
        return []
    if space is None:
        known = goal_metrics(TrialConfig(student=Adapter()))  # has all those of other students too
        measures = {TOP1, *(metric.rpartition("/")[2] for metric in known)}  # other tasks have other transfer sets
        asked = [(key, name) for key, name in asked if name.rpartition("/")[2] not in measures]
    else:
        each = [goal_metrics(TrialConfig.model_validate_json(json.dumps(tree))) for tree in space.corners()]
        known = tuple(goal for goal in each[0] if all(goal in metrics for metrics in each))
    rule = "{} are validation measures that every trial has, or planned compute"
    return [
        Problem(f"{key}.{name}", tree[key][name], rule.format(key), nearest(name, known))
        for key, name in asked
        if name not in known
    ]


def _unkept(file: SweepFile, space: Space) -> list[Problem]:
    """Constraints on planned compute that no trial of the space keeps, as far as its corners and a sample say."""
    bounds = {metric: bound for metric, bound in file.constraints.items() if metric in PLANNED_METRICS}
    if not bounds:
        return []
    trials = [planned_metrics(trial) for trial in _some_of(space)]
    found = []
    for metric, bound in bounds.items():
        values = [trial[metric] for trial in trials]
        if all(bound.excess(value) > 0 for value in values):
            rule = f"some trial must keep it, and {metric} is from {min(values):g} to {max(values):g} here"
            value = bound.model_dump(exclude_none=True)
            found.append(Problem(f"constraints.{metric}", value, rule, "loosen it, or widen the space"))
    return found


def _homeless(file: SweepFile, space: Space) -> list[Problem]:
    """Slots of which none holds a trial of the space, as far as its corners and a sample say."""
    kinds = file.resources.kinds()
    if all(kind.memory_gb is None for kind in kinds) or any(
        settled(trial, file.resources) for trial in _some_of(space)
    ):
        return []
    least = min(planned_metrics(trial)[PEAK_BYTES] for trial in _some_of(space)) / 1e9
    rule = f"some trial must fit into a slot, and the smallest takes {least:.3g} GB of a worker (compute/peak_bytes)"
    given = {label: kind.memory_gb for label, kind in file.resources.classes.items()} or file.resources.memory_gb
    path = "resources.classes" if file.resources.classes else "resources.memory_gb"
    return [Problem(path, given, rule, "give a class more memory_gb, or narrow the space")]


def _some_of(space: Space) -> list[TrialConfig]:
    """The corners and a sample."""
    draw = RandomDraw(0)
    trees = [*space.corners(), *(space.suggest(draw) for _ in range(_SAMPLE))]
    return [TrialConfig.model_validate_json(json.dumps(tree)) for tree in trees]


def _placed(document: Document, found: Iterable[Problem]) -> list[Problem]:
    """All problems in the order of the file, at their lines; where the text was unclear, nothing else is said."""
    unclear = {problem.path for problem in document.problems}
    placed = [replace(problem, where=document.where(problem.path)) for problem in found if problem.path not in unclear]
    return sorted([*document.problems, *placed], key=_line)


def _line(problem: Problem) -> int:
    line = problem.where.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0
