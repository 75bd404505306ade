"""What a model has at a path, and where in it a pydantic error is."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from search_spaces.errors import ABSENT
from search_spaces.schema import located, value_at, written
from trainables.base import Config


class Left(Config):
    name: Literal["left"] = "left"
    left: int = 1


class Right(Config):
    name: Literal["right"] = "right"
    right: int = 2


Side = Annotated[Left | Right, Field(discriminator="name")]


class Part(Config):
    side: Side = Right(right=3)
    weight: float = 1.0


class Whole(Config):
    parts: dict[str, Part] = Field({"a": Part(weight=0.5), "left": Part()})
    sides: tuple[Side, ...] = ()
    count: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None


DEFAULTS = [
    ("parts.a.weight", 0.5),
    ("parts.a.side.right", 3),
    ("parts.a.side.left", ABSENT),
    ("parts.b.weight", ABSENT),
    ("parts.a.weight.x", ABSENT),
    ("count.x", ABSENT),
]


@pytest.mark.parametrize(("path", "value"), DEFAULTS)
def test_a_default_is_found_in_mappings_of_records(path: str, value: Any) -> None:
    assert value_at(Whole, {}, path.split(".")) == value


def test_a_default_is_found_beside_what_is_written() -> None:
    tree = {"parts": {"b": {"side": {"name": "left"}}}}
    assert value_at(Whole, tree, ["parts", "b", "side", "left"]) == 1
    assert value_at(Whole, tree, ["parts", "b", "weight"]) == 1.0
    assert value_at(Whole, tree, ["parts", "a"]) is ABSENT


def test_a_default_is_written_with_names_and_without_defaults_of_its_own() -> None:
    assert written(Whole().parts) == {"a": {"weight": 0.5}, "left": {}}
    assert written(Part(side=Right(right=4))) == {"side": {"name": "right", "right": 4}}
    assert written(Part().side) == {"name": "right", "right": 3}


LOCATIONS: list[tuple[dict[str, Any], str, list[type[Config]]]] = [
    ({"parts": {"left": {"side": {"name": "left", "left": "x"}}}}, "parts.left.side.left", []),
    ({"parts": {"left": {"side": {"name": "middle"}}}}, "parts.left.side", [Left, Right]),
    ({"parts": {"left": 3}}, "parts.left", [Part]),
    ({"sides": [{"name": "right", "left": 1}]}, "sides.0.left", []),
    ({"count": 0}, "count", []),
]


@pytest.mark.parametrize(("tree", "path", "models"), LOCATIONS)
def test_an_error_is_located_without_tags_though_keys_are_called_the_same(
    tree: dict[str, Any], path: str, models: list[type[Config]]
) -> None:
    with pytest.raises(ValidationError) as refused:
        Whole.model_validate({**tree, "sides": tuple(tree.get("sides", ()))})
    for details in refused.value.errors():
        found, around = located(Whole, details["loc"])
        assert ".".join(found) == path
        assert around == models
