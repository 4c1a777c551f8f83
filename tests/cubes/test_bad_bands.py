"""Bad bands: planted ones are found, good ones are not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.cubes.bad_bands import band_text, find_bad_bands, parse_bands
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.progress import run


def scene(seed: int = 0):
    generator = np.random.default_rng(seed)
    x = np.linspace(450, 2400, 120)
    y, column = np.mgrid[:60, :50]
    texture = 1 + 0.3 * np.sin(y / 3) * np.cos(column / 4)
    spectrum = 0.3 + 0.2 * np.sin(x / 300)
    return x, texture[..., None] * spectrum + generator.normal(0, 0.003, (60, 50, 120)), generator


def test_planted_bands_are_found_and_no_other():
    x, values, generator = scene()
    values[:, :, 40] = 0.25
    values[:, :, [10, 70, 71]] += generator.normal(0, 0.05, (60, 50, 3))
    wet = (x >= 1800) & (x <= 1970)
    values[:, :, wet] = generator.normal(0, 0.003, (60, 50, int(wet.sum())))
    stated = np.zeros(120, dtype=bool)
    stated[0] = True
    report = run(find_bad_bands(as_cube(values, x, "reflectance", "one", bad_bands=stated)))
    reasons = {reason: [band for band in range(120) if report.reasons[band] == reason] for reason in ("header", "dead", "noisy", "water")}
    assert reasons == {"header": [0], "dead": [40], "noisy": [10, 70, 71], "water": np.flatnonzero(wet).tolist()}


def test_a_clean_scene_has_no_bad_band_and_its_noise_is_measured():
    x, values, _ = scene(1)
    report = run(find_bad_bands(as_cube(values, x, "reflectance", "one")))
    assert report.bad == ()
    assert np.median(report.noise) == pytest.approx(0.003, rel=0.3)


def test_texts_of_bands():
    assert parse_bands("0-2, 7,5", 9) == (0, 1, 2, 5, 7)
    assert band_text((7, 0, 1, 2, 5)) == "0-2,5,7"
    for wrong in ("3-1", "a", "9", "1-"):
        with pytest.raises(CubeError):
            parse_bands(wrong, 9)
