"""References: found by name, of any shape, with panel and exposure; saturated pixels."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_hsi_ssl.cubes.calibrate import calibrate
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.references import calibrated, exposure_of, find_references
from napari_hsi_ssl.cubes.saturation import find_saturated, glance, saturated
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.progress import run

X = np.linspace(400, 900, 6)


def truth():
    generator = np.random.default_rng(0)
    reflectance = generator.uniform(0.1, 0.9, (5, 4, 6))
    light, dark = generator.uniform(500, 900, (4, 6)), generator.uniform(10, 30, (4, 6))
    return reflectance, light, dark


def test_panel_and_exposure_give_the_true_reflectance():
    reflectance, light, dark = truth()
    raw = as_cube(reflectance * light * 8 + dark * 8, X, "dn", "raw")
    white = as_cube((0.5 * light * 2 + dark * 2)[None], X, "dn", "white")
    shut = as_cube(np.repeat(dark[None] * 4, 3, axis=0), X, "dn", "dark")
    found = calibrate(raw, white, shut, panel=0.5, exposure=(8, 2, 4))
    np.testing.assert_allclose(np.asarray(found.data), reflectance, rtol=1e-4)


def test_tables_of_panel_and_white_are_brought_to_the_bands(tmp_path):
    reflectance, _, _ = truth()
    (tmp_path / "panel.csv").write_text("wavelength_nm,panel\n" + "".join(f"{x},{0.4 + x / 10000}\n" for x in (300, 500, 1000)))
    (tmp_path / "white.csv").write_text("wavelength_nm,white\n" + "".join(f"{x},1000\n" for x in (300, 1000)))
    raw = as_cube(reflectance * 1000 / (0.4 + X / 10000), X, "dn", "raw")
    found = calibrated(raw, {"white": "white.csv", "panel": "panel.csv"}, tmp_path)
    np.testing.assert_allclose(np.asarray(found.data), reflectance, rtol=1e-5)
    with pytest.raises(CubeError) as told:
        calibrated(raw, {"white": "../gone.hdr"}, tmp_path)
    assert str(told.value).startswith(f"{tmp_path.parent / 'gone.hdr'} does not exist")
    with pytest.raises(CubeError, match="divide percent by 100"):
        calibrated(raw, {"white": "white.csv", "panel": 50}, tmp_path)


def test_a_column_without_light_is_left_out_and_another_width_is_refused():
    reflectance, light, _ = truth()
    light[2] = 0
    found = calibrate(as_cube(reflectance, X, "dn", "raw"), as_cube(light[None], X, "dn", "white"))
    assert found.attrs["dead_columns"].tolist() == [2]
    assert np.isnan(np.asarray(found.data)[:, 2]).all()
    assert np.isfinite(np.asarray(found.data)[:, [0, 1, 3]]).all()
    with pytest.raises(CubeError, match="has 3 columns"):
        calibrate(as_cube(reflectance, X, "dn", "raw"), as_cube(light[None, :3], X, "dn", "white"))


def test_specims_names_are_found_and_exposures_read(tmp_path):
    reflectance, light, dark = truth()
    folder = tmp_path / "capture"
    folder.mkdir()
    for name, values in (("leaf", reflectance * 900), ("WHITEREF_leaf", light[None]), ("DARKREF_leaf", dark[None]), ("WHITEREF_stone", light[None])):
        write_envi_cube(folder / f"{name}.hdr", as_cube(values.astype(np.uint16), X, "dn", name))
    found = find_references(folder / "leaf.hdr")
    assert {kind: path.name for kind, path in found.items()} == {"white": "WHITEREF_leaf.hdr", "dark": "DARKREF_leaf.hdr"}
    with (folder / "leaf.hdr").open("a") as header:
        header.write("tint = 8.5 ms\n")
    assert exposure_of(folder / "leaf.hdr") == 8.5
    assert exposure_of(folder / "WHITEREF_leaf.hdr") is None


def test_saturated_pixels_are_those_at_a_converters_end():
    values = np.random.default_rng(1).integers(0, 4000, (40, 30, 5)).astype(np.uint16)
    cube = as_cube(values, None, "dn", "one")
    assert run(find_saturated(cube)).ceiling is None
    values[3, 4, 2] = values[39, 0, 0] = 4095
    assert np.argwhere(saturated(cube)).tolist() == [[3, 4], [39, 0]]
    assert np.array_equal(saturated(cube, 3000), (values >= 3000).any(axis=2))


def test_a_glance_at_a_few_rows_tells_of_saturated_pixels():
    """Only what is certain enough is worth a warning: several pixels, at a number that converters end at."""
    values = np.random.default_rng(0).integers(0, 4000, (200, 30, 5)).astype(np.uint16)
    soon, late = time.monotonic() + 60, time.monotonic() - 1
    assert glance(as_cube(values, name="dim"), soon) is None
    values[:, 3, 2] = 4095
    count, seen, ceiling = glance(as_cube(values, name="bright"), soon)
    assert (count, seen, ceiling) == (seen // 30, seen, 4095)
    assert glance(as_cube(values, name="bright"), late) is None
    assert glance(as_cube(values / 4095, name="fractions"), soon) is None
    values[:, 4, 2] = 4096
    assert glance(as_cube(values, name="not the end of a converter"), soon) is None
