"""A weighted sum of objectives."""

import json
from typing import Annotated, Literal

import torch
from pydantic import Field, StringConstraints
from torch import Tensor, nn

from trainables.base import Config
from trainables.objectives.cacr import CACR
from trainables.objectives.compress import CompRess
from trainables.objectives.crd import CRD
from trainables.objectives.cross_entropy import CrossEntropy
from trainables.objectives.dcd import DCD
from trainables.objectives.dkd import DKD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.objectives.likelihood import Likelihood
from trainables.objectives.pcl import PCL
from trainables.objectives.seed import SEED
from trainables.objectives.supcon import SupCon
from trainables.protocols import Contrast, Half, ObjectiveMember, Operation, Reads, Shapes, World

#: Every objective but the sum itself.
Single = CACR | CompRess | CRD | CrossEntropy | DCD | DKD | InfoNCE | KD | Likelihood | PCL | SEED | SupCon

Label = Annotated[str, StringConstraints(pattern="^[a-z0-9_]+$")]


class Term(Config):
    """One objective of a sum, and how much it counts."""

    weight: float = Field(1.0, ge=0, le=1_000_000)
    objective: Annotated[Single, Field(discriminator="name")]


class Sum(ObjectiveMember):
    """Several objectives at once, each with its weight.

    Equation: Tian et al. 2020 (arXiv 1910.10699), eq. 27: ``sum_i weight_i * loss_i``.

    Departures: any terms; the policy's factor on the contrast multiplies the weights of terms that read embeddings.

    Terms share heads, memory and draws. Their order has no meaning: they are added in that of their labels.
    """

    name: Literal["sum"] = "sum"
    terms: dict[Label, Term] = Field(
        {"kd": Term(objective=KD()), "crd": Term(weight=0.8, objective=CRD())}, min_length=1, max_length=8
    )

    def __hash__(self) -> int:
        """A hash of the canonical JSON, since a dict has none."""
        return hash(json.dumps(self.to_json(), sort_keys=True))

    @property
    def reads(self) -> frozenset[Reads]:
        """What any term reads."""
        return frozenset().union(*(objective.reads for objective in self._objectives()))

    @property
    def halves(self) -> frozenset[Half]:
        """What any term is held against."""
        return frozenset().union(*(objective.halves for objective in self._objectives()))

    @property
    def against(self) -> Half:
        """The teacher's half, if any term that embeds is held against it."""
        embedding = [objective for objective in self._objectives() if objective.sides]
        return "student" if embedding and all(each.against == "student" for each in embedding) else "teacher"

    @property
    def draws(self) -> bool:
        """Whether any term does."""
        return any(objective.draws for objective in self._objectives())

    @property
    def uses_labels(self) -> bool:
        """Whether any term does."""
        return any(objective.uses_labels for objective in self._objectives())

    @property
    def uses_labels_of_rows(self) -> bool:
        """Whether any term does."""
        return any(objective.uses_labels_of_rows for objective in self._objectives())

    @property
    def relaxes(self) -> bool:
        """Whether any term does; then all have the same positives."""
        return any(objective.relaxes for objective in self._objectives())

    @property
    def needs_prototypes(self) -> bool:
        """Whether any term does."""
        return any(objective.needs_prototypes for objective in self._objectives())

    @property
    def trains_teacher_head(self) -> bool:
        """Whether any term does."""
        return any(objective.trains_teacher_head for objective in self._objectives())

    def cautions(self, shapes: Shapes) -> list[str]:
        """Those of all terms."""
        return [caution for objective in self._objectives() for caution in objective.cautions(shapes)]

    def gathered_bytes(self, shapes: Shapes) -> int:
        """Those of all terms."""
        return sum(objective.gathered_bytes(shapes) for objective in self._objectives())

    def build(self) -> "SumLoss":
        """The losses of all terms."""
        return SumLoss(self)

    def operations(self, shapes: Shapes) -> list[Operation]:
        """Those of all terms."""
        return [operation for objective in self._objectives() for operation in objective.operations(shapes)]

    def _objectives(self) -> list[Single]:
        return [term.objective for _, term in sorted(self.terms.items())]


class SumLoss(nn.Module):
    """See `Sum`."""

    def __init__(self, config: Sum) -> None:
        super().__init__()
        self.terms = dict(sorted(config.terms.items()))
        # a suffix, since a module may not be called by the name of a method ("items", "values")
        self.losses = nn.ModuleDict({f"{label}_loss": term.objective.build() for label, term in self.terms.items()})

    def forward(self, contrast: Contrast, world: World) -> Tensor:
        """The weighted sum."""
        weighted = [
            self._weight(term, contrast) * loss(contrast, world)
            for term, loss in zip(self.terms.values(), self.losses.values(), strict=True)
        ]
        return torch.stack(weighted).sum()

    def _weight(self, term: Term, contrast: Contrast) -> float:
        return term.weight * (contrast.decision.contrast if "embeddings" in term.objective.reads else 1)
