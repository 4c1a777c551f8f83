"""The trunk, SimCLR's model and the multi-exit network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.encoder import ChannelNorm, SimCLRModel, Trunk, centre, channels_last, multiply_adds, parameters

SMALL = TrunkConfig(widths=(8, 12))
FLAT = TrunkConfig(widths=(8, 12, 16), stem_stride=1, stride=1, pool="centre")


def test_channel_norm_uses_nothing_but_the_pixels_own_channels():
    x = torch.randn(2, 6, 3, 4)
    norm = ChannelNorm(6)
    torch.nn.init.normal_(norm.weight)
    pixel = x[1, :, 2, 3].numpy()
    expected = (pixel - pixel.mean()) / np.sqrt(pixel.var() + 1e-5) * norm.weight.detach().numpy()
    np.testing.assert_allclose(norm(x)[1, :, 2, 3].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("window", "sides"), [(32, [16, 8]), (15, [8, 4]), (1, [1, 1])])
def test_stages_halve_the_window(window, sides):
    maps = Trunk(5, SMALL)(torch.randn(2, 5, window, window))
    assert [tuple(features.shape) for features in maps] == [(2, 8, sides[0], sides[0]), (2, 12, sides[1], sides[1])]


@pytest.mark.parametrize("pool", ["mean", "centre"])
def test_a_window_does_not_see_the_rest_of_its_batch(pool):
    """With statistics of the batch, 2 × 32 windows on two devices would train another thing than 64 on one."""
    model = SimCLRModel(5, SMALL.model_copy(update={"pool": pool}), 4)
    x = torch.randn(4, 5, 9, 9)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))
    assert model.embed(x).shape == (4, model.dim) == (4, 12 if pool == "mean" else 40)


def test_with_strides_of_one_an_image_can_be_run_at_once():
    """Inside, away from the frame, the whole image's features are those of its windows."""
    trunk = Trunk(5, FLAT)
    image = torch.randn(1, 5, 40, 40)
    window = image[:, :, 10:31, 12:33]  # 21 pixels; each of the 7 convolutions of 3 reaches one pixel further
    whole, part = trunk(image)[-1], trunk(window)[-1]
    torch.testing.assert_close(centre(part), whole[:, :, 20, 22], rtol=1e-4, atol=1e-5)


def test_the_centre_of_a_window_is_the_pixel_it_stands_for():
    x = torch.arange(2 * 5 * 6).reshape(1, 2, 5, 6)
    assert centre(x).tolist() == [[x[0, 0, 2, 3], x[0, 1, 2, 3]]]


def test_multiply_adds_and_parameters_are_those_counted_by_hand():
    model = SimCLRModel(5, TrunkConfig(widths=(8,), stem_stride=2), 4)
    stem, block, head = 16 * 9 * 5 * 8, 2 * 16 * 9 * 8 * 8, 8 * 8 + 8 * 4
    assert multiply_adds(model, 5, 8) == stem + block + head
    weights = (9 * 5 * 8 + 8) + 2 * (9 * 64 + 8) + 2 * 8 + 2 * 8 + (64 + 8) + (32 + 4)
    assert parameters(model) == weights


def test_channels_last_changes_the_layout_and_nothing_else():
    model, x = DistilNetwork(5, FLAT, 3), torch.randn(2, 5, 7, 7)
    before = model(x)[-1]
    channels_last(model)
    assert model.trunk.stem.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(x)[-1], before)


@pytest.mark.parametrize("window", [1, 5, 15, 32])
@pytest.mark.parametrize("channels", [1, 30, 103, 200, 450])
def test_every_exit_answers_for_any_window_and_any_bands(window, channels):
    network = DistilNetwork(channels, FLAT, 4).eval()
    x = torch.randn(2, channels, window, window)
    with torch.no_grad():
        logits, features = network(x), network.embed(x)
    assert [tuple(each.shape) for each in logits] == [(2, 4)] * 3
    assert features.shape == (2, network.dim) == (2, 16)
    assert all(torch.isfinite(each).all() for each in logits)


def test_the_3d_stem_sees_every_band():
    """A stride along the spectrum that skipped bands would throw a camera's bands away."""
    network = DistilNetwork(200, FLAT, 3)
    x = torch.randn(1, 200, 3, 3, requires_grad=True)
    network.spectral(x).square().sum().backward()
    assert (x.grad.abs().amax((0, 2, 3)) > 0).all()
