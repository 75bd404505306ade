"""What a dataset is, in one file beside its blocks: kind, schema, splits, counts, licence, and a SHA-256 of each block.

The manifest is written last, so a folder without one is no dataset yet. Its text is canonical and holds its own
SHA-256: a flipped bit in it is seen like one in a block.
"""

import functools
import hashlib
import json
from itertools import accumulate
from typing import Any, Literal

from pydantic import Field, ValidationError

from trainables.base import Config
from trainables.outcomes import DamagedFile, NewerFile
from trainables.storage import Storage

#: Version of the layout: raise it whenever an older program would misread a dataset.
LAYOUT = 1
MANIFEST = "manifest.json"

Kind = Literal["images", "text", "embeddings"]

#: How a sample is stored: `pixels` are uint8 images of one shape, `encoded` are image files of any size (JPEG, PNG),
#: `text` is a string, `vector` holds float32.
Stored = Literal["pixels", "encoded", "text", "vector"]


class Block(Config):
    """A file of consecutive samples of a split: one Arrow record batch, not compressed, so that it can be mapped."""

    file: str
    rows: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Split(Config):
    """Consecutive blocks. `per_class` counts the samples of each class, for each column of labels."""

    blocks: tuple[Block, ...]
    per_class: dict[str, tuple[int, ...]]

    @functools.cached_property
    def samples(self) -> int:
        """N: samples of the split."""
        return sum(block.rows for block in self.blocks)

    @functools.cached_property
    def ends(self) -> tuple[int, ...]:
        """For each block, the number of samples up to its end."""
        return tuple(accumulate(block.rows for block in self.blocks))


class Manifest(Config):
    """See the module. `shape` is (C, H, W) of pixels, (D,) of vectors, and empty for what has no fixed shape.

    `classes` maps each column of labels to the names of its classes, in the order of their numbers; the first column is
    the default. `source` says where the data came from, `licence` under which terms.
    """

    layout: int = Field(LAYOUT, ge=1, le=LAYOUT)
    kind: Kind
    stored: Stored
    shape: tuple[int, ...]
    classes: dict[str, tuple[str, ...]]
    splits: dict[str, Split] = Field(min_length=1)
    licence: str
    source: str

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the content: schema, classes, splits and blocks; not of where it came from."""
        return _sha256(self.model_dump(mode="json", exclude={"licence", "source"}))

    @property
    def samples(self) -> int:
        """Samples of all splits."""
        return sum(split.samples for split in self.splits.values())


def write_manifest(storage: Storage, manifest: Manifest) -> None:
    """Make the blocks in a folder a dataset."""
    storage.write(MANIFEST, _text(manifest))


def read_manifest(storage: Storage) -> Manifest:
    """The manifest of a dataset.

    Raises FileNotFoundError if the folder holds none, `DamagedFile` if it is not what was written, and `NewerFile` if a
    newer version wrote it.
    """
    text, file = storage.read(MANIFEST), storage.address(MANIFEST)
    try:
        stored = json.loads(text)["manifest"]
        if int(stored["layout"]) > LAYOUT and text == _sealed(stored):
            raise NewerFile(file, int(stored["layout"]), LAYOUT)
        manifest = Manifest.model_validate_json(json.dumps(stored))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise DamagedFile(f"{file} is not the manifest of a dataset ({error}); ingest it again") from error
    if text != _text(manifest):
        raise DamagedFile(f"{file} does not match the SHA-256 that it holds; ingest the dataset again")
    return manifest


def _text(manifest: Manifest) -> bytes:
    return _sealed(manifest.model_dump(mode="json"))


def _sealed(content: dict[str, Any]) -> bytes:
    return json.dumps({"manifest": content, "sha256": _sha256(content)}, indent=1, ensure_ascii=False).encode()


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
