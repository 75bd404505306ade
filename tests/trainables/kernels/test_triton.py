"""The kernel for GPUs gives what the PyTorch form gives on the CPU, in every form, and the same bits each time.

Without a GPU, Triton can interpret it: ``TRITON_INTERPRET=1 python -m pytest tests/trainables/kernels/test_triton.py``.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.kernels.test_kernels import B, D, M, draws_of, each_form, fast
from tests.trainables.trials import unit_rows
from trainables.draws import Draws
from trainables.kernels.blocks import as_read, one_by_one
from trainables.kernels.log_sum_exp import log_sum_exp
from trainables.kernels.nce import noise_surprisal
from trainables.kernels.triton_sums import DEVICE, WIDEST, split_sums, suits

GPU = torch.cuda.is_available()
pytestmark = pytest.mark.skipif(DEVICE == "cuda" and not GPU, reason="no GPU, and Triton is not asked to interpret")
each_kernel = pytest.mark.parametrize("kernel", [noise_surprisal, log_sum_exp])
each_dtype = pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        pytest.param(
            torch.bfloat16,
            marks=pytest.mark.skipif(DEVICE == "cpu", reason="Triton's interpreter multiplies no bfloat16"),
        ),
    ],
)


def on(device: str, draws: Draws) -> Draws:
    def moved(held: Tensor | None) -> Tensor | None:
        return None if held is None else held.to(device)

    return replace(draws, row_BR=moved(draws.row_BR), weight_BR=moved(draws.weight_BR), never_BR=moved(draws.never_BR))


def answer(kernel: Any, anchor_BD: Tensor, rows_MD: Tensor, draws: Draws) -> list[Tensor]:
    """Value and gradients, for an upstream gradient that leaves out anchors without negatives."""
    anchor_BD = anchor_BD.clone().requires_grad_()
    log_noise = torch.tensor(3.5, dtype=anchor_BD.dtype, device=anchor_BD.device, requires_grad=True)
    value_B = fast(kernel, anchor_BD, rows_MD, draws, log_noise)
    upstream_B = torch.linspace(-1, 2, len(value_B), device=value_B.device, dtype=value_B.dtype)
    (value_B * upstream_B)[value_B.isfinite()].sum().backward()
    gradients = [anchor_BD.grad, log_noise.grad] if kernel is noise_surprisal else [anchor_BD.grad]
    return [value_B.detach(), *(gradient for gradient in gradients if gradient is not None)]


def assert_same(kernel: Any, anchor_BD: Tensor, rows_MD: Tensor, draws: Draws) -> None:
    """In float32 as in float64, which is always the PyTorch form's."""
    device_BD, device_MD = anchor_BD.to(DEVICE), rows_MD.to(DEVICE)
    assert suits(device_BD, device_MD)
    found = answer(kernel, device_BD, device_MD, on(DEVICE, draws))
    wanted = answer(kernel, anchor_BD.double(), rows_MD.double(), draws)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours.isfinite().cpu(), theirs.isfinite())
        difference = (ours.cpu().double() - theirs)[theirs.isfinite()]
        assert difference.norm() <= 1e-5 * theirs[theirs.isfinite()].norm()


@each_form
@each_dtype
@each_kernel
def test_sums_are_those_of_the_pytorch_form(kernel: Any, dtype: torch.dtype, draws: Draws, picked: bool) -> None:  # noqa: ARG001
    assert_same(kernel, unit_rows(B, D, 2), unit_rows(M, D, 3).to(dtype), draws)


@pytest.mark.parametrize("width", [1, 48, 128, 300, WIDEST])
@pytest.mark.parametrize("anchors", [1, 3, 70])
@each_dtype
@each_kernel
def test_any_width_and_number_of_anchors(kernel: Any, dtype: torch.dtype, anchors: int, width: int) -> None:
    rows_MD, anchor_BD = unit_rows(150, width, 3).to(dtype), unit_rows(anchors, width, 2)
    assert_same(kernel, anchor_BD, rows_MD, Draws(20, 150))
    assert_same(kernel, anchor_BD, rows_MD, Draws(5, 150, torch.arange(5 * anchors).view(anchors, 5) % 150))


@each_dtype
@each_kernel
def test_many_anchors_leave_several_tiles_to_a_split(kernel: Any, dtype: torch.dtype) -> None:
    """Where the largest score so far has to give way to a larger one."""
    many, generator = 600, torch.Generator().manual_seed(4)
    never_BR = torch.rand(many, M, generator=generator) < 0.5
    weight_BR = torch.rand(many, M, generator=generator)
    anchor_BD, rows_MD = unit_rows(many, D, 2), unit_rows(M, D, 3).to(dtype)
    first_SB, *_ = split_sums(anchor_BD.to(DEVICE), rows_MD.to(DEVICE), Draws(M, M))
    assert len(first_SB) < M / 100
    assert_same(kernel, anchor_BD, rows_MD, Draws(M, M, None, weight_BR, never_BR))


@each_kernel
def test_weights_and_exclusions_may_be_views(kernel: Any) -> None:
    weight_BR, never_BR = torch.rand(M, B).T, (torch.rand(M, B) < 0.5).T
    assert_same(kernel, unit_rows(B, D, 2), unit_rows(M, D, 3), Draws(M, M, None, weight_BR, never_BR))
    assert_same(kernel, unit_rows(B, D, 2), unit_rows(M, D, 3), Draws(M, M, None, weight_BR[:1]))


def test_small_probabilities_keep_their_digits() -> None:
    """The logarithm of 1 + 1e-9 is 1e-9, of which float32 would leave nothing; large odds do not overflow."""
    rows_MD, anchor_BD = torch.tensor([[1.0, 0.0], [0.9, 0.0]]), torch.tensor([[-1.5, 0.0], [-5.0, 0.0], [50.0, 0.0]])
    for anchor in anchor_BD:
        assert_same(noise_surprisal, anchor.unsqueeze(0), rows_MD, Draws(2, 2))


@each_form
@each_kernel
def test_bits_are_the_same_each_time(kernel: Any, draws: Draws, picked: bool) -> None:  # noqa: ARG001
    anchor_BD, rows_MD = unit_rows(B, D, 2).to(DEVICE), unit_rows(M, D, 3).to(DEVICE)
    first, second = (answer(kernel, anchor_BD, rows_MD, on(DEVICE, draws)) for _ in range(2))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, second, strict=True))


@pytest.mark.skipif(not GPU, reason="no GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
@each_form
@each_kernel
def test_nothing_waits_for_the_device(kernel: Any, draws: Draws, picked: bool) -> None:  # noqa: ARG001
    anchor_BD, rows_MD, draws = unit_rows(B, D, 2).to(DEVICE), unit_rows(M, D, 3).to(DEVICE), on(DEVICE, draws)
    log_noise = torch.tensor(3.5, device=DEVICE)
    fast(kernel, anchor_BD, rows_MD, draws, log_noise)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        fast(kernel, anchor_BD, rows_MD, replace(draws), log_noise)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not GPU, reason="no GPU")
def test_weights_that_differ_are_never_counted_by_atomics() -> None:
    draws = draws_of("counts", weighted=True, count=4000)
    assert not one_by_one(draws)
    assert one_by_one(on("cuda", draws))
    assert as_read(on("cuda", replace(draws, weight_BR=None))).row_BR is None


def test_what_the_kernel_does_not_do_is_left_to_pytorch() -> None:
    like = torch.zeros(1, 1, device=DEVICE)
    assert suits(like, like)
    assert not suits(like.double(), like.double())
    assert not suits(like, like.half())
    assert not suits(like.expand(1, WIDEST + 1), like.expand(1, WIDEST + 1))
