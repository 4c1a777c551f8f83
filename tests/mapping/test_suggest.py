"""Suggestions lie where the map is least sure, apart from each other and from what is painted."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.mapping.suggest import suggest


def scene(shape: tuple[int, int], *doubts: tuple[int, int, float], radius: int = 6) -> np.ndarray:
    """Return a sure map (y, x) with discs of doubt."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    sure = np.ones(shape, dtype=np.float32)
    for cy, cx, doubt in doubts:
        sure[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = 1 - doubt
    return sure


@pytest.mark.parametrize("scale", [1, 8])
def test_the_most_doubtful_region_comes_first(scale):
    shape = (120 * scale, 90 * scale)
    sure = scene(shape, (30 * scale, 20 * scale, 0.4), (80 * scale, 60 * scale, 0.6), radius=6 * scale)
    found = suggest(sure, np.ones(shape, bool), np.zeros(shape, np.uint8), 5)
    assert [one.number for one in found] == [1, 2]
    for one, (y, x) in zip(found, ((80 * scale, 60 * scale), (30 * scale, 20 * scale)), strict=True):
        assert abs(one.y - y) < 4 * scale
        assert abs(one.x - x) < 4 * scale
        assert one.outline.shape[1] == 2
        assert np.abs(one.outline.mean(axis=0) - (y, x)).max() < 4 * scale
        assert 10 * scale**2 < one.pixels < 300 * scale**2
    assert found[0].doubt > found[1].doubt > 0.2


def test_what_is_painted_is_not_suggested_again():
    sure = scene((100, 100), (30, 30, 0.6), (70, 70, 0.3))
    strokes = np.zeros((100, 100), np.uint8)
    strokes[27:34, 27:34] = 1
    found = suggest(sure, np.ones((100, 100), bool), strokes)
    assert (found[0].y - 70) ** 2 + (found[0].x - 70) ** 2 < 50


def test_outside_of_the_mask_nothing_is_suggested():
    known = np.zeros((100, 100), bool)
    known[50:] = True
    sure = np.where(known, scene((100, 100), (70, 70, 0.3)), 0).astype(np.float32)
    found = suggest(sure, known, np.zeros((100, 100), np.uint8))
    assert len(found) == 1
    assert known[found[0].y, found[0].x]


def test_a_sure_map_needs_no_paint():
    assert suggest(np.ones((50, 40), np.float32), np.ones((50, 40), bool), np.zeros((50, 40), np.uint8)) == []
