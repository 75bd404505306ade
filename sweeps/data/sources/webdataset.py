"""WebDataset: tar shards in which consecutive members of one key are a sample: ``000017.jpg``, ``000017.cls``."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from sweeps.data.faults import Bad, Faults
from sweeps.data.files import Files, by_split
from sweeps.data.source import LABELS, ROWS, LabelRows, Rows
from sweeps.refusals import Refusal
from trainables.datasets.manifest import Kind

_IMAGES = ("jpg", "jpeg", "png", "webp", "ppm", "pgm")
_TEXT = ("txt",)
_CUT_OFF = "fetch the shard again"

Members = dict[str, bytes | Bad]


class WebDataset:
    """A label is the whole number in `cls`, or what `json` holds under the names of `LABELS`."""

    licence = None

    def __init__(self, files: Files, faults: Faults) -> None:
        self._files, self._faults = files, faults
        self._shards = by_split(files.ending(".tar"))
        self.splits = tuple(self._shards)
        first = next(
            (sample for split in self.splits for shard in self._shards[split] for sample in self._read(shard)), {}
        )
        self.kind: Kind = "text" if not set(_IMAGES) & set(first) and set(_TEXT) & set(first) else "images"
        self.column = next((end for end in (*_IMAGES, *_TEXT) if end in first), "")
        if not self.column:
            ends = ", ".join((*_IMAGES, *_TEXT))
            raise Refusal(f"the first sample of {files.uri} has {', '.join(first) or 'no member'}, and none of: {ends}")
        columns = [name for name in LABELS if name in _parsed(first.get("json", b"{}"))]
        self.names: dict[str, tuple[str, ...] | None] = dict.fromkeys(columns or ["label"] * ("cls" in first))

    def labels(self, split: str) -> Iterator[LabelRows]:
        """See `Source`."""
        for shard in self._shards[split]:
            row = 0
            for row, sample in enumerate(self._read(shard), 1):
                yield LabelRows(shard, row - 1, 1, {name: [self._label(sample, name)] for name in self.names})
            self._files.note(shard, row)

    def samples(self, split: str, start: int) -> Iterator[Rows]:
        """See `Source`."""
        for shard, begin in self._files.from_row(self._shards[split], start):
            values: list[Any] = []
            row = 0
            for row, sample in enumerate(self._read(shard), 1):
                if row > begin:
                    values.append(self._value(sample))
                if len(values) == ROWS:
                    yield Rows(shard, row - len(values), values)
                    values = []
            self._files.note(shard, row)
            if values:
                yield Rows(shard, row - len(values), values)

    def starts(self, split: str) -> Sequence[int]:
        """See `Source`."""
        return self._files.starts(self._shards[split])

    def _value(self, sample: Members) -> Any:
        ends = _TEXT if self.kind == "text" else _IMAGES
        for end in ends:
            if end in sample:
                value = sample[end]
                return _text(value) if self.kind == "text" and isinstance(value, bytes) else value
        return Bad(
            f"the sample has {', '.join(sample)}, and none of: {', '.join(ends)}", "add the member, or drop the key"
        )

    def _label(self, sample: Members, name: str) -> Any:
        if "cls" in sample and list(self.names) == ["label"] and "json" not in sample:
            try:
                return int(_text(sample["cls"]))
            except (ValueError, TypeError):
                return Bad(f"cls holds {sample['cls']!r}", "write a whole number")
        return _parsed(sample.get("json", b"{}")).get(name)

    def _read(self, shard: str) -> Iterator[Members]:
        """The samples of a shard, up to where it is cut off."""
        seen, key, sample = set[str](), "", Members()
        try:
            with self._files.open(shard) as file, tarfile.open(fileobj=file, mode="r|") as tar:
                for member in tar:
                    if not member.isfile():
                        continue
                    folder, _, name = member.name.rpartition("/")
                    stem, _, end = name.partition(".")
                    if f"{folder}/{stem}" != key:
                        if sample:
                            yield sample
                        key, sample = f"{folder}/{stem}", {}
                        if key in seen:
                            self._faults.add(
                                shard, None, "", Bad(f"the key {stem} comes again", "write its members together")
                            )
                        seen.add(key)
                    content = tar.extractfile(member)
                    sample[end.lower()] = content.read() if content else b""
        except (tarfile.TarError, OSError, EOFError) as error:
            self._faults.add(shard, None, "", Bad(f"it is no tar file, or is cut off ({error})", _CUT_OFF))
            return
        if sample:
            yield sample


def _text(value: bytes | Bad) -> Any:
    if isinstance(value, Bad):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Bad("it is not UTF-8", "write it in UTF-8")


def _parsed(content: bytes | Bad) -> dict[str, Any]:
    try:
        parsed = json.loads(content) if isinstance(content, bytes) else {}
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
