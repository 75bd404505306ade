"""What is wrong with a config: every problem at once, each with its place, value, rule and fix."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from search_spaces.secrets import redacted


class Absent(Enum):
    """The value of a key that is not there."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

_SHOWN_CHARACTERS = 72


@dataclass(frozen=True)
class Problem:
    """One thing that must change before anything starts.

    `path` is the dotted place in the file, the one that ``--set`` takes, and empty for the text as a whole; `value` is
    what stands there (or `ABSENT`). `where` is ``file:line``, or ``--set`` for a value from the command line.
    `security` marks what was refused because it may be an attack rather than a mistake.
    """

    path: str
    value: Any
    rule: str
    fix: str
    where: str = ""
    security: bool = False

    def __str__(self) -> str:
        shown = "(missing)" if self.value is ABSENT else f"= {_shown(self.value)}"
        place = f"{self.where}  {self.path} {shown}" if self.path else self.where
        return f"{place.strip()}\n    rule: {self.rule}\n    fix:  {self.fix}"


class ConfigErrors(Exception):
    """A config that was refused, with all of its problems. Nothing was started."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(source, self.problems)

    @property
    def security(self) -> bool:
        """Whether any problem is a security refusal (exit code 6 rather than 2)."""
        return any(problem.security for problem in self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        header = f"{self.source}: {count} {'problem' if count == 1 else 'problems'}, nothing was started"
        return "\n".join([header, *map(str, self.problems)])


def nearest(word: object, known: Iterable[str]) -> str:
    """What to write in place of an unknown word or number: the most alike of the known ones, else all of them."""
    words = list(known)
    if isinstance(word, int | float) and words and all(map(str.isdecimal, words)):
        alike = [min(words, key=lambda number: abs(int(number) - word))]
    else:
        alike = difflib.get_close_matches(str(word), words, n=1)
    if alike:
        return f"did you mean `{alike[0]}`?"
    if not words:
        return "remove it"
    return f"use one of: {', '.join(words)}"


def _shown(value: Any) -> str:
    text = redacted(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
