"""Cross-entropy with the true labels."""

from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.objectives.logits import LogitsMember
from trainables.protocols import Contrast, World


class CrossEntropy(LogitsMember):
    """Cross-entropy of the student's class probabilities with the labels of the source.

    Equation: Tian et al. 2020 (arXiv 1910.10699), eq. 27, first term: ``-log softmax(s)[y]``, mean over the batch.

    Departures: none.
    """

    networks: ClassVar[int] = 1

    name: Literal["cross_entropy"] = "cross_entropy"

    @property
    def uses_labels(self) -> bool:
        """Those of the batch."""
        return True

    def build(self) -> "CrossEntropyLoss":
        """The loss."""
        return CrossEntropyLoss()


class CrossEntropyLoss(nn.Module):
    """See `CrossEntropy`."""

    def forward(self, contrast: Contrast, world: World) -> Tensor:  # noqa: ARG002 (no statistic over the whole batch)
        """Mean over the batch."""
        assert contrast.student_logits_BC is not None  # promised by `reads`
        assert contrast.label_B is not None  # promised by `uses_labels`
        # In double precision: where the loss is small, it is the difference of two large numbers.
        loss = cross_entropy(contrast.student_logits_BC.double(), contrast.label_B)
        return loss.to(contrast.student_logits_BC.dtype)
