"""Which bands a look takes, and that its picture is what a plain computation on the whole cube gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.config import ViewConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.colour import true_colour_weights
from napari_hsi_ssl.explore.looks import channels, coarser, fill, limits_of, paint, resolve, sample_of
from napari_hsi_ssl.explore.ramps import ramp


def cube(low=400.0, high=1000.0, bands=61, shape=(12, 9), quantity="reflectance", **attrs):
    values = np.random.default_rng(0).random((*shape, bands)).astype(np.float32)
    return as_cube(values, None if low is None else np.linspace(low, high, bands), quantity, "beans", **attrs)


def picture(values, look, step=1):
    limits = limits_of(look, sample_of(values, look))
    image = np.zeros((-(-values.shape[0] // step), -(-values.shape[1] // step), 3), np.uint8)
    assert list(fill(values, look, limits, image, step))[-1] == values.shape[0]
    return image


def test_automatic_takes_what_the_cube_allows():
    assert resolve(cube(), ViewConfig()).kind == "true"
    shortwave = resolve(cube(950, 2500), ViewConfig())
    assert shortwave.kind == "false"
    assert "does not cover the visible" in shortwave.note
    assert shortwave.note.count(".") == 1
    assert resolve(cube(None, default_bands=(9, 4, 1)), ViewConfig()).shown == (9, 4, 1)
    assert resolve(cube(None), ViewConfig()).shown == (45, 30, 15)


@pytest.mark.parametrize(
    ("low", "high", "nm"), [(400, 1000, (860, 650, 550)), (950, 2500, (2200, 1650, 1250)), (950, 1700, (1600, 1250, 1000)), (400, 2500, (860, 650, 550))]
)
def test_false_colour_takes_the_targets_that_are_there(low, high, nm):
    values = cube(low, high, 200)
    shown = resolve(values, ViewConfig(kind="false")).shown
    np.testing.assert_allclose(values.wavelength.values[list(shown)], nm, atol=8)


def test_bad_bands_are_passed_over():
    bad = np.zeros(61, dtype=bool)
    bad[[46, 25]] = True
    values = cube(bad_bands=bad)
    assert 46 not in resolve(values, ViewConfig(kind="false")).shown
    assert 25 not in resolve(values, ViewConfig(kind="true")).bands


@pytest.mark.parametrize(
    ("config", "made", "words"),
    [
        (ViewConfig(kind="true"), {"low": 950, "high": 2500}, "true colour needs bands from 490 to 610 nm"),
        (ViewConfig(kind="true"), {"low": None}, "no wavelengths"),
        (ViewConfig(kind="false"), {"low": None}, "no wavelengths"),
        (ViewConfig(kind="default"), {}, "default bands"),
        (ViewConfig(kind="bands", bands=(1, 2)), {}, "2 bands, expected three"),
        (ViewConfig(kind="band"), {}, "no bands, expected one"),
        (ViewConfig(kind="ratio", bands=(1, 61)), {}, "band 61 does not exist, expected 0 to 60"),
        (ViewConfig(kind="band", wavelengths=(2200.0,)), {}, "no band lies near 2200 nm"),
        (ViewConfig(kind="band", wavelengths=(500.0,)), {"low": None}, "give --bands"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_sentence(config, made, words):
    with pytest.raises(ConfigError, match=words) as error:
        resolve(cube(**made), config)
    assert str(error.value).endswith(".")


def test_true_colour_is_the_weighted_sum():
    values = cube()
    look = resolve(values, ViewConfig(kind="true"))
    slow = values.values.astype(np.float64) @ true_colour_weights(values.wavelength.values)
    np.testing.assert_allclose(channels(values, look, slice(0, 12)), slow, atol=2e-4)
    assert 30 <= len(look.bands) <= 45


def test_a_flat_reflectance_is_grey():
    values = as_cube(np.full((6, 5, 61), 0.4, np.float32) * np.linspace(0.5, 1, 6, dtype=np.float32)[:, None, None], np.linspace(400, 1000, 61), "reflectance")
    image = picture(values, resolve(values, ViewConfig(kind="true"))).astype(int)
    assert np.ptp(image, axis=2).max() <= 1
    assert image[0].mean() < image[-1].mean()


def test_counts_of_a_sensor_blind_to_blue_are_balanced():
    """Digital numbers carry lamp and sensor with them: without balance everything would be red."""
    values = cube(quantity="dn").copy(data=cube().values * np.linspace(0.05, 1, 61, dtype=np.float32))
    image = picture(values, resolve(values, ViewConfig(kind="true")))
    means = image.reshape(-1, 3).mean(axis=0)
    assert means.max() - means.min() < 25


@given(st.sampled_from(["true", "false", "bands", "band", "ratio", "index"]), st.integers(1, 3), st.sampled_from(["bsq", "bil", "bip"]))
@settings(max_examples=25, deadline=None)
def test_a_picture_in_parts_is_the_picture_at_once(kind, step, layout):
    values = cube(shape=(23, 9))
    axes = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[layout]
    stored = np.ascontiguousarray(values.values.transpose(axes)).transpose(np.argsort(axes))
    bands = {"bands": (40, 3, 3), "band": (7,), "ratio": (50, 2), "index": (50, 2)}.get(kind, ())
    look = resolve(values, ViewConfig(kind=kind, bands=bands))
    limits = limits_of(look, sample_of(values, look))
    image = np.zeros((-(-23 // step), -(-9 // step), 3), np.uint8)
    for _ in fill(values.copy(data=stored), look, limits, image, step):
        pass
    np.testing.assert_array_equal(image, paint(look, channels(values, look, slice(0, 23, step), step), limits))


def test_unmeasured_pixels_are_black_and_spoil_no_limit():
    values = cube()
    values.values[0, 0] = np.nan
    values.values[1, 1] = 1e30
    holey = as_cube(np.where(np.arange(12)[:, None, None] == 2, np.float32(-999), values.values), values.wavelength.values, "reflectance", nodata=-999)
    for kind in ("true", "false"):
        image = picture(holey, resolve(holey, ViewConfig(kind=kind)))
        assert not image[0, 0].any()
        assert not image[2].any()
        assert image[3:].mean() > 60


def test_a_pixel_with_one_dead_band_keeps_its_colour():
    values = cube()
    look = resolve(values, ViewConfig(kind="true"))
    before = channels(values, look, slice(0, 12))
    values.values[4, 4, 20] = np.nan
    after = channels(values, look, slice(0, 12))
    np.testing.assert_allclose(after[4, 4], before[4, 4], atol=0.1)


def test_ratio_and_index_are_those_of_the_formula():
    values = cube()
    values.values[0, 0, 9] = 0
    a, b = values.values[..., 40], values.values[..., 9]
    ratio = channels(values, resolve(values, ViewConfig(kind="ratio", bands=(40, 9))), slice(0, 12))[..., 0]
    assert np.isnan(ratio[0, 0])
    np.testing.assert_allclose(ratio[1:], a[1:] / b[1:], rtol=1e-5)
    index = channels(values, resolve(values, ViewConfig(kind="index", bands=(40, 9))), slice(0, 12))[..., 0]
    np.testing.assert_allclose(index[1:], ((a - b)[1:] / (a + b)[1:]), rtol=1e-4, atol=1e-6)


def test_an_index_of_both_signs_is_neutral_where_the_bands_agree():
    values = cube()
    look = resolve(values, ViewConfig(kind="index", bands=(40, 9)))
    ((low, high),) = limits_of(look, sample_of(values, look))
    assert low == -high
    np.testing.assert_array_equal(paint(look, np.zeros((1, 1, 1), np.float32), ((low, high),))[0, 0], ramp("diverging")[128])


@pytest.mark.parametrize("stretch", [(0, 100), (2, 98), (20, 60)])
def test_the_stretch_is_by_percentiles(stretch):
    values = cube(shape=(40, 40))
    look = resolve(values, ViewConfig(kind="band", bands=(3,), stretch=stretch))
    ((low, high),) = limits_of(look, sample_of(values, look))
    np.testing.assert_allclose((low, high), np.percentile(values.values[..., 3], stretch), atol=1e-5)
    image = paint(look, channels(values, look, slice(0, 40)), ((low, high),))
    assert (image == 0).all(axis=2).mean() == pytest.approx(stretch[0] / 100, abs=0.01)


def test_a_flat_image_has_limits_that_differ():
    values = as_cube(np.full((4, 4, 5), 7, np.uint8), np.linspace(450, 650, 5))
    for kind, bands in (("band", (1,)), ("index", (1, 2)), ("true", ())):
        look = resolve(values, ViewConfig(kind=kind, bands=bands))
        assert all(high > low for low, high in limits_of(look, sample_of(values, look)))


def test_a_coarser_look_is_nearly_the_same_colour():
    values = cube(bands=121)
    smooth = values.copy(data=np.cumsum(values.values, axis=2) / 60)
    look = resolve(smooth, ViewConfig(kind="true"))
    coarse = coarser(look, smooth, 12)
    assert len(coarse.bands) == 12
    np.testing.assert_allclose(channels(smooth, coarse, slice(0, 12)), channels(smooth, look, slice(0, 12)), atol=0.03)
    false = resolve(smooth, ViewConfig(kind="false"))
    assert coarser(false, smooth, 3) is false
