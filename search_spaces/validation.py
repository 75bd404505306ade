"""What a pydantic model has against a tree, as problems with a rule and a fix."""

import copy
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search_spaces.errors import ABSENT, nearest
from search_spaces.schema import keys_of, located, tag_of

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
    "model_attributes": "a mapping of keys to values",
}
_BOUNDS = {
    "greater_than": ("must be greater than {gt}", "write a value above {gt}"),
    "greater_than_equal": ("must be at least {ge}", "write {ge} or more"),
    "less_than": ("must be less than {lt}", "write a value below {lt}"),
    "less_than_equal": ("must be at most {le}", "write {le} or less"),
    "finite_number": ("must be a finite number", "write a finite number"),
    "too_short": ("must have at least {min_length} items", "add items"),
    "too_long": ("must have at most {max_length} items", "remove items"),
    "string_too_long": ("must have at most {max_length} characters", "shorten it"),
    "string_pattern_mismatch": ("must match the pattern {pattern}", "write a value that matches"),
    "key_pattern_mismatch": ("this key must match the pattern {pattern}", "rename it"),
}


_HUGE = 1e29  # larger numbers are read as floats

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Fault:
    """One thing that a model refuses: its path in the tree, what stands there, pydantic's name of the rule."""

    path: tuple[str, ...]
    value: Any
    kind: str
    rule: str
    fix: str
    binds_several: bool = False

    @property
    def wrong_key(self) -> bool:
        """Whether the key rather than its value is wrong."""
        return self.kind in ("extra_forbidden", "key_pattern_mismatch")

    @property
    def wants_scalar(self) -> bool:
        """Whether a number, a text or a truth value should stand here."""
        return self.kind in ("int_type", "float_type", "bool_type", "string_type", "literal_error")


def faults(model: type[BaseModel], tree: Mapping[str, Any]) -> list[Fault]:
    """Everything that `model` refuses in a tree of plain values, at most one fault for each path; none if it fits.

    As strict as the model, and a list stands for a tuple. A rule that binds several fields is stated at the path
    that its error names (context key ``path``), and its message is ``rule; fix``.
    """
    try:
        model.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        return _merged([_fault(model, details) for details in error.errors(include_url=False)])
    return []


def _fault(model: type[BaseModel], details: ErrorDetails) -> Fault:
    kind, location, value, context = details["type"], details["loc"], details["input"], details.get("ctx", {})
    if kind == "string_pattern_mismatch" and location[-1] == "[key]":  # pydantic's word for a key instead of its value
        kind, location = "key_pattern_mismatch", location[:-1]
    path, _ = located(model, location)
    if "path" in context:  # of a rule of several fields
        path = (*path, *str(context["path"]).split("."))
        value = context.get("value", ABSENT)
    elif kind == "missing":
        value = ABSENT
    elif kind.startswith("union_tag"):
        path = (*path, "name")
        value = value.get("name", ABSENT) if isinstance(value, dict) else value
    elif isinstance(value, dict) and not path:
        value = ABSENT
    rule, fix = _rule_and_fix(model, kind, details)
    return Fault(path, value, kind, rule, fix, binds_several=not path or "path" in context)


def _rule_and_fix(model: type[BaseModel], kind: str, details: ErrorDetails) -> tuple[str, str]:
    location, value, context = details["loc"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        _, around = located(model, location[:-1])
        return "there is no such key here", nearest(location[-1], keys_of(around))
    if kind == "missing":
        return "this key is required", "add it"
    if kind == "union_tag_not_found":
        _, members = located(model, location)
        names = [name for member in members if (name := tag_of(member))]
        return "`name` says which member of the family this is", f"add `name`, one of: {', '.join(names)}"
    if kind in ("union_tag_invalid", "literal_error"):
        expected = str(context.get("expected_tags", context.get("expected")))  # 'a', 'b' or 'c'; 1 or 2
        names = [name.strip("'") for name in re.split(r", | or ", expected)]
        found = value.get("name") if isinstance(value, dict) else value
        return f"must be one of: {', '.join(names)}", nearest(found, names)
    if kind in _BOUNDS:
        rule, fix = _BOUNDS[kind]
        return rule.format(**context), fix.format(**context)
    if kind in ("int_type", "int_from_float") and isinstance(value, float) and abs(value) >= _HUGE:
        return "must be a whole number of at most 29 digits", "write a smaller one"
    noun = _KINDS.get(re.sub(r"_(type|parsing|from_float|parsing_size)$", "", kind))
    if noun:
        if noun == _KINDS["dict"] and isinstance(value, str):
            return f"must be {noun}", _as_member(model, location, value)
        quoted = isinstance(value, str) and noun in ("a number", "a whole number", "true or false")
        return f"must be {noun}", f"write {noun}{' without quotes' if quoted else ''}"
    rule, _, fix = details["msg"].removeprefix("Value error, ").partition("; ")
    return rule, fix or "change one of the values that the rule names"


def _as_member(model: type[BaseModel], location: Location, word: str) -> str:
    """What to write in place of a word where a mapping should stand: of a family, its member of that name."""
    _, members = located(model, location)
    names = [name for member in members if (name := tag_of(member))]
    member = next((name for name in names if name == word), "...")
    return (
        f"write `{{name: {member}}}`, one of: {', '.join(names)}" if names else "write keys below it, or {key: value}"
    )


def without(tree: Mapping[str, Any], found: Iterable[Fault]) -> dict[str, Any]:
    """A copy of the tree in which nothing stands at the faults' paths."""
    copied = copy.deepcopy(dict(tree))
    for fault in found:
        path = fault.path[:-1] if fault.kind.startswith("union_tag") else fault.path
        parent: Any = copied
        for key in path[:-1]:
            parent = parent.get(key) if isinstance(parent, dict) else None
        if isinstance(parent, dict) and path:
            parent.pop(path[-1], None)
    return copied


def _merged(found: list[Fault]) -> list[Fault]:
    """A plain union (``int | "auto"``) is refused once for each member: one fault that states them all."""
    by_path: dict[tuple[str, ...], Fault] = {}
    for fault in found:
        known = by_path.get(fault.path)
        if known is None:
            by_path[fault.path] = fault
        elif fault.rule not in known.rule:
            rule, fix = f"{known.rule}, or {fault.rule}", f"{known.fix}, or {fault.fix}"
            by_path[fault.path] = replace(known, rule=rule, fix=fix)
    return list(by_path.values())
