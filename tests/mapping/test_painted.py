"""The map of painted pixels: the same whatever is looked at first, however it is held, and stopped at once."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_hsi_ssl.errors import CancelledError, LabelError
from napari_hsi_ssl.mapping import painted as module
from napari_hsi_ssl.mapping.heads import fit_head
from napari_hsi_ssl.mapping.painted import Basis, PaintedMap, Space, fill_map, stream_map
from napari_hsi_ssl.progress import run


def scene(height: int = 60, width: int = 50, dimensions: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an embedding (y, x, d) of four kinds in quarters, and their numbers (y, x)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    truth = 1 + 2 * (y >= height // 2) + (x >= width // 2)
    kinds = generator.standard_normal((5, dimensions))
    values = kinds[truth] + 0.4 * generator.standard_normal((height, width, dimensions))
    values[3, 4] = np.nan
    return values.astype(np.float16), truth


def strokes_of(truth: np.ndarray) -> np.ndarray:
    strokes = np.zeros(truth.shape, np.uint8)
    middle = truth.shape[1] // 2
    for top in (10, truth.shape[0] - 15):
        part = slice(top, top + 4), slice(middle - 17, middle + 15)
        strokes[part] = truth[part]
    return strokes


def whole(space: Space, head: object, **how: object) -> PaintedMap:
    found = PaintedMap.empty(space.shape)
    for _ in fill_map(space, head, found, **how):
        pass
    return found


def prepared(embedding: np.ndarray, area: np.ndarray) -> tuple[Basis, Space]:
    basis = Basis.of(embedding, area, standardised=False)
    return basis, run(Space.load(embedding, area, basis))


@pytest.mark.parametrize("mask", [False, True])
def test_strokes_become_the_map_of_what_they_were_painted_on(mask):
    embedding, truth = scene()
    area = np.ones(truth.shape, bool)
    if mask:
        area[20:30, 10:20] = False
    _, space = prepared(embedding, area)
    x, y, outside = space.at(strokes_of(truth))
    assert outside == 0
    assert x.shape == (y.size, 64)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    found = whole(space, fit_head("logistic", x, y))
    known = area & np.isfinite(embedding[..., 0])
    assert (found.labels[known] == truth[known]).mean() > 0.99
    assert not found.labels[~known].any()
    assert not found.confidence[~known].any()
    assert found.confidence[known].min() > 0.25


@pytest.mark.parametrize("first", [40, 300, 10**6])
@pytest.mark.parametrize("view", [None, (slice(5, 20), slice(10, 45)), (slice(0, 60), slice(20, 50)), (slice(30, 60), slice(0, 50))])
def test_the_map_is_the_same_whatever_is_looked_at(monkeypatch, view, first):
    """Else pixels at the border of the view are left out, or another one's class is kept."""
    embedding, truth = scene()
    area = truth != 99
    area[:, :3] = False
    _, space = prepared(embedding, area)
    head = fit_head("prototype", *space.at(strokes_of(truth))[:2])
    expected = whole(space, head)
    monkeypatch.setattr(module, "FIRST_PIXELS", first)
    monkeypatch.setattr(module, "AT_ONCE", 2 * first)
    monkeypatch.setattr(module, "_CHUNK", 70)
    found = whole(space, head, view=view)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-5)


def test_what_is_looked_at_comes_first_and_coarse(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PIXELS", 50)
    monkeypatch.setattr(module, "AT_ONCE", 50)
    embedding, truth = scene()
    _, space = prepared(embedding, np.ones(truth.shape, bool))
    head = fit_head("prototype", *space.at(strokes_of(truth))[:2])
    found = PaintedMap.empty(space.shape)
    view = (slice(20, 40), slice(10, 40))
    assert next(fill_map(space, head, found, view)) == view
    assert (found.labels[view] != 0).all()
    assert (found.labels[view] == truth[view]).mean() > 0.8
    found.labels[view] = 0
    assert not found.labels.any(), "nothing else is decided yet"


def test_a_stale_map_is_given_up_within_a_chunk():
    embedding, truth = scene(400, 400, 16)
    _, space = prepared(embedding, np.ones(truth.shape, bool))
    head = fit_head("knn", *space.at(strokes_of(truth))[:2])
    asked: list[float] = []

    def stale() -> bool:
        asked.append(time.perf_counter())
        return len(asked) > 2

    with pytest.raises(CancelledError):
        whole(space, head, stale=stale)
    assert len(asked) == 3
    assert max(np.diff(asked)) < 0.5, "a chunk is a few milliseconds of work"


def test_half_precision_and_a_file_hold_the_same(monkeypatch):
    embedding, truth = scene()
    area = np.ones(truth.shape, bool)
    basis, space = prepared(embedding, area)
    head = fit_head("logistic", *space.at(strokes_of(truth))[:2])
    expected = whole(space, head)
    monkeypatch.setattr(module, "_WIDE_BYTES", 0)
    half = run(Space.load(embedding, area, basis))
    assert half.features.dtype == np.float16
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 0}))
    mapped = run(Space.load(embedding, area, basis))
    assert isinstance(mapped.features, np.memmap)
    for space_ in (half, mapped):
        found = whole(space_, head)
        assert (found.labels == expected.labels).mean() > 0.999
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=0.02)


@pytest.mark.parametrize("standardised", [False, True])
def test_a_streamed_map_is_the_one_of_the_window(monkeypatch, standardised):
    embedding, truth = scene()
    area = truth != 3
    basis = Basis.of(embedding, area, standardised=standardised)
    space = run(Space.load(embedding, area, basis))
    head = fit_head("logistic", *space.at(strokes_of(truth))[:2])
    monkeypatch.setattr(module, "_BLOCK_BYTES", 8 * 50 * 80 * 7)
    found = run(stream_map(embedding, area, basis, head))
    expected = whole(space, head)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-5)


def test_few_directions_hold_the_cosines():
    embedding, _ = scene(dimensions=200)
    flat = embedding[np.isfinite(embedding[..., 0])].astype(np.float32)
    flat[:, 70:] *= 0.05  # as in embeddings: most of it lies in few directions
    image = flat[: 50 * 59].reshape(59, 50, 200)
    basis = Basis.of(image, np.ones((59, 50), bool), standardised=False)
    exact = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    few = basis(flat)
    np.testing.assert_allclose(few[:100] @ few[100:200].T, exact[:100] @ exact[100:200].T, atol=0.08)


def test_strokes_outside_of_the_mask_are_counted_and_left_out():
    embedding, truth = scene()
    area = np.zeros(truth.shape, bool)
    area[:12] = True
    _, space = prepared(embedding, area)
    _, numbers, outside = space.at(strokes_of(truth))
    assert set(numbers.tolist()) == {1, 2}
    assert (numbers.size, outside) == (64, 192)


def test_areas_follow_from_every_nth_pixel():
    embedding, truth = scene(120, 100)
    _, space = prepared(embedding, np.ones(truth.shape, bool))
    found = whole(space, fit_head("prototype", *space.at(strokes_of(truth))[:2]))
    exact, sure = found.counts()
    rough, _ = found.counts(3)
    assert exact.sum() == 120 * 100
    assert np.abs(rough[1:] - exact[1:]).max() < 0.1 * exact[1:].max()
    assert ((sure[1:] > 0.25) & (sure[1:] <= 1)).all()


def test_an_embedding_without_a_pixel_says_so():
    with pytest.raises(LabelError, match="make another mask"):
        Basis.of(np.zeros((4, 4, 3), np.float16), np.zeros((4, 4), bool), standardised=False)
