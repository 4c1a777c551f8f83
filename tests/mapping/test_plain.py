"""The plain rows equal what a loop over windows gives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_hsi_ssl.mapping.plain import patch_classes, patch_means


def windows(generator, height, width, size, count):
    return generator.integers(0, height - size + 1, count), generator.integers(0, width - size + 1, count)


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 6), foreground=st.sampled_from([0.0, 0.3, 1.0]))
def test_means_equal_a_loop_over_windows(seed, size, foreground):
    generator = np.random.default_rng(seed)
    image = generator.normal(100, 10, (9, 8, 3)).astype(np.float32)
    image[generator.random((9, 8)) < 0.1] = -9.0  # not measured
    image[generator.random((9, 8)) < 0.1, 1] = np.nan
    mask = generator.random((9, 8)) < foreground
    y, x = windows(generator, 9, 8, size, 7)
    told = []
    means = patch_means(image, mask, y, x, size, nodata=-9.0, told=told.append)
    assert told[-1] == 1
    for row, (top, left) in enumerate(zip(y, x, strict=True)):
        block = image[top : top + size, left : left + size].astype(np.float64)
        used = mask[top : top + size, left : left + size] & np.isfinite(block).all(axis=-1) & (block != -9.0).any(axis=-1)
        expected = block[used].mean(axis=0) if used.any() else np.full(3, np.nan)
        np.testing.assert_allclose(means[row], expected, rtol=1e-9)


def test_integers_do_not_overflow():
    image = np.full((4, 4, 2), 65535, dtype=np.uint16)
    means = patch_means(image, np.ones((4, 4), dtype=bool), np.array([0]), np.array([0]), 4)
    np.testing.assert_array_equal(means, [[65535, 65535]])


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 5), agreement=st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_classes_equal_a_loop_over_windows(seed, size, agreement):
    generator = np.random.default_rng(seed)
    labels = generator.choice([0, 3, 7, 250], size=(8, 9), p=[0.5, 0.3, 0.1, 0.1]).astype(np.int32)
    y, x = windows(generator, 8, 9, size, 9)
    found = patch_classes(labels, y, x, size, agreement=agreement)
    for row, (top, left) in enumerate(zip(y, x, strict=True)):
        inside = labels[top : top + size, left : left + size]
        inside = inside[inside != 0].tolist()
        best = max(sorted(set(inside)), key=inside.count, default=0)
        assert found[row] == (best if inside and inside.count(best) >= agreement * len(inside) else 0)


def test_an_even_split_is_a_class_and_a_minority_is_none():
    labels = np.array([[1, 1, 2, 2], [1, 2, 3, 0]])
    assert patch_classes(labels[:1], np.array([0]), np.array([0]), 4).tolist() == [1]
    assert patch_classes(labels, np.array([0]), np.array([2]), 2).tolist() == [2]
    assert patch_classes(np.array([[1, 2, 3]]), np.array([0]), np.array([0]), 3).tolist() == [0]
