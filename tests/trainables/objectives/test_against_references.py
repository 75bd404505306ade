"""Each loss is its equation: value and gradient, at any shape, with rows drawn twice."""

from dataclasses import dataclass

import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests import reference
from tests.trainables.trials import unit_rows
from trainables.objectives.crd import CRD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.protocols import Contrast, Draws, Rows
from trainables.world import SingleWorld

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
# cases are small as they are: to shrink one through these loops would take minutes
few = settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])


@dataclass(frozen=True)
class Case:
    batch: int
    width: int
    rows: int
    negatives: int
    temperature: float
    past_positives: bool
    dtype: torch.dtype
    seed: int

    def contrast(self, batch_number: int = 0) -> Contrast:
        """A random contrast; with more negatives than rows, rows are drawn more than once."""
        seed = self.seed + 100 * batch_number
        student, teacher, past_student, past_teacher = (
            unit_rows(self.batch, self.width, seed + i, self.dtype) for i in range(4)
        )
        student.requires_grad_()
        teacher.requires_grad_()
        generator = torch.Generator().manual_seed(seed)
        candidates = torch.full((self.batch,), self.rows)
        logq = -candidates.to(self.dtype).log().unsqueeze(1).expand(self.batch, self.negatives)
        return Contrast(
            sample_B=torch.arange(self.batch),
            student_BD=student,
            teacher_BD=teacher,
            positive_student_BD=past_student if self.past_positives else student,
            positive_teacher_BD=past_teacher if self.past_positives else teacher,
            rows=Rows(
                student_MD=unit_rows(self.rows, self.width, self.seed + 10, self.dtype),
                teacher_MD=unit_rows(self.rows, self.width, self.seed + 11, self.dtype),
                sample_M=torch.arange(self.rows) + self.batch,
            ),
            draws=Draws(torch.randint(self.rows, (self.batch, self.negatives), generator=generator), logq, candidates),
        )


cases = st.builds(
    Case,
    batch=st.integers(1, 5),
    width=st.integers(2, 6),
    rows=st.integers(1, 8),
    negatives=st.integers(1, 12),
    temperature=st.floats(0.05, 2),
    past_positives=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    seed=st.integers(0, 10_000),
)


def relative(found: Tensor, expected: Tensor) -> float:
    return float(((found.double() - expected).norm() / expected.norm()).item())


def assert_same(loss: Tensor, inputs: list[Tensor], expected: Tensor, expected_inputs: list[Tensor]) -> None:
    tolerance = TOLERANCE[inputs[0].dtype]
    assert relative(loss, expected) <= tolerance
    for found, wanted in zip(
        torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, expected_inputs), strict=True
    ):
        assert relative(found, wanted) <= tolerance


def doubled(tensor: Tensor) -> Tensor:
    return tensor.detach().double().requires_grad_(tensor.requires_grad)


@few
@given(case=cases, skew=st.booleans())
def test_infonce_is_its_equation(case: Case, skew: bool) -> None:
    contrast = case.contrast()
    draws = contrast.draws
    if skew:  # as a sampler would that prefers some rows: its log-probabilities weigh the negatives
        noise = torch.rand(draws.logq_BK.shape, generator=torch.Generator().manual_seed(case.seed))
        draws = Draws(draws.row_BK, (draws.logq_BK - noise).to(case.dtype), draws.candidates_B)
        contrast = Contrast(**(vars(contrast) | {"draws": draws}))
    weights = (1 / (draws.logq_BK.double().exp() * case.rows)).tolist()
    student, teacher = doubled(contrast.student_BD), doubled(contrast.teacher_BD)
    drawn = draws.row_BK.tolist()
    rows_s, rows_t = contrast.rows.student_MD.double(), contrast.rows.teacher_MD.double()
    expected = reference.infonce_direction(student, teacher, rows_t, drawn, weights, case.temperature)
    expected = expected + reference.infonce_direction(teacher, student, rows_s, drawn, weights, case.temperature)
    loss = InfoNCE(temperature=case.temperature).build()(contrast, SingleWorld())
    assert_same(loss, [contrast.student_BD, contrast.teacher_BD], expected / 2, [student, teacher])


@few
@given(case=cases, samples=st.integers(2, 100_000))
def test_crd_is_its_equation_whatever_the_number_of_samples_and_keeps_its_first_normaliser(
    case: Case, samples: int
) -> None:
    objective = CRD(temperature=case.temperature).build()
    normalisers: list[float] = []
    for batch_number in range(2):
        contrast = case.contrast(batch_number)
        drawn = contrast.draws.row_BK.tolist()
        student, teacher = doubled(contrast.student_BD), doubled(contrast.teacher_BD)
        past = case.past_positives
        positive_teacher = contrast.positive_teacher_BD.double() if past else teacher
        positive_student = contrast.positive_student_BD.double() if past else student
        sides = [
            (student, positive_teacher, contrast.rows.teacher_MD.double()),
            (teacher, positive_student, contrast.rows.student_MD.double()),
        ]
        normalisers = normalisers or [
            reference.crd_normaliser(*side, drawn, case.temperature, samples) for side in sides
        ]
        expected = torch.zeros((), dtype=torch.float64)
        for side, normaliser in zip(sides, normalisers, strict=True):
            expected = expected + reference.crd_direction(*side, drawn, case.temperature, samples, normaliser)
        loss = objective(contrast, SingleWorld())
        assert_same(loss, [contrast.student_BD, contrast.teacher_BD], expected, [student, teacher])


@few
@given(
    batch=st.integers(1, 5),
    classes=st.integers(2, 7),
    temperature=st.floats(0.5, 20),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    seed=st.integers(0, 10_000),
)
def test_kd_is_its_equation(batch: int, classes: int, temperature: float, dtype: torch.dtype, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = [torch.randn(batch, classes, generator=generator, dtype=dtype) * 4 for _ in range(2)]
    student, teacher = logits[0].requires_grad_(), logits[1]
    loss = KD(temperature=temperature).build()(logits_contrast(student, teacher), SingleWorld())
    expected_student = doubled(student)
    expected = reference.kd(expected_student, teacher.double(), temperature)
    assert_same(loss, [student], expected, [expected_student])


def logits_contrast(student: Tensor, teacher: Tensor) -> Contrast:
    nothing, no_sample = student.new_empty(0, 0), torch.empty(0, dtype=torch.long)
    draws = Draws(torch.empty(0, 0, dtype=torch.long), nothing, no_sample)
    rows = Rows(nothing, nothing, no_sample)
    samples = torch.arange(len(student))
    return Contrast(samples, nothing, nothing, nothing, nothing, rows, draws, student, teacher)
