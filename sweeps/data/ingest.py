"""From a source to a dataset: labels, then splits, then samples, checked and written in one pass.

The first fault ends the writing and not the reading, so that all faults are told at once; `examine` without a folder to
write to is the check of a source. Blocks are written whole, each under a name that holds its SHA-256, and the manifest
last. So an ingest that was killed goes on, in the same command, after the last block: from the same source by the same
request, which `ingest.json` tells apart.
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from search_spaces.secrets import redacted
from sweeps.data.content import Content
from sweeps.data.conversion import Conversion, converted_here, sample_hash
from sweeps.data.faults import Bad, Faults
from sweeps.data.files import Files
from sweeps.data.labels import Labels, check_classes, read_labels
from sweeps.data.samples import Converter, converter
from sweeps.data.source import ROWS, Source
from sweeps.data.spans import spans
from sweeps.data.splitting import Target, targets
from sweeps.data.writer import SplitWriter
from sweeps.refusals import Refusal
from trainables.base import Config
from trainables.datasets.blocks import stored_samples
from trainables.datasets.manifest import LAYOUT, MANIFEST, Manifest, Split, Stored, write_manifest
from trainables.storage import Storage

JOURNAL = "ingest.json"

_NOBODY = -1

Progress = Callable[[int, int], None]


class Request(Config):
    """What is asked for beside the source. Shares are of each class."""

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    store: Stored | None = None
    size: int | None = None
    licence: str | None = None


def ingest(
    source: Source,
    files: Files,
    request: Request,
    storage: Storage,
    faults: Faults,
    progress: Progress,
    conversion: Conversion = converted_here,
) -> Manifest | None:
    """Write a dataset, or go on where an ingest of the same was killed. None if there are faults: nothing is left then.

    The dataset is the same wherever samples are converted. Raises `Refusal` if the folder holds a dataset, or an
    unfinished one of something else.
    """
    begin(storage, files, request)
    writing = Examination(source, request, faults, progress, storage, conversion)
    manifest = writing.run(files.uri)
    if manifest:
        write_manifest(storage, manifest)
    else:
        for writer in writing.writers:
            for name in storage.folder(writer.name).names():
                storage.delete(f"{writer.name}/{name}")
    storage.delete(JOURNAL)
    return manifest


def begin(storage: Storage, files: Files, request: Request) -> None:
    """Note what is ingested here, or make sure that it is what was begun here."""
    there = storage.names()
    if MANIFEST in there:
        raise Refusal(f"{storage.uri} already holds a dataset; give a new folder")
    asked = {"layout": LAYOUT, "source": files.stamps(), "request": request.to_json()}
    journal = json.dumps({"sha256": hashlib.sha256(json.dumps(asked).encode()).hexdigest(), **asked}).encode()
    if JOURNAL not in there:
        storage.write(JOURNAL, journal)
    elif storage.read(JOURNAL) != journal:
        raise Refusal(
            f"{storage.uri} holds an unfinished ingest of another source, of files that have changed since, or with "
            "other options; delete the folder, or give a new one"
        )


class Examination:
    """One pass over a source; it writes where there is a folder, as long as there is no fault.

    `held` is what the source holds, once it was run without one: nothing has been carved out of its train yet.
    """

    def __init__(
        self,
        source: Source,
        request: Request,
        faults: Faults,
        progress: Progress,
        storage: Storage | None = None,
        conversion: Conversion = converted_here,
    ) -> None:
        self.source, self.request, self.faults, self.progress = source, request, faults, progress
        self.storage, self.conversion = storage, conversion
        self.writers: list[SplitWriter] = []
        self.hashes: dict[str, array[int]] = {}
        self.done = 0
        self.held: Content | None = None

    def run(self, uri: str) -> Manifest | None:
        """The manifest of what was written, or would be; None if there are faults."""
        labels = read_labels(self.source, self.faults)
        if not self._enough(labels):
            return None
        planned = targets(labels, self.request.validation, self.request.test, self.request.seed)
        numbers = {target.name: _chosen(labels, target) for target in planned}
        check_classes(labels, numbers["train"], self.faults)
        convert = self._converter()
        self.writers = [
            SplitWriter(self.storage, t.name, convert.stored, numbers[t.name]) for t in planned if self.storage
        ]
        self.hashes = {target.name: self._taken_over(target.name, convert) for target in planned}
        total = sum(len(target.rows) for target in planned)
        for split in self.source.splits:
            self._read(split, [target for target in planned if target.source == split], labels, convert, total)
        for writer in self.writers:
            if not self.faults.refuse:
                writer.flush()
        self._find_copies()
        if self.faults.refuse:
            return None
        counts = {column: _per_class(labels.numbers["train"], labels, column) for column in labels.classes}
        self.held = Content(self.source.kind, convert.stored, convert.shape, labels.rows, counts)
        return self._manifest(uri, labels, planned, numbers, convert)

    def _enough(self, labels: Labels) -> bool:
        for split, count in labels.rows.items():
            if not count:
                self.faults.add(split, None, "", Bad("the split has no samples", "add some, or leave it out (--split)"))
        if not labels.rows.get("train"):
            known = ", ".join(labels.rows) or "none"
            bad = Bad(f"there is no training split, only: {known}", "name files or folders by split, such as train-0")
            self.faults.add("train", None, "", bad)
        return all(labels.rows.values()) and "train" in labels.rows

    def _converter(self) -> Converter:
        every = (value for rows in self.source.samples("train", 0) for value in rows.values)
        return converter(self.source, list(islice(every, ROWS)), self.request.store, self.request.size)

    def _taken_over(self, name: str, convert: Converter) -> "array[int]":
        """The hashes of the samples that are written already."""
        batches = (batch for writer in self.writers if writer.name == name for batch in writer.found())
        samples = (sample for batch in batches for sample in stored_samples(convert.stored, convert.shape, batch))
        hashes = array("Q", map(sample_hash, samples))
        self.done += len(hashes)
        return hashes

    def _read(self, split: str, planned: list[Target], labels: Labels, convert: Converter, total: int) -> None:
        """Read a split from the first row on that is not written yet."""
        missing = [target.rows[len(self.hashes[target.name]) :] for target in planned]
        row = min((int(rows[0]) for rows in missing if len(rows)), default=None)
        if row is None:
            return
        owner = np.full(sum(len(target.rows) for target in planned), _NOBODY, dtype=np.int8)
        for number, rows_missing in enumerate(missing):
            owner[rows_missing] = number
        writers = {writer.name: writer for writer in self.writers}
        starts = self.source.starts(split)
        for converted in self.conversion(self.source, split, spans(starts, row, labels.rows[split]), convert):
            rows = converted.rows
            for offset, (value, hashed) in enumerate(zip(rows.values, converted.hashes, strict=True)):
                number = owner[row + offset]
                if isinstance(value, Bad):
                    self.faults.add(rows.file, rows.first + offset, self.source.column, value)
                elif number != _NOBODY:
                    name = planned[number].name
                    self.hashes[name].append(hashed)
                    if name in writers and not self.faults.refuse:
                        writers[name].add(value)
            row += len(rows)
            self.done += len(rows)
            self.progress(min(self.done, total), total)
        if row != labels.rows[split] and not self.faults.refuse:
            raise Refusal(
                f"a split does not change while it is read, and {split} had {labels.rows[split]:,} rows when its "
                f"labels were read, and {row:,} when its samples were. Ingest it again"
            )

    def _find_copies(self) -> None:
        """Samples of one split that are in another, too: what is measured on them is not generalisation."""
        arrays = {name: np.asarray(hashes, dtype=np.uint64) for name, hashes in self.hashes.items()}
        for one, other in combinations(arrays, 2):
            copies = np.flatnonzero(np.isin(arrays[other], arrays[one]))
            if len(copies):
                rule = f"{len(copies)} samples of {other} are in {one}, too"
                self.faults.caution(other, int(copies[0]), self.source.column, rule, f"drop them from {one}")

    def _manifest(
        self,
        uri: str,
        labels: Labels,
        planned: Sequence[Target],
        numbers: dict[str, dict[str, NDArray[np.int64]]],
        convert: Converter,
    ) -> Manifest:
        blocks = {writer.name: tuple(writer.blocks) for writer in self.writers}
        splits = {}
        for target in planned:
            counts = {column: _per_class(numbers[target.name], labels, column) for column in labels.classes}
            splits[target.name] = Split(blocks=blocks.get(target.name, ()), per_class=counts)
        return Manifest(
            kind=self.source.kind,
            stored=convert.stored,
            shape=convert.shape,
            classes=dict(labels.classes),
            splits=splits,
            licence=self.request.licence or self.source.licence or "unknown",
            source=redacted(uri),
        )


def _chosen(labels: Labels, target: Target) -> dict[str, NDArray[np.int64]]:
    return {column: numbers[target.rows] for column, numbers in labels.numbers[target.source].items()}


def _per_class(numbers: Mapping[str, NDArray[np.int64]], labels: Labels, column: str) -> tuple[int, ...]:
    return tuple(np.bincount(numbers[column], minlength=len(labels.classes[column])).tolist())
