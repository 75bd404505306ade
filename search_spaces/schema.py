"""What a pydantic model allows at a dotted path: its keys, and the value that stands there by default."""

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel

from search_spaces.errors import ABSENT, Absent


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation mentions, in order: several for a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def models_at(model: type[BaseModel], location: Sequence[str | int]) -> list[type[BaseModel]]:
    """The models that may stand at a pydantic error location (which names the member of a union by its tag)."""
    candidates = [model]
    for part in location:
        tagged = [member for member in candidates if len(candidates) > 1 and tag_of(member) == part]
        if tagged:
            candidates = tagged
            continue
        fields = [member.model_fields[part] for member in candidates if part in member.model_fields]
        candidates = [inner for field in fields for inner in models_in(field.annotation)]
    return candidates


def keys_of(models: Sequence[type[BaseModel]]) -> list[str]:
    """The keys that any of these models knows."""
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def tag_of(model: type[BaseModel]) -> str | None:
    """The `name` by which a union knows this member."""
    field = model.model_fields.get("name")
    arguments = get_args(field.annotation) if field else ()
    return str(arguments[0]) if arguments else None


def value_at(model: type[BaseModel], tree: Any, path: Sequence[str]) -> Any | Absent:
    """The value at `path` of a resolved tree, or the model's default there; `ABSENT` where it has no such field."""
    if not path:
        return tree
    name, rest = path[0], path[1:]
    if isinstance(tree, dict) and name in tree:
        inner = _member(model, name, tree[name])
        if inner is None:
            return ABSENT if rest else tree[name]
        return value_at(inner, tree[name], rest)
    field = model.model_fields.get(name)
    if field is None or field.is_required():
        return ABSENT
    default = field.get_default(call_default_factory=True, validated_data={})
    for part in rest:
        default = getattr(default, part, ABSENT)
    return default


def _member(model: type[BaseModel], name: str, tree: Any) -> type[BaseModel] | None:
    field = model.model_fields.get(name)
    members = models_in(field.annotation) if field else []
    tagged = [member for member in members if isinstance(tree, dict) and tag_of(member) == tree.get("name")]
    return next(iter(tagged or members), None)
