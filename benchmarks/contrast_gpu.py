"""What the sums over negatives cost on a GPU: the Triton kernel, the PyTorch form, and everything materialised.

    python -m benchmarks.contrast_gpu [--repeats 20]

`noise_surprisal` with its gradient in both directions (two sets of 1,024 anchors, two banks of 50,000 rows, width 128),
at 65,536 negatives, and in exact mode at 4,096, where rows are picked one by one; banks in float32 and bfloat16. The
draws are made beforehand; counting them is part of the time. "materialised" gathers every negative, (B, K, D), scores
by `bmm` in the type of the bank, and lets autograd go back through it, some anchors at a time where the memory is
short. Median of CUDA events after a warm-up. Needs one CUDA device, torch, Triton and pydantic, not Ray; exit 2 without
a device.

The floor of each row is the larger of two times, at rates measured in the same run. Products: 4 B R D operations a
direction (scores and gradient, R rows held against), at the rate of a large product in the bank's type, float32 without
TF32. Bytes: what has to be moved at least, at the rate of a large copy, which reads and writes: rows once; where draws
are counted, also B x M counts written and read, and the draws read; where they are picked, B x K x D; materialised,
four times that. Rows that stay in the second-level cache may beat it. On bfloat16 the kernel makes three products where
the floor has one, to keep the digits of float32: where products bind, its share cannot exceed a third. On float32 it
makes them of three in TF32, which are faster than the one that the floor counts.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from trainables.draws import Draws
from trainables.kernels import triton_sums
from trainables.kernels.blocks import one_by_one
from trainables.kernels.nce import noise_surprisal

ANCHORS, BANK, WIDTH, SCALE = 1_024, 50_000, 128, 1 / 0.07
FORMS = ("materialised", "pytorch", "triton")
GATHERED = 2**33  # bytes that the materialised form gathers at a time
MIB = 2**20

Step = Callable[[], list[Tensor]]


@dataclass(frozen=True)
class Case:
    """One mode at one number of negatives, and what the banks are kept in."""

    mode: str
    negatives: int
    dtype: torch.dtype

    def draws(self, device: str) -> Draws:
        """As the samplers make them."""
        K = self.negatives
        if self.mode == "full":
            return Draws(K, BANK, weight_BR=torch.full((ANCHORS, 1), K / BANK, device=device))
        return Draws(K, BANK, torch.randint(BANK, (1 if self.mode == "shared" else ANCHORS, K), device=device))

    def floor(self, form: str, draws: Draws, product: float, copy: float) -> float:
        """Seconds of both directions; `product` in operations a second, `copy` in bytes read or written a second."""
        size = self.dtype.itemsize
        picked = ANCHORS * self.negatives * WIDTH * size
        if form == "materialised":
            held, moved = self.negatives, 4 * picked
        elif one_by_one(draws):
            held, moved = self.negatives, picked
        else:
            held = self.negatives if self.mode == "shared" else BANK
            counts = ANCHORS * (2 * 4 * BANK + 8 * self.negatives) if self.mode == "exact" else 0
            moved = min(held, BANK) * WIDTH * size + counts
        return 2 * max(4 * ANCHORS * held * WIDTH / product, moved / copy)


def cases() -> list[Case]:
    sizes = [("exact", 4_096), ("exact", 65_536), ("shared", 65_536), ("full", 65_536)]
    return [Case(mode, negatives, dtype) for dtype in (torch.float32, torch.bfloat16) for mode, negatives in sizes]


def step(form: str, case: Case, draws: Draws, device: str) -> Step:
    """Value and gradient in both directions."""
    torch.manual_seed(0)
    anchors = [normalize(torch.randn(ANCHORS, WIDTH, device=device), dim=1).requires_grad_() for _ in range(2)]
    banks = [normalize(torch.randn(BANK, WIDTH, device=device), dim=1).to(case.dtype) for _ in range(2)]
    log_noise = torch.tensor(10.0, device=device)
    drawn_BK = torch.randint(BANK, (ANCHORS, case.negatives), device=device) if form == "materialised" else None

    def direction(anchor_BD: Tensor, rows_MD: Tensor) -> Tensor:
        if drawn_BK is not None:
            return materialised(anchor_BD, rows_MD, drawn_BK, log_noise)
        value_B = noise_surprisal(
            anchor_BD, rows_MD, replace(draws), SCALE, log_noise
        )  # a copy has counted nothing yet
        return torch.autograd.grad(value_B.sum(), anchor_BD)[0]

    def both() -> list[Tensor]:
        triton_sums.DEVICE = "cuda" if form == "triton" else "none"
        return [direction(*given) for given in zip(anchors, banks, strict=True)]

    return both


def materialised(anchor_BD: Tensor, rows_MD: Tensor, row_BK: Tensor, log_noise: Tensor) -> Tensor:
    some = max(1, GATHERED // (row_BK.shape[1] * rows_MD[0].nbytes))
    gradients = []
    for anchor_bD, row_bK in zip(anchor_BD.split(some), row_BK.split(some), strict=True):
        rows_bKD = rows_MD.index_select(0, row_bK.reshape(-1)).view(*row_bK.shape, -1)
        score_bK = torch.bmm(rows_bKD, anchor_bD.to(rows_MD.dtype).unsqueeze(2)).squeeze(2)
        value_b = softplus(score_bK.float() * SCALE - log_noise).sum(dim=1)
        gradients.append(torch.autograd.grad(value_b.sum(), anchor_bD)[0])
    return torch.cat(gradients)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The median; what is compiled or taken on first use is left out."""
    for _ in range(3):
        work()
    found: list[float] = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / 1e3)
    return statistics.median(found)


def extra_bytes(work: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def product_rate(dtype: torch.dtype, repeats: int) -> float:
    """Operations a second of a large product."""
    side = 8_192
    left, right = (torch.randn(side, side, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, repeats)


def copy_rate(repeats: int) -> float:
    """Bytes a second, read or written."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds(lambda: target.copy_(source), repeats)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    if not torch.cuda.is_available():
        print("no CUDA device: nothing to measure")
        return 2
    torch.backends.cuda.matmul.allow_tf32 = False
    products = {dtype: product_rate(dtype, repeats) for dtype in (torch.float32, torch.bfloat16)}
    copy = copy_rate(repeats)
    rates = ", ".join(f"{str(dtype).removeprefix('torch.')} {rate / 1e12:.0f}" for dtype, rate in products.items())
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"products in TFLOP/s: {rates}; copies: {copy / 1e12:.2f} TB/s")
    print("| bank | negatives | mode | form | ms | times faster | extra MiB | floor ms | of floor |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in cases():
        draws, base = case.draws("cuda"), 0.0
        for form in FORMS:
            work = step(form, case, draws, "cuda")
            took = seconds(work, repeats)
            base = base or took
            floor = case.floor(form, draws, products[case.dtype], copy)
            cells = [
                str(case.dtype).removeprefix("torch."),
                f"{case.negatives:,}",
                case.mode,
                form,
                f"{took * 1e3:.3f}",
            ]
            cells += [
                f"{base / took:.1f}",
                f"{extra_bytes(work) / MIB:.0f}",
                f"{floor * 1e3:.3f}",
                f"{floor / took:.0%}",
            ]
            print("| " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
