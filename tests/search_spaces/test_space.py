"""The grammar of spaces, on a small model of a trial and on the real one."""

import itertools
import json
import math
from typing import Annotated, Any, Literal, Self

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from search_spaces.draws import GridDraw, RandomDraw
from search_spaces.errors import ConfigErrors, Problem
from search_spaces.space import Space
from trainables.base import Config
from trainables.config import TrialConfig


class InBatch(Config):
    name: Literal["in_batch"] = "in_batch"


class Bank(Config):
    name: Literal["bank"] = "bank"
    size: int = Field(512, ge=2)
    momentum: float = Field(0.5, ge=0, lt=1)


class Queue(Config):
    name: Literal["queue"] = "queue"
    size: int = Field(512, ge=2)


class Small(Config):
    memory: Annotated[InBatch | Bank | Queue, Field(discriminator="name")] = Bank()
    temperature: float = Field(0.1, gt=0)
    count: int = Field(16, ge=1)
    batch_size: int = Field(32, ge=2)
    widths: tuple[int, ...] = (8, 8)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        limit = self.batch_size if isinstance(self.memory, InBatch) else self.memory.size
        if self.count > limit:
            message = "count must be at most {limit}; lower it"
            raise PydanticCustomError("too_large", message, {"path": "count", "value": self.count, "limit": limit})
        return self


MIXED: dict[str, Any] = {
    "temperature": {"float": [0.03, 0.5], "log": True},
    "memory": {
        "choice": [
            {"name": "in_batch"},
            {"name": "bank", "size": {"int": [16, 64]}, "momentum": {"float": [0.0, 0.9], "step": 0.1}},
            {"name": "queue", "size": {"int": [128, 4096], "log": True}},
        ]
    },
    "count": {"int": [4, 1024], "log": True, "at_most": ["memory.size", "batch_size"]},
    "batch_size": {"choice": [8, 16]},
}


def problems(tree: dict[str, Any]) -> list[Problem]:
    with pytest.raises(ConfigErrors) as caught:
        Space.parse(tree, Small)
    return list(caught.value.problems)


def test_parameters_carry_the_option_and_paths_do_not() -> None:
    space = Space.parse(MIXED, Small)
    assert [leaf.name for leaf in space.leaves] == [
        "temperature",
        "memory",
        "memory.bank.size",
        "memory.bank.momentum",
        "memory.queue.size",
        "count.fraction",
        "batch_size",
    ]
    assert tuple(dict.fromkeys(leaf.path for leaf in space.leaves)) == (
        "temperature",
        "memory",
        "memory.size",
        "memory.momentum",
        "count",
        "batch_size",
    )


def test_an_option_asks_for_its_own_distributions_only() -> None:
    space = Space.parse(MIXED, Small)
    picks = {"temperature": 0.1, "memory": "queue", "memory.queue.size": 200, "count.fraction": 0.5, "batch_size": 8}
    config = space.suggest(optuna.trial.FixedTrial(picks))
    memory = {"name": "queue", "size": 200}
    middle = round(math.sqrt(4 * 200))
    assert config == {"temperature": 0.1, "memory": memory, "count": middle, "batch_size": 8}


def test_a_bound_that_is_not_in_the_file_is_the_default() -> None:
    space = Space.parse({"count": {"int": [1, 1000], "at_most": "memory.size"}}, Small)
    assert space.suggest(optuna.trial.FixedTrial({"count.fraction": 1.0})) == {"count": 512}


def test_bounds_may_be_chained_against_the_order_of_the_file() -> None:
    tree = {
        "count": {"int": [2, 100], "at_most": "batch_size"},
        "batch_size": {"int": [2, 60], "at_most": "memory.size"},
        "memory": {"name": "bank", "size": {"int": [10, 40]}},
    }
    picks = {"memory.size": 20, "batch_size.fraction": 1.0, "count.fraction": 1.0}
    config = Space.parse(tree, Small).suggest(optuna.trial.FixedTrial(picks))
    assert config == {"count": 20, "batch_size": 20, "memory": {"name": "bank", "size": 20}}


def test_a_step_gives_the_decimal_that_was_meant() -> None:
    space = Space.parse({"temperature": {"float": [0.1, 0.7], "step": 0.2}}, Small)
    trial = optuna.trial.FixedTrial({"temperature": 0.1 + 2 * 0.2 + 1e-12})
    assert space.suggest(trial) == {"temperature": 0.5}


@settings(max_examples=2000, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_draw_is_infeasible(seed: int) -> None:
    config = SPACE.suggest(RandomDraw(seed))
    bound = config["memory"].get("size", config["batch_size"])
    assert 4 <= config["count"] <= min(bound, 1024)
    Small.model_validate_json(json.dumps(config), strict=True)


SPACE = Space.parse(MIXED, Small)


@settings(max_examples=300, deadline=None)
@given(
    low=st.integers(1, 1000), width=st.integers(1, 1000), bound=st.integers(1, 3000), fraction=st.floats(0, 1), log=...
)
def test_a_bounded_value_lies_between_its_low_end_and_its_bound(
    low: int, width: int, bound: int, fraction: float, log: bool
) -> None:
    leaf = {"int": [low, low + width], "log": log, "at_most": "memory.size"}
    tree = {"count": leaf, "memory": {"name": "bank", "size": low + bound}}
    value = Space.parse(tree, Small).suggest(optuna.trial.FixedTrial({"count.fraction": fraction}))["count"]
    assert low <= value <= min(low + width, low + bound)
    assert isinstance(value, int)
    assert fraction not in (0, 1) or value == (min(low + width, low + bound) if fraction else low)


def test_an_int_that_is_bounded_by_a_fraction_stays_below_it() -> None:
    class Loose(Config):
        limit: float = 2.6
        count: int = 1

    space = Space.parse({"count": {"int": [1, 9], "at_most": "limit"}}, Loose)
    assert space.suggest(optuna.trial.FixedTrial({"count.fraction": 1.0})) == {"count": 2}


def test_the_real_trial_takes_the_leaves_of_the_design() -> None:
    tree = {
        "objective": {"name": "crd", "temperature": {"float": [0.03, 0.5], "log": True}},
        "memory": {"choice": [{"name": "in_batch"}, {"name": "bank", "size": {"int": [16, 1024], "log": True}}]},
        "negatives": {
            "name": "uniform",
            "count": {"int": [16, 1024], "log": True, "at_most": ["memory.size", "batch_size"]},
        },
    }
    space = Space.parse(tree, TrialConfig)
    for seed in range(200):
        config = TrialConfig.model_validate(space.suggest(RandomDraw(seed)))
        assert config.negatives.count <= config.memory.rows_kept(config.batch_size)


@pytest.mark.parametrize("terms", [{}, {"terms": {"crd": {"objective": {"name": "crd", "temperature": 0.5}}}}])
def test_a_bound_may_be_in_a_term_that_is_written_or_default(terms: dict[str, Any]) -> None:
    tree = {
        "objective": {"name": "sum", **terms},
        "optimizer": {"learning_rate": {"float": [1e-4, 1.0], "at_most": "objective.terms.crd.objective.temperature"}},
    }
    trial = optuna.trial.FixedTrial({"optimizer.learning_rate.fraction": 1.0})
    assert Space.parse(tree, TrialConfig).suggest(trial)["optimizer"] == {"learning_rate": 0.5 if terms else 0.07}


def test_every_option_is_in_a_corner() -> None:
    corners = list(Space.parse(MIXED, Small).corners())
    assert {tree["memory"]["name"] for tree in corners} == {"in_batch", "bank", "queue"}
    assert {tree["memory"]["size"] for tree in corners if tree["memory"]["name"] == "queue"} == {128, 4096}
    for tree in corners:
        Small.model_validate(tree)
    assert len(corners) == len({json.dumps(tree) for tree in corners})


LEAVES = [
    ({"float": [2, 1]}, "temperature.float", "low end comes first", "float: [1, 2]"),
    ({"float": [1, 1]}, "temperature.float", "more than one value", "write the value itself: 1"),
    ({"float": [0, 1], "log": True}, "temperature", "starts above 0", "raise the low end"),
    ({"float": [1, 2, 3]}, "temperature.float", "list of two numbers", "[low, high]"),
    ({"float": [1, math.inf]}, "temperature.float", "list of two numbers", "[low, high]"),
    ({"float": [1, True]}, "temperature.float", "list of two numbers", "[low, high]"),
    ({"float": "1, 2"}, "temperature.float", "list of two numbers", "[low, high]"),
    ({"float": [1, 2], "step": 0.3}, "temperature.step", "must divide", "end at 1.9"),
    ({"float": [1, 2], "step": 0}, "temperature.step", "above 0", "remove it"),
    ({"float": [1, 2], "log": True, "step": 0.5}, "temperature.step", "exclude", "remove one"),
    ({"float": [1, 2], "at_most": "count", "step": 0.5}, "temperature.step", "exclude", "remove one"),
    ({"float": [1, 2], "lgo": True}, "temperature.lgo", "no such key", "`log`"),
    ({"float": [1, 2], "log": "yes"}, "temperature.log", "true or false", "log: true"),
    ({"float": [1, 2], "int": [1, 2]}, "temperature", "one distribution", "keep one"),
    ({"float": [1, 2], "at_most": 3}, "temperature.at_most", "path", "memory.size"),
    ({"flaot": [1, 2]}, "temperature", "must be a number", "{float: [low, high]}"),
    ({"float": [0, 1]}, "temperature", "greater than 0", "above 0"),
    ({"choice": []}, "temperature", "two options", "list the options"),
    ({"choice": [1]}, "temperature", "two options", "write the option itself"),
    ({"choice": [1, 2, 1]}, "temperature.choice.2", "same name", "remove one"),
    ({"choice": [1, [2]]}, "temperature.choice.1", "an option is", "one value"),
    ({"choice": [1, {"size": 3}]}, "temperature.choice.1", "an option is", "add `name`"),
    ({"choice": [1, -1]}, "temperature.choice.1", "greater than 0", "above 0"),
    ({"choice": [1, "x"]}, "temperature.choice.1", "must be a number", "a number"),
]


@pytest.mark.parametrize(("leaf", "path", "rule", "fix"), LEAVES)
def test_a_wrong_leaf_is_one_problem(leaf: dict[str, Any], path: str, rule: str, fix: str) -> None:
    [problem] = problems({"temperature": leaf})
    assert problem.path == path
    assert rule in problem.rule
    assert fix in problem.fix


TREES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"tempreature": {"float": [0.1, 1]}}, "tempreature", "no such key", "`temperature`"),
    ({"memory": {"name": "bnak"}}, "memory.name", "one of: in_batch, bank, queue", "`bank`"),
    ({"memory": {"size": 3}, "count": 1}, "memory.name", "which member", "in_batch, bank, queue"),
    ({"memory": {"name": "bank", "sise": 3}}, "memory.sise", "no such key", "`size`"),
    ({"count": {"float": [1, 2]}}, "count", "a whole number", "`int`"),
    ({"count": "3"}, "count", "a whole number", "without quotes"),
    ({"widths": [8, {"int": [1, 2]}]}, "widths.1", "in a list", "the whole list a choice"),
    ({"widths": [8, 0.5]}, "widths.1", "a whole number", "a whole number"),
    ({"count": {"int": [1, 20], "at_most": "memory.sise"}}, "count", "memory.sise is not", "correct the path"),
    ({"count": {"int": [1, 20], "at_most": "memory"}}, "count", "memory is none", "path of a number"),
    ({"count": {"int": [1, 20], "at_most": "count"}}, "count", "may not depend on itself", "ends of its own"),
    ({"count": {"int": [700, 800], "at_most": "memory.size"}}, "count", "can be 512", "at 512 or below"),
    ({"count": 600}, "count", "at most 512", "lower it"),
    ({"count": {"int": [1, 600]}}, "count", "at most 512", "at_most"),
]


@pytest.mark.parametrize(("tree", "path", "rule", "fix"), TREES)
def test_a_wrong_tree_is_one_problem(tree: dict[str, Any], path: str, rule: str, fix: str) -> None:
    [problem] = problems(tree)
    assert problem.path == path
    assert rule in problem.rule
    assert fix in problem.fix


def test_a_bound_that_some_option_lacks_names_the_option() -> None:
    tree = {**MIXED, "count": {"int": [4, 1024], "at_most": "memory.size"}}
    [problem] = problems(tree)
    assert "memory.size is not when memory = in_batch" in problem.rule
    assert "list of paths" in problem.fix


def test_a_low_end_above_a_bound_names_both() -> None:
    tree = {"count": {"int": [32, 64], "at_most": "memory.size"}, "memory": {"name": "bank", "size": {"int": [16, 99]}}}
    [problem] = problems(tree)
    assert problem.path == "count"
    assert "32" in problem.rule
    assert "memory.size, which can be 16" in problem.rule


def test_a_rule_on_two_ranges_is_seen_though_both_diagonal_corners_fit() -> None:
    tree = {"count": {"int": [2, 64]}, "memory": {"name": "bank", "size": {"int": [16, 64]}}}
    [problem] = problems(tree)
    assert problem.path == "count"
    assert "at most 16" in problem.rule


def test_a_rule_on_three_values_is_seen() -> None:
    class Sums(Config):
        a: int = 0
        b: int = 0
        c: int = 0

        @model_validator(mode="after")
        def _small(self) -> Self:
            if self.a > 2 and self.b > 2 and self.c < 7:
                raise ValueError("a, b and c do not go together; lower a")
            return self

    tree = {"a": {"int": [0, 9]}, "b": {"choice": [0, 9, 1]}, "c": {"choice": [8, 1, 9]}}
    with pytest.raises(ConfigErrors) as caught:
        Space.parse(tree, Sums)
    [problem] = caught.value.problems
    assert (problem.rule, problem.fix) == ("a, b and c do not go together", "lower a")
    assert set(problem.value) == {"a", "b", "c"}


def test_all_problems_are_listed_at_once_and_each_once() -> None:
    trees = [{"temperature": {"float": [2, 1]}}, *(tree for tree, *_ in (TREES[3], TREES[6], TREES[10]))]
    merged = {key: value for tree in trees for key, value in tree.items()}
    found = problems({**merged, "batch_size": {"choice": [8, 1]}, "zzz": 1, "count": 600})
    assert sorted(problem.path for problem in found) == [
        "batch_size.choice.1",
        "count",
        "memory.sise",
        "temperature.float",
        "widths.1",
        "zzz",
    ]


def test_the_number_of_corners_is_linear() -> None:
    visited = []

    class Wide(Config):
        model_config = ConfigDict(extra="allow")

        @model_validator(mode="before")
        @classmethod
        def _visit(cls, tree: Any) -> Any:
            visited.append(tree)
            return tree

    Space.parse({f"a{index}": {"int": [1, 9]} for index in range(20)}, Wide)
    assert 2 + 2 * 20 <= len(visited) <= 2 + 4 * 20 + 64


def test_a_grid_is_the_hand_written_list() -> None:
    tree = {
        "memory": {"choice": [{"name": "in_batch"}, {"name": "bank", "size": {"int": [16, 64], "log": True}}]},
        "count": {"int": [4, 16], "log": True, "at_most": ["memory.size", "batch_size"]},
        "batch_size": {"choice": [4, 16]},
        "temperature": {"float": [0.1, 0.2], "step": 0.1},
    }
    space = Space.parse(tree, Small)
    memories: list[dict[str, Any]] = [{"name": "in_batch"}]
    memories += [{"name": "bank", "size": size} for size in (16, 32, 64)]
    expected = [
        {"memory": memory, "batch_size": batch_size, "temperature": temperature, "count": count}
        for memory in memories
        for batch_size in (4, 16)
        for temperature in (0.1, 0.2)
        for count in ([4] if memory["name"] == "in_batch" and batch_size == 4 else [4, 8, 16])
    ]
    points = list(space.enumerate(3))
    assert [point.config for point in points] == expected
    assert space.size(3) == 4 * 2 * 2 * 3
    for point in points:
        assert set(point.parameters) == set(point.distributions)
        assert space.suggest(optuna.trial.FixedTrial(point.parameters)) == point.config


@pytest.mark.parametrize(
    ("leaf", "values"),
    [
        ({"float": [0.0, 1.0]}, [0.0, 0.5, 1.0]),
        ({"float": [0.0, 0.3], "step": 0.1}, [0.0, 0.2, 0.3]),
        ({"int": [1, 2]}, [1, 2]),
        ({"int": [1, 100], "log": True}, [1, 10, 100]),
        ({"int": [0, 10], "step": 5}, [0, 5, 10]),
        ({"int": [0, 2**62]}, [0, 2**61, 2**62]),
    ],
)
def test_a_range_is_divided_in_at_most_the_points_asked_for(leaf: dict[str, Any], values: list[float]) -> None:
    class One(Config):
        a: float | int = 1

    space = Space.parse({"a": leaf}, One)
    assert [point.config["a"] for point in space.enumerate(3)] == values
    assert space.size(3) == len(values)


def test_a_huge_grid_is_not_built_to_be_begun() -> None:
    space = Space.parse(MIXED, Small)
    first = list(itertools.islice(space.enumerate(10_000), 5))
    assert len({json.dumps(point.config) for point in first}) == 5
    assert space.size(10_000) > 10**11


def test_the_same_picks_are_asked_for_in_the_same_order() -> None:
    first, second = GridDraw(3, [1, 1]), GridDraw(3, [1, 1])
    SPACE.suggest(first)
    Space.parse(MIXED, Small).suggest(second)
    assert list(first.params.items()) == list(second.params.items())


def test_a_suggestion_cannot_change_the_space() -> None:
    space = Space.parse({"widths": [1, 2], "count": {"int": [1, 2]}}, Small)
    space.suggest(RandomDraw(0))["widths"].append(3)
    assert space.suggest(RandomDraw(0))["widths"] == [1, 2]
