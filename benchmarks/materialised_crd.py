"""CRD with everything materialised, as it is commonly trained: the baseline that claims of speed are held against.

Written from the method's description (Tian et al. 2020, arXiv 1910.10699, eqs. 10, 17 and 18, and what its release is
documented to compute); it shares no code with it. A step gathers K + 1 rows for each of B anchors into a tensor
(B, K + 1, D), scores them by `bmm`, takes the exponential, divides by a normaliser fixed on the first batch, and lets
autograd go back through all of it; both directions, then the momentum update of both banks.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

EPSILON = 1e-7  # the release's, in both denominators


class AliasSampler:
    """Independent draws of row numbers with given weights, in constant time each (Walker 1977; Vose 1991)."""

    def __init__(self, weight_N: Tensor) -> None:
        share_N = (weight_N.double() / weight_N.sum() * len(weight_N)).tolist()
        alias_N = list(range(len(share_N)))
        small = [row for row, share in enumerate(share_N) if share < 1]
        large = [row for row, share in enumerate(share_N) if share > 1]
        while small and large:
            row = small.pop()
            alias_N[row] = large[-1]
            share_N[large[-1]] -= 1 - share_N[row]
            if share_N[large[-1]] < 1:
                small.append(large.pop())
        self.keep_N, self.alias_N = torch.tensor(share_N, dtype=torch.float32).clamp(max=1), torch.tensor(alias_N)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """`count` row numbers, (count,) int64."""
        row = torch.randint(len(self.alias_N), (count,), generator=generator)
        kept = torch.bernoulli(self.keep_N[row], generator=generator).bool()
        return torch.where(kept, row, self.alias_N[row])


class MaterialisedCRD(nn.Module):
    """The loss and its two banks, (samples, width) each, for K = `negatives` uniform draws per anchor.

    Embed layers stay outside: `forward` takes rows of length one. Rows start uniform in +-sqrt(3/D).
    """

    student_ND: Tensor
    teacher_ND: Tensor
    normaliser_2: Tensor

    def __init__(
        self,
        samples: int,
        *,
        width: int = 128,
        negatives: int = 16_384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.samples, self.negatives = samples, negatives
        self.temperature, self.momentum, self.generator = temperature, momentum, generator
        self.sampler = AliasSampler(torch.ones(samples))
        bound = math.sqrt(3 / width)
        for bank in ("student_ND", "teacher_ND"):
            self.register_buffer(bank, (2 * torch.rand(samples, width, generator=generator) - 1) * bound)
        self.register_buffer("normaliser_2", torch.full((2,), math.nan))

    def draw(self, sample_B: Tensor) -> Tensor:
        """Rows to contrast with, (B, K + 1): the anchor's own first, then K draws that may hit it again."""
        row = self.sampler.draw(len(sample_B) * (self.negatives + 1), self.generator)
        contrast_idx = row.view(len(sample_B), self.negatives + 1)
        contrast_idx[:, 0] = sample_B
        return contrast_idx

    def forward(
        self, student_BD: Tensor, teacher_BD: Tensor, sample_B: Tensor, contrast_idx: Tensor | None = None
    ) -> Tensor:
        """Mean over the batch of the sum over negatives and over both directions; then both banks have moved.

        `contrast_idx` is what `draw` gives, for rows that are chosen elsewhere.
        """
        if contrast_idx is None:
            contrast_idx = self.draw(sample_B)
        student_loss = self._direction(0, student_BD, self.teacher_ND, contrast_idx)
        teacher_loss = self._direction(1, teacher_BD, self.student_ND, contrast_idx)
        self.update(student_BD, teacher_BD, sample_B)
        return student_loss + teacher_loss

    def _direction(self, side: int, anchor_BD: Tensor, bank_ND: Tensor, contrast_idx: Tensor) -> Tensor:
        batch, drawn = contrast_idx.shape
        gathered = bank_ND.index_select(0, contrast_idx.view(-1)).view(batch, drawn, -1)
        score = torch.exp(torch.bmm(gathered, anchor_BD.unsqueeze(2)) / self.temperature)
        if self.normaliser_2[side].isnan():
            self.normaliser_2[side] = score.detach().mean() * self.samples
        odds = (score / self.normaliser_2[side].item()).squeeze(2)
        noise = self.negatives / self.samples
        positive, negative = odds[:, 0], odds[:, 1:]
        positive_log = torch.log(positive / (positive + noise + EPSILON))
        negative_log = torch.log(noise / (negative + noise + EPSILON))
        return -(positive_log.sum() + negative_log.sum()) / batch

    @torch.no_grad()
    def update(self, student_BD: Tensor, teacher_BD: Tensor, sample_B: Tensor) -> None:
        """Move the rows of these samples towards their new embeddings, and back to length one."""
        for bank_ND, new_BD in ((self.student_ND, student_BD), (self.teacher_ND, teacher_BD)):
            mixed_BD = self.momentum * bank_ND.index_select(0, sample_B) + (1 - self.momentum) * new_BD
            bank_ND.index_copy_(0, sample_B, normalize(mixed_BD, dim=1))
