"""The strict reader: what it reads, and what it refuses with value, rule and fix."""

import math
from pathlib import Path
from typing import Any

import pytest

from search_spaces.core_yaml import MAX_DEPTH
from search_spaces.documents import MAX_BYTES, parse, read
from search_spaces.errors import ConfigErrors


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E+3", 1000.0),
        ("2.", 2.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("-12", -12),
        ("0", 0),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("'010'", "010"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("<<", "<<"),
        ("[1, {b: c}]", [1, {"b": "c"}]),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, value: object) -> None:
    read_value = parse(f"a: {text}\n", "x.yaml").tree["a"]
    assert read_value == value
    assert type(read_value) is type(value)


REFUSED = [
    ("a: 1\nb: 2\na: 3", "a", "3", "already", "remove one", 3),
    ("a: &x 1", "a", "1", "anchor", "remove the anchor", 1),
    ("a: 1\nb: *x", "b", "", "alias", "write the value", 2),
    ("a:\n  b: !foo 3", "a.b", "3", "tag", "remove the tag", 2),
    ("a: !!int 3", "a", "3", "tag", "remove the tag", 1),
    ("a: 010", "a", "010", "octal", "remove the zero", 1),
    ("a:\n  1: 3", "a", "1", "a key must be a string", "quotes", 2),
    ("a:\n  b: 1\n  yes: 1\n  true: 3", "a", "true", "a key must be a string", "quotes", 4),
    ("a.b: 3", "", "a.b", "without dots", "nest", 1),
]


@pytest.mark.parametrize(("text", "path", "value", "rule", "fix", "line"), REFUSED)
def test_a_refusal_names_place_value_rule_and_fix(
    text: str, path: str, value: str, rule: str, fix: str, line: int
) -> None:
    [problem] = parse(text, "x.yaml").problems
    assert (problem.path, problem.value, problem.where) == (path, value, f"x.yaml:{line}")
    assert rule in problem.rule
    assert fix in problem.fix
    assert not problem.security


def test_code_in_a_tag_is_a_security_refusal_and_does_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    document = parse(f"a: !!python/object/apply:os.mkdir ['{witness}']", "x.yaml")
    assert [problem.security for problem in document.problems] == [True]
    assert not witness.exists()


def test_every_refusal_of_a_text_is_listed() -> None:
    together = "\n".join(text.replace("a:", f"k{index}:") for index, (text, *_) in enumerate(REFUSED[1:6]))
    assert len(parse(together.replace("*x", "*y"), "x.yaml").problems) == 5


@pytest.mark.parametrize(
    ("text", "rule", "where"),
    [
        ("a: [1", "must be YAML", "x.yaml:1"),
        ("a: 1\n---\nb: 2", "one document", "x.yaml:2"),
        ("", "holds a value", "x.yaml"),
        ("a: \x00", "must be YAML", "x.yaml"),
        ("\na: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, f"at most {MAX_DEPTH} deep", "x.yaml:2"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_as_a_whole(text: str, rule: str, where: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "x.yaml")
    [problem] = caught.value.problems
    assert rule in problem.rule
    assert problem.where == where
    assert problem.fix


def test_the_deepest_tree_allowed_is_read() -> None:
    tree: Any = parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "x.yaml").tree
    depth = 1
    while tree:
        [tree] = tree
        depth += 1
    assert depth == MAX_DEPTH


def test_an_anchor_that_is_set_twice_is_two_refusals() -> None:
    assert len(parse("a: &x 1\nb: &x 2", "x.yaml").problems) == 2


def test_a_bomb_of_aliases_stays_small() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    document = parse(bomb, "x.yaml")
    assert document.tree["a8"] == [None] * 9
    assert len(document.problems) == 9 + 8 * 9


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"a: 1\n" + b"#" * MAX_BYTES, "at most 1 MiB"), (b"a: \xff", "UTF-8"), (None, "must be readable")],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, rule: str) -> None:
    (tmp_path / "digits.yaml").write_text("a: 1")
    path = tmp_path / "digit.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigErrors, match=rule) as caught:
        read(path)
    assert ("digits.yaml" in caught.value.problems[0].fix) == (content is None)


def test_lines_are_those_of_keys_and_items() -> None:
    document = parse("a:\n  b:\n    - 1\n    - c: 2\n", "x.yaml")
    places = ["a", "a.b", "a.b.0", "a.b.1.c", "a.b.1.unknown"]
    assert [document.where(path) for path in places] == [f"x.yaml:{line}" for line in (1, 2, 3, 4, 4)]
