"""TIFF cubes: bands first or last, mapped where possible, with what GDAL says about them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl.cubes.readers import candidates, read_cube
from napari_hsi_ssl.errors import ChoiceError, CubeError, HsiWarning

CUBE = np.arange(4 * 5 * 30, dtype=np.uint16).reshape(4, 5, 30)
FIRST = CUBE.transpose(2, 0, 1)
GDAL = 42112, 42113


def items(**lists) -> str:
    """Write GDAL's metadata: one item a band."""
    text = "".join(f'<Item name="{name}" sample="{number}">{value}</Item>' for name, values in lists.items() for number, value in enumerate(values))
    return f"<GDALMetadata>{text}</GDALMetadata>"


@pytest.mark.filterwarnings("ignore:.*does not say which:napari_hsi_ssl.errors.HsiWarning")
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("array", "options"),
    [
        (CUBE, {"photometric": "minisblack", "planarconfig": "contig"}),
        (FIRST, {"photometric": "minisblack", "planarconfig": "separate"}),
        (FIRST, {"metadata": {"axes": "CYX"}}),
        (FIRST, {"metadata": None}),
        (FIRST, {"photometric": "minisblack"}),
        (CUBE, {"photometric": "minisblack"}),
        (FIRST, {"byteorder": ">"}),
        (CUBE, {"photometric": "minisblack", "planarconfig": "contig", "tile": (16, 16)}),
    ],
    ids=["samples", "planes", "channels", "pages", "python-first", "python-last", "big-endian", "tiles"],
)
def test_bands_first_and_last_read_the_same(tmp_path, array, options, compression):
    """Else rows would be taken for bands."""
    path = tmp_path / "cube.tif"
    tifffile.imwrite(path, array, compression=compression, **options)
    found = read_cube(path)
    assert np.array_equal(np.asarray(found.data), CUBE)
    assert isinstance(found.data, np.memmap) == (compression is None and "tile" not in options)


def test_imagej_stacks_are_bands(tmp_path):
    """Else ImageJ's channels would be taken for rows."""
    tifffile.imwrite(tmp_path / "a.tif", FIRST, imagej=True)
    assert np.array_equal(np.asarray(read_cube(tmp_path / "a.tif").data), CUBE)


@pytest.mark.filterwarnings("ignore:.*does not say which:napari_hsi_ssl.errors.HsiWarning")
@pytest.mark.parametrize(
    ("shape", "bands"),
    [
        ((38, 23, 450), 450),
        ((145, 145, 200), 200),
        ((200, 145, 145), 200),
        ((80, 100, 162), 162),
        ((61, 34, 10), 10),
        ((10, 61, 34), 10),
        ((144, 349, 1905), 144),
        ((162, 100, 80), 162),
        ((20, 30, 1), 1),
        ((1, 20, 30), 1),
    ],
)
def test_where_nothing_is_said_rows_and_columns_are_alike(tmp_path, shape, bands):
    """Else cubes that Python programs wrote as pages would be turned."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, dtype=np.uint8), photometric="minisblack")
    assert read_cube(tmp_path / "a.tif").shape[2] == bands


def test_a_doubtful_layout_is_said_and_a_given_shape_settles_it(tmp_path):
    """Else a wrong guess would go unnoticed, and could not be corrected."""
    array = np.zeros((512, 217, 204), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    with pytest.warns(
        HsiWarning, match=r"a\.tif does not say which of its axes \(512, 217, 204\) holds the bands; the last is taken, with 204 bands: give --shape"
    ):
        assert read_cube(tmp_path / "a.tif").shape == (512, 217, 204)
    assert read_cube(tmp_path / "a.tif", shape=(217, 204, 512)).shape == (217, 204, 512)
    with pytest.raises(CubeError, match=r"has shape \(512, 217, 204\), but the given shape is \(1, 2, 3\)"):
        read_cube(tmp_path / "a.tif", shape=(1, 2, 3))


def test_gdal_metadata_gives_wavelengths_nodata_and_the_band_axis(tmp_path):
    """Else a GeoTIFF would lose its wavelengths, its nodata value or its place on the earth."""
    wavelength = np.r_[np.linspace(0.4, 0.9, 20), np.linspace(0.85, 2.5, 10)]
    metadata = items(wavelength=wavelength, wavelength_units=["Micrometers"] * 30, fwhm=[0.01] * 30, bbl=[1] * 29 + [0], SCALE=[0.1] * 30)
    tags = [(GDAL[0], 2, None, metadata, True), (GDAL[1], 2, None, "-1", True), (33550, 12, 3, (30.0, 30.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "a.tif", FIRST.astype("i2"), photometric="minisblack", extratags=tags, metadata=None)
    found = read_cube(tmp_path / "a.tif")
    order = np.argsort(wavelength, kind="stable")
    assert np.allclose(found.wavelength, wavelength[order] * 1000)
    assert np.array_equal(found.source_band, order)
    assert np.array_equal(np.asarray(found.data), CUBE[:, :, order])
    assert np.allclose(found.attrs["fwhm"], 10)
    assert np.flatnonzero(found.attrs["bad_bands"]).tolist() == [29]
    assert found.attrs["nodata"] == -1
    assert found.attrs["gdal_scale"] == 0.1
    assert found.attrs["geotags"][33550] == (12, 3, (30.0, 30.0, 0.0))


def test_band_count_of_the_metadata_decides_between_axes(tmp_path):
    """Else shape alone would overrule what the file says."""
    array = np.zeros((20, 30, 40), dtype=np.uint8)
    for count, bands_first in ((20, True), (40, False)):
        tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", extratags=[(GDAL[0], 2, None, items(wavelength=range(400, 400 + count)), True)])
        found = read_cube(tmp_path / "a.tif")
        assert found.shape == ((30, 40, 20) if bands_first else (20, 30, 40))
        assert found.sizes["band"] == found.wavelength.size == count


@pytest.mark.parametrize("xml", ["<GDALMetadata><Item", "<!DOCTYPE x [<!ENTITY a 'b'>]><GDALMetadata>&a;</GDALMetadata>", "", items(wavelength=["a"] * 30)])
def test_damaged_metadata_costs_only_the_metadata(tmp_path, xml):
    """Else one bad tag would make a whole image unreadable, or expand entities of strangers."""
    tifffile.imwrite(
        tmp_path / "a.tif", FIRST, photometric="minisblack", metadata=None, extratags=[(GDAL[0], 2, None, xml, True), (GDAL[1], 2, None, "none", True)]
    )
    found = read_cube(tmp_path / "a.tif")
    assert np.array_equal(np.asarray(found.data), CUBE)
    assert "wavelength" not in found.coords
    assert "nodata" not in found.attrs


def test_several_images_ask_for_a_key(tmp_path):
    """Else the first of several cubes would be taken silently."""
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(CUBE, photometric="minisblack", planarconfig="contig", metadata={})
        writer.write(CUBE[:, :, :7], photometric="minisblack", planarconfig="contig", metadata={})
        writer.write(CUBE[:, :, 0], photometric="minisblack", metadata={})
    assert candidates(path) == ("0", "1")
    with pytest.raises(ChoiceError, match=r"two\.tif .*\(0, 1\)"):
        read_cube(path)
    assert read_cube(path, key="1").shape == (4, 5, 7)
    with pytest.raises(CubeError, match=r"two\.tif holds no image '2' of three axes, only 0, 1"):
        read_cube(path, key="2")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_file_that_is_cut_off_is_one_sentence(tmp_path, share, compression):
    """Else missing rows would be read as zeros, or as a traceback."""
    path = tmp_path / "cut.tif"
    noise = np.random.default_rng(0).integers(0, 9999, CUBE.shape).astype("u2")
    tifffile.imwrite(path, noise, photometric="minisblack", planarconfig="contig", compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CubeError, match=r"cut\.tif (cannot be read as a TIFF|is cut off)"):
        read_cube(path)
    with pytest.raises(CubeError, match=r"cut\.tif (cannot be read as a TIFF|is cut off)"):
        candidates(path)


def test_flat_and_complex_images_are_no_cubes(tmp_path):
    """Else an image of one band or of complex numbers would fail later, with other words."""
    tifffile.imwrite(tmp_path / "flat.tif", CUBE[:, :, 0])
    with pytest.raises(CubeError, match=r"flat\.tif holds no image of three axes \(\(4, 5\)\), expected a cube"):
        read_cube(tmp_path / "flat.tif")
    tifffile.imwrite(tmp_path / "complex.tif", CUBE.astype("c8"), photometric="minisblack")
    with pytest.raises(CubeError, match="expected a cube"):
        candidates(tmp_path / "complex.tif")


@pytest.mark.parametrize("last", [False, True], ids=["planes", "samples"])
def test_a_packed_tiff_is_unpacked_only_where_it_is_read(tmp_path, monkeypatch, last):
    """Else a packed scene larger than memory could not be opened, or each spectrum would unpack it all again."""
    values = np.random.default_rng(3).integers(0, 999, (64, 80, 12)).astype("u2")
    data = values if last else np.ascontiguousarray(values.transpose(2, 0, 1))
    config = "contig" if last else "separate"
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", planarconfig=config, compression="zlib", tile=(32, 32))
    for kept in (0, 2**20):
        monkeypatch.setattr("napari_hsi_ssl.cubes.tiff._KEPT_BYTES", kept)
        cube = read_cube(tmp_path / "a.tif")
        assert not isinstance(cube.data, np.ndarray)
        for part in ((5, 7), (slice(3, 40, 3), 9), (slice(None), slice(None), 4), (slice(60, 20, -7), slice(1, 3), [7, 2])):
            for _ in range(2):
                found = np.asarray(cube.data[part])
                assert np.array_equal(found, values[part])
                found *= 0  # what is kept must not change
        assert np.array_equal(np.asarray(cube.data), values)
