"""Blocks of one frame: where their borders lie, which windows stay, and which assignments are tried."""

import numpy as np
import pytest

from napari_hsi_ssl.config import PatchConfig
from napari_hsi_ssl.patches import blocks

SIZE = 8


def corners(rows, columns):
    y, x = np.mgrid[rows[0] : rows[1] - SIZE + 1 : 2, columns[0] : columns[1] - SIZE + 1 : 2]
    return y.ravel().astype(np.int32), x.ravel().astype(np.int32)


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("gap", [0, 24])
def test_the_box_around_the_foreground_is_cut_evenly(upright, gap):
    """A strip of four blocks: each window inside one block stays, whatever the draw; a first line far from the rest counts as foreground."""
    foreground = np.zeros((90, 90), dtype=bool)
    foreground[20:36, 10 + gap : 74] = True
    foreground[20:36, 10] = True
    y, x = corners((20, 36), (10, 74))
    long = x
    if upright:
        foreground, y, x = foreground.T, x, y
    kept, split = blocks.split_by_blocks(foreground, y, x, PatchConfig(size=SIZE, block=16, guard=0, test_share=0.5), np.random.default_rng(3))
    block = (long - 10) // 16
    inside = block == (long + SIZE - 1 - 10) // 16
    assert set(np.flatnonzero(inside)) <= set(kept)
    for number in range(4):
        assert len(set(split[np.isin(kept, np.flatnonzero(inside & (block == number)))])) == 1
    assert {0, 1} == set(split)


def test_after_random_draws_bands_from_all_four_sides_are_tried():
    tried = list(blocks._assignments((3, 4), 0.25, np.random.default_rng(0)))
    scattered = [test for random, test in tried if random]
    bands = [test for random, test in tried if not random]
    assert len(scattered) == 32
    assert all(test.shape == (3, 4) and 3 <= test.sum() <= 11 for test in scattered)
    assert len(bands) == 2 * (2 + 3)
    lines = {tuple(test.ravel()) for test in bands}
    for axis, count in ((0, 3), (1, 4)):
        for edge in range(1, count):
            band = np.arange(count) < edge
            expected = np.broadcast_to(band[:, None] if axis == 0 else band, (3, 4))
            assert tuple(expected.ravel()) in lines
            assert tuple((~expected).ravel()) in lines
