"""A sum is its equation, and declares what any of its terms needs."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from tests.references import cacr, infonce, logits
from tests.trainables.objectives.cases import WORLD, Case, assert_equation, cases, few, value
from trainables.objectives.cacr import CACR
from trainables.objectives.compress import CompRess
from trainables.objectives.crd import CRD
from trainables.objectives.cross_entropy import CrossEntropy
from trainables.objectives.dcd import DCD
from trainables.objectives.infonce import InfoNCE
from trainables.objectives.kd import KD
from trainables.objectives.likelihood import Likelihood
from trainables.objectives.pcl import PCL
from trainables.objectives.seed import SEED
from trainables.objectives.sum import Single, Sum, Term
from trainables.protocols import Contrast, Decision, Shapes


def sum_of(*objectives: Single, weight: float = 1.0) -> Sum:
    return Sum(terms={f"term_{i}": Term(weight=weight, objective=objective) for i, objective in enumerate(objectives)})


@few
@given(
    case=cases(), temperature=st.floats(0.05, 2), weights=st.tuples(*[st.floats(0.1, 3)] * 4), factor=st.floats(0.1, 2)
)
def test_equation(case: Case, temperature: float, weights: tuple[float, ...], factor: float) -> None:
    objectives: dict[str, Single] = {
        "items": KD(temperature=4.0),  # also the name of a method of a dict
        "contrast": InfoNCE(temperature=temperature),
        "labels": CrossEntropy(),
        "0": CACR(),
    }
    terms = {
        label: Term(weight=weight, objective=objective)
        for (label, objective), weight in zip(objectives.items(), weights, strict=True)
    }
    contrast = replace(case.contrast(), decision=Decision(temperature=case.factor, contrast=factor))

    def expected(c: Any, _: dict[str, Tensor]) -> Tensor:
        losses = [
            logits.kd(c, 4.0 * case.factor),
            factor * infonce.infonce(c, temperature * case.factor),
            logits.cross_entropy(c),
            factor * cacr.cacr(c, 1.0, 1.0, 1.0 / case.factor, 0.9 / case.factor),
        ]
        return sum((weight * loss for weight, loss in zip(weights, losses, strict=True)), torch.zeros(()))

    assert_equation(Sum(terms=terms).build(), contrast, expected)


def contrast() -> Contrast:
    return Case(4, 5, 8, 6, 3, True, "uniform", "exact", 0.0, 0.0, 1.0, torch.float64, 5).contrast()


def test_one_term_is_its_weight_times_its_objective() -> None:
    batch = contrast()
    assert value(sum_of(CRD(), weight=0.25), batch) == pytest.approx(0.25 * value(CRD(), batch), rel=1e-14)
    assert value(sum_of(CRD(), weight=0.0), batch) == 0
    halved = replace(batch, decision=Decision(contrast=0.5))
    assert value(sum_of(KD(), CRD()), halved) == pytest.approx(value(KD(), batch) + value(CRD(), batch) / 2, rel=1e-14)


def test_the_default_is_kd_and_crd() -> None:
    expected = value(KD(), contrast()) + 0.8 * value(CRD(), contrast())
    assert value(Sum(), contrast()) == pytest.approx(expected, rel=1e-14)


def test_declares_what_any_term_needs() -> None:
    both = sum_of(KD(), InfoNCE(positive="view"))
    assert both.reads == {"logits", "embeddings", "second_view"}
    assert (both.sides, both.draws, both.uses_labels, both.trains_teacher_head) == (1, True, False, False)
    assert sum_of(KD(), SEED(), CompRess()).draws is False
    assert sum_of(KD(), SEED(), CompRess()).trains_teacher_head is False
    assert sum_of(SEED(), DCD()).trains_teacher_head is True
    assert sum_of(KD(), CRD(positive="relax")).relaxes
    assert sum_of(KD(), CRD(positive="relax")).uses_labels
    assert sum_of(KD(), PCL()).needs_prototypes
    assert not sum_of(KD(), CRD()).needs_prototypes
    assert sum_of(Likelihood(), KD()).sides == 0
    # each a half, and not the same one
    assert sum_of(SEED(), InfoNCE(positive="view")).halves == {"student", "teacher"}
    assert sum_of(SEED(), InfoNCE(symmetric=False)).halves == {"teacher"}


def test_operations_are_those_of_all_terms() -> None:
    shapes = Shapes(batch=2, width=3, negatives=4, rows=7, classes=5, samples=11)
    assert sum_of(KD(), CRD()).operations(shapes) == KD().operations(shapes) + CRD().operations(shapes)


def test_the_order_of_terms_has_no_meaning() -> None:
    terms = {"b": Term(weight=0.1, objective=CRD()), "a": Term(objective=KD()), "c": Term(weight=0.7, objective=CACR())}
    one, other = Sum(terms=terms), Sum(terms=dict(reversed(terms.items())))
    assert one == other
    assert hash(one) == hash(other)
    assert hash(one) != hash(Sum())
    assert value(one, contrast()) == value(other, contrast())
    assert list(one.build().state_dict()) == list(other.build().state_dict())


def test_the_state_of_a_term_is_under_its_label() -> None:
    state = Sum(terms={"learned": Term(objective=DCD()), "crd": Term(objective=CRD())}).build().state_dict()
    assert "losses.learned_loss.log_scale" in state
    assert "losses.crd_loss.student_normaliser.log_mean" in state


def test_comes_back_from_its_json() -> None:
    config = sum_of(KD(temperature=2.0), CRD(normaliser="learned"), weight=0.3)
    assert Sum.model_validate(config.to_json()) == config


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {f"t{i}": {"objective": {"name": "kd"}} for i in range(9)},
        {"Capital": {"objective": {"name": "kd"}}},
        {"a": {"weight": -1.0, "objective": {"name": "kd"}}},
        {"a": {"objective": {"name": "sum"}}},
    ],
)
def test_refuses_what_is_no_sum(terms: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sum.model_validate({"terms": terms})


def test_gradient_of_a_target_does_not_reach_the_teacher_beside_a_term_whose_does() -> None:
    batch = contrast()
    with_seed, alone = (sum_of(*objectives).build()(batch, WORLD) for objectives in ((CACR(), SEED()), (CACR(),)))
    gradients = [torch.autograd.grad(loss, batch.teacher_BD)[0] for loss in (with_seed, alone)]
    assert torch.equal(*gradients)
