"""A small memory as samplers meet it: rows of nobody, samples of several rows, and anchors that have none."""

import torch
from torch import Tensor

from tests.trainables.trials import unit_rows
from trainables.protocols import NOBODY, Anchors, Rows

WIDTH = 4
KEY_M = torch.tensor([3, NOBODY, 0, 3, 1, 0, NOBODY, 2, 5, 6, 7, 8])
LABEL_N = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])  # of samples 0 to 9; 4 and 9 have no row
M = len(KEY_M)


def memory(key_M: Tensor = KEY_M, label_N: Tensor = LABEL_N) -> Rows:
    """The rows, with their labels."""
    label_M = torch.where(key_M == NOBODY, NOBODY, label_N[key_M.clamp_min(0)])
    return Rows(unit_rows(len(key_M), WIDTH, 1), unit_rows(len(key_M), WIDTH, 2), key_M, label_M)


def anchors_of(key_B: Tensor, progress: float = 1.0, sharpness: float = 1.0, label_N: Tensor = LABEL_N) -> Anchors:
    """Anchors; those of one key are all alike."""
    student_ND, teacher_ND = unit_rows(len(label_N), WIDTH, 3), unit_rows(len(label_N), WIDTH, 4)
    return Anchors(key_B, student_ND[key_B], teacher_ND[key_B], label_N[key_B], progress, sharpness)


def alike(key: int, count: int, progress: float = 1.0, sharpness: float = 1.0) -> Anchors:
    """One anchor, many times."""
    return anchors_of(torch.full((count,), key), progress, sharpness)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
