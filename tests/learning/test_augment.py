"""Random views: functions of seed and step, sliced by rank, and as strong as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hsi_ssl.config import AugmentConfig
from napari_hsi_ssl.learning.augment import Augmenter
from napari_hsi_ssl.learning.data import Scale, input_settings

NONE = AugmentConfig(flip=False, rotate=False, gain=0, offset=0, noise=0, drop=0, cutout=0)
SPREAD = np.array([1.0, 0.5, 0.2])


def augmenter(window=6, seed=0, **strengths):
    scale = Scale({"input": input_settings(np.zeros(3), SPREAD, "pcs", "mean")})
    return Augmenter(NONE.model_copy(update=strengths), scale, SPREAD, window, seed)


def batch(n=8, window=6):
    return torch.from_numpy(np.random.default_rng(1).normal(size=(n, window, window, 3)).astype(np.float16))


ALL = slice(0, 8)
EVERYTHING = {"flip": True, "rotate": True, "crop": 0.3, "gain": 0.2, "offset": 0.1, "noise": 0.1, "drop": 0.2, "cutout": 0.5}


def test_strength_zero_is_the_patch_itself():
    x = batch()
    torch.testing.assert_close(augmenter()(x, 3, 0, 8, ALL), x.float() * torch.tensor(SPREAD, dtype=torch.float32))


def test_a_view_depends_on_seed_step_and_view_alone():
    x = batch()
    first = augmenter(**EVERYTHING)(x, 3, 0, 8, ALL)
    assert torch.equal(first, augmenter(**EVERYTHING)(x, 3, 0, 8, ALL))  # a resumed run sees what an undisturbed one would
    for other in (augmenter(**EVERYTHING)(x, 3, 1, 8, ALL), augmenter(**EVERYTHING)(x, 4, 0, 8, ALL), augmenter(seed=1, **EVERYTHING)(x, 3, 0, 8, ALL)):
        assert not torch.equal(first, other)


def test_ranks_make_their_rows_of_the_one_batch():
    x = batch()
    make = augmenter(**EVERYTHING)
    whole = make(x, 7, 1, 8, ALL)
    parts = [make(x[rows], 7, 1, 8, rows) for rows in (slice(0, 4), slice(4, 8))]
    torch.testing.assert_close(torch.cat(parts), whole)


def test_the_batch_itself_is_left_alone():
    x = batch()
    before = x.clone()
    augmenter(**EVERYTHING)(x, 0, 0, 8, ALL)
    assert torch.equal(x, before)


def test_turns_are_the_eight_of_the_square():
    x = batch()
    turned = augmenter(flip=True, rotate=True).turned(x, np.arange(8))
    for row in range(8):
        expected = torch.rot90(x[row], row % 4, (0, 1))
        assert torch.equal(turned[row], expected.flip(1) if row >= 4 else expected)
    assert len({row.numpy().tobytes() for row in augmenter(flip=True, rotate=True).turned(x[:1].expand(8, -1, -1, -1), np.arange(8))}) == 8
    mirrored = augmenter(flip=True).turned(x, np.arange(8))
    assert torch.equal(mirrored[:4], x[:4])
    assert torch.equal(mirrored[5], x[5].flip(1))


def test_noise_gain_offset_and_drop_are_as_strong_as_they_say():
    n, ones = 400, torch.ones(400, 6, 6, 3, dtype=torch.float16)
    rows = slice(0, n)
    noise = augmenter(noise=0.3)(ones, 0, 0, n, rows) - torch.tensor(SPREAD)
    np.testing.assert_allclose(noise.std((0, 1, 2)).numpy(), 0.3 * SPREAD, rtol=0.05)
    assert abs(np.corrcoef(noise[:, 0, 0, 0], noise[:, 0, 1, 0])[0, 1]) < 0.2  # pixels differ
    offset = augmenter(offset=0.4)(ones, 0, 0, n, rows) - torch.tensor(SPREAD)
    np.testing.assert_allclose(offset[:, 0, 0].std(0).numpy(), 0.4 * SPREAD, rtol=0.15)
    assert offset.std((1, 2)).max() < 1e-6  # one for the whole window
    gain = augmenter(gain=0.2)(ones, 0, 0, n, rows) / torch.tensor(SPREAD)
    assert gain.std((1, 2, 3)).max() < 1e-6  # one for all components
    assert gain[:, 0, 0, 0].log().std().item() == pytest.approx(0.2, rel=0.15)
    dropped = augmenter(drop=0.25)(ones, 0, 0, n, rows)[:, 0, 0] == 0
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.05)


def test_cutout_zeroes_one_square():
    ones = torch.ones(50, 6, 6, 3, dtype=torch.float16)
    holes = augmenter(cutout=0.5)(ones, 0, 0, 50, slice(0, 50))[..., 0] == 0
    sides = holes.any(2).sum(1)
    assert torch.equal(holes.sum((1, 2)), sides**2)
    assert sides.max() == 3
    assert sides.min() == 0


def test_crop_keeps_the_middle_of_a_smooth_patch():
    """A crop enlarges a part; of a ramp it leaves a flatter ramp within the old range."""
    ramp = torch.linspace(0, 1, 6).half()[None, None, :, None].expand(8, 6, 6, 3)
    y = augmenter(crop=0.5)(ramp, 0, 0, 8, ALL)[..., 0]
    slopes = y[:, 0, -1] - y[:, 0, 0]
    assert (slopes > 0.3).all()
    assert slopes.min() < 0.9
    assert y.min() >= 0
    assert y.max() <= 1


@pytest.mark.parametrize("strengths", [EVERYTHING, {**EVERYTHING, "crop": 0.0}])
def test_a_view_is_the_same_in_memory_that_is_given(strengths):
    out = torch.full((8, 6, 6, 3), torch.nan)
    made = augmenter(**strengths)(batch(), 3, 0, 8, ALL, out=out)
    assert made.data_ptr() == out.data_ptr()
    assert torch.equal(out, augmenter(**strengths)(batch(), 3, 0, 8, ALL))
