"""The real cubes, each with its shape, its wavelengths and values that were read in another way."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.io
import spectral.io.envi as spectral_envi
import tifffile

from napari_hsi_ssl.cubes.cube import valid_pixels
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.cubes.readers import candidates, find_cubes, read_cube
from napari_hsi_ssl.errors import ChoiceError, CubeError, HsiWarning


def _range(cube):
    return float(cube.wavelength.min()), float(cube.wavelength.max())


def test_hippo_image(shared_data):
    """A drill core: scaled to reflectance, ignore value 0."""
    cube = read_cube(shared_data / "hippo_image" / "image.hdr")
    assert cube.shape == (38, 23, 450)
    assert cube.attrs["quantity"] == "reflectance"
    assert _range(cube) == pytest.approx((378.19, 2503.73), abs=0.01)
    stored = np.fromfile(shared_data / "hippo_image" / "image.dat", "<u2").reshape(450, 38, 23).transpose(1, 2, 0)
    order = cube.source_band.values if "source_band" in cube.coords else np.arange(450)
    assert np.allclose(np.asarray(cube.data), stored[:, :, order] / 65535, rtol=1e-6)
    assert np.allclose(np.asarray(cube.data), np.asarray(spectral_envi.open(str(shared_data / "hippo_image" / "image.hdr")).load())[:, :, order], rtol=1e-6)
    assert (np.diff(cube.wavelength) > 0).all()
    assert cube.attrs["nodata"] == 0
    assert np.array_equal(valid_pixels(np.asarray(cube.data), cube.attrs["nodata"]), (stored != 0).any(axis=2))
    # The header shows bands 287, 262 and 244, counted from 1 in the order of the file.
    assert [order[band] for band in cube.attrs["default_bands"]] == [286, 261, 243]


def test_plantcv(shared_data):
    """A kernel whose header lacks the byte order."""
    with pytest.warns(HsiWarning, match="byte order"):
        cube = read_cube(shared_data / "plantcv" / "corn-kernel-hyperspectral.hdr")
    assert cube.shape == (31, 43, 580)
    assert _range(cube) == pytest.approx((366.551, 1048.421))
    stored = np.fromfile(shared_data / "plantcv" / "corn-kernel-hyperspectral.raw", "<u2").reshape(31, 580, 43)
    assert np.array_equal(cube.data, stored.transpose(0, 2, 1))
    assert cube.attrs["quantity"] == "unknown"


def test_gamsberg(shared_data):
    """Units that are 'Unknown', settled by the band names; data without an ending."""
    cube = read_cube(shared_data / "gamsberg_envi" / "cubus_gamsberg_subset")
    assert cube.shape == (25, 10, 189)
    assert _range(cube) == pytest.approx((426.82, 2324.91), abs=0.01)
    stored = np.fromfile(shared_data / "gamsberg_envi" / "cubus_gamsberg_subset", "<f4").reshape(189, 25, 10)
    assert np.array_equal(cube.data, stored.transpose(1, 2, 0))


@pytest.mark.parametrize("name", ["berlin_library_sli/library_berlin.sli", "gamsberg_envi/gamsberg_field_library.hdr"])
def test_libraries_are_no_cubes(shared_data, name):
    """Else 75 spectra would be taken for a picture of one band."""
    with pytest.raises(CubeError, match="is an ENVI spectral library, expected a cube"):
        read_cube(shared_data / name)


def test_enmap_tiles(shared_data):
    """Satellite tiles: bands first, two sensors that overlap, six dead bands."""
    tiles = sorted((shared_data / "enmap_potsdam" / "images").glob("*.tif"))
    assert len(tiles) == 18
    for tile in tiles:
        cube = read_cube(tile)
        assert cube.shape == (32, 32, 224)
        assert _range(cube) == pytest.approx((418.24, 2445.53))
        stored = tifffile.imread(tile)
        order = cube.source_band.values
        assert sorted(order) == list(range(224))
        assert (order != np.arange(224)).any()
        assert (np.diff(cube.wavelength) >= 0).all()
        assert np.array_equal(np.asarray(cube.data), stored[order].transpose(1, 2, 0))
        dead = (stored[order] == -32768).all(axis=(1, 2))
        assert np.array_equal(np.flatnonzero(cube.attrs["bad_bands"]), np.flatnonzero(dead))
        assert cube.attrs["nodata"] == -32768
        labels, _ = read_labels(shared_data / "enmap_potsdam" / "labels" / tile.name, (32, 32))
        assert set(np.unique(labels)) <= set(range(7))


def test_samson(shared_data):
    """A folded scene: pixel 95 of the file is the top of the second column."""
    cube = read_cube(shared_data / "samson" / "Samson.mat")
    assert cube.shape == (95, 95, 156)
    folded = scipy.io.loadmat(shared_data / "samson" / "Samson.mat")["Y"]
    assert np.array_equal(cube.data[0, 1], folded[:, 95])
    assert np.array_equal(cube.data[7, 3], folded[:, 3 * 95 + 7])
    with pytest.raises(CubeError, match=r"_EndSamson\.mat holds no array of three axes"):
        candidates(shared_data / "samson" / "_EndSamson.mat")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("abu-airport-2", (100, 100, 205)), ("abu-beach-3", (100, 100, 188)), ("abu-urban-2", (100, 100, 207)), ("hydice", (80, 100, 162))],
)
def test_abu(shared_data, name, shape):
    """A cube and its map in one file."""
    path = shared_data / "abu" / f"{name}.mat"
    cube = read_cube(path)
    content = scipy.io.loadmat(path)
    assert cube.shape == shape
    assert candidates(path) == ("data",)
    assert np.array_equal(cube.data, content["data"])
    assert np.array_equal(read_labels(path, shape[:2])[0], content["map"])


def test_pavia(shared_data):
    """A crop of Pavia University."""
    cube = read_cube(shared_data / "gatorsense_paviaU_sub" / "paviaU_subimg.mat")
    assert cube.shape == (50, 50, 103)
    assert np.array_equal(cube.data, scipy.io.loadmat(shared_data / "gatorsense_paviaU_sub" / "paviaU_subimg.mat")["paviaU_subimg"])


def test_splits(shared_data):
    """Published label maps, whose class counts are known."""
    splits = shared_data / "splits"
    assert int((read_labels(splits / "IndianTR123_temp123.tif", (145, 145))[0] > 0).sum()) == 695
    assert int((read_labels(splits / "IndianTE123_temp123.tif", (145, 145))[0] > 0).sum()) == 9671
    assert int((read_labels(splits / "TRpavia_fixed.mat", (610, 340))[0] > 0).sum()) == 3921
    assert read_raster(splits / "paviaU_gt.mat").shape == (610, 340)
    with pytest.raises(ChoiceError, match="houston_gt_tr, houston_gt_te"):
        read_raster(splits / "houston_gt.mat")
    assert int((read_labels(splits / "houston_gt.mat", (349, 1905), key="houston_gt_tr")[0] > 0).sum()) == 2832


def test_the_whole_folder(shared_data):
    """Every cube is found once, and nothing that is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cubes, skipped = find_cubes(shared_data)
    names = [str(path.relative_to(shared_data)).replace("\\", "/") for path in cubes if "enmap" not in str(path)]
    assert names == [
        "abu/abu-airport-2.mat", "abu/abu-beach-3.mat", "abu/abu-urban-2.mat", "abu/hydice.mat", "gamsberg_envi/cubus_gamsberg_subset.hdr",
        "gatorsense_paviaU_sub/paviaU_subimg.mat", "hippo_image/image.hdr", "lumispy/asymmetric_peak_map.hspy", "lumispy/nanoparticles.hspy",
        "plantcv/corn-kernel-hyperspectral.hdr", "samson/Samson.mat",
    ]  # fmt: skip
    assert sum("enmap" in str(path) for path in cubes) == 18
    reasons = {path.name: reason for path, reason in skipped}
    assert "spectral library" in reasons["library_berlin.hdr"]
    assert "labels" in reasons["paviaU_gt.mat"]
