"""Cubes that are written are read again, by this program and by spectral, rasterio and xarray."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import rasterio
import spectral.io.envi as spectral_envi
import tifffile
import xarray as xr
import zarr

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes import places
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.cube_writers import cube_steps, write_cube
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import CubeError, ProjectError
from napari_hsi_ssl.progress import Progress
from napari_hsi_ssl.steps.export import export

RANDOM = np.random.default_rng(4)
CENTRES = np.linspace(400.25, 999.75, 7)
KEPT = {
    "quantity": "reflectance",
    "nodata": 7.0,
    "fwhm": np.full(7, 3.5),
    "bad_bands": np.array([False, True, False, False, False, True, False]),
}
UTM = "UTM, 1, 1, 366015, 5809965, 30, 30, 33, North, WGS-84, units=Meters"
KINDS = ["u1", "i2", "i4", "f4", "f8", "u2", "u4", "i8", "u8", ">u2", ">f4", "f2", "i1"]


def made(kind: str = "f4", layout: str = "memory", height: int = 11, **attrs: object) -> xr.DataArray:
    values = RANDOM.integers(0, 100, (height, 13, 7)).astype(kind)
    data: object = values
    if layout == "lazy":
        data = da.from_array(values, chunks=3)
    if layout == "bsq":
        data = np.ascontiguousarray(values.transpose(2, 0, 1)).transpose(1, 2, 0)
    return as_cube(data, CENTRES, name="scene", **{**KEPT, **attrs})


@pytest.mark.parametrize("ending", [".hdr", ".tif", ".zarr"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["memory", "lazy", "bsq"])
def test_a_cube_survives_every_format(tmp_path, ending, kind, layout):
    """Else an exported cube would hold other numbers, wavelengths or bad bands."""
    cube = made(kind, layout)
    write_cube(tmp_path / f"out{ending}", cube)
    again = read_cube(tmp_path / f"out{ending}")
    assert again.dims == ("y", "x", "band")
    assert np.array_equal(np.asarray(again.data), np.asarray(cube.data))
    assert np.array_equal(again.wavelength, CENTRES)
    assert again.attrs["quantity"] == "reflectance"
    assert again.attrs["nodata"] == 7.0
    assert np.allclose(again.attrs["fwhm"], 3.5)
    assert np.array_equal(again.attrs["bad_bands"], KEPT["bad_bands"])


@pytest.mark.parametrize("layout", ["memory", "bsq"])
def test_blocks_are_put_where_they_belong(tmp_path, monkeypatch, layout):
    """Else a cube of more than one block would be scrambled."""
    monkeypatch.setattr("napari_hsi_ssl.cubes.cube_writers._BLOCK_BYTES", 13 * 11 * 4 * 2)
    monkeypatch.setattr("napari_hsi_ssl.cubes.cube.row_blocks.__defaults__", (8 * 13 * 7 * 3,))
    cube = made("f4", layout)
    for ending in (".hdr", ".tif", ".zarr"):
        steps = list(cube_steps(tmp_path / f"out{ending}", cube))
        assert len(steps) > 2
        assert all(isinstance(step, Progress) and 0 < step.done <= step.total for step in steps)
        assert [step.done for step in steps] == sorted(step.done for step in steps)
        assert steps[-1].done == steps[-1].total
        assert np.array_equal(np.asarray(read_cube(tmp_path / f"out{ending}").data), np.asarray(cube.data))


@pytest.mark.parametrize("ending", [".hdr", ".tif", ".zarr"])
def test_ending_an_export_half_way_leaves_what_was_there(tmp_path, monkeypatch, ending):
    """Else a cancelled export would leave half a cube under the name of a whole one."""
    monkeypatch.setattr("napari_hsi_ssl.cubes.cube_writers._BLOCK_BYTES", 13 * 7 * 4)
    monkeypatch.setattr("napari_hsi_ssl.cubes.cube.row_blocks.__defaults__", (8 * 13 * 7,))
    path = tmp_path / f"out{ending}"
    old = made("f4")
    write_cube(path, old)
    before = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*"))
    steps = cube_steps(path, made("f4"))
    next(steps)
    steps.close()
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")) == before
    assert np.array_equal(np.asarray(read_cube(path).data), np.asarray(old.data))
    write_cube(path, made("f4") * 0)
    assert not np.asarray(read_cube(path).data).any()


def test_spectral_reads_what_we_wrote(tmp_path):
    """Else ENVI users would see another cube."""
    cube = made("u2")
    write_cube(tmp_path / "a.hdr", cube)
    theirs = spectral_envi.open(str(tmp_path / "a.hdr"))
    assert np.array_equal(theirs.open_memmap(interleave="bip"), cube.data)
    assert np.array_equal(theirs.bands.centers, CENTRES)
    assert theirs.metadata["bbl"] == [1, 0, 1, 1, 1, 0, 1]


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_we_read_what_spectral_wrote(tmp_path, interleave):
    """Else its users could not come here."""
    values = RANDOM.random((6, 5, 7)).astype("f4")
    metadata = {"wavelength": CENTRES / 1000, "wavelength units": "Micrometers"}
    spectral_envi.save_image(str(tmp_path / "a.hdr"), values, interleave=interleave, metadata=metadata)
    found = read_cube(tmp_path / "a.hdr")
    assert np.array_equal(found.data, values)
    assert np.allclose(found.wavelength, CENTRES)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "f4", "f8"])
def test_rasterio_reads_what_we_wrote(tmp_path, kind):
    """Else a cube would come to a GIS without its bands' wavelengths, its ignore value or its place."""
    cube = made(kind, map_info=UTM)
    write_cube(tmp_path / "a.tif", cube)
    with rasterio.open(tmp_path / "a.tif") as theirs:
        assert np.array_equal(theirs.read().transpose(1, 2, 0), cube.data)
        assert theirs.nodata == 7
        assert theirs.crs.to_epsg() == 32633
        assert theirs.transform[:6] == (30, 0, 366015, 0, -30, 5809965)
        assert [float(theirs.tags(band)["wavelength"]) for band in range(1, 8)] == pytest.approx(CENTRES)
        assert theirs.tags(2)["bbl"] == "0"
        assert theirs.descriptions[0] == "band 1 (400.25 Nanometers)"
        assert theirs.profile["interleave"] == "band"


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("compress", [None, "deflate", "lzw"])
def test_we_read_what_rasterio_wrote_and_give_its_place_back(tmp_path, interleave, compress):
    """Else a scene would lose its place on the earth on its way through this program."""
    values = RANDOM.integers(0, 999, (7, 20, 30)).astype("u2")
    place = rasterio.Affine(30, 0, 366015, 0, -30, 5809965)
    profile = {"driver": "GTiff", "count": 7, "height": 20, "width": 30, "dtype": "uint16", "crs": "EPSG:32633", "transform": place}
    with rasterio.open(tmp_path / "a.tif", "w", interleave=interleave, compress=compress, **profile) as theirs:
        theirs.write(values)
        for band, centre in enumerate(CENTRES, 1):
            theirs.update_tags(band, wavelength=str(centre), wavelength_units="Nanometers")
    cube = read_cube(tmp_path / "a.tif")
    assert np.array_equal(np.asarray(cube.data), values.transpose(1, 2, 0))
    assert np.allclose(cube.wavelength, CENTRES)
    for ending in (".tif", ".hdr", ".zarr"):
        write_cube(tmp_path / f"b{ending}", cube)
        again = read_cube(tmp_path / f"b{ending}")
        write_cube(tmp_path / f"c{ending}.tif", again)
        with rasterio.open(tmp_path / f"c{ending}.tif") as theirs:
            assert theirs.crs.to_epsg() == 32633
            assert theirs.transform == place


def test_gdal_reads_the_place_of_our_envi(tmp_path):
    """Else ENVI exports of georeferenced scenes would lie elsewhere."""
    write_cube(tmp_path / "a.hdr", made("f4", map_info=UTM))
    with rasterio.open(tmp_path / "a.dat") as theirs:
        assert theirs.crs.to_epsg() == 32633
        assert theirs.transform[:6] == (30, 0, 366015, 0, -30, 5809965)


@pytest.mark.parametrize(
    "text",
    [UTM, "UTM, 1, 1, 500000, 8000000, 5, 4, 7, South, WGS-84, units=Meters", "Geographic Lat/Lon, 1, 1, 13.25, 52.5, 0.001, 0.002, WGS-84, units=Degrees"],
)
def test_places_survive_both_ways(text):
    """Else a scene would move between formats."""
    assert places.map_info(places.geotags(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "UTM",
        "Arbitrary, 1, 1, 0, 0, 1, 1",
        "UTM, 1, 1, x, 0, 1, 1, 33, North, WGS-84",
        f"{UTM}, rotation=12",
        "UTM, 1, 1, 0, 0, 1, 1, 33, North, NAD-27",
    ],
)
def test_places_that_cannot_be_said_are_left_out(text):
    """Else a wrong place would be written."""
    assert places.geotags(text) is None


def test_places_of_strange_tags_are_left_out():
    """Else a damaged file could not be exported."""
    assert places.map_info(None) is None
    assert places.map_info({33550: (12, 1, (1.0,)), 33922: (12, 6, (0,) * 6), 34735: (3, 1, (1,))}) is None


@pytest.mark.parametrize("kind", ["u2", "f4"])
@pytest.mark.parametrize("nodata", [None, 7.0])
def test_xarray_opens_our_zarr(tmp_path, kind, nodata):
    """Else Python users would see another cube, or warnings."""
    cube = made(kind, nodata=nodata)
    write_cube(tmp_path / "a.zarr", cube)
    with xr.open_zarr(tmp_path / "a.zarr") as theirs:
        found = theirs["reflectance"]
        assert found.dims == ("y", "x", "band")
        assert np.array_equal(found.wavelength, CENTRES)
        assert theirs.wavelength.attrs["units"] == "nm"
        values = np.asarray(cube.data, dtype=float)
        expected = np.where(values == 7, np.nan, values) if nodata is not None else values
        assert np.array_equal(found.values, expected, equal_nan=True)
        if nodata is None:
            assert found.dtype == kind


def test_every_chunk_is_written(tmp_path):
    """Else a cube of zeros could not be told from a store that was cut off."""
    write_cube(tmp_path / "a.zarr", as_cube(np.zeros((300, 40, 20), "u2")))
    array = zarr.open_array(str(tmp_path / "a.zarr" / "cube"), mode="r")
    assert array.nchunks_initialized == array.nchunks > 1
    assert not np.asarray(read_cube(tmp_path / "a.zarr").data).any()


def test_a_large_tiff_is_a_bigtiff(tmp_path, monkeypatch):
    """Else cubes above 4 GB could not be written."""
    monkeypatch.setattr("napari_hsi_ssl.cubes.cube_writers._CLASSIC_BYTES", 100)
    cube = made("f4")
    write_cube(tmp_path / "a.tif", cube)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
    assert np.array_equal(read_cube(tmp_path / "a.tif").data, cube.data)


@pytest.mark.parametrize("ending", [".hdr", ".tif", ".zarr"])
def test_a_cube_is_not_written_over_itself(tmp_path, ending):
    """Else exporting to the same name would destroy the measurement."""
    path = tmp_path / f"a{ending}"
    write_cube(path, made("f4"))
    before = files.folder_fingerprint(tmp_path)
    with pytest.raises(CubeError, match=rf"a\{ending} is the file the cube is read from; choose another name"):
        write_cube(path, read_cube(path))
    assert files.folder_fingerprint(tmp_path) == before


def test_wrong_places_are_one_sentence(tmp_path):
    """Else an export would end in a traceback, or replace a folder of other things."""
    with pytest.raises(CubeError, match=r"a\.xyz ends in '\.xyz', but a cube is written as one of \.hdr \(ENVI\), \.tif \(GeoTIFF\), \.zarr \(Zarr\)"):
        write_cube(tmp_path / "a.xyz", made())
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "thesis.txt").write_text("mine")
    with pytest.raises(ProjectError, match=r"b\.zarr exists and is no Zarr store"):
        write_cube(tmp_path / "b.zarr", made())
    assert (tmp_path / "b.zarr" / "thesis.txt").read_text() == "mine"
    (tmp_path / "file").write_text("no folder")
    for ending in (".tif", ".zarr", ".hdr"):
        with pytest.raises(ProjectError, match="cannot be written"):
            write_cube(tmp_path / "file" / f"a{ending}", made())


def test_the_step_says_how_far_it_is(tmp_path):
    """Else the window would stand still over a large export."""
    write_cube(tmp_path / "a.hdr", made("f4"))
    for ending in (".tif", ".zarr", ".hdr"):
        steps = export(tmp_path / "a.hdr", tmp_path / f"b{ending}")
        told = list(steps)
        assert told[0].message == "exporting a.hdr"
        assert any(step.message.startswith("writing b") for step in told)
        assert read_cube(tmp_path / f"b{ending}").shape == (11, 13, 7)


def test_enmap_round_trip(shared_data, tmp_path):
    """Else a satellite scene would lose place, wavelengths or values on its way through."""
    path = shared_data / "enmap_potsdam" / "images" / "enmap_potsdam_tile_128_0.tif"
    cube = read_cube(path)
    write_cube(tmp_path / "a.tif", cube)
    with rasterio.open(path) as first, rasterio.open(tmp_path / "a.tif") as second:
        assert first.crs == second.crs
        assert first.transform == second.transform
        assert first.nodata == second.nodata
        order = np.asarray(cube.source_band) if "source_band" in cube.coords else np.arange(224)
        assert np.array_equal(first.read()[order], second.read())
        assert second.scales == tuple(first.scales[band] for band in order)
        assert [float(second.tags(band + 1)["wavelength"]) for band in range(224)] == [float(first.tags(band + 1)["wavelength"]) for band in order]
