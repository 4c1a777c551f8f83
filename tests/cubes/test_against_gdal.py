"""TIFFs as tifffile and GDAL write them: what we read is what GDAL (rasterio) reads, whatever the layout."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import CubeError

KINDS = ["u1", "u2", "i2", "u4", "i4", "f4", "f8"]


def theirs(path) -> np.ndarray:
    """Return what GDAL reads, (y, x, band)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return file.read().transpose(1, 2, 0)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(2, 5)),
    kind=st.sampled_from(KINDS),
    planar=st.sampled_from(["contig", "separate"]),
    compression=st.sampled_from([None, "zlib", "lzw", "zstd"]),
    layout=st.sampled_from([{}, {"rowsperstrip": 1}, {"rowsperstrip": 3}, {"tile": (16, 16)}, {"tile": (32, 16)}]),
    order=st.sampled_from(["<", ">"]),
    big=st.booleans(),
    predictor=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_layout_of_tifffile_reads_as_gdal_reads_it(tmp_path_factory, shape, kind, planar, compression, layout, order, big, predictor, seed):
    """Else rows, bands or bytes would be exchanged in one of the many ways in which a TIFF can lie."""
    cube = np.random.default_rng(seed).integers(0, 250, shape).astype(kind)
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    options = {"predictor": 3 if cube.dtype.kind == "f" else 2} if predictor and compression else {}
    array = cube if planar == "contig" else cube.transpose(2, 0, 1)
    tifffile.imwrite(path, array, photometric="minisblack", planarconfig=planar, compression=compression, byteorder=order, bigtiff=big, **layout, **options)
    ours = read_cube(path)
    assert np.array_equal(np.asarray(ours.data), cube)
    assert ours.dtype.newbyteorder("=") == cube.dtype
    assert np.array_equal(theirs(path), np.asarray(ours.data))


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(2, 5)),
    kind=st.sampled_from(KINDS),
    profile=st.fixed_dictionaries(
        {
            "interleave": st.sampled_from(["pixel", "band"]),
            "compress": st.sampled_from([None, "deflate", "lzw", "zstd", "packbits"]),
            "BIGTIFF": st.sampled_from(["YES", "NO"]),
            "ENDIANNESS": st.sampled_from(["LITTLE", "BIG"]),
            "tiled": st.booleans(),
        }
    ),
    predictor=st.booleans(),
    nodata=st.sampled_from([None, 0, 7]),
    seed=st.integers(0, 99),
)
def test_every_layout_of_gdal_reads_as_gdal_reads_it(tmp_path_factory, shape, kind, profile, predictor, nodata, seed):
    """Else scenes from a GIS would come in otherwise than they went out."""
    height, width, bands = shape
    cube = np.random.default_rng(seed).integers(0, 250, shape).astype(kind)
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    profile = {key: value for key, value in profile.items() if value is not None}
    profile |= {"blockxsize": 16, "blockysize": 16} if profile["tiled"] else {}
    profile |= {"predictor": 3 if cube.dtype.kind == "f" else 2} if predictor and profile.get("compress") in {"deflate", "lzw", "zstd"} else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=cube.dtype.name, nodata=nodata, **profile) as file:
            file.write(cube.transpose(2, 0, 1))
            for band in range(bands):
                file.update_tags(band + 1, wavelength=str(400 + 10 * band), wavelength_units="Nanometers")
    ours = read_cube(path)
    assert np.array_equal(np.asarray(ours.data), cube)
    assert np.allclose(ours.wavelength, 400 + 10 * np.arange(bands))
    assert ours.attrs.get("nodata") == nodata
    assert np.array_equal(theirs(path), np.asarray(ours.data))


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(st.integers(2, 9), st.integers(2, 9), st.integers(2, 9)), compression=st.sampled_from([None, "zlib"]), seed=st.integers(0, 99))
def test_single_pages_are_bands_to_us_and_images_to_gdal(tmp_path_factory, shape, compression, seed):
    """GDAL takes several pages for several images and opens the first; for a stack of bands we are right. Each page must be GDAL's all the same."""
    bands, height, width = shape
    assume(height not in {bands, width})
    pages = np.random.default_rng(seed).integers(0, 250, shape).astype("u2")
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, photometric="minisblack", compression=compression, contiguous=False, metadata=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the file does not say it
        ours = np.asarray(read_cube(path, shape=(height, width, bands)).data)
    assert np.array_equal(ours, pages.transpose(1, 2, 0))
    for number in range(bands):
        assert np.array_equal(theirs(f"GTIFF_DIR:{number + 1}:{path}")[:, :, 0], ours[:, :, number])


@pytest.mark.parametrize("kind", ["complex64", "complex128"])
def test_complex_images_gdal_reads_and_we_refuse(tmp_path, kind):
    """We are right for a cube of measured light: which part is meant is for the user to say."""
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 5, 3), dtype=kind), photometric="minisblack", planarconfig="contig")
    assert np.iscomplexobj(theirs(tmp_path / "a.tif"))
    with pytest.raises(CubeError, match="holds no image of three axes"):
        read_cube(tmp_path / "a.tif")
