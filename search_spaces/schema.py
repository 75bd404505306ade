"""What a pydantic model allows at a dotted path: its keys, and the value that stands there by default."""

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from search_spaces.errors import ABSENT, Absent


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that may stand where an annotation does, in order: several for a union."""
    return [one for one in _alternatives(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def located(model: type[BaseModel], location: Sequence[str | int]) -> tuple[tuple[str, ...], list[type[BaseModel]]]:
    """The path that a pydantic error location means, and the models that may stand there.

    At a union pydantic puts in the tag of a member, or some name of it, which is no part of the path.
    """
    annotation: Any = model
    path: list[str] = []
    for part in location:
        if len(_alternatives(annotation)) > 1:
            annotation = next((member for member in models_in(annotation) if tag_of(member) == part), None)
        else:
            annotation = _inner(annotation, part)
            path.append(str(part))
    return tuple(path), models_in(annotation)


def keys_of(models: Sequence[type[BaseModel]]) -> list[str]:
    """The keys that any of these models knows."""
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def tag_of(model: type[BaseModel]) -> str | None:
    """The `name` by which a union knows this member."""
    field = model.model_fields.get("name")
    arguments = get_args(field.annotation) if field else ()
    return str(arguments[0]) if arguments else None


def value_at(model: type[BaseModel], tree: Any, path: Sequence[str]) -> Any | Absent:
    """The value at `path` of a resolved tree, or the model's default there; `ABSENT` where there is neither."""
    annotation: Any = model
    value = tree
    for part in path:
        member = _member(annotation, value)
        value = _part(member, value, part)
        annotation = _inner(member or annotation, part)
    return value


def written(default: Any) -> Any:
    """A default as a file would say it: the name of each record, and what differs from that record's own defaults."""
    if isinstance(default, BaseModel):
        said = [key for key in type(default).model_fields if key == "name" or key in default.model_fields_set]
        return {key: written(getattr(default, key)) for key in said}
    if isinstance(default, dict):
        return {key: written(value) for key, value in default.items()}
    return default


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union but None, which is no member to pydantic; what is no union is its own only one."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _alternatives(arguments[0])
    if origin in (Union, UnionType):
        return [one for argument in arguments if argument is not NoneType for one in _alternatives(argument)]
    return [annotation]


def _inner(annotation: Any, part: str | int) -> Any:
    """The annotation of a field, of the values of a mapping, or of the items of a list; None if there is none."""
    annotation = _alternatives(annotation)[0]
    if models_in(annotation):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    arguments = get_args(annotation)
    return arguments[-1 if get_origin(annotation) is dict else 0] if arguments else None


def _member(annotation: Any, value: Any) -> type[BaseModel] | None:
    """The member of a union that a record or a tree is of; for a tree without a known name the first."""
    if isinstance(value, BaseModel):
        return type(value)
    members = models_in(annotation) if isinstance(value, dict) else []
    return next((member for member in members if tag_of(member) == value.get("name")), next(iter(members), None))


def _part(member: type[BaseModel] | None, value: Any, part: str) -> Any | Absent:
    field = member.model_fields.get(part) if member else None
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, BaseModel):
        return getattr(value, part) if field else ABSENT
    if field is None or field.is_required():
        return ABSENT
    return field.get_default(call_default_factory=True, validated_data={})
