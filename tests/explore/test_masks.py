"""Masks against scikit-image, and what they must never contain."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.masks import brightness, clean_mask, combine, find_mask, polygon_mask, verdict
from napari_hsi_ssl.progress import run

PLAIN = {"fill_holes": False, "drop_specks": 0}


def make_mask(*given, **known):
    return run(find_mask(*given, **known))


@pytest.fixture
def scene():
    """A bright disc on a dark tray, 8 bands of which the second is the brightness plus noise."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:40, :50]
    disc = (y - 20) ** 2 + (x - 25) ** 2 < 100
    values = np.where(disc[..., None], 900.0, 100.0) * np.linspace(1, 2, 8) + generator.normal(0, 5, (40, 50, 8))
    return values.astype(np.float32), disc


def test_otsu_finds_the_object(scene):
    values, disc = scene
    cube = as_cube(values, name="disc")
    np.testing.assert_array_equal(make_mask(cube, MaskConfig()), disc)
    # Otsu's threshold lies at the rim of the darker mode, so a pixel of noise may be on its other side.
    for config in (MaskConfig(invert=True, fill_holes=False), MaskConfig(keep="dark", fill_holes=False)):
        assert (make_mask(cube, config) == disc).sum() <= 2
    mean = values.mean(axis=2, dtype=float).astype(np.float32)
    np.testing.assert_array_equal(make_mask(cube, MaskConfig(**PLAIN)), mean > threshold_otsu(mean))


def test_otsu_on_a_band_and_on_pc1(scene):
    values, disc = scene
    cube = as_cube(values, wavelength=np.linspace(400, 1100, 8), name="disc")
    for config in (MaskConfig(source="band", band=3), MaskConfig(source="band", wavelength=710)):
        band = values[..., 3]
        np.testing.assert_array_equal(make_mask(cube, config.model_copy(update=PLAIN)), band > threshold_otsu(band))
    pc1 = np.where(disc, -1.0, 1.0) + np.random.default_rng(0).normal(0, 0.01, disc.shape)
    np.testing.assert_array_equal(make_mask(cube, MaskConfig(source="pc1", keep="dark"), pc1=pc1), disc)


def test_threshold_has_both_ends(scene):
    values, _ = scene
    mask = make_mask(as_cube(values), MaskConfig(method="threshold", source="band", band=0, low=95, high=105, **PLAIN))
    np.testing.assert_array_equal(mask, (values[..., 0] >= 95) & (values[..., 0] <= 105))


def test_angle_follows_the_shape_not_the_brightness(scene):
    """Half of the object in the shade must still be the object."""
    values, disc = scene
    values = values.copy()
    values[~disc] = np.linspace(2, 1, 8) * 300
    values[:20] *= 0.2
    mask = make_mask(as_cube(values), MaskConfig(method="angle", at=(20, 25), max_angle=0.2))
    np.testing.assert_array_equal(mask, disc)


@pytest.mark.parametrize("config", [MaskConfig(), MaskConfig(method="all"), MaskConfig(invert=True), MaskConfig(method="angle", at=(20, 25), max_angle=3.0)])
def test_unmeasured_pixels_and_pixels_outside_the_area_are_never_in(scene, config):
    """A hole filled over a gap, or an inverted gap, would feed NaN to everything downstream."""
    values, _ = scene
    values = values.copy()
    values[18, 25, 4] = np.nan
    values[22, 25] = -1
    values[5, 5, 0] = np.inf
    area = np.zeros(values.shape[:2], dtype=bool)
    area[3:37, 4:45] = True
    mask = make_mask(as_cube(values, nodata=-1), config, area=area)
    assert mask.any()
    assert not (mask & ~area).any()
    assert not mask[[18, 22, 5], [25, 25, 5]].any()


def test_threshold_is_found_inside_the_area_alone(scene):
    """A glaring label outside the crop must not move the threshold inside."""
    values, disc = scene
    bright = values.copy()
    bright[:, 45:] = 1e6
    area = np.ones(disc.shape, dtype=bool)
    area[:, 45:] = False
    np.testing.assert_array_equal(make_mask(as_cube(bright), MaskConfig(), area=area), disc & area)


def test_all_keeps_even_the_smallest_cube():
    assert make_mask(as_cube(np.ones((2, 3, 4))), MaskConfig(method="all")).all()
    assert not make_mask(as_cube(np.ones((2, 3, 4))), MaskConfig(method="all", invert=True)).any()
    assert not make_mask(as_cube(np.ones((2, 3, 4))), MaskConfig(), area=np.zeros((2, 3), dtype=bool)).any()


@settings(max_examples=60, deadline=None)
@given(mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)), size=st.integers(0, 8), seed=st.integers(0, 99))
def test_specks_are_dropped_by_their_size(mask, size, seed):
    """Against regionprops: objects of at least the size stay whole, smaller ones go whole."""
    allowed = np.random.default_rng(seed).random(mask.shape) < 0.8
    expected = np.zeros_like(mask)
    for region in regionprops(label(mask & allowed, connectivity=1)):
        if region.area >= size:
            expected[tuple(region.coords.T)] = True
    np.testing.assert_array_equal(clean_mask(mask, allowed, drop_specks=size), expected)


def test_holes_are_filled():
    ring = np.zeros((7, 7), dtype=bool)
    ring[1:6, 1:6] = True
    ring[3, 3] = False
    assert clean_mask(ring, fill_holes=True)[3, 3]
    assert not clean_mask(ring, fill_holes=False)[3, 3]


def test_polygon_covers_pixel_centres():
    """Corners half a pixel outside a block of pixels must give exactly that block: napari draws pixel centres at whole numbers."""
    mask = polygon_mask((8, 9), [(1.5, 2.5), (1.5, 6.5), (5.5, 6.5), (5.5, 2.5)])
    expected = np.zeros((8, 9), dtype=bool)
    expected[2:6, 3:7] = True
    np.testing.assert_array_equal(mask, expected)
    assert polygon_mask((8, 9), [(-9, -9), (-9, 99), (99, 99), (99, -9)]).all()
    with pytest.raises(ConfigError, match="at least 3"):
        polygon_mask((8, 9), [(0, 0), (1, 1)])


def test_brightness_leaves_gaps_and_bad_bands_out():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    values[0, 1, 2] = np.nan
    values[0, 2] = np.nan
    values[1, 0] = -9
    values[..., 3] = 1e9
    image = brightness(as_cube(values, nodata=-9, bad_bands=[False, False, False, True]))
    np.testing.assert_allclose(image, [[1, 4.5, np.nan], [np.nan, 17, 21]])
    whole = brightness(as_cube(np.full((2, 2, 3), 65535, dtype=np.uint16)))
    np.testing.assert_array_equal(whole, 65535)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"method": "threshold"}, "give --low or --high"),
        ({"method": "threshold", "low": 5, "high": 1}, "--low 5 is above --high 1"),
        ({"method": "angle"}, "give --at"),
        ({"method": "angle", "at": (99, 0)}, "pixel 99,0 lies outside"),
        ({"method": "angle", "at": (0, 0)}, "pixel 0,0 was not measured"),
        ({"source": "band"}, "none was chosen"),
        ({"source": "band", "band": 8}, "band 8 does not exist, expected 0 to 7"),
        ({"source": "pc1"}, "no PCA yet"),
    ],
)
def test_rules_that_lack_something(scene, settings_, message):
    values, _ = scene
    values = values.copy()
    values[0, 0] = np.nan
    with pytest.raises(ConfigError, match=message):
        make_mask(as_cube(values, name="disc"), MaskConfig(**settings_))


def test_constant_and_empty_images_say_so():
    """scikit-image would warn and return a threshold that masks everything or nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CubeError, match=r"mask of flat: the brightness image has the same value everywhere \(3\)"):
            make_mask(as_cube(np.full((4, 4, 2), 3.0), name="flat"), MaskConfig())
        with pytest.raises(CubeError, match="no pixel was measured"):
            make_mask(as_cube(np.full((4, 4, 2), np.nan), name="gone"), MaskConfig())
    with pytest.raises(CubeError, match=r"area has shape \(3, 4\)"):
        make_mask(as_cube(np.ones((4, 4, 2))), MaskConfig(), area=np.ones((3, 4), dtype=bool))


@settings(max_examples=60, deadline=None)
@given(masks=hnp.arrays(bool, st.tuples(st.just(3), st.integers(1, 9), st.integers(1, 9))))
def test_masks_are_combined_as_sets(masks):
    """Against the truth tables, pixel by pixel; without a mask the whole area is what a cube is used as."""
    old, new, area = masks
    tables = {
        "replace": lambda o, n: n, "add": lambda o, n: o or n, "intersect": lambda o, n: o and n, "subtract": lambda o, n: o and not n,
    }  # fmt: skip
    for how, rule in tables.items():
        expected = np.array([rule(bool(o), bool(n)) for o, n in zip(old.ravel(), new.ravel(), strict=True)]).reshape(old.shape)
        np.testing.assert_array_equal(combine(old, new, how, area), expected)
    np.testing.assert_array_equal(combine(None, new, "add", area), new)
    np.testing.assert_array_equal(combine(None, new, "intersect", area), area & new)
    np.testing.assert_array_equal(combine(None, new, "subtract", area), area & ~new)


def test_a_mask_of_nothing_or_everything_is_told():
    area = np.zeros((4, 5), dtype=bool)
    area[1:3, 1:4] = True
    assert "is empty: choose another rule" in verdict(np.zeros_like(area), area, "cube 'a'")
    assert "holds every pixel" in verdict(area, area, "cube 'a'")
    half = area.copy()
    half[1] = False
    assert verdict(half, area, "cube 'a'") == ""


def test_what_was_pointed_at_is_taken_as_it_is():
    """A mask file with small objects must not lose them to the rule for specks."""
    given_ = np.zeros((20, 20), dtype=bool)
    given_[3, 3] = given_[5:9, 5] = True
    cube = as_cube(np.ones((20, 20, 3)))
    area = np.ones((20, 20), dtype=bool)
    area[5] = False
    np.testing.assert_array_equal(make_mask(cube, MaskConfig(method="file"), area, given=given_), given_ & area)
    np.testing.assert_array_equal(make_mask(cube, MaskConfig(method="labels", invert=True), area, given=given_), ~given_ & area)
    with pytest.raises(ConfigError, match="was given no mask"):
        make_mask(cube, MaskConfig(method="saved"), area)
