"""Text, a line for each sample: plain, or JSON with `text` or `sentence` and labels."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from sweeps.data.faults import Bad, Faults
from sweeps.data.files import Files, by_split
from sweeps.data.source import COLUMNS, LABELS, ROWS, LabelRows, Rows
from sweeps.refusals import Refusal
from trainables.datasets.manifest import Kind

_NOT_UTF8 = Bad("it is not UTF-8", "write it in UTF-8")


class PlainText:
    """Sentences, or whatever else stands in a line; there are no labels."""

    kind: Kind = "text"
    column = "text"
    licence = None

    def __init__(self, files: Files, faults: Faults) -> None:  # noqa: ARG002 (whatever is wrong is wrong with a line)
        self._files = files
        self._names = by_split(files.ending(".txt"))
        self.splits = tuple(self._names)
        self.names: dict[str, tuple[str, ...] | None] = {}

    def labels(self, split: str) -> Iterator[LabelRows]:
        """See `Source`."""
        for rows in self.samples(split, 0):
            yield LabelRows(rows.file, rows.first, len(rows), {})

    def samples(self, split: str, start: int) -> Iterator[Rows]:
        """See `Source`."""
        for rows in _lines(self._files, self._names[split], start):
            yield Rows(rows.file, rows.first, [_decoded(line) for line in rows.values])

    def starts(self, split: str) -> Sequence[int]:
        """See `Source`."""
        return self._files.starts(self._names[split])


class JsonLines:
    """An object in each line."""

    kind: Kind = "text"
    licence = None

    def __init__(self, files: Files, faults: Faults) -> None:  # noqa: ARG002 (whatever is wrong is wrong with a line)
        self._files = files
        self._names = by_split(files.ending(".jsonl", ".jsonlines"))
        self.splits = tuple(self._names)
        every = (line for names in self._names.values() for rows in _lines(files, names, 0) for line in rows.values)
        first = next((parsed for line in every if isinstance(parsed := _parsed(line), dict)), {})
        self.column = next((name for name in COLUMNS["text"] if name in first), "")
        if not self.column:
            raise Refusal(
                f"the first object of {files.uri} has the keys {', '.join(first) or '(none)'}, and none of: "
                f"{', '.join(COLUMNS['text'])}; rename the one meant"
            )
        self.names: dict[str, tuple[str, ...] | None] = dict.fromkeys(name for name in LABELS if name in first)

    def labels(self, split: str) -> Iterator[LabelRows]:
        """See `Source`."""
        for rows in _lines(self._files, self._names[split], 0):
            parsed = [_parsed(line) for line in rows.values]
            columns = {name: [_label(value, name) for value in parsed] for name in self.names}
            yield LabelRows(rows.file, rows.first, len(rows), columns)

    def samples(self, split: str, start: int) -> Iterator[Rows]:
        """See `Source`."""
        for rows in _lines(self._files, self._names[split], start):
            yield Rows(rows.file, rows.first, [self._value(_parsed(line)) for line in rows.values])

    def starts(self, split: str) -> Sequence[int]:
        """See `Source`."""
        return self._files.starts(self._names[split])

    def _value(self, parsed: Any) -> Any:
        if isinstance(parsed, Bad):
            return parsed
        return parsed.get(self.column, Bad(f"there is no key {self.column}", "add it, or drop the line"))


def _lines(files: Files, names: list[str], start: int) -> Iterator[Rows]:
    for name, begin in files.from_row(names, start):
        row = 0
        lines: list[bytes] = []
        with io.BufferedReader(files.open(name), 1 << 20) as file:
            for row, line in enumerate(file, 1):
                if row > begin:
                    lines.append(line.rstrip(b"\r\n"))
                if len(lines) == ROWS:
                    yield Rows(name, row - ROWS, lines)
                    lines = []
        if lines:
            yield Rows(name, row - len(lines), lines)
        files.note(name, row)


def _decoded(line: bytes) -> Any:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return _NOT_UTF8


def _parsed(line: bytes) -> Any:
    """A dict, or what is wrong with the line."""
    try:
        parsed = json.loads(line)
    except UnicodeDecodeError:
        return _NOT_UTF8
    except (ValueError, RecursionError) as error:
        return Bad(f"it is no JSON ({error})", "write one object in each line")
    return parsed if isinstance(parsed, dict) else Bad("it is no JSON object", "write one object in each line")


def _label(parsed: Any, name: str) -> Any:
    return parsed if isinstance(parsed, Bad) else parsed.get(name)
