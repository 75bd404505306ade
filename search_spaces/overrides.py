"""Values from the command line (``--set trial.memory.size=64``), put into the tree of a file before it is checked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from search_spaces.documents import SET, Document, parse
from search_spaces.errors import ConfigErrors, Problem
from search_spaces.schema import written

DefaultAt = Callable[[Sequence[str]], Any]


def parsed(document: Document, overrides: Iterable[str]) -> dict[str, Any]:
    """The value for each path of ``path=value``, in order; what is none is added to the problems of the document.

    A value is YAML under the rules of a file.
    """
    taken: list[str] = []
    values: dict[str, Any] = {}
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        clash = next((other for other in taken if _inside(path, other) or _inside(other, path)), None)
        if not equals or not all(path.split(".")):
            _refuse(document, path, override, "an override is path=value", "write --set search.seed=3")
        elif clash is not None:
            rule = f"a value is set once, and {clash} is set already"
            _refuse(document, path, text, rule, f"keep one --set of {path}")
        else:
            taken.append(path)
            values |= _parsed(document, path, text)
    return values


def _parsed(document: Document, path: str, text: str) -> dict[str, Any]:
    try:
        value = parse(text, SET)
    except ConfigErrors as error:
        _refuse(document, path, text, error.problems[0].rule, error.problems[0].fix)
        return {}
    for problem in value.problems:
        _refuse(document, path, text, problem.rule, problem.fix, security=problem.security)
    return {} if value.problems else {path: value.tree}


def apply(document: Document, values: Mapping[str, Any], default_at: DefaultAt) -> None:
    """Set the value of each path in the document; what cannot be set is added to its problems.

    Names of members come before the values of their parts, so the order of the command line has no meaning. A key that
    is not in the file is added: whether it may be there is for the model to say. `default_at` gives what stands at a
    path that is not in the file, so that a part of it can be set.
    """
    for path, value in sorted(values.items(), key=lambda item: (not item[0].endswith(".name"), item[0].count("."))):
        if _set(document, path, value, default_at):
            for known in [line for line in document.lines if _inside(line, path)]:
                del document.lines[known]
            document.overridden.add(path)


def _set(document: Document, path: str, value: Any, default_at: DefaultAt) -> bool:
    *parents, last = path.split(".")
    node: Any = document.tree
    for depth, key in enumerate(parents):
        if isinstance(node, dict) and key not in node:
            default = default_at(parents[: depth + 1])
            another = (*parents[depth + 1 :], last) == ("name",)  # a member with defaults of its own
            # Else a record or a mapping stays what it was, but for one value.
            node[key] = written(default) if isinstance(default, BaseModel | dict) and not another else {}
        node = _child(node, key)
        if not isinstance(node, dict | list):
            place = ".".join(parents[: depth + 1])
            rule = f"{place} has no parts: it is {'not there' if node is None else 'a single value'}"
            _refuse(document, path, value, rule, f"set {place} itself, as in --set '{place}={{{last}: ...}}'")
            return False
    if isinstance(node, list):
        if not last.isdecimal() or int(last) >= len(node):
            rule = f"items of a list go by number, here from 0 to {len(node) - 1}"
            _refuse(document, path, value, rule, "correct the number, or set the whole list")
            return False
        node[int(last)] = value
    else:
        node[last] = value
    return True


def _child(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return node[int(key)] if key.isdecimal() and int(key) < len(node) else None
    return node[key]


def _inside(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")


def _refuse(document: Document, path: str, value: Any, rule: str, fix: str, *, security: bool = False) -> None:
    document.problems.append(Problem(path, value, rule, fix, SET, security))
