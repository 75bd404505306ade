"""What holds for the config of every member of every family."""

import inspect
import re
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from tests.contracts.families import ALL_MEMBERS, NAMED
from trainables.base import Config

each_member = pytest.mark.parametrize("member", ALL_MEMBERS, ids=lambda member: member.__name__)


@each_member
def test_is_frozen(member: type[Config]) -> None:
    config = member()
    field = next(iter(member.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, field, getattr(config, field))


@each_member
def test_refuses_keys_that_it_does_not_know(member: type[Config]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        member.model_validate({"no_such_key": 1})


@each_member
def test_converts_nothing_and_refuses_numbers_that_are_none(member: type[Config]) -> None:
    for name, field in member.model_fields.items():
        if field.annotation in (int, float):
            for value in (str(field.default), True, float("nan")):
                with pytest.raises(ValidationError, match=name):
                    member.model_validate({name: value})


@each_member
def test_is_what_its_json_says(member: type[Config]) -> None:
    assert member.model_validate(member().to_json()) == member()
    assert hash(member()) == hash(member.model_validate(member().to_json()))


@pytest.mark.parametrize("family", NAMED)
def test_has_a_name_of_its_own(family: str) -> None:
    names: list[Any] = []
    for member in NAMED[family]:
        field = member.model_fields["name"]
        assert get_origin(field.annotation) is Literal
        assert get_args(field.annotation) == (field.default,)
        names.append(field.default)
    assert len(set(names)) == len(names)


@each_member
def test_says_what_it_is(member: type[Config]) -> None:
    assert member.__doc__
    assert len(inspect.cleandoc(member.__doc__).splitlines()[0]) > 20


@pytest.mark.parametrize("member", NAMED["objectives"], ids=lambda member: member.__name__)
def test_an_objective_gives_its_equation_its_source_and_its_departures(member: type[Config]) -> None:
    text = member.__doc__ or ""
    assert re.search(r"Equation: .*\(arXiv \d{4}\.\d{4,5}\)", text, re.DOTALL)
    assert "``" in text
    assert "Departures:" in text


@pytest.mark.parametrize(
    "member", [*NAMED["memory"], *NAMED["negatives"], *NAMED["policies"]], ids=lambda member: member.__name__
)
def test_a_memory_a_sampler_or_a_policy_gives_its_source_and_its_departures(member: type[Config]) -> None:
    text = member.__doc__ or ""
    assert re.search(r"(et al\.| and \w+),? \d{4}", text)
    assert "Departure" in text
