"""True colour against the standard's own figures and a slow integration."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.explore.colour import WHITE, companded, covers_visible, daylight, observer, true_colour_weights

GRID = np.arange(380.0, 780.5)


def test_observer_and_daylight_give_the_white_of_the_standard():
    xyz = (observer(GRID) * daylight(GRID)[:, None]).sum(axis=0)
    np.testing.assert_allclose(xyz / xyz[1], WHITE, atol=0.003)


@pytest.mark.parametrize(
    ("nm", "expected"), [(450, (0.3362, 0.0380, 1.77211)), (550, (0.43345, 0.99495, 0.00875)), (600, (1.0622, 0.6310, 0.0008)), (650, (0.2835, 0.1070, 0.0))]
)
def test_observer_agrees_with_the_table_of_1931(nm, expected):
    """The fit is known to lie within two hundredths of the tabulated functions."""
    np.testing.assert_allclose(observer(nm), expected, atol=0.03)


@pytest.mark.parametrize("bands", [np.linspace(400, 1000, 121), np.array([420.0, 450, 455, 500, 530, 580, 620, 621, 660, 700]), np.linspace(350, 2500, 200)])
@pytest.mark.parametrize("illuminated", [True, False])
def test_an_even_spectrum_is_neutral(bands, illuminated):
    """White paper must not be tinted, however the bands are spaced."""
    np.testing.assert_allclose(true_colour_weights(bands, illuminated=illuminated).sum(axis=0), 1.0, atol=1e-9)


@pytest.mark.parametrize(("nm", "channel"), [(450, 2), (550, 1), (640, 0)])
def test_narrow_light_has_its_colour(nm, channel):
    bands = np.linspace(400, 800, 161)
    light = np.exp(-0.5 * ((bands - nm) / 6) ** 2)
    assert int((light @ true_colour_weights(bands)).argmax()) == channel


def test_weights_agree_with_a_slow_integration():
    generator = np.random.default_rng(0)
    bands = np.sort(generator.uniform(390, 760, 60))
    spectrum = generator.random(60)
    total, white = np.zeros(3), np.zeros(3)
    for nm in GRID:
        power = daylight(nm) * observer(nm)
        total += np.interp(nm, bands, spectrum) * power
        white += power
    x, y, z = total / white * np.array(WHITE)
    linear = (3.2404542 * x - 1.5371385 * y - 0.4985314 * z, -0.9692660 * x + 1.8760108 * y + 0.0415560 * z, 0.0556434 * x - 0.2040259 * y + 1.0572252 * z)
    np.testing.assert_allclose(spectrum @ true_colour_weights(bands), linear, atol=2e-5)


def test_the_order_of_bands_does_not_matter():
    bands = np.linspace(400, 900, 50)
    shuffled = np.random.default_rng(1).permutation(50)
    np.testing.assert_allclose(true_colour_weights(bands[shuffled]), true_colour_weights(bands)[shuffled], atol=1e-12)


def test_bad_bands_have_no_weight_and_are_bridged():
    bands = np.linspace(400, 900, 50)
    bad = np.zeros(50, dtype=bool)
    bad[[10, 11]] = True
    weights = true_colour_weights(bands, bad)
    assert not weights[bad].any()
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-9)


@pytest.mark.parametrize(
    ("bands", "covers"),
    [
        (np.linspace(400, 1000, 100), True),
        (np.linspace(480, 620, 5), True),
        (np.linspace(900, 2500, 100), False),
        (np.linspace(520, 900, 100), False),
        (np.array([450.0, 550.0, 650.0]), False),
        (np.array([]), False),
        (None, False),
    ],
)
def test_what_covers_the_visible(bands, covers):
    assert covers_visible(bands) is covers


def test_bad_bands_may_uncover_the_visible():
    bands = np.linspace(400, 1000, 61)
    assert not covers_visible(bands, (bands > 500) & (bands < 600))


def test_the_curve_of_srgb():
    np.testing.assert_allclose(companded(np.array([0.0, 0.0031308, 0.2140411, 1.0, 2.0])), (0, 0.04045, 0.5, 1, 1), atol=1e-4)
