"""Contrastive representation distillation: noise-contrastive estimation against a memory."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from trainables.draws import Draws
from trainables.kernels.log_sum_exp import log_sum_exp
from trainables.kernels.nce import noise_surprisal
from trainables.objectives.contrast import (
    Side,
    both_sides,
    contrast_operation,
    log_weights,
    negative_scores,
    positive_scores,
    without_false,
)
from trainables.protocols import Contrast, ObjectiveMember, Operation, Shapes, World


class CRD(ObjectiveMember):
    """NCE of "same sample" against K negatives, with a normaliser; both directions.

    Equation: Tian et al. 2020 (arXiv 1910.10699), eqs. 10 and 18 as released, P = exp(a.b/T) / Z with
    Z = n * mean(exp(a.b/T)) over the first batch: ``-log(P+ / (P+ + K/n)) - sum_k log((K/n) / (P-_k + K/n))``,
    mean over the batch, sum over the two directions.

    Departures: log-sigmoids without the release's 1e-7 in the denominators; negatives are what the sampler draws, each
    term weighted by its importance and its tilt, where the release draws from other classes; with `normaliser: learned`
    log Z is a parameter of each direction.

    The number of samples n cancels: the log-odds of a pair are ``a.b/T - log mean(exp) - log K``, K that of the step's
    own draws. Positives and negatives are rows of the memory (the anchor alone is current), as in the release;
    `positive: relax` takes any row of the anchor's class for its positive (the release's mode of that name).
    A normaliser belongs to its temperature: a fixed one is set anew, on the batch at hand, when the policy changes
    the temperature; a learned one starts from the first batch and follows by itself.
    The normaliser is that of uniform noise: neither tilt nor prior enters it. The share of false negatives is taken out
    of each anchor's sum, our transfer of debiasing to NCE (`trainables.objectives.contrast.without_false`).
    """

    name: Literal["crd"] = "crd"
    temperature: float = Field(0.07, gt=0, le=10)
    positive: Literal["exact", "relax"] = "exact"
    normaliser: Literal["fixed", "learned"] = "fixed"

    @property
    def uses_labels(self) -> bool:
        """Only to find positives of the same class."""
        return self.relaxes

    @property
    def relaxes(self) -> bool:
        """As `positive` says."""
        return self.positive == "relax"

    def cautions(self, shapes: Shapes) -> list[str]:
        """Whether a fixed normaliser leaves every positive below one half: then temperatures compare badly."""
        cosine = unreachable(self.temperature, shapes.negatives, shapes.width)
        if self.normaliser == "learned" or cosine <= 1:
            return []
        return [
            "no positive can score above one half, since temperature * ln(negatives.count) + 1 / (2 * embedding * "
            f"temperature) is {cosine:.2f}, above 1; lower one of the two, or write `normaliser: learned`"
        ]

    def build(self) -> "CRDLoss":
        """The loss, with its normalisers not yet set."""
        return CRDLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Both directions."""
        return [contrast_operation(shapes, self.sides)]


def unreachable(temperature: float, negatives: int, width: int) -> float:
    """The cosine at which a pair scores one half when training starts: above 1, no positive ever scores more.

    With random embeddings of D coordinates log mean(exp(a.b/T)) is about 1 / (2 D T^2).
    """
    return temperature * math.log(negatives) + 1 / (2 * width * temperature)


class CRDLoss(nn.Module):
    """See `CRD`."""

    def __init__(self, config: CRD) -> None:
        super().__init__()
        self.temperature = config.temperature
        normaliser = {"fixed": FixedNormaliser, "learned": LearnedNormaliser}[config.normaliser]
        self.student_normaliser, self.teacher_normaliser = normaliser(), normaliser()

    def forward(self, contrast: Contrast, world: World) -> Tensor:
        """Mean over the batch of the sum of both directions."""
        student, teacher = both_sides(contrast)
        student_loss = self._direction(student, self.student_normaliser, contrast, world)
        return student_loss + self._direction(teacher, self.teacher_normaliser, contrast, world)

    def _direction(self, side: Side, normaliser: nn.Module, contrast: Contrast, world: World) -> Tensor:
        draws, temperature = contrast.draws, self.temperature * contrast.decision.temperature
        positive_B = positive_scores(side.anchor_BD, side.positive_BD) / temperature
        log_mean = partial(_log_mean, side, positive_B, draws, temperature, world)
        log_noise = (normaliser(log_mean, temperature) + math.log(draws.count)).to(positive_B.dtype)
        positive_loss_B = -logsigmoid(positive_B - log_noise)
        negative_loss_B = _negative_loss(side, draws, temperature, log_noise)
        false_loss_B = -logsigmoid(log_noise - positive_B) * draws.count
        return (positive_loss_B + without_false(draws, negative_loss_B, false_loss_B)).mean()


def _negative_loss(side: Side, draws: Draws, temperature: float, log_noise: Tensor) -> Tensor:
    """The surprise at each anchor's negatives being noise, (B,); tilted ones are weighed pair by pair."""
    if draws.sharpness == 0:
        return noise_surprisal(side.anchor_BD, side.rows_MD, draws, 1 / temperature, log_noise)
    score_BR = negative_scores(side.anchor_BD, side.rows_MD, draws) / temperature
    return (log_weights(draws, score_BR).exp() * -logsigmoid(log_noise - score_BR)).sum(dim=1)


class _Normaliser(nn.Module):
    """Remembers for which temperature it was set, so that no step waits for a device to say so."""

    def __init__(self) -> None:
        super().__init__()
        self.set_for: float | None = None  # as the buffers say; None until they were asked
        self.register_load_state_dict_post_hook(_ask_again)  # type: ignore[no-untyped-call]  # torch


def _ask_again(normaliser: "_Normaliser", _: object) -> None:
    normaliser.set_for = None


class FixedNormaliser(_Normaliser):
    """log mean(exp(score)), fixed at the first batch of each temperature: both are buffers, NaN until then."""

    log_mean: Tensor
    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_mean", torch.tensor(math.nan, dtype=torch.float64))
        self.register_buffer("temperature", torch.tensor(math.nan, dtype=torch.float64))

    def forward(self, log_mean: Callable[[], Tensor], temperature: float) -> Tensor:
        """The normaliser of this temperature."""
        if self.set_for is None:
            self.set_for = float(self.temperature)
        if self.set_for != temperature:
            self.log_mean.copy_(log_mean())
            self.temperature.fill_(temperature)
            self.set_for = temperature
        return self.log_mean


class LearnedNormaliser(_Normaliser):
    """A bias that starts from the log mean(exp(score)) of the first batch; `begun` says whether it has."""

    begun: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("begun", torch.tensor(False))

    def forward(
        self,
        log_mean: Callable[[], Tensor],
        temperature: float,
    ) -> Tensor:
        """The bias, with gradient."""
        if self.set_for is None and not self.begun:
            with torch.no_grad():
                self.bias.copy_(log_mean())
            self.begun.fill_(True)
        self.set_for = temperature
        return self.bias


@torch.no_grad()
def _log_mean(side: Side, positive_B: Tensor, draws: Draws, temperature: float, world: World) -> Tensor:
    """log of the mean exp(score) over the whole batch, without gradient; in logs, since exp(1/T) may overflow."""
    log_negatives_B = log_sum_exp(side.anchor_BD, side.rows_MD, draws, 1 / temperature)
    log_scores_B = torch.logaddexp(positive_B.double(), log_negatives_B.double())
    pairs = world.size * len(positive_B) * (1 + draws.count)
    return world.gather(log_scores_B.logsumexp(dim=0, keepdim=True)).logsumexp(dim=0) - math.log(pairs)
