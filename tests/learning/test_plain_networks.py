"""The plain CNNs of the literature: what they see, how large they are, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hsi_ssl.config import TrainerConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.data import PixelWindows, Scale, input_settings
from napari_hsi_ssl.learning.inline import train_inline
from napari_hsi_ssl.learning.plain_networks import PlainTraining, PlaneNet, SpectrumNet, VolumeNet, predict_windows
from napari_hsi_ssl.progress import run
from tests.learning.made_runs import scene

SETTINGS = TrainerConfig(epochs=100, max_steps=60, batch_size=16, accelerator="cpu", precision="32", learning_rate=3e-3)


@pytest.mark.parametrize("channels", [2, 9, 40, 103, 224])
@pytest.mark.parametrize("network", [SpectrumNet, PlaneNet, VolumeNet])
def test_any_number_of_bands_has_a_network(network, channels):
    said = network(channels, 7)(torch.zeros(3, channels, network.window, network.window))
    assert said.shape == (3, 7)


def test_networks_are_as_large_as_the_papers_say():
    """Hu et al.: filters over a ninth of the bands, 20 maps, pooled to 30 to 40 positions; Makantasis et al.: 3, 9 and 6 times the components."""
    spectrum = SpectrumNet(220, 8)
    assert spectrum.filters.kernel_size == (25,)  # 220 / 9, rounded up
    assert spectrum.pool.kernel_size == 5
    assert 30 <= spectrum.hidden.in_features // 20 <= 40
    plane = PlaneNet(30, 16)
    assert (plane.first.out_channels, plane.second.out_channels, plane.hidden.out_features) == (90, 270, 180)
    volume = VolumeNet(200, 16)
    assert [layer.out_channels for layer in volume.layers] == [20, 20, 35, 35, 35, 35]


def training(network, seed=0):
    """Windows of 60 labelled pixels of three materials, the others to judge by, and an untrained network."""
    scores, labels = scene(seed)
    draws = np.random.default_rng(seed).random(labels.shape) < 0.04
    numbers = [2, 5, 9]
    windows = [PixelWindows([scores.astype(np.float32)], [np.where(side, labels, 0)], numbers, network.window) for side in (draws, ~draws)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = network(scores.shape[2], 3)
    return model, *windows, Scale({"input": input_settings(np.zeros(scores.shape[2]), np.ones(scores.shape[2]), "bands", "keep")})


@pytest.mark.parametrize("network", [SpectrumNet, PlaneNet, VolumeNet])
def test_they_learn_three_materials(network):
    model, learned, asked, scale = training(network)
    before = (predict_windows(model.eval(), asked, scale) == asked.labels).mean()
    run(train_inline(PlainTraining(model.train(), learned, scale, SETTINGS), SETTINGS, "training"))
    assert (predict_windows(model, asked, scale) == asked.labels).mean() > max(0.85, before)


def test_the_seed_decides_the_training():
    said = []
    for seed in (0, 0, 1):
        model, learned, asked, scale = training(SpectrumNet)
        settings = SETTINGS.model_copy(update={"max_steps": 5, "seed": seed})
        run(train_inline(PlainTraining(model, learned, scale, settings), settings, "training"))
        said.append(predict_windows(model, asked, scale).tolist())
    assert said[0] == said[1] != said[2]


def test_training_can_be_left_and_tells_how_far_it_is():
    model, learned, _, scale = training(SpectrumNet)
    settings = SETTINGS.model_copy(update={"epochs": 100_000, "max_steps": None})
    steps = train_inline(PlainTraining(model, learned, scale, settings), settings, "training")
    seen = next(progress for progress in steps if progress.total)
    assert 0 < seen.done < seen.total
    steps.close()  # would go on for minutes otherwise


def test_what_goes_wrong_in_training_is_told_where_it_is_waited_for():
    model, learned, _, scale = training(SpectrumNet)
    with torch.no_grad():
        model.classify.weight.fill_(torch.nan)
    with pytest.raises(RunError, match="the loss became NaN at step 1"):
        run(train_inline(PlainTraining(model, learned, scale, SETTINGS), SETTINGS, "training"))
