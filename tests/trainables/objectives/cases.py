"""Random contrasts for every objective, small ones worked out on paper, and the comparison with a slow loss."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from hypothesis import Phase, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.trainables.trials import unit_rows
from trainables.draws import Draws
from trainables.protocols import NOBODY, Contrast, Decision, Rows, World
from trainables.world import SingleWorld

WORLD = SingleWorld()
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
# cases are small as they are: to shrink one through loops would take minutes
few = settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])

Expected = Callable[[Any, dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Case:
    """A random contrast with all that any objective reads.

    Among the rows there are some of the anchors' own keys, some of the same key and some of nobody; with more negatives
    than rows, rows are drawn more than once. `proposal`: how draws of their own came, `uniform` or `skewed`.
    """

    batch: int
    width: int
    rows: int
    negatives: int
    classes: int
    past_positives: bool
    proposal: str
    mode: str
    sharpness: float
    prior: float
    factor: float
    dtype: torch.dtype
    seed: int

    def contrast(self, batch_number: int = 0) -> Contrast:
        """The contrast of a step; all steps of a case have the same rows."""
        seed = self.seed + 100 * batch_number
        generator = torch.Generator().manual_seed(seed)
        student, teacher, second, past_student, past_teacher = (
            unit_rows(self.batch, self.width, seed + i, self.dtype) for i in range(5)
        )
        leaves = [tensor.requires_grad_() for tensor in (student, teacher, second)]
        logits = [torch.randn(self.batch, self.classes, generator=generator, dtype=self.dtype) * 3 for _ in range(2)]
        rows, key_B = self._rows(), torch.randperm(self.batch, generator=generator)
        return Contrast(
            sample_B=key_B,
            key_B=key_B,
            student_BD=leaves[0],
            teacher_BD=leaves[1],
            positive_student_BD=past_student if self.past_positives else leaves[0],
            positive_teacher_BD=past_teacher if self.past_positives else leaves[1],
            rows=rows,
            draws=self.draws(key_B, rows.key_M, generator),
            second_student_BD=leaves[2],
            student_logits_BC=logits[0].requires_grad_(),
            teacher_logits_BC=logits[1],
            nll_B=torch.rand(self.batch, generator=generator, dtype=self.dtype).requires_grad_(),
            label_B=torch.randint(self.classes, (self.batch,), generator=generator),
            decision=Decision(temperature=self.factor),
        )

    def _rows(self) -> Rows:
        """Rows of lengths about one, as a bank has them before it is written."""
        generator = torch.Generator().manual_seed(self.seed)
        key_M = torch.randint(NOBODY, self.batch + 3, (self.rows,), generator=generator)
        key_M[0] = self.batch + 3  # always one that any anchor may be held against
        label_M = torch.randint(NOBODY, self.classes, (self.batch + 4,), generator=generator)[key_M]
        length_M1 = 0.7 + 0.6 * torch.rand(self.rows, 1, generator=generator, dtype=self.dtype)
        return Rows(
            student_MD=unit_rows(self.rows, self.width, self.seed + 10, self.dtype) * length_M1,
            teacher_MD=unit_rows(self.rows, self.width, self.seed + 11, self.dtype) * length_M1,
            key_M=key_M,
            label_M=label_M.where(key_M != NOBODY, NOBODY),
        )

    def draws(self, key_B: Tensor, key_M: Tensor, generator: torch.Generator) -> Draws:
        """Rows of other keys than the anchor's; row 0 is one of them, and always among those that anchors share."""
        candidate_BM = key_B.unsqueeze(1) != key_M
        draws = Draws(self.negatives, self.rows, sharpness=self.sharpness, prior=self.prior)
        if self.mode == "exact":
            row_BK = torch.multinomial(candidate_BM.double(), self.negatives, replacement=True, generator=generator)
            weight_BK = torch.rand(row_BK.shape, generator=generator, dtype=self.dtype).exp()
            return replace(draws, row_BR=row_BK, weight_BR=None if self.proposal == "uniform" else weight_BK)
        if self.mode == "shared":
            row_K = torch.randint(self.rows, (self.negatives,), generator=generator)
            row_K[0] = 0
            draws, candidate_BM = replace(draws, row_BR=row_K.unsqueeze(0)), candidate_BM[:, row_K]
        weight_B1 = self.negatives / candidate_BM.sum(dim=1, keepdim=True)
        return replace(draws, weight_BR=weight_B1.to(self.dtype), never_BR=~candidate_BM)


def cases(**given: st.SearchStrategy[Any]) -> st.SearchStrategy[Case]:
    """Cases of all kinds, some of the choices given."""
    chosen: dict[str, st.SearchStrategy[Any]] = {
        "batch": st.integers(1, 4),
        "width": st.integers(2, 5),
        "rows": st.integers(1, 8),
        "negatives": st.integers(1, 8),
        "classes": st.integers(2, 6),
        "past_positives": st.booleans(),
        "proposal": st.sampled_from(["uniform", "skewed"]),
        "mode": st.sampled_from(["exact", "shared", "full"]),
        "sharpness": st.sampled_from([0.0, 0.5, 2.0]),
        "prior": st.just(0.0),
        "factor": st.sampled_from([1.0, 0.8]),
        "dtype": st.sampled_from([torch.float64, torch.float32]),
        "seed": st.integers(0, 10_000),
    }
    return st.builds(Case, **(chosen | given))


def assert_equation(objective: nn.Module, contrast: Contrast, expected: Expected) -> None:
    """Value and gradient, with respect to everything that collects one, are those of the slow loss in float64.

    `expected` takes the contrast in float64 and the objective's parameters by name.
    """
    parameters = dict(objective.named_parameters())
    contrast64, leaves = _doubled(contrast)
    parameters64 = {name: p.detach().double().requires_grad_() for name, p in parameters.items()}
    wanted = expected(contrast64, parameters64)
    loss = objective(contrast, WORLD)
    assert loss.shape == ()
    found_gradients = torch.autograd.grad(loss, [*leaves, *parameters.values()], materialize_grads=True)
    inputs64 = [*leaves.values(), *parameters64.values()]
    gradients = torch.autograd.grad(wanted, inputs64, materialize_grads=True)
    # A gradient that is nearly nothing beside the others, since terms cancel, is measured by a hundredth of them all.
    least = 0.01 * torch.stack([gradient.norm() for gradient in gradients]).norm()
    tolerance = TOLERANCE[contrast.student_BD.dtype]
    assert (loss.double() - wanted).abs() <= tolerance * wanted.abs(), (loss, wanted)
    for found, exact in zip(found_gradients, gradients, strict=True):
        assert (found.double() - exact).norm() <= tolerance * exact.norm().maximum(least), (found, exact)


def _doubled(contrast: Contrast) -> tuple[Contrast, dict[Tensor, Tensor]]:
    """The contrast in float64, and for each tensor that collects a gradient its copy that does."""
    copies: dict[Tensor, Tensor] = {}

    def copy(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{field.name: copy(getattr(value, field.name)) for field in fields(value)})
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        if value not in copies:  # tensors are keys by identity: a positive may be the current embedding itself
            copies[value] = value.detach().double().requires_grad_(value.requires_grad)
        return copies[value]

    doubled = copy(contrast)
    return doubled, {value: value64 for value, value64 in copies.items() if value.requires_grad}


def directions(*angles: float) -> Tensor:
    """Unit vectors of the plane."""
    angle_B = torch.tensor(angles, dtype=torch.float64)
    return torch.stack([angle_B.cos(), angle_B.sin()], dim=1)


def on_paper(student: Tensor, teacher: Tensor, rows: Tensor, negatives: int = 1, **changes: Any) -> Contrast:
    """Every anchor against `negatives` uniform draws, the rows in turn; none is of an anchor's key."""
    batch, count = len(student), len(rows)
    row_BK = (torch.arange(negatives) % count).expand(batch, negatives)
    samples = torch.arange(batch)
    contrast = Contrast(
        sample_B=samples,
        key_B=samples,
        student_BD=student,
        teacher_BD=teacher,
        positive_student_BD=student,
        positive_teacher_BD=teacher,
        rows=Rows(rows, rows, torch.full((count,), NOBODY), torch.full((count,), NOBODY)),
        draws=Draws(negatives, count, row_BK),
    )
    return replace(contrast, **changes)


def logits_on_paper(student: Tensor, teacher: Tensor, label_B: Tensor | None = None) -> Contrast:
    """Logits, and no embeddings."""
    nothing = torch.empty(len(student), 2, dtype=torch.float64)
    contrast = on_paper(nothing, nothing, nothing[:1])
    return replace(contrast, student_logits_BC=student, teacher_logits_BC=teacher, label_B=label_B)


def value(config: Any, contrast: Contrast, world: World = WORLD) -> float:
    """The loss that a config builds, of one contrast."""
    loss: Tensor = config.build()(contrast, world)
    return float(loss.item())
