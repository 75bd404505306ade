"""What holds for every sampler of negatives."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare
from torch import Tensor

from tests.contracts.families import NAMED
from tests.trainables.negatives.scene import KEY_M, M, alike, anchors_of, memory, seeded
from tests.trainables.trials import unit_rows
from trainables.draws import Draws, Mode
from trainables.negatives.label_aware import LabelAware
from trainables.protocols import NOBODY, Anchors, NegativesMember, Rows, Shapes

each_sampler = pytest.mark.parametrize("member", NAMED["negatives"], ids=lambda member: member.__name__)
#: Settings for which a memory of twelve rows has something to choose from.
CHOOSY = {"neighbours": 3, "near": 0.6, "lower": 0.3, "upper": 0.8, "sharpness": 2.0, "explore": 0.4, "prior": 0.1}
MODES: Any = Mode  # an annotation, as a value
WITH_REPLACEMENT = [member for member in NAMED["negatives"] if member is not LabelAware]
each_mode = pytest.mark.parametrize(
    "member",
    [member for member in NAMED["negatives"] if member.model_fields["mode"].annotation == MODES],
    ids=lambda member: member.__name__,
)
LIKELY = 1e-3  # a seeded draw below this probability is no accident
ANCHORS = 20_000


def sampler(member: type[NegativesMember]) -> NegativesMember:
    return member.model_validate({name: value for name, value in CHOOSY.items() if name in member.model_fields})


def draw(member: type[NegativesMember], anchors: Anchors, count: int, seed: int = 0, rows: Rows | None = None) -> Draws:
    drawn = sampler(member).build().draw(anchors, rows or memory(), count, seeded(seed))
    return one_by_one(drawn)


def one_by_one(drawn: Draws) -> Draws:
    """The same draws where a sampler counts them, as rows in a random order."""
    if drawn.row_BR is not None:
        return drawn
    assert drawn.weight_BR is not None
    count_BM = drawn.weight_BR.long()
    assert (count_BM.sum(dim=1) == drawn.count).all()
    place_BM = torch.arange(count_BM.shape[1]).expand(count_BM.shape)
    row_BK = place_BM.reshape(-1).repeat_interleave(count_BM.reshape(-1)).view(len(count_BM), drawn.count)
    order_BK = torch.rand(row_BK.shape, generator=seeded(11)).argsort(dim=1)
    return Draws(drawn.count, drawn.rows, row_BK.gather(1, order_BK))


def contingency(first: Tensor, second: Tensor) -> float:
    """Probability that independent rows would look as related as these."""
    table = torch.zeros(M, M)
    table.index_put_((first, second), torch.ones(len(first)), accumulate=True)
    return float(chi2_contingency(table[table.sum(dim=1) > 0][:, table.sum(dim=0) > 0].numpy()).pvalue)


def weights(drawn: Draws) -> Tensor:
    """How often each draw counts, (B, K)."""
    assert drawn.row_BR is not None
    if drawn.weight_BR is None:
        return torch.ones(drawn.row_BR.shape, dtype=torch.float64)
    return drawn.weight_BR.double()


def drawn_rows(drawn: Draws) -> Tensor:
    """The rows of each anchor, (B, K)."""
    assert drawn.row_BR is not None
    return drawn.row_BR


@each_sampler
def test_never_draws_a_row_of_the_anchors_own_key(member: type[NegativesMember]) -> None:
    key_B = torch.arange(10)  # 4 and 9 have no row at all
    drawn = draw(member, anchors_of(key_B), 500)
    assert drawn_rows(drawn).shape == (10, 500)
    assert (drawn.count, drawn.held, drawn.rows) == (500, 500, M)
    assert (KEY_M[drawn_rows(drawn)] != key_B.unsqueeze(1)).all()
    assert drawn.weight_BR is None or (drawn.weight_BR.shape == (10, 500) and not drawn.weight_BR.requires_grad)


@each_sampler
@pytest.mark.parametrize("key", [0, 3, 4])
@pytest.mark.parametrize("count", [1, 7, 30])
def test_draws_with_the_probability_that_its_weights_state(member: type[NegativesMember], key: int, count: int) -> None:
    drawn = draw(member, alike(key, ANCHORS), count)
    population = len(torch.unique(drawn_rows(drawn)))
    for place in {0, count - 1}:
        row_B, q_B = drawn_rows(drawn)[:, place], 1 / (weights(drawn)[:, place] * population)
        counts = torch.bincount(row_B, minlength=M)
        probability = torch.zeros(M, dtype=torch.float64).index_put_((row_B,), q_B)
        assert torch.allclose(probability[row_B], q_B)  # anchors that are alike have the same probabilities
        assert probability.sum().item() == pytest.approx(1, abs=1e-5)
        possible = probability > 0
        expected = ANCHORS * probability[possible] / probability.sum()
        assert chisquare(counts[possible].numpy(), expected.numpy()).pvalue > LIKELY


@each_sampler
@pytest.mark.parametrize("key", [0, 3, 4])
@pytest.mark.parametrize("count", [1, 7, 30])
def test_weighted_draws_are_an_unbiased_estimate_for_the_population(
    member: type[NegativesMember], key: int, count: int
) -> None:
    drawn = draw(member, alike(key, ANCHORS), count, seed=1)
    population = torch.unique(drawn_rows(drawn))
    value_M = torch.rand(M, generator=seeded(5), dtype=torch.float64)
    estimate_B = (value_M[drawn_rows(drawn)] * weights(drawn)).mean(dim=1)
    error = float(estimate_B.std() / ANCHORS**0.5)
    assert error < 0.01
    assert estimate_B.mean().item() == pytest.approx(value_M[population].mean().item(), abs=4 * error + 1e-5)


@each_mode
@pytest.mark.parametrize("key", [0, 3, 4])
@pytest.mark.parametrize("count", [5, 30])
def test_modes_have_the_expectation_of_draws_of_their_own(member: type[NegativesMember], key: int, count: int) -> None:
    """Many batches of one anchor; a sum over the negatives, as losses make it."""
    rows, value_M = memory(), torch.rand(M, generator=seeded(5), dtype=torch.float64)
    exact = draw(member, alike(key, 1), 5000)
    expected = count * value_M[torch.unique(drawn_rows(exact))].mean().item()
    for mode, batches in (("shared", 4000), ("full", 1)):
        negatives = member.model_validate({"mode": mode}).build()
        sums = [counted(negatives.draw(alike(key, 1), rows, count, seeded(s)), value_M) for s in range(batches)]
        error = float(torch.stack(sums).std() / batches**0.5) if batches > 1 else 0.0
        assert error < 0.02 * expected
        assert torch.stack(sums).mean().item() == pytest.approx(expected, abs=4 * error, rel=1e-6)


@each_mode
def test_modes_never_count_a_row_of_the_anchors_own_key(member: type[NegativesMember]) -> None:
    key_B, own_M = torch.arange(10), torch.zeros(M, dtype=torch.float64)
    for mode in ("shared", "full"):
        negatives = member.model_validate({"mode": mode}).build()
        drawn = negatives.draw(anchors_of(key_B), memory(), 8, seeded(0))
        assert drawn.shared
        assert drawn.held == (M if mode == "full" else 8)
        for anchor, key in enumerate(key_B.tolist()):
            assert counted(drawn.of(slice(anchor, anchor + 1)), own_M + (key == KEY_M)) == 0
            assert counted(drawn.of(slice(anchor, anchor + 1)), own_M + 1).item() == pytest.approx(8)


def counted(drawn: Draws, value_M: Tensor) -> Tensor:
    """The weighted sum of a value over the negatives of the only anchor."""
    value_R = value_M if drawn.row_BR is None else value_M[drawn.row_BR[0]]
    assert drawn.weight_BR is not None
    assert drawn.never_BR is not None
    return (drawn.weight_BR.double() * torch.where(drawn.never_BR, 0, value_R)).sum()


@pytest.mark.parametrize("member", WITH_REPLACEMENT, ids=lambda member: member.__name__)
def test_draws_of_an_anchor_are_independent(member: type[NegativesMember]) -> None:
    row_K = drawn_rows(draw(member, alike(3, 1), ANCHORS + 1))[0]
    assert contingency(row_K[:-1], row_K[1:]) > LIKELY


@each_sampler
def test_anchors_draw_independently_of_each_other(member: type[NegativesMember]) -> None:
    row_B = drawn_rows(draw(member, alike(3, 2 * ANCHORS), 1))[:, 0]
    assert contingency(row_B[::2], row_B[1::2]) > LIKELY


@each_sampler
def test_is_a_function_of_its_generator(member: type[NegativesMember]) -> None:
    anchors, state = anchors_of(torch.arange(4)), torch.get_rng_state()
    first, again, other = (drawn_rows(draw(member, anchors, 50, seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@each_sampler
def test_looks_at_labels_if_and_only_if_it_says_so(member: type[NegativesMember]) -> None:
    anchors, rows = anchors_of(torch.arange(4)), memory()
    seen = draw(member, anchors, 50)
    if sampler(member).uses_labels:
        others = draw(member, anchors, 50, rows=replace(rows, label_M=rows.label_M.roll(1)))  # type: ignore[union-attr]
        assert not torch.equal(drawn_rows(seen), drawn_rows(others))
    else:
        blind = draw(member, replace(anchors, label_B=None), 50, rows=replace(rows, label_M=None))
        assert torch.equal(drawn_rows(seen), drawn_rows(blind))
        assert torch.equal(weights(seen), weights(blind))


@each_sampler
def test_pays_for_scores_if_and_only_if_it_looks_at_embeddings(member: type[NegativesMember]) -> None:
    shapes = Shapes(batch=3, width=5, negatives=4, rows=100, classes=6, samples=200)
    operations = sampler(member).operations(shapes)
    other = memory()
    other = replace(other, student_MD=other.teacher_MD, teacher_MD=other.student_MD)
    key_B = torch.arange(4)
    looks = not torch.equal(
        drawn_rows(draw(member, anchors_of(key_B), 50)), drawn_rows(draw(member, anchors_of(key_B), 50, rows=other))
    )
    assert bool(operations) == looks
    for operation in operations:
        assert (operation.flops, operation.bytes) == (2 * 3 * 100 * 5, 4 * 100 * 5 + 4 * 3 * 100)


@each_sampler
def test_what_is_not_finite_is_left_to_the_loss_to_find(member: type[NegativesMember]) -> None:
    anchors, nan = anchors_of(torch.arange(4)), torch.full((4, 4), float("nan"))
    drawn = draw(member, replace(anchors, student_BD=nan, teacher_BD=nan), 20)
    assert ((drawn_rows(drawn) >= 0) & (drawn_rows(drawn) < M)).all()


@each_sampler
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    keys=st.lists(st.integers(NOBODY, 5), min_size=2, max_size=9),
    labels=st.lists(st.integers(NOBODY, 2), min_size=6, max_size=6),
    count=st.integers(1, 12),
    progress=st.floats(0, 1),
    sharpness=st.floats(0, 3),
)
def test_whatever_the_memory_draws_are_possible(
    member: type[NegativesMember], keys: list[int], labels: list[int], count: int, progress: float, sharpness: float
) -> None:
    key_M, key_B, label_N = torch.tensor(keys), torch.arange(6), torch.tensor(labels)
    other_BM = key_B.unsqueeze(1) != key_M
    assume(bool(other_BM.any(dim=1).all()))
    rows, anchors = memory(key_M, label_N), anchors_of(key_B, progress, sharpness, label_N)
    drawn = draw(member, anchors, count, rows=rows)
    assert other_BM.gather(1, drawn_rows(drawn)).all()
    assert weights(drawn).isfinite().all()
    assert (weights(drawn) > 0).all()


@each_sampler
def test_a_large_memory_of_equal_rows_is_no_special_case(member: type[NegativesMember]) -> None:
    rows = Rows(*(unit_rows(1, 4, 0).expand(3000, 4),) * 2, torch.arange(3000), torch.arange(3000) % 7)
    drawn = draw(member, anchors_of(torch.arange(10)), 100, rows=rows)
    assert (drawn_rows(drawn) != torch.arange(10).unsqueeze(1)).all()
    assert weights(drawn).isfinite().all()
