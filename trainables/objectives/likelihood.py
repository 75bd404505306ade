"""The generative half of hybrid training."""

from typing import Literal

from torch import Tensor, nn

from trainables.protocols import Contrast, ObjectiveMember, Operation, Reads, Shapes, World


class Likelihood(ObjectiveMember):
    """Negative log-likelihood of the images under a student that generates; a term for sums with a contrastive one.

    Equation: Kim et al. 2021 (arXiv 2106.06162), the generative half of the hybrid: ``-log p(x | Enc(x))``, in nats a
    value, mean over the batch.

    Departures: a reconstruction, since neither the paper's architecture nor its weights could be read.
    """

    name: Literal["likelihood"] = "likelihood"

    @property
    def reads(self) -> frozenset[Reads]:
        """The likelihood alone."""
        return frozenset({"likelihood"})

    def build(self) -> "LikelihoodLoss":
        """The loss."""
        return LikelihoodLoss()

    def operations(self, shapes: Shapes) -> list[Operation]:  # noqa: ARG002 (the student's decoder is the cost)
        """Nothing beyond the networks."""
        return []


class LikelihoodLoss(nn.Module):
    """See `Likelihood`."""

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch."""
        assert contrast.nll_B is not None  # promised by `reads`
        return contrast.nll_B.mean()
