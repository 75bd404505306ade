"""What `benchmarks.gpu` does on a GPU, at a size for a CPU: rows run or fail alone, workers send what is planned."""

import re
from pathlib import Path

import pytest

from benchmarks.gpu import Case, Size, table
from trainables.communication import step_sent_bytes

SIZE = Size(steps=2, batch=16, width=2, negatives=32)
ALONE, TWO, NCCL = Case(), Case(backend="gloo", workers=2), Case(backend="nccl")


def test_rows_run_on_a_cpu_and_the_one_that_needs_a_gpu_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table((ALONE, TWO, NCCL), SIZE, tmp_path) == 1
    alone, two, nccl = capsys.readouterr().out.splitlines()[2:]
    assert re.search(r"\| one worker \| [\d.]+ \| 1.00 \| \+0.0e\+00 \| 0 ", alone)
    assert "failed:" in nccl
    sent = float(re.findall(r"([\d,]+) \(planned", two)[0].replace(",", ""))
    assert sent == pytest.approx(step_sent_bytes(SIZE.config(TWO)), rel=0.01)
