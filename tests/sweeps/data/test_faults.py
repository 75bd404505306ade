"""A table of what is wrong with datasets: each is found, with its file, row and column, and what to do about it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

from sweeps.cli import app
from tests.sweeps.data.broken import (
    CUT,
    FILES,
    HUGE,
    SAMPLES,
    TRAIN,
    WIDE,
    Attack,
    arrays,
    cifar,
    folders,
    images,
    images_but,
    in_turn,
    labels_but,
    lines,
    named_label,
    shard,
    text,
    vectors,
)
from tests.sweeps.data.layouts import image_file


@dataclass(frozen=True)
class Row:
    """A fault: how it is made, and what is said: file, row and column, the rule, what to do."""

    name: str
    make: Callable[[Path], object]
    place: str
    rule: str
    fix: str
    exit: int = 2
    options: tuple[str, ...] = ()


PIXELS = ("--store", "pixels")
TABLE = [
    Row("no bytes", images_but(3, None), "train.parquet row 3 column image:", "has no bytes", "embed images"),
    Row(
        "no image",
        images_but(4, b"GIF?"),
        "train.parquet row 4 column image:",
        "it is no image",
        "fetch the image again",
    ),
    Row("cut off", images_but(5, CUT), "train.parquet row 5 column image:", "cut off", "drop the row"),
    Row(
        "another size",
        images_but(6, WIDE),
        "train.parquet row 6 column image:",
        "32 x 33 pixels",
        "--size",
        options=PIXELS,
    ),
    Row(
        "a bomb",
        images_but(7, HUGE),
        "train.parquet row 7 column image:",
        "larger than any image",
        "make it smaller",
        6,
    ),
    Row(
        "null label",
        labels_but(8, None),
        "train.parquet row 8 column label:",
        "there is no label",
        "leave the split out",
    ),
    Row("unlabelled", labels_but(9, -1), "train.parquet row 9 column label:", "there is no label", "label the row"),
    Row("negative", labels_but(9, -2), "train.parquet row 9 column label:", "-2 is none of 4 classes", "use 0 to 3"),
    Row("a gap", labels_but(9, 6), "train column label:", "2 of 7 classes have no sample", "without gaps"),
    Row("far out", labels_but(9, 10**12), "row 9 column label:", "is none of 41 classes", "use 0 to 40"),
    Row(
        "a fraction",
        lambda f: images(f, label=[0.5, *TRAIN.fine[1:]]),
        "row 0 column label:",
        "0.5 is no",
        "write the number",
    ),
    Row("beyond its names", named_label, "row 39 column label:", "4 is none of 4 classes", "'apple'"),
    Row(
        "no column", lambda f: images(f, image=None), "the columns label", "none of: img, image", "rename the one meant"
    ),
    Row(
        "torn Parquet",
        in_turn(images, lambda f: (f / "b.parquet").write_bytes(b"PAR1")),
        "b.parquet:",
        "cut off",
        "fetch it again",
    ),
    Row(
        "files differ",
        in_turn(images, lambda f: images(f, "test.parquet", label=None)),
        "test.parquet column label:",
        "the column is missing",
        "write all files alike",
    ),
    Row(
        "types differ",
        in_turn(images, lambda f: images(f, "z.parquet", label=[str(label) for label in TRAIN.fine])),
        "z.parquet column label:",
        "its type is string, and int64",
        "write all files alike",
    ),
    Row(
        "no train", lambda f: images(f, "test.parquet"), "train:", "no training split", "name files or folders by split"
    ),
    Row("no samples", lambda f: (f / "train.txt").write_text(""), "train:", "no samples", "leave it out"),
    Row(
        "no JSON",
        lambda f: lines(f, 11, b"{,}"),
        "train.jsonl row 11 column text:",
        "no JSON",
        "one object in each line",
    ),
    Row("no object", lambda f: lines(f, 12, b"[1]"), "train.jsonl row 12 column text:", "no JSON object", "one object"),
    Row("no key", lambda f: lines(f, 13, b'{"label": 1}'), "row 13 column text:", "no key text", "drop the line"),
    Row(
        "a number",
        lambda f: lines(f, 1, b'{"text": 1, "label": 1}'),
        "row 1 column text:",
        "a int, no text",
        "a string",
    ),
    Row(
        "half a character",
        lambda f: lines(f, 2, b'{"text": "\\ud83d", "label": 1}'),
        "row 2 column text:",
        "half of a character",
        "drop the row",
    ),
    Row(
        "half a character in a label",
        lambda f: lines(f, 2, b'{"text": "x", "label": "\\ud83d"}'),
        "row 2 column label:",
        "half of a",
        "drop the row",
    ),
    Row("too deep", lambda f: lines(f, 2, b"[" * 99_999), "row 2 column text:", "it is no JSON", "one object"),
    Row("empty text", lambda f: text(f, 14, b"  "), "train.txt row 14 column text:", "it is empty", "drop the row"),
    Row(
        "not UTF-8",
        lambda f: text(f, 15, b"na\xefve"),
        "train.txt row 15 column text:",
        "not UTF-8",
        "write it in UTF-8",
    ),
    Row(
        "objects", lambda f: arrays(f, images=np.array([{}])), "train_images.npy", "may run code", "allow_pickle=False"
    ),
    Row(
        "floats", lambda f: arrays(f, images=TRAIN.images / 255), "train_images.npy column images:", "float64", "uint8"
    ),
    Row("shape", lambda f: arrays(f, images=TRAIN.images.reshape(40, -1)), "column images:", "(40, 3072)", "N x H x W"),
    Row(
        "fewer labels",
        lambda f: arrays(f, label=np.arange(9)),
        "train_label.npy column label:",
        "(9,)",
        "one label for each",
    ),
    Row(
        "its name",
        lambda f: arrays(f, extra=np.arange(9)),
        "train_extra.npy column train_extra:",
        "says none of",
        "rename",
    ),
    Row(
        "not finite",
        lambda f: vectors(f, 16, [1, 2, np.inf, 4, 5, 6]),
        "row 16 column embedding:",
        "value 2 is inf",
        "again",
    ),
    Row(
        "no direction",
        lambda f: vectors(f, 17, [0] * 6),
        "row 17 column embedding:",
        "all its values are 0",
        "embed it again",
    ),
    Row(
        "width",
        lambda f: vectors(f, 18, [1, 2]),
        "row 18 column embedding:",
        "has 2 values, and the first embedding 6",
        "one encoder",
    ),
    Row("null vector", lambda f: vectors(f, 19, None), "row 19 column embedding:", "there is no value", "drop the row"),
    Row("torn shard", lambda f: shard(f, *SAMPLES, cut=50_000), "train-0.tar:", "cut off", "fetch the shard again"),
    Row(
        "no member", lambda f: shard(f, *SAMPLES, ("9.cls", b"1")), "row 40 column png:", "none of: jpg", "drop the key"
    ),
    Row(
        "no number",
        lambda f: shard(f, *SAMPLES[:-1], ("039.cls", b"x")),
        "row 39 column label:",
        "cls holds b'x'",
        "whole",
    ),
    Row(
        "a key again", lambda f: shard(f, *SAMPLES, *SAMPLES[:2]), "train-0.tar:", "the key 000 comes again", "together"
    ),
    Row(
        "no image file",
        lambda f: folders(f, ("train/dog/a.csv", b"")),
        "train/dog/a.csv",
        "it is no image",
        "remove it",
    ),
    Row(
        "two arrays of one split",
        in_turn(arrays, lambda f: np.savez(f / "train.npz", images=TRAIN.images)),
        "column train_images:",
        "train has its images in train.npz already",
        "join the arrays of a split into one",
    ),
    Row(
        "a misspelled split",
        lambda f: folders(f, ("trian/dog/a.png", FILES[0])),
        "trian column label:",
        "stands beside folders of splits",
        "call it one of",
    ),
    Row(
        "no class folder",
        lambda f: folders(f, ("train/a.png", FILES[0])),
        "train/a.png",
        "in no class folder",
        "move it",
    ),
    Row(
        "class unseen",
        lambda f: folders(f, ("test/eel/a.png", FILES[0])),
        "train column label:",
        "to train on: eel",
        "add samples",
    ),
    Row(
        "CIFAR torn",
        in_turn(cifar, lambda f: (f / "test").write_bytes(b"\x80\x02}")),
        "test:",
        "cut off",
        "fetch the file again",
    ),
    Row(
        "CIFAR shape",
        lambda f: cifar(f, data=np.zeros((4, 9), np.uint8)),
        "train column data:",
        "uint8 (4, 9)",
        "fetch",
    ),
    Row(
        "CIFAR labels",
        lambda f: cifar(f, fine_labels=[1]),
        "train column fine_label:",
        "1 labels, and 40 images",
        "fetch",
    ),
    Row("CIFAR missing", in_turn(cifar, lambda f: (f / "test").unlink()), "test:", "is missing", "fetch it"),
    Row(
        "CIFAR attack",
        lambda f: cifar(f, meta={"a": Attack()}),
        "__builtin__.eval",
        "no CIFAR file needs",
        "do not use",
        6,
    ),
]


def check(folder: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["data", "check", str(folder), "--unpickle", *options])


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_fault_is_found_and_nothing_is_ingested(row: Row, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    row.make(source)
    said = check(source, *row.options)
    assert said.exit_code == row.exit, said.output
    shown = [line for line in said.output.splitlines() if row.place in line]
    assert any(row.rule in line and row.fix in line for line in shown), said.output
    ingested = CliRunner().invoke(
        app, ["data", "ingest", str(source), str(tmp_path / "made"), "--unpickle", *row.options]
    )
    assert ingested.exit_code == row.exit
    assert not [path for path in tmp_path.glob("made/**/*") if path.is_file()]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    files = [{"bytes": b"" if row in (1, 20, 39) else each, "path": None} for row, each in enumerate(FILES)]
    images(tmp_path, image=files, label=[None if row in (2, 20) else label for row, label in enumerate(TRAIN.fine)])
    said = check(tmp_path, "--json")
    found = json.loads(said.stdout)["faults"]
    assert [(fault["row"], fault["column"]) for fault in found] == [
        (2, "label"),
        (20, "label"),
        (1, "image"),
        (20, "image"),
        (39, "image"),
    ]


def test_a_fault_of_every_row_hides_no_other(tmp_path: Path) -> None:
    files = [{"bytes": b"" if row == 30 else each, "path": None} for row, each in enumerate(FILES)]
    images(tmp_path, image=files, label=[row + 0.5 for row in range(40)])
    shown = check(tmp_path).stdout.splitlines()
    assert [line.split(":")[0] for line in shown if line.startswith("train.parquet")] == [
        *(f"train.parquet row {row} column label" for row in (0, 1, 2)),
        "train.parquet row 30 column image",
    ]
    assert shown[3] == "and 37 more like it (all: check --json)"
    assert len(json.loads(check(tmp_path, "--json").stdout)["faults"]) == 41


def test_faults_of_several_kinds_in_one_column_are_told_apart(tmp_path: Path) -> None:
    wrong: dict[int, Any] = {row: [0.0] * 6 for row in range(10)} | {
        20: [1.0, float("nan"), 3.0, 4.0, 5.0, 6.0],
        30: [1.0],
    }
    rows = [wrong.get(row, vector) for row, vector in enumerate(TRAIN.vectors.tolist())]
    parquet.write_table(pa.table({"embedding": rows}), tmp_path / "train.parquet")
    shown = check(tmp_path).stdout
    assert "and 7 more like it" in shown
    assert "row 20 column embedding: value 1 is nan" in shown
    assert "row 30 column embedding: it has 1 values" in shown


def test_a_source_without_faults_says_what_it_holds(tmp_path: Path) -> None:
    images(tmp_path)
    test = slice(30, 40)
    images(
        tmp_path,
        "test.parquet",
        image=[{"bytes": image_file(255 - pixels), "path": None} for pixels in TRAIN.images[test]],
        label=TRAIN.fine[test],
    )
    assert check(tmp_path).stdout.splitlines() == [
        f"{tmp_path}: images in the layout parquet, to be stored as pixels of 3 x 32 x 32",
        "  train: 40 samples",
        "  test: 10 samples",
        "  label: 4 classes, 10 samples each in train",
        "  validation: none; ingest takes a share of train (--validation)",
        f"{tmp_path}: no faults",
    ]
    assert json.loads(check(tmp_path, "--json").stdout)["holds"]["splits"] == {"train": 40, "test": 10}


def test_samples_of_train_in_test_are_a_caution(tmp_path: Path) -> None:
    images(tmp_path)
    half = slice(30, None)
    images(
        tmp_path, "test.parquet", image=[{"bytes": each, "path": None} for each in FILES[half]], label=TRAIN.fine[half]
    )
    said = check(tmp_path)
    assert said.exit_code == 0
    assert "caution: test row " in said.output
    assert "samples of test are in train, too; drop them from train" in said.output


def test_a_pixel_image_has_no_fault(tmp_path: Path) -> None:
    Image.new("L", (32, 32)).save(tmp_path / "grey.png")
    images_but(3, (tmp_path / "grey.png").read_bytes())(tmp_path)
    (tmp_path / "grey.png").unlink()
    assert check(tmp_path).exit_code == 0


def test_a_split_without_labels_is_left_out_on_request(tmp_path: Path) -> None:
    images(tmp_path)
    images(tmp_path, "test.parquet", label=[-1] * 40)
    assert check(tmp_path).exit_code == 2
    assert check(tmp_path, "--split", "train").exit_code == 0
