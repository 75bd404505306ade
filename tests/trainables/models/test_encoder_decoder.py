"""The network that generates: what its likelihood is, and what each value's mean may depend on."""

import pytest
import torch
from torch import Tensor

from trainables.compute import count_layers
from trainables.models.convnet import ConvNet
from trainables.models.encoder_decoder import EncoderDecoder, _EncoderDecoder

DECODERS = ("reconstruction", "autoregressive")
each_decoder = pytest.mark.parametrize("decoder", DECODERS)
INPUTS = (1, 8, 8)


def config(decoder: str, **changes: float) -> EncoderDecoder:
    return EncoderDecoder.model_validate({"width": 2, "decoder_width": 6, "decoder": decoder} | changes)


def network(decoder: str, inputs: tuple[int, ...] = INPUTS, **changes: float) -> _EncoderDecoder:
    torch.manual_seed(0)
    return config(decoder, **changes).build(inputs)


def images(count: int = 4, inputs: tuple[int, ...] = INPUTS) -> Tensor:
    return torch.rand(count, *inputs, generator=torch.Generator().manual_seed(1))


@each_decoder
def test_features_are_those_of_the_plain_network(decoder: str) -> None:
    built, plain = network(decoder), ConvNet(width=2).build(INPUTS)
    plain.load_state_dict(built.encoder.state_dict())
    assert torch.equal(built(images()), plain(images()))
    assert built(images()).shape == (4, config(decoder).feature_width(INPUTS))


@each_decoder
def test_the_likelihood_is_that_of_independent_gaussians_around_the_means(decoder: str) -> None:
    built = network(decoder)
    features_BF = built(images())
    deviation = config(decoder).deviation
    means = built.decoder(features_BF, images())
    by_hand = -torch.distributions.Normal(means, deviation).log_prob(images()).flatten(1).mean(dim=1)
    torch.testing.assert_close(built.negative_log_likelihood(features_BF, images()), by_hand)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("decoder_width", [1, 2, 7])
def test_a_mean_sees_the_values_before_it_and_no_other(channels: int, decoder_width: int) -> None:
    inputs = (channels, 4, 5)
    built = network("autoregressive", inputs, decoder_width=decoder_width).double()
    features_BF = built(images(1, inputs).double()).detach()
    seen = torch.zeros(channels * 20, channels * 20)
    for seed in range(20):  # a rectifier that is off hides what it sees
        image = torch.rand(inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        jacobian = torch.func.jacrev(lambda image: built.decoder(features_BF, image.unsqueeze(0))[0])(image)
        # raster order, channel after channel within a pixel
        seen += jacobian.permute(1, 2, 0, 4, 5, 3).reshape(seen.shape).detach().abs().float()
    assert torch.equal(seen.triu(), torch.zeros_like(seen))
    if channels == 1:
        assert seen.diagonal(-1).count_nonzero() >= 15  # the pixel before, which at the start of a row is far away
    if decoder_width >= channels:
        before = torch.tensor([seen[index, index - 1] for index in range(1, len(seen)) if index % channels])
        assert (before > 0).all()  # the channel before, of the same pixel


def test_a_reconstruction_sees_no_value_but_through_the_features() -> None:
    built = network("reconstruction")
    features_BF = built(images())
    assert torch.equal(built.decoder(features_BF, images()), built.decoder(features_BF, torch.zeros(4, *INPUTS)))


@each_decoder
def test_every_mean_depends_on_the_features(decoder: str) -> None:
    built = network(decoder, decoder_width=16)
    means = built.decoder(built(images(1)), images(1))
    others = built.decoder(built(images(2)[1:]), images(1))
    assert (means != others).all()


@each_decoder
def test_all_weights_learn(decoder: str) -> None:
    built = network(decoder)
    features_BF = built(images())
    built.negative_log_likelihood(features_BF, images()).sum().backward()  # the encoder too, through the features
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@each_decoder
def test_a_sample_does_not_depend_on_those_beside_it(decoder: str) -> None:
    built = network(decoder)
    features_BF = built(images())
    together = built.negative_log_likelihood(features_BF, images())
    alone = [
        built.negative_log_likelihood(row.unsqueeze(0), image.unsqueeze(0))
        for row, image in zip(features_BF, images(), strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-6)
    assert together.unique().numel() == 4


@each_decoder
@pytest.mark.parametrize("inputs", [(1, 4, 4), (2, 5, 5), (3, 28, 28), (3, 32, 32)])
def test_generates_images_of_any_size(decoder: str, inputs: tuple[int, ...]) -> None:
    built = network(decoder, inputs)
    features_BF = built(images(2, inputs))
    assert built.decoder(features_BF, images(2, inputs)).shape == (2, *inputs)
    assert built.negative_log_likelihood(features_BF, images(2, inputs)).shape == (2,)


@each_decoder
def test_learns_to_generate(decoder: str) -> None:
    shown, built = images(2).round(), network(decoder, deviation=0.3)
    optimizer = torch.optim.Adam(built.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = built.negative_log_likelihood(built(shown), shown).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    marginal = torch.distributions.Normal(shown.mean(), shown.std())
    assert losses[-1] < -marginal.log_prob(shown).mean() - 0.3 < losses[0]


def products(decoder: str) -> list[int]:
    """Multiply-adds of one image's likelihood by hand, for F = 32, width 6 and 8 x 8 pixels."""
    upsampled = [32 * 6 * 16, 16 * 9 * 36, 64 * 9 * 36]  # to 4 x 4, then a convolution at 4 x 4 and at 8 x 8
    if decoder == "reconstruction":
        return [*upsampled, 64 * 9 * 6]
    return [*upsampled, 64 * 25 * 6, *[64 * 9 * 36, 64 * 36] * 3, 64 * 6]


@each_decoder
def test_every_product_is_counted_where_there_are_no_data(decoder: str) -> None:
    member = config(decoder)
    encoder = sum(layer.flops for layer in count_layers(ConvNet(width=2), INPUTS, 5))
    assert sum(layer.flops for layer in count_layers(member, INPUTS, 5)) == encoder
    both = sum(layer.flops for layer in count_layers(member, INPUTS, 5, generates=True))
    assert both - encoder == 2 * 5 * sum(products(decoder))
