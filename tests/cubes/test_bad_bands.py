"""Bad bands: planted ones are found, good ones are not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.cubes.bad_bands import band_text, find_bad_bands, parse_bands
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.samples import indian_pines
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


@pytest.mark.filterwarnings("ignore:.*byte order")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # A drill core under lamps: its quietest third has a signal-to-noise ratio above 1000, the others, 150 to 500, are good too.
        ("hippo_image/image.hdr", {}),
        ("plantcv/corn-kernel-hyperspectral.hdr", {}),
        ("samson/Samson.mat", {}),
        ("gatorsense_paviaU_sub/paviaU_subimg.mat", {}),
        # From an aircraft, under the sun: water vapour at 1800 to 1970 nm. At 1350 to 1430 nm this file was interpolated.
        ("gamsberg_envi/cubus_gamsberg_subset", {"water": "136-152"}),
        # From orbit: where water vapour at 940 nm and the seam of both spectrometers leave a fifth of the usual ratio.
        (
            "enmap_potsdam/images/enmap_potsdam_tile_128_128.tif",
            {"header": "129-134", "noisy": "61,79,82-90,93-97,135,169-171", "water": "163-166"},
        ),
    ],
)
def test_real_cubes_lose_only_bands_that_are_much_worse_than_most(shared_data, path, expected):
    report = run(find_bad_bands(read_cube(shared_data / path)))
    found = {reason: band_text(band for band in report.bad if report.reasons[band] == reason) for reason in set(report.reasons) - {""}}
    assert found == expected


def test_indian_pines_loses_the_bands_beside_the_water_windows():
    """Its 20 water bands are taken out of the file already; those left that flicker have a sixth of the usual ratio."""
    report = run(find_bad_bands(indian_pines()[0]))
    assert all(reason in {"", "noisy"} for reason in report.reasons)
    assert len(report.bad) <= 8
    assert report.snr[list(report.bad)].max() < 50 < np.median(report.snr) / 3
