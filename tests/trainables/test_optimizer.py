"""The optimiser takes the steps that torch's own takes."""

import pytest
import torch
from torch import nn

from trainables.optimizer import SGD, Optimizer

CONFIG = Optimizer(learning_rate=0.1, momentum=0.9, weight_decay=1e-2)
SHAPES = ((), (7,), (3, 5), (64, 33))


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in SHAPES]


def give_gradients(to: list[nn.Parameter], step: int) -> None:
    """The first parameter has none in the first step, and the last one never."""
    generator = torch.Generator().manual_seed(step)
    for place, parameter in enumerate(to[:-1]):
        gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = None if place == step == 0 else gradient


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_are_those_of_torch(momentum: float) -> None:
    found, expected = parameters(), parameters()
    optimizer = CONFIG.model_copy(update={"momentum": momentum}).build(found)
    reference = torch.optim.SGD(expected, lr=0.1, momentum=momentum, weight_decay=1e-2, foreach=False)
    for step, rate in enumerate((0.1, 0.1, 0.03, 0.0)):
        optimizer.learning_rate = reference.param_groups[0]["lr"] = rate
        for each in (found, expected):
            give_gradients(each, step)
        optimizer.step()
        reference.step()
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-14, atol=1e-14)
    assert torch.equal(found[-1], parameters()[-1])
    momenta = {p: e["momentum_buffer"] for p, e in reference.state_dict()["state"].items() if momentum}
    assert optimizer.state_dict()["state"].keys() == momenta.keys()


def test_a_rate_falls_as_the_papers_say() -> None:
    """CRD's 240 epochs: a tenth after 150, 180 and 210 (Tian et al. 2020)."""
    steps = Optimizer(learning_rate=0.05, schedule="steps")
    rates = {epoch: steps.learning_rate_at(epoch, 240) for epoch in (0, 149, 150, 179, 180, 209, 210, 239)}
    assert list(rates.values()) == pytest.approx([0.05, 0.05, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])
    cosine = Optimizer(learning_rate=0.05, schedule="cosine")
    assert [cosine.learning_rate_at(step, 4) for step in (0, 2)] == pytest.approx([0.05, 0.025])


def test_an_average_looks_back_over_a_share_of_the_steps() -> None:
    """Closed forms: eta = 0 is the mean of all; of weights that are the step's number it lags by 1 / (eta + 2)."""
    for eta in (0.0, 3.0, 8.0):
        optimizer, average = Optimizer(averaging=eta), 7.0
        for step in range(1, 2001):
            average += optimizer.share_of_newest(step) * (step - average)
            if step == 1:
                assert average == 1.0, "the weights before the first step leave no trace"
        assert average == pytest.approx(2000 * (eta + 1) / (eta + 2), rel=2e-3)


def test_goes_on_from_its_state_bit_for_bit() -> None:
    whole, resumed = parameters(), parameters()
    optimizers = [SGD(each, CONFIG) for each in (whole, resumed)]
    give_gradients(whole, 0)
    optimizers[0].step()
    state = optimizers[0].state_dict()
    for one, other in zip(resumed, whole, strict=True):
        one.data.copy_(other.data)
    optimizers[1].load_state_dict(state)
    for each, optimizer in zip((whole, resumed), optimizers, strict=True):
        give_gradients(each, 1)
        optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(whole, resumed, strict=True))


def test_a_gradient_is_taken_away() -> None:
    some = parameters()
    give_gradients(some, 1)
    optimizer = SGD(some, CONFIG)
    assert len(optimizer.gradients()) == 3
    optimizer.zero_grad()
    assert optimizer.gradients() == []
