"""What a step of CRD costs: the product's in its three modes, and one that gathers every negative into memory.

    python -m benchmarks.contrast [--threads 2] [--repeats 5] [--quick]

A step is two embed layers (256 to 128), the negatives' draws, the loss with its value, the backward pass and the update
of both banks; batch 64, width 128. The baseline (`benchmarks.materialised_crd`) gathers (64, K + 1, 128) rows for both
directions and lets autograd go back through them. Its second row has malloc told not to give memory back: else much of
its time is page faults. Each cell is the least wall time of some processes of its own; modes and baseline take turns.

The machine's limits are measured in the same run: products of the shapes that the step has (64 anchors with 2,048 rows
of 128, and back), square ones (1024 x 1024), and reading rows by index. "of GEMM" is the nominal arithmetic of a step
over its time and the first rate, "of square" over the second, which no product with 64 anchors reaches. Exit 1 if a
claim fails.
"""

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BATCH, WIDTH, FEATURES, TEMPERATURE = 64, 128, 256, 0.07
MODES = ("exact", "shared", "full")
BASELINE, TUNED = "materialised", "materialised, malloc tuned"
TUNED_MALLOC = {f"MALLOC_{name}_THRESHOLD_": str(2**34) for name in ("MMAP", "TRIM")}
MIB = 2**20


@dataclass(frozen=True)
class Cell:
    """A kind of step at one size."""

    kind: str
    bank: int
    negatives: int
    dtype: str = "float32"

    def flops(self) -> int:
        """Products of anchors and rows, and their gradient, in both directions."""
        rows = self.bank if self.kind == "full" else self.negatives
        return 2 * 4 * BATCH * rows * WIDTH


@dataclass(frozen=True)
class Timing:
    seconds: float
    extra_mib: float


Loss = Callable[[Any, Any, Any], Any]  # of student's and teacher's embeddings, and samples


def product_loss(cell: Cell) -> Loss:
    """Memory, sampler and loss of the product, as a trial puts them together."""
    import torch

    from trainables.memory.bank import Bank
    from trainables.negatives.uniform import Uniform
    from trainables.objectives.crd import CRD
    from trainables.protocols import Anchors, Batch, Contrast, Shapes
    from trainables.world import SingleWorld

    shapes = Shapes(BATCH, WIDTH, cell.negatives, cell.bank, classes=10, samples=cell.bank)
    memory = Bank.model_validate({"size": cell.bank, "dtype": cell.dtype}).build(shapes, torch.Generator())
    sampler = Uniform.model_validate({"mode": cell.kind}).build()
    objective, world, generator = CRD(temperature=TEMPERATURE).build(), SingleWorld(), torch.Generator()

    def loss(student_BD: Any, teacher_BD: Any, sample_B: Any) -> Any:
        batch = Batch(sample_B, student_BD, teacher_BD)
        rows, positives = memory.rows(batch), memory.positives(batch)
        anchors = Anchors(sample_B, student_BD.detach(), teacher_BD.detach())
        draws = sampler.draw(anchors, rows, cell.negatives, generator)
        found = objective(Contrast(sample_B, sample_B, student_BD, teacher_BD, *positives, rows, draws), world)
        memory.write(batch)
        return found

    return loss


def baseline_loss(cell: Cell) -> Loss:
    from benchmarks.materialised_crd import MaterialisedCRD

    return MaterialisedCRD(cell.bank, width=WIDTH, negatives=cell.negatives, temperature=TEMPERATURE)


def step_of(cell: Cell) -> Callable[[], float]:
    """A step, whose answer is the loss."""
    import torch
    from torch.nn.functional import normalize

    loss = baseline_loss(cell) if cell.kind.startswith(BASELINE) else product_loss(cell)
    torch.manual_seed(0)
    heads = [torch.nn.Linear(FEATURES, WIDTH) for _ in range(2)]
    features = [torch.randn(BATCH, FEATURES) for _ in range(2)]
    number = itertools.count()

    def step() -> float:
        sample_B = (torch.arange(BATCH) * 61 + 7 * next(number)) % cell.bank
        student_BD, teacher_BD = (normalize(head(x), dim=1) for head, x in zip(heads, features, strict=True))
        found = loss(student_BD, teacher_BD, sample_B)
        found.backward()
        return float(found.item())

    return step


def measure(cell: Cell, threads: int, seconds: float) -> Timing:
    """In this process: the least time of a step, and by how much the process grew over what it held before."""
    import torch

    torch.set_num_threads(threads)
    step = step_of(cell)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - began < seconds:
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Timing(min(times[1:]), grown * 1024 / MIB)


def limits(threads: int) -> list[float]:
    """FLOP a second of products of a step's shapes and of square ones, and bytes a second of reading scattered rows."""
    import torch

    torch.set_num_threads(threads)
    square, bank = torch.randn(1024, 1024), torch.randn(50_000, WIDTH)
    row = torch.randint(len(bank), (16_384,))
    out = torch.empty(len(row), WIDTH)

    def least(work: Callable[[], Any]) -> float:
        times = []
        for _ in range(30):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
        return min(times)

    anchor, score, back = torch.randn(BATCH, WIDTH), torch.empty(BATCH, 2048), torch.zeros(BATCH, WIDTH)

    def there_and_back() -> None:
        for start in range(0, len(row), 2048):
            torch.mm(anchor, bank[start : start + 2048].T, out=score)
            back.addmm_(score, bank[start : start + 2048])

    return [
        2 * 2 * BATCH * WIDTH * len(row) / least(there_and_back),
        2 * 1024**3 / least(lambda: square @ square),
        out.nbytes / least(lambda: torch.index_select(bank, 0, row, out=out)),
    ]


def in_a_process(arguments: list[str], environment: dict[str, str]) -> Any:
    command = [sys.executable, "-m", "benchmarks.contrast", *arguments]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


class Table:
    """Cells measured in turns, and what they come to."""

    def __init__(self, cells: list[Cell], threads: int, repeats: int, seconds: float) -> None:
        self.timings: dict[Cell, Timing] = {}
        self.gemm = self.square = self.memory = 0.0
        for _ in range(repeats):
            found = in_a_process(["--limits", "--threads", str(threads)], {})
            known = self.gemm, self.square, self.memory
            self.gemm, self.square, self.memory = map(max, zip(found, known, strict=True))
            for cell in cells:
                self._measure(cell, threads, seconds)

    def _measure(self, cell: Cell, threads: int, seconds: float) -> None:
        environment = TUNED_MALLOC if cell.kind == TUNED else {}
        asked = ["--cell", json.dumps(vars(cell)), "--threads", str(threads), "--seconds", str(seconds)]
        found = Timing(**in_a_process(asked, environment))
        known = self.timings.get(cell, found)
        self.timings[cell] = Timing(min(found.seconds, known.seconds), max(found.extra_mib, known.extra_mib))

    def ratio(self, cell: Cell, kind: str = BASELINE) -> float:
        """How many times faster than the baseline of the same size; nan where that was not measured."""
        base = self.timings.get(Cell(kind, cell.bank, cell.negatives))
        return base.seconds / self.timings[cell].seconds if base else float("nan")

    def of_gemm(self, cell: Cell) -> float:
        return cell.flops() / self.timings[cell].seconds / self.gemm

    def of_memory(self, cell: Cell) -> float:
        """Rows read once, beside the rate at which rows can be read."""
        rows = min(cell.bank, cell.negatives * (1 if cell.kind == "shared" else BATCH))
        read = 2 * WIDTH * 4 * (cell.bank if cell.kind == "full" else rows)
        return read / self.timings[cell].seconds / self.memory

    def line(self, cell: Cell) -> str:
        timing = self.timings[cell]
        name = cell.kind + (", bfloat16 rows" if cell.dtype != "float32" else "")
        cells = [f"{cell.bank:,}", f"{cell.negatives:,}", name, f"{timing.seconds * 1e3:.1f}"]
        cells += [f"{self.ratio(cell, kind):.1f}" for kind in (BASELINE, TUNED)]
        shares = self.of_gemm(cell), self.of_gemm(cell) * self.gemm / self.square, self.of_memory(cell)
        cells += [f"{timing.extra_mib:.0f}", *(f"{share:.0%}" for share in shares)]
        return "| " + " | ".join(cells) + " |"


def claims(table: Table) -> list[tuple[str, bool]]:
    """What is asked of the modes, at a bank of 50,000."""
    found = []
    for negatives, kind, factor in (
        (16_384, "exact", 15),
        (16_384, "shared", 40),
        (16_384, "full", 20),
        (65_536, "exact", 80),
        (65_536, "full", 120),
    ):
        ratio = table.ratio(Cell(kind, 50_000, negatives))
        found.append((f"{kind} at {negatives:,} negatives: {ratio:.1f}x, at least {factor}x", ratio >= factor))
    base = table.timings[Cell(BASELINE, 50_000, 16_384)].extra_mib
    for kind in MODES:
        share = table.timings[Cell(kind, 50_000, 16_384)].extra_mib / base
        found.append((f"{kind}: extra memory {share:.1%} of the baseline's, at most 5%", share <= 0.05))
    for kind, negatives in (("shared", 16_384), ("full", 16_384)):
        share = table.of_gemm(Cell(kind, 50_000, negatives))
        found.append((f"{kind} reaches {share:.0%} of the GEMM rate, at least 50%", share >= 0.5))
    for kind, cells in (
        ("full from 1,024 to 65,536 negatives", [Cell("full", 50_000, k) for k in (1_024, 65_536)]),
        ("shared from a bank of 5,000 to 500,000", [Cell("shared", n, 4_096) for n in (5_000, 500_000)]),
    ):
        times = [table.timings[cell].seconds for cell in cells]
        found.append((f"{kind}: {max(times) / min(times):.2f}x, at most 1.5x", max(times) <= 1.5 * min(times)))
    return found


def all_cells(quick: bool) -> list[Cell]:
    sizes = [(50_000, 1_024), (50_000, 16_384), (50_000, 65_536), (5_000, 4_096), (500_000, 4_096)]
    cells = []
    for bank, negatives in sizes:
        baselines = () if quick and negatives == 65_536 else (BASELINE, TUNED)
        cells += [Cell(kind, bank, negatives) for kind in (*baselines, *MODES)]
    return cells + [Cell(kind, 50_000, 16_384, "bfloat16") for kind in MODES]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="processes per cell")
    parser.add_argument("--seconds", type=float, default=3.0, help="steps are repeated for so long in each")
    parser.add_argument("--quick", action="store_true", help="without the baseline at 65,536 negatives, and no verdict")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--limits", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.limits:
        print(json.dumps(limits(given.threads)))
        return 0
    if given.cell:
        print(json.dumps(vars(measure(Cell(**json.loads(given.cell)), given.threads, given.seconds))))
        return 0
    table = Table(all_cells(given.quick), given.threads, given.repeats, given.seconds)
    rates = (
        f"GEMM {table.gemm / 1e9:.0f} GFLOP/s, square {table.square / 1e9:.0f}, row reads {table.memory / 1e9:.1f} GB/s"
    )
    print(f"{given.threads} threads: {rates}\n")
    print(
        "| bank | negatives | step | ms | times faster | than tuned | extra MiB | of GEMM | of square | of row reads |"
    )
    print("|---" * 10 + "|")
    for cell in table.timings:
        print(table.line(cell))
    verdict = [] if given.quick else claims(table)
    for text, holds in verdict:
        print(f"{'holds' if holds else 'FAILS'}: {text}")
    return 0 if all(holds for _, holds in verdict) else 1


if __name__ == "__main__":
    sys.exit(main())
