"""Spectral angles to several references, and regions that grow from a pixel, against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore import regions
from napari_hsi_ssl.explore.masks import find_mask
from napari_hsi_ssl.explore.regions import angle_image, grow, pixel_spectra
from napari_hsi_ssl.progress import run


def plain_angle(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    cosine = values @ reference / (np.linalg.norm(values, axis=-1) * np.linalg.norm(reference))
    return np.arccos(np.clip(cosine, -1, 1))


def like(values: np.ndarray, reference: np.ndarray, config: MaskConfig) -> np.ndarray:
    """The plain test of every pixel at once."""
    if config.grow_by == "angle":
        return plain_angle(values, reference) <= config.tolerance
    return np.abs(values.mean(axis=-1) - reference.mean()) <= config.tolerance * abs(reference.mean())


def connected(near: np.ndarray, seed: tuple[int, int]) -> np.ndarray:
    pieces, _ = ndimage.label(near)
    return pieces == pieces[seed] if pieces[seed] else np.zeros_like(near)


@pytest.fixture
def noise():
    """Smooth random spectra in which regions of all sizes hang together."""
    generator = np.random.default_rng(3)
    values = ndimage.gaussian_filter(generator.random((60, 50, 6)), (3, 3, 0))
    return (values - values.min()) * 10 + 0.2


def test_several_references_are_the_smallest_of_their_angles(noise):
    """A pixel near any of the picked ones must be kept, not only near the first."""
    cube = as_cube(noise)
    pixels = [(5, 6), (40, 30), (59, 49)]
    found = run(angle_image(cube, pixel_spectra(cube, pixels)))
    expected = np.min([plain_angle(noise, noise[pixel]) for pixel in pixels], axis=0)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    config = MaskConfig(method="angle", at=pixels, max_angle=0.1, fill_holes=False, drop_specks=0)
    np.testing.assert_array_equal(run(find_mask(cube, config)), found <= 0.1)


def test_angle_agrees_with_the_spectral_library(noise):
    from spectral import spectral_angles

    found = run(angle_image(as_cube(noise), noise[[5, 40], [6, 30]]))
    np.testing.assert_allclose(found, spectral_angles(noise, noise[[5, 40], [6, 30]]).min(axis=-1), atol=2e-6)


def test_what_was_not_measured_has_no_angle():
    values = np.ones((4, 5, 3))
    values[1, 1] = 0
    values[2, 2, 1] = np.nan
    values[3, 3] = -9
    angles = run(angle_image(as_cube(values, nodata=-9), np.array([[1.0, 2.0, 3.0]])))
    assert np.isinf(angles[1, 1])
    assert np.isnan(angles[[2, 3], [2, 3]]).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.tuples(st.integers(0, 59), st.integers(0, 49)),
    by=st.sampled_from(["angle", "brightness"]),
    tolerance=st.floats(0.01, 0.6),
    tile=st.sampled_from([7, 16, 128]),
)
def test_a_region_is_the_like_pixels_that_hang_together(seed, by, tolerance, tile):
    """Whatever the size of the tiles it is read in: a region must not end at the edge of one, nor leak through a corner."""
    generator = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(generator.random((60, 50, 6)), (3, 3, 0))
    noise = (noise - noise.min()) * 10 + 0.2
    config = MaskConfig(method="grow", at=[seed], grow_by=by, tolerance=tolerance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "TILE", tile)
        found = run(grow(as_cube(noise), config))
    np.testing.assert_array_equal(found, connected(like(noise, noise[seed], config), seed))
    assert found[seed]


def test_following_the_mean_is_a_fixed_point(noise):
    """The region must be what its own mean gives, from the seed: whoever grows it again finds the same."""
    config = MaskConfig(method="grow", at=[(30, 20)], follow="mean", tolerance=0.12)
    found = run(grow(as_cube(noise), config))
    again = connected(like(noise, noise[found].mean(axis=0), config), (30, 20))
    again[30, 20] = True
    np.testing.assert_array_equal(found, again)
    assert found.sum() > run(grow(as_cube(noise), config.model_copy(update={"follow": "seed"}))).sum() * 0.2


def test_only_the_tiles_that_are_reached_are_read():
    """A click on a small thing in a cube of many gigabytes must not read the cube."""
    read: list[tuple[slice, ...]] = []

    class Watched(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, tuple) and len(key) >= 2 and isinstance(key[0], slice):
                read.append(key)
            return super().__getitem__(key)

    values = np.zeros((1000, 900, 3), dtype=np.float32)
    values[..., 0] = 1
    values[400:420, 500:530] = (0, 1, 0)
    cube = as_cube(values.view(Watched))
    found = run(grow(cube, MaskConfig(method="grow", at=[(410, 510)])))
    expected = np.zeros((1000, 900), dtype=bool)
    expected[400:420, 500:530] = True
    np.testing.assert_array_equal(found, expected)
    boxes = {(key[0].start, key[1].start) for key in read if isinstance(key[1], slice) and key[0].start is not None}
    assert boxes <= {(384, 384), (384, 512)}


def test_a_region_stays_in_its_area_and_off_gaps(noise):
    values = noise.copy()
    values[:, 25] = np.nan
    area = np.ones(values.shape[:2], dtype=bool)
    area[40:] = False
    found = run(grow(as_cube(values), MaskConfig(method="grow", at=[(10, 10)], tolerance=3.0), area))
    expected = np.zeros_like(area)
    expected[:40, :25] = True
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("at", "message"),
    [((), "no reference"), ([(99, 0)], "pixel 99,0 lies outside"), ([(0, 0)], "pixel 0,0 was not measured"), ([(50, 5)], "lies outside its crop")],
)
def test_seeds_that_cannot_be(noise, at, message):
    values = noise.copy()
    values[0, 0] = np.nan
    area = np.ones(values.shape[:2], dtype=bool)
    area[40:] = False
    with pytest.raises(ConfigError, match=message):
        run(grow(as_cube(values), MaskConfig(method="grow", at=at), area))


def test_references_of_other_bands_say_so(noise):
    with pytest.raises(ConfigError, match="the reference has 4 bands, expected 6"):
        run(angle_image(as_cube(noise), np.ones((1, 4))))
    with pytest.raises(ConfigError, match="zero or not finite"):
        run(angle_image(as_cube(noise), np.zeros((1, 6))))
