"""Parquet in the Hugging Face layout: files named by split, images as bytes and path, and named class labels."""

import json
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from sweeps.data.faults import Bad, Faults
from sweeps.data.files import Files, by_split
from sweeps.data.source import COLUMNS, LABELS, ROWS, LabelRows, Rows
from sweeps.refusals import Refusal
from trainables.datasets.manifest import Kind

_NO_BYTES = Bad("the image has no bytes", "embed images in the file (datasets: `cast_column` with decode=False)")
_UNLIKE = Bad(
    "the column is missing, and other files have it", "write all files alike, or leave the split out (--split)"
)
_NULL = Bad("there is no value", "drop the row")


class Parquet:
    """`img` or `image`, `text` or `sentence`, or `embedding` as a list of numbers; labels as in `LABELS`."""

    def __init__(self, files: Files, faults: Faults) -> None:
        self._faults = faults
        self._files = {name: opened for name in files.ending(".parquet") if (opened := self._open(files, name))}
        if not self._files:
            raise Refusal(f"no Parquet file of {files.uri} can be read: {'; '.join(map(str, faults))}")
        schemas = [opened.schema_arrow for opened in self._files.values()]
        self._schema = schemas[0]
        self.kind, self.column = self._samples(files.uri)
        self._described = _described(self._schema)
        self.names = {
            name: self._class_names(name) for name in LABELS if any(name in schema.names for schema in schemas)
        }
        types: dict[str, pa.DataType] = {}
        self._split_files = by_split([name for name in self._files if self._fits(name, types)])
        self.splits = tuple(self._split_files)
        self.licence = self._described.get("license") or None

    def labels(self, split: str) -> Iterator[LabelRows]:
        """See `Source`."""
        for name in self._split_files[split]:
            if not self.names:
                yield LabelRows(name, 0, self._files[name].metadata.num_rows, {})
                continue
            first = 0
            for batch in self._batches(name, 0, list(self.names)):
                columns = {column: batch.column(column).to_pylist() for column in self.names}
                yield LabelRows(name, first, batch.num_rows, columns)
                first += batch.num_rows

    def samples(self, split: str, start: int) -> Iterator[Rows]:
        """See `Source`."""
        for name in self._split_files[split]:
            rows = self._files[name].metadata.num_rows
            first = start
            for batch in self._batches(name, start, [self.column]):
                yield Rows(name, first, self._values(batch.column(0)))
                first += batch.num_rows
            start = max(0, start - rows)

    def starts(self, split: str) -> Sequence[int]:
        """See `Source`. Where row groups begin."""
        files = (self._files[name].metadata for name in self._split_files[split])
        rows = (file.row_group(group).num_rows for file in files for group in range(file.num_row_groups))
        return list(accumulate(rows, initial=0))[:-1]

    def _batches(self, name: str, start: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """From row `start` of a file on; row groups before it are not read."""
        metadata = self._files[name].metadata
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if start < rows:
                yield from self._group(name, group, start, columns)
            start = max(0, start - rows)

    def _group(self, name: str, group: int, start: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._files[name].iter_batches(ROWS, [group], columns):
                if start < batch.num_rows:
                    yield batch.slice(start)
                start = max(0, start - batch.num_rows)
        except (pa.ArrowException, OSError) as error:
            self._faults.add(name, None, "", Bad(f"a page of row group {group} is damaged ({error})", "fetch it again"))

    def _values(self, column: pa.Array) -> list[Any]:
        if pa.types.is_struct(column.type):
            return [_NO_BYTES if value is None else value for value in column.field("bytes").to_pylist()]
        if self.kind == "embeddings":
            return [value.values.to_numpy(zero_copy_only=False) if value.is_valid else _NULL for value in column]
        return [_NULL if value is None else value for value in column.to_pylist()]

    def _open(self, files: Files, name: str) -> parquet.ParquetFile | None:
        try:
            return parquet.ParquetFile(files.open(name), page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            self._faults.add(name, None, "", Bad(f"it is no Parquet file, or is cut off ({error})", "fetch it again"))
            return None

    def _samples(self, uri: str) -> tuple[Kind, str]:
        for kind, columns in COLUMNS.items():
            for column in columns:
                if column in self._schema.names:
                    return kind, column
        known = ", ".join(column for columns in COLUMNS.values() for column in columns)
        raise Refusal(
            f"{uri} has the columns {', '.join(self._schema.names)}, and none of: {known}; rename the one meant"
        )

    def _fits(self, name: str, types: dict[str, pa.DataType]) -> bool:
        """Whether a file has all columns, of the types that the first file gives them."""
        schema = self._files[name].schema_arrow
        for column in (self.column, *self.names):
            if column not in schema.names:
                self._faults.add(name, None, column, _UNLIKE)
                return False
            found, wanted = schema.field(column).type, types.setdefault(column, schema.field(column).type)
            if found != wanted:
                bad = Bad(f"its type is {found}, and {wanted} in the first file", "write all files alike")
                self._faults.add(name, None, column, bad)
                return False
        return True

    def _class_names(self, column: str) -> tuple[str, ...] | None:
        names = self._described.get("features", {}).get(column, {}).get("names")
        return tuple(map(str, names)) if names else None


def _described(schema: pa.Schema) -> dict[str, Any]:
    """What the Hugging Face library says of its features, in the schema."""
    try:
        return dict(json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}))
    except (ValueError, AttributeError):
        return {}
