"""What is wrong with a dataset: all of it at once, each with its file, row and column, and what to do."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from search_spaces.secrets import redacted

#: What a rule says of one sample alone: what is quoted in it, and its numbers.
_OF_ONE = re.compile(r"""'[^']*'|"[^"]*"|-?\b\d[\w.,+-]*|\b(?:nan|inf)\b""")


@dataclass(frozen=True)
class Fault:
    """One thing that must change. Rows are counted from 0 in their file; `row` is None for a file as a whole.

    A caution (`refuses` is False) is shown, and does not keep the dataset from being used. `security` marks what may be
    an attack rather than a mistake.
    """

    file: str
    row: int | None
    column: str
    rule: str
    fix: str
    refuses: bool = True
    security: bool = False

    @property
    def kind(self) -> tuple[str, str, str]:
        """The same of faults that differ in their file, their row, and what they say of one sample alone."""
        return self.column, _OF_ONE.sub("", self.rule), self.fix

    def __str__(self) -> str:
        row = "" if self.row is None else f" row {self.row}"
        column = f" column {self.column}" if self.column else ""
        return redacted(f"{self.file}{row}{column}: {self.rule}; {self.fix}")


@dataclass(frozen=True)
class Bad:
    """Stands in the place of a sample or label that could not be read."""

    rule: str
    fix: str
    security: bool = False


def no_text(value: str) -> Bad | None:
    """What is wrong with a string that cannot be written, if anything."""
    try:
        value.encode()
    except UnicodeEncodeError:  # such as JSON's "\ud83d" without the other half
        return Bad("it holds half of a character", "mend what wrote it, or drop the row")
    return None


@dataclass
class Faults:
    """Faults in the order in which they were found, each once."""

    _found: dict[Fault, None] = field(default_factory=dict)

    def add(self, file: str, row: int | None, column: str, bad: Bad) -> None:
        """Something that keeps the dataset from being used."""
        self._found[Fault(file, row, column, bad.rule, bad.fix, security=bad.security)] = None

    def caution(self, file: str, row: int | None, column: str, rule: str, fix: str) -> None:
        """Something to know."""
        self._found[Fault(file, row, column, rule, fix, refuses=False)] = None

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._found)

    def by_kind(self) -> list[list[Fault]]:
        """The faults of each kind, in the order in which the first of them was found."""
        kinds: dict[tuple[str, str, str], list[Fault]] = {}
        for fault in self:
            kinds.setdefault(fault.kind, []).append(fault)
        return list(kinds.values())

    @property
    def refuse(self) -> bool:
        """Whether any of them keeps the dataset from being used."""
        return any(fault.refuses for fault in self._found)

    @property
    def security(self) -> bool:
        """Whether any of them may be an attack."""
        return any(fault.security for fault in self._found)
