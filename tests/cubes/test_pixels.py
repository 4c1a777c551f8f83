"""Single spectra read the quick way are those read the plain way, from every layout and through every laziness."""

from __future__ import annotations

import mmap

import dask.array as da
import numpy as np
import pytest

from napari_hsi_ssl.cubes.calibrate import calibrate
from napari_hsi_ssl.cubes.cube import as_cube, spectrum
from napari_hsi_ssl.cubes.pixels import PixelReader
from napari_hsi_ssl.cubes.readers import read_cube

SHAPE = (9, 7, 30)
UNSORTED = "wavelength units = nm\nwavelength = {" + ", ".join(map(str, [*range(500, 515), *range(485, 500)])) + "}\n"
AXES = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}


def write(path, values, layout, extra=""):
    path.with_suffix(".dat").write_bytes(b"123" + values.transpose(AXES[layout]).tobytes())
    height, width, bands = values.shape
    path.write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\nheader offset = 3\ndata type = 2\ninterleave = {layout}\nbyte order = 1\n{extra}",
    )
    return path


def agree(cube):
    read = PixelReader(cube)
    for y in range(cube.shape[0]):
        for x in range(cube.shape[1]):
            found = read(y, x)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, spectrum(cube, y, x))
    return read


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(-2000, 2000, SHAPE).astype(">i2")


@pytest.mark.parametrize("layout", AXES)
@pytest.mark.parametrize("extra", ["", "reflectance scale factor = 1000\n", UNSORTED])
def test_every_layout_scaled_and_sorted(tmp_path, values, layout, extra):
    # A wrong offset into the second mapping would show another pixel, or the header's bytes.
    read = agree(read_cube(write(tmp_path / "cube.hdr", values, layout, extra)))
    assert not isinstance(read._source, da.Array), "the task graph of each read would cost two milliseconds"


def test_a_map_has_a_mapping_of_its_own(tmp_path, values):
    # The cube's own mapping is let go of while something streams through it, and stays advised as it was.
    cube = read_cube(write(tmp_path / "cube.hdr", values, "bsq"))
    own = PixelReader(cube)._source
    while isinstance(own.base, np.ndarray):
        own = own.base
    assert isinstance(own.base, mmap.mmap)
    assert own.base is not cube.data.base


def test_calibrated_chained_and_plain_arrays(tmp_path, values):
    cube = read_cube(write(tmp_path / "cube.hdr", values, "bil"))
    white = as_cube(np.full((1, *SHAPE[1:]), 3000.0), name="white")
    agree(calibrate(cube, white=white))
    agree(as_cube(values.astype(np.float64)))
    agree(as_cube(values[::-1, ::2]))
    lazy = da.from_array(values.astype(np.float32), chunks=(4, 7, 30))
    agree(as_cube(lazy * 2 + 1))
    agree(as_cube(lazy[2:, 1:]))


def test_one_band_and_one_column():
    agree(as_cube(np.arange(12.0).reshape(4, 3, 1)))
    agree(as_cube(np.arange(12.0).reshape(4, 1, 3)))
