"""A trial config says all, refuses what cannot be, and has a name that is its content."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from tests.trainables.trials import all_combinations, combination_id, small_trial
from trainables.config import TrialConfig, goal_metrics
from trainables.memory.bank import Bank
from trainables.memory.in_batch import InBatch
from trainables.memory.prototypes import Prototypes
from trainables.memory.queue import Queue
from trainables.metrics import PLANNED_METRICS
from trainables.models.adapter import Adapter
from trainables.models.encoder_decoder import EncoderDecoder
from trainables.models.mobilenet import MobileNetV2
from trainables.models.vgg import VGG
from trainables.models.vit import ViT
from trainables.negatives.label_aware import LabelAware
from trainables.negatives.uniform import Uniform
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.objectives.likelihood import Likelihood
from trainables.objectives.pcl import PCL
from trainables.objectives.sum import Sum, Term
from trainables.objectives.supcon import SupCon
from trainables.policies.mi_guided import MIGuided
from trainables.teacher import Teacher

Path = tuple[str, ...]


@pytest.mark.parametrize(
    ("changes", "path", "value", "fix"),
    [
        ({"memory": Queue(size=50), "negatives": Uniform(count=51)}, "negatives.count", 51, "lower it to 50 or less"),
        ({"memory": InBatch(), "negatives": Uniform(count=17)}, "negatives.count", 17, "lower it to 16 or less"),
        ({"memory": Bank(size=1084)}, "memory.size", 1084, "lower it to 1083 or less"),
        ({"batch_size": 1084, "workers": 1}, "batch_size", 1084, "lower it to 1083 or less"),
        ({"steps": 4, "rungs": 5}, "rungs", 5, "lower it to 4 or less"),
        ({"batch_size": 15, "workers": 2}, "batch_size", 15, "change it to 14"),
        ({"batch_size": 3, "workers": 5}, "batch_size", 3, "change it to 5"),
    ],
)
def test_sizes_that_do_not_fit_are_told_with_path_value_and_fix(
    changes: dict[str, Any], path: str, value: int, fix: str
) -> None:
    if changes.get("batch_size", 16) < 16:
        changes = changes | {"memory": Queue(size=50)}
    with pytest.raises(ValidationError) as refused:
        small_trial(**changes)
    (error,) = refused.value.errors()
    assert error["ctx"]["path"] == path
    assert error["ctx"]["value"] == value
    assert error["msg"].startswith(path)
    assert fix in error["msg"]


LIKELIHOOD = Sum(terms={"likelihood": Term(objective=Likelihood()), "kd": Term(objective=KD())})


@pytest.mark.parametrize(
    ("changes", "path", "rule", "fix"),
    [
        ({"objective": PCL()}, "memory.name", "pcl contrasts against prototypes", "name: prototypes"),
        (
            {"memory": Prototypes(), "negatives": LabelAware(count=9)},
            "negatives.name",
            "prototypes have none",
            "another sampler",
        ),
        ({"memory": Prototypes(), "objective": SupCon()}, "memory.name", "labels of rows", "memory of samples"),
        (
            {"memory": Prototypes(), "objective": CRD(positive="relax"), "negatives": Uniform(count=9)},
            "memory.name",
            "labels of rows",
            "memory of samples",
        ),
        ({"memory": Prototypes(count=1084)}, "memory.count", "source samples, 1083", "lower it to 1083"),
        ({"objective": LIKELIHOOD}, "student.name", "needs a student that generates", "name: encoder_decoder"),
        ({"student": EncoderDecoder()}, "objective.name", "nothing trains the decoder", "likelihood"),
        ({"student": MobileNetV2()}, "student.name", "needs images of 16 pixels", "another network"),
        ({"student": ViT(patch=3)}, "student.patch", "patches must divide the image, of 8 pixels", "divisor"),
        ({"teacher": Teacher(model=Adapter())}, "teacher.model.name", "maps images to features", "another network"),
        ({"teacher_cache": True}, "teacher_cache", "views that can be enumerated", "write `views: 8`"),
        ({"objective": InfoNCE(positive="view"), "views": 1}, "views", "contrasts two views", "raise it to 2"),
        ({"teacher": Teacher(model=VGG()), "student": MobileNetV2()}, "student.name", "16 pixels", "another network"),
    ],
)
def test_parts_that_do_not_go_together_are_told_with_path_rule_and_fix(
    changes: dict[str, Any], path: str, rule: str, fix: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        small_trial(**changes)
    (error,) = refused.value.errors()
    assert error["ctx"]["path"] == path
    told, _, change = error["msg"].partition("; ")
    assert rule in told
    assert fix in change


def test_a_part_that_is_not_used_is_not_held_against_the_others() -> None:
    small_trial(objective=KD(), memory=InBatch(), negatives=Uniform(count=1000), policy=MIGuided())
    small_trial(objective=SupCon(), memory=InBatch(), negatives=Uniform(count=1000))
    small_trial(objective=PCL(), memory=Prototypes(count=20))


def test_images_as_they_are_can_always_be_enumerated() -> None:
    small_trial(student=Adapter(hidden=8), objective=InfoNCE(positive="view"), teacher_cache=True)
    small_trial(student=Adapter(hidden=8), objective=InfoNCE(positive="view"), views=1)
    small_trial(views=1, teacher_cache=True)


def test_a_positive_that_cannot_score_above_one_half_is_a_caution() -> None:
    """Temperature * ln K + 1 / (2 D temperature), by hand: 0.5 * ln 12 + 1 / (2 * 8 * 0.5) = 1.367."""
    (caution,) = small_trial(objective=CRD(temperature=0.5), memory=Bank(size=50)).cautions()
    assert "is 1.37, above 1" in caution
    assert not small_trial(objective=CRD(temperature=0.2), memory=Bank(size=50)).cautions()
    assert not small_trial(objective=CRD(temperature=0.5, normaliser="learned")).cautions()
    in_a_sum = Sum(terms={"crd": Term(objective=CRD(temperature=0.5))})
    assert small_trial(objective=in_a_sum).cautions() == [caution]


def test_what_is_allowed_but_hardly_meant_is_a_caution() -> None:
    relaxed = small_trial(objective=CRD(temperature=0.2, positive="relax"), memory=Bank(size=50))
    (caution,) = relaxed.cautions()
    assert "label_aware" in caution
    assert not relaxed.model_copy(update={"negatives": LabelAware(count=9)}).cautions()
    guided = small_trial(objective=InfoNCE(positive="view"), policy=MIGuided())
    assert "told no estimates" in guided.cautions()[0]
    assert not list(guided.estimate_steps())
    assert not guided.model_copy(update={"objective": InfoNCE()}).cautions()


def test_the_largest_sizes_that_fit_are_taken() -> None:
    small_trial(memory=Bank(size=1083), negatives=Uniform(count=1083), batch_size=1083)
    assert small_trial(steps=5, rungs=5).rung_steps() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("steps", [1, 7, 10, 300])
def test_rungs_rise_to_the_last_step(steps: int) -> None:
    for rungs in range(1, min(steps, 40) + 1):
        rung_steps = small_trial(steps=steps, rungs=rungs).rung_steps()
        assert len(rung_steps) == rungs
        assert rung_steps == sorted(set(rung_steps))
        assert rung_steps[0] >= 1
        assert rung_steps[-1] == steps


def test_rungs_may_grow() -> None:
    assert small_trial(steps=128, rungs=4, rung_growth=2).rung_steps() == [16, 32, 64, 128]
    assert small_trial(steps=100, rungs=3, rung_growth=3).rung_steps() == [11, 33, 100]
    with pytest.raises(ValidationError, match="a step of its own") as refused:
        small_trial(steps=12, rungs=4, rung_growth=3)
    assert refused.value.errors()[0]["ctx"]["path"] == "rung_growth"


@pytest.mark.parametrize("config", all_combinations(), ids=combination_id)
def test_survives_json_with_its_digest(config: TrialConfig) -> None:
    again = TrialConfig.model_validate(json.loads(json.dumps(config.to_json())))
    assert again == config
    assert again.digest() == config.digest()
    assert TrialConfig.model_validate_json(json.dumps(config.to_json())) == config


def test_the_digest_is_that_of_the_canonical_json() -> None:
    """Keys sorted, and nothing of this process in it: the same on every machine, for as long as the fields stay."""
    tree = small_trial().to_json()
    backwards = dict(reversed(list(tree.items())))
    assert TrialConfig.model_validate(backwards).digest() == small_trial().digest()
    assert len(small_trial().digest()) == 64


def leaves(tree: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def changed(tree: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    if len(path) == 1:
        return {**tree, path[0]: value}
    return {**tree, path[0]: changed(tree[path[0]], path[1:], value)}


#: Another value of fields that take no number.
CHOICES = {
    "schedule": "constant",
    "averaging": 8.0,
    "rung_growth": 1.5,
    "positive": "memory",
    "mode": "full",
    "dtype": "bfloat16",
    "precision": "bfloat16",
}


def another(path: Path, value: Any) -> Any:
    if path in (("workers",), ("views",)):
        return 2
    if path[-1] in CHOICES:
        return CHOICES[path[-1]]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}-2"
    return value + 1 if isinstance(value, int) else value * 0.5 + 0.01


def test_the_digest_changes_with_every_field() -> None:
    trees = [small_trial(memory=memory, views=3).to_json() for memory in (Queue(size=50), Bank(size=50))]
    digests = {TrialConfig.model_validate(tree).digest() for tree in trees}
    count = len(trees)
    for tree in trees:
        for path, value in leaves(tree):
            if path[-1] == "name" and path != ("device", "name"):
                continue  # another member, not another value
            digests.add(TrialConfig.model_validate(changed(tree, path, another(path, value))).digest())
            count += 1
    # the fields outside the memory change both trees
    assert len(digests) == count > 60


def test_goals_are_validation_measures_and_planned_compute() -> None:
    goals = goal_metrics(small_trial())
    assert set(PLANNED_METRICS) < set(goals)
    assert "transfer/knn_top1" in goals
    assert not [goal for goal in goals if goal.startswith("test/")]
