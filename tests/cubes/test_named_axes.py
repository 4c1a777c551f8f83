"""HDF5, NetCDF, HyperSpy and Zarr: values, axes and wavelengths as other programs wrote them, and one sentence for what is wrong."""

from __future__ import annotations

import json
import shutil
import warnings

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from napari_hsi_ssl.cubes.readers import candidates, find_cubes, read_cube
from napari_hsi_ssl.errors import ChoiceError, CubeError, HsiError, HsiWarning

RANDOM = np.random.default_rng(5)
CUBE = RANDOM.random((9, 11, 6)).astype("f4")
CENTRES = np.linspace(400, 900, 6)
ORDERS = [("y", "x", "band"), ("band", "y", "x"), ("y", "band", "x"), ("lat", "lon", "wavelength"), ("x", "y", "bands"), ("wavelength", "row", "col")]
WRITERS = {
    "a.nc": lambda path, data: data.to_netcdf(path, engine="h5netcdf"),
    "b.nc": lambda path, data: data.to_netcdf(path, engine="scipy"),
    "c.nc": lambda path, data: data.to_netcdf(path, engine="scipy", unlimited_dims=[data["cube"].dims[0]]),
    "d.nc": lambda path, data: data.to_netcdf(path, engine="h5netcdf", encoding={"cube": {"zlib": True, "chunksizes": (3, 3, 3)}}),
    "a.zarr": lambda path, data: data.to_zarr(path, zarr_format=2, encoding={"cube": {"chunks": (4, 5, 3)}}),
    "b.zarr": lambda path, data: data.to_zarr(path, zarr_format=3, consolidated=False, encoding={"cube": {"chunks": (4, 5, 3)}}),
}


def dataset(dims: tuple[str, ...], unit: str = "nm", **attrs: object) -> xr.Dataset:
    names = {"y": ("y", "lat", "row"), "x": ("x", "lon", "col"), "band": ("band", "wavelength", "bands")}
    axes = [next(place for place, known in enumerate(names.values()) if dim in known) for dim in dims]
    band = next(dim for dim in dims if dim in names["band"])
    data = xr.DataArray(CUBE.transpose(axes).copy(), dims=dims, name="cube", attrs=attrs)
    found = data.to_dataset()
    vector = xr.Variable(band, CENTRES / (1000 if unit == "um" else 1), {"units": unit})
    return found.assign_coords({"wavelength": vector})


@pytest.mark.parametrize("dims", ORDERS)
@pytest.mark.parametrize("unit", ["nm", "um"])
@pytest.mark.parametrize("name", WRITERS)
def test_axes_and_wavelengths_are_those_xarray_named(tmp_path, name, unit, dims):
    """Else a cube would be shown on its side, or at a thousandth of its wavelengths."""
    WRITERS[name](tmp_path / name, dataset(dims, unit))
    found = read_cube(tmp_path / name)
    assert candidates(tmp_path / name) == ("cube",)
    assert np.array_equal(np.asarray(found.data), CUBE)
    assert np.allclose(found.wavelength, CENTRES)
    assert np.array_equal(np.asarray(found.data[3, 4]), CUBE[3, 4])
    assert np.array_equal(np.asarray(found.data[:, :, 2]), CUBE[:, :, 2])
    assert np.array_equal(np.asarray(found.data[::-2, 3:1:-1, [4, 1]]), CUBE[::-2, 3:1:-1, [4, 1]])


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "c.nc"])
def test_packed_values_and_what_was_not_measured(tmp_path, name):
    """Else reflectances would be ten thousand times too high, or fill values be taken for measurements."""
    data = dataset(("y", "x", "band"), units="1", long_name="surface reflectance")
    data["cube"].values[2, 3] = np.nan
    encoding = {"dtype": "i2", "scale_factor": 1e-4, "add_offset": 0.1, "_FillValue": np.int16(-9999)}
    if name.endswith(".zarr"):
        data.to_zarr(tmp_path / name, zarr_format=2 if name[0] == "a" else 3, consolidated=False, encoding={"cube": encoding})
    else:
        data.to_netcdf(tmp_path / name, engine="scipy" if name[0] == "b" else "h5netcdf", encoding={"cube": encoding})
    found = read_cube(tmp_path / name)
    values = np.asarray(found.data)
    assert found.attrs["quantity"] == "reflectance"
    assert (values[2, 3] == found.attrs["nodata"]).all()
    measured = np.isfinite(data["cube"].values)
    assert np.allclose(values[measured], data["cube"].values[measured], atol=1e-4)


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_read_until_it_is_needed(tmp_path, name, monkeypatch):
    """Else a cube larger than memory could not be opened."""
    WRITERS[name](tmp_path / name, dataset(("band", "y", "x")))
    monkeypatch.setattr("napari_hsi_ssl.cubes.hdf_dataset.HdfDataset.__getitem__", None)
    monkeypatch.setattr("napari_hsi_ssl.cubes.zarr_store.ZarrArray.__getitem__", None)
    found = read_cube(tmp_path / name)
    assert found.shape == CUBE.shape


# -- HDF5 ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hdf(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/cube"] = CUBE
        file["scan/wavelength"] = CENTRES / 1000
        file["scan/wavelength"].attrs["units"] = "micrometers"
        file["scan/picture"] = CUBE[:, :, 0]
        file["name"] = "scene"
    return tmp_path / "a.h5"


def test_hdf5_finds_its_cube_and_wavelengths_in_groups(hdf):
    """Else plain HDF5 files could not be read without a program."""
    found = read_cube(hdf)
    assert isinstance(found.data, np.memmap), "plain numbers are mapped"
    assert np.array_equal(found.data, CUBE)
    assert np.allclose(found.wavelength, CENTRES)
    assert found.attrs["key"] == "scan/cube"


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 3, 4), "compression": "gzip"}, {"chunks": True, "shuffle": True, "compression": "lzf"}])
@pytest.mark.parametrize("kind", ["u1", "<u2", ">u2", "<f4", ">f8", "f2"])
def test_hdf5_keeps_types_and_packings(tmp_path, options, kind):
    """Else big-endian or compressed files would hold other numbers."""
    values = (CUBE * 200).astype(kind)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.create_dataset("cube", data=values, **options)
    assert np.array_equal(np.asarray(read_cube(tmp_path / "a.hdf5").data), values)


def test_hdf5_asks_between_several(hdf):
    """Else the wrong array would be taken."""
    with h5py.File(hdf, "a") as file:
        file["small"] = CUBE[:3]
    assert candidates(hdf) == ("scan/cube", "small")
    with pytest.raises(ChoiceError) as raised:
        read_cube(hdf)
    assert raised.value.candidates == ("scan/cube", "small")
    assert np.array_equal(read_cube(hdf, key="small").data, CUBE[:3])
    assert "wavelength" in read_cube(hdf, key="/scan/cube").coords
    with pytest.raises(CubeError, match=r"a\.h5 holds no array 'other', only .*scan/cube \(9, 11, 6\)"):
        read_cube(hdf, key="other")
    with pytest.raises(CubeError, match=r"array 'scan/picture' has shape \(9, 11\), expected three axes"):
        read_cube(hdf, key="scan/picture")


def test_hdf5_takes_the_shape_given(tmp_path):
    """Else a file that does not name its axes could not be turned."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"] = CUBE.transpose(2, 0, 1)
    with pytest.warns(HsiWarning, match=r"does not say which of its axes \(6, 9, 11\) holds the bands"):
        read_cube(tmp_path / "a.h5")
    assert np.array_equal(read_cube(tmp_path / "a.h5", shape=(9, 11, 6)).data, CUBE)
    with pytest.raises(CubeError, match=r"given shape is \(9, 9, 9\)"):
        read_cube(tmp_path / "a.h5", shape=(9, 9, 9))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": np.zeros((3, 4))}, r"no array of three axes of real numbers \(a \(3, 4\)\)"),
        ({"a": np.zeros((3, 4, 5), "c8")}, r"no array of three axes of real numbers \(a \(3, 4, 5\) complex64\)"),
        ({"a": np.full((3, 4, 5), b"x")}, "no array of three axes of real numbers"),
        ({"a": np.zeros((3, 0, 5))}, "no array of three axes of real numbers"),
        ({}, "no array of three axes of real numbers \\(no array\\)"),
        ({"a": np.zeros((3, 4, 5)), "wavelength": [1.0, 2, np.nan, 4, 5]}, "wavelengths that are not numbers"),
        ({"a": np.zeros((4, 4, 5)), "wavelength": np.arange(6) + 400.0}, "'wavelength' has 6 wavelengths, but array 'a' has 5 bands"),
    ],
)
def test_hdf5_without_a_cube_is_one_sentence(tmp_path, content, words):
    """Else the words of another library, or a wrong cube, would reach the user."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in content.items():
            file[name] = values
    with pytest.raises(CubeError, match=words) as raised:
        read_cube(tmp_path / "a.h5")
    assert "\n" not in str(raised.value)


def test_links_and_values_in_other_files_are_not_followed(tmp_path):
    """Else a file from elsewhere could choose which of the user's files is read."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["cube"] = CUBE
    (tmp_path / "plain.raw").write_bytes(CUBE.tobytes())
    layout = h5py.VirtualLayout(CUBE.shape, "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "cube", CUBE.shape)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink(tmp_path / "secret.h5", "cube")
        file.create_dataset("raw", CUBE.shape, "f4", external=[(tmp_path / "plain.raw", 0, CUBE.nbytes)])
        file.create_virtual_dataset("virtual", layout)
    assert set(candidates(tmp_path / "a.h5")) == {"raw", "virtual"}
    with pytest.raises(CubeError, match="holds no array 'link'"):
        read_cube(tmp_path / "a.h5", key="link")
    for key in ("raw", "virtual"):
        with pytest.raises(CubeError, match=rf"the values of '/{key}' lie in other files"):
            read_cube(tmp_path / "a.h5", key=key)


# -- HyperSpy --------------------------------------------------------------------------------------------------------------


def hspy(path, unit="nm", navigate=(True, True, False), scale=10.0, offset=400.0, label="Wavelength", size=None, data=CUBE):
    with h5py.File(path, "w") as file:
        group = file.create_group("Experiments/map")
        group["data"] = data
        for number, side in enumerate(data.shape):
            axis = group.create_group(f"axis-{number}")
            is_signal = not navigate[number] if navigate.count(False) == 1 else navigate[number]
            told = {"navigate": navigate[number], "size": side if size is None else size, "units": unit if is_signal else "µm"}
            told |= {"scale": scale if is_signal else 1.0, "offset": offset if is_signal else 0.0, "name": label if is_signal else "xyz"[number]}
            axis.attrs.update(told)
    return path


@pytest.mark.parametrize(("unit", "scale", "offset"), [("nm", 10.0, 400.0), ("$nm$", 10.0, 400.0), ("µm", 0.01, 0.4)])
def test_hyperspy_axes_tell_the_wavelengths(tmp_path, unit, scale, offset):
    """Else luminescence maps would come without their wavelengths."""
    found = read_cube(hspy(tmp_path / "a.hspy", unit, scale=scale, offset=offset))
    assert np.array_equal(found.data, CUBE)
    assert np.allclose(found.wavelength, 400 + 10 * np.arange(6))
    assert candidates(tmp_path / "a.hspy") == ("map",)


def test_hyperspy_energies_become_wavelengths(tmp_path):
    """Else spectra over photon energy would be in the order of energy, in a unit of their own."""
    found = read_cube(hspy(tmp_path / "a.hspy", "eV", scale=0.1, offset=2.0, label="Energy"))
    assert np.allclose(found.wavelength, np.sort(1239.84198 / (2 + 0.1 * np.arange(6))))
    assert np.array_equal(np.asarray(found.data), CUBE[:, :, ::-1])


def test_hyperspy_stacks_of_images_have_their_bands_first(tmp_path):
    """Else an image stack would be turned on its side."""
    found = read_cube(hspy(tmp_path / "a.hspy", navigate=(True, False, False), data=np.ascontiguousarray(CUBE.transpose(2, 0, 1))))
    assert np.array_equal(found.data, CUBE)
    assert np.allclose(found.wavelength, 400 + 10 * np.arange(6))


def test_hyperspy_raman_shifts_are_no_wavelengths(tmp_path):
    """Else a shift of 1000 per cm would be called 10,000 nm."""
    assert "wavelength" not in read_cube(hspy(tmp_path / "a.hspy", "1/cm", label="Raman shift")).coords


def test_hyperspy_that_contradicts_itself_is_one_sentence(tmp_path):
    """Else wavelengths would belong to other bands."""
    with pytest.raises(CubeError, match="'axis-0' has 5 places but the data 9"):
        read_cube(hspy(tmp_path / "a.hspy", size=5))
    with h5py.File(hspy(tmp_path / "b.hspy"), "a") as file:
        del file["Experiments/map/axis-2"]
    with pytest.raises(CubeError, match="has no 'axis-2'"):
        read_cube(tmp_path / "b.hspy")
    with h5py.File(tmp_path / "c.hspy", "w") as file:
        file["cube"] = CUBE
    with pytest.raises(CubeError, match=r"c\.hspy holds no array of three axes"):
        read_cube(tmp_path / "c.hspy")


@pytest.mark.parametrize(
    ("name", "shape", "first", "last"), [("asymmetric_peak_map", (16, 30, 334), 530.79, 803.52), ("nanoparticles", (15, 20, 507), 229.4, 769.0)]
)
def test_lumispy_maps(shared_data, name, shape, first, last):
    """Else real HyperSpy files could not be read."""
    path = shared_data / "lumispy" / f"{name}.hspy"
    found = read_cube(path)
    assert found.shape == shape
    assert (float(found.wavelength[0]), float(found.wavelength[-1])) == pytest.approx((first, last), abs=0.01)
    with h5py.File(path) as file:
        group = next(iter(file["Experiments"].values()))
        assert np.array_equal(np.asarray(found.data), group["data"][()])


# -- NetCDF ----------------------------------------------------------------------------------------------------------------


def test_netcdf_takes_the_variable_with_bands_and_leaves_the_rest(tmp_path):
    """Else a file with angles or a quick look beside the cube would ask each time."""
    data = dataset(("y", "x", "band"))
    data["angles"] = (("y", "x", "angle"), np.zeros((9, 11, 3)))
    data["mask"] = (("y", "x"), np.zeros((9, 11), "i1"))
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert np.array_equal(read_cube(tmp_path / "a.nc").data, CUBE)
    assert read_cube(tmp_path / "a.nc", key="angles").shape == (9, 11, 3)


def test_netcdf_groups_hold_the_wavelengths_of_emit(tmp_path):
    """Else products with a group of band parameters would come without wavelengths."""
    bands = xr.Dataset({"wavelengths": ("bands", CENTRES, {"units": "nm"}), "fwhm": ("bands", np.full(6, 8.0), {"units": "nm"})})
    xr.Dataset({"reflectance": (("downtrack", "crosstrack", "bands"), CUBE)}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    bands.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", mode="a", group="sensor_band_parameters")
    found = read_cube(tmp_path / "a.nc")
    assert np.array_equal(found.wavelength, CENTRES)
    assert np.array_equal(found.attrs["fwhm"], np.full(6, 8.0))
    assert found.attrs["quantity"] == "reflectance"


# -- Zarr ------------------------------------------------------------------------------------------------------------------


def store(path, version=3, fill=0, data=None, **attrs):
    values = np.ones((8, 8, 8), "u2") if data is None else data
    group = zarr.open_group(path, mode="w", zarr_format=version)
    array = group.create_array("cube", shape=values.shape, chunks=(4, 4, 4), dtype=values.dtype, fill_value=fill, attributes=attrs)
    array[:] = values
    return path


def chunks_of(path):
    return sorted(file for file in (path / "cube").rglob("*") if file.is_file() and not file.name.startswith((".z", "zarr")))


@pytest.mark.parametrize("version", [2, 3])
def test_missing_chunks_do_not_turn_into_numbers(tmp_path, version):
    """Else a copy that was cut off half way would be analysed as if its zeros were measured."""
    path = store(tmp_path / "a.zarr", version)
    for chunk in chunks_of(path)[4:]:
        chunk.unlink()
    with pytest.raises(CubeError, match=r"a\.zarr: 4 of 8 chunks of array 'cube' are missing .* copy the store again"):
        read_cube(path)


def test_missing_chunks_that_are_meant_are_not_measured(tmp_path):
    """Else a scene with an empty corner, which Zarr leaves out, could not be read."""
    path = store(tmp_path / "a.zarr", 3, 0, _FillValue=0)
    chunks_of(path)[0].unlink()
    with pytest.warns(HsiWarning, match="1 of 8 chunks of array 'cube' are missing and count as not measured"):
        found = read_cube(path)
    assert found.attrs["nodata"] == 0
    assert not np.asarray(found.data[:4, :4, :4]).any()
    path = store(tmp_path / "b.zarr", 3, np.nan, np.ones((8, 8, 8), "f4"))
    chunks_of(path)[0].unlink()
    with pytest.warns(HsiWarning, match="count as not measured"):
        assert np.isnan(np.asarray(read_cube(path).data[0, 0, 0]))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("spoil", ["cut", "empty", "noise"])
def test_a_damaged_chunk_is_one_sentence_when_it_is_read(tmp_path, version, spoil):
    """Else half a chunk would be shown as data."""
    path = store(tmp_path / "a.zarr", version, data=RANDOM.integers(0, 60000, (8, 8, 8)).astype("u2"))
    chunk = chunks_of(path)[0]
    content = chunk.read_bytes()
    chunk.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "noise": bytes(RANDOM.bytes(len(content)))}[spoil])
    found = read_cube(path)
    assert np.asarray(found.data[7, 7, 7]) > 0
    with pytest.raises(CubeError, match=r"a\.zarr cannot be read as Zarr \(array 'cube': |a\.zarr/cube is cut off") as raised:
        np.asarray(found.data[0, 0, 0])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_that_are_cut_off_are_one_sentence(tmp_path, version):
    """Else half a store would be called empty, or end in a traceback."""
    path = store(tmp_path / "a.zarr", version)
    top = path / ("zarr.json" if version == 3 else ".zgroup")
    inner = path / "cube" / ("zarr.json" if version == 3 else ".zarray")
    content = inner.read_bytes()
    inner.write_bytes(content[: len(content) // 2])
    with pytest.raises(CubeError, match="expected the JSON metadata of a Zarr store"):
        read_cube(path)
    inner.unlink()
    with pytest.raises(CubeError, match="no array of three axes"):
        read_cube(path)
    top.unlink()
    with pytest.raises(CubeError, match=r"holds no zarr\.json or \.zarray or \.zgroup"):
        read_cube(path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_arrays_that_the_metadata_promise_are_missed(tmp_path, version):
    """Else a store whose large array did not arrive would offer a small one."""
    path = store(tmp_path / "a.zarr", version)
    zarr.open_group(path, mode="a").create_array("small", shape=(2, 2, 2), chunks=(2, 2, 2), dtype="u1")[:] = 1
    zarr.consolidate_metadata(path, zarr_format=version)
    shutil.rmtree(path / "cube")
    with pytest.raises(CubeError, match=r"a\.zarr is cut off: its metadata name the array 'cube', which is not there"):
        read_cube(path)


@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_pickles_in_a_store_are_never_executed(tmp_path, place):
    """Else opening a stranger's cube would run a stranger's program."""
    path = store(tmp_path / "a.zarr", 2)
    told = json.loads((path / "cube" / ".zarray").read_text())
    told[place] = {"id": "pickle"} if place == "compressor" else [{"id": "pickle"}]
    (path / "cube" / ".zarray").write_text(json.dumps(told))
    with pytest.raises(CubeError, match=r"array 'cube' is packed by 'pickle', expected a codec that only turns bytes into numbers"):
        read_cube(path)


@pytest.mark.parametrize("kind", ["c8", "U3", "bool", "M8[ns]"])
@pytest.mark.filterwarnings("ignore:The data type")
def test_arrays_of_other_types_are_no_cubes(tmp_path, kind):
    """Else text or complex numbers would be drawn."""
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("cube", shape=(4, 4, 4), chunks=(4, 4, 4), dtype=kind)
    with pytest.raises(CubeError, match=r"no array of three axes of real numbers \(cube \(4, 4, 4\) "):
        read_cube(tmp_path / "a.zarr")


def test_zarr_asks_between_several(tmp_path):
    """Else the wrong array would be taken."""
    path = store(tmp_path / "a.zarr")
    zarr.open_group(path, mode="a").create_array("more/other", shape=(4, 4, 6), chunks=(4, 4, 6), dtype="u1")[:] = 3
    with pytest.raises(ChoiceError) as raised:
        read_cube(path)
    assert raised.value.candidates == candidates(path) == ("cube", "more/other")
    assert (np.asarray(read_cube(path, key="more/other").data) == 3).all()


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_of_one_array_is_a_cube(tmp_path, version):
    """Else an array without a group could not be read."""
    zarr.save_array(tmp_path / "a.zarr", CUBE, zarr_format=version)
    found = read_cube(tmp_path / "a.zarr")
    assert found.name == "a"
    assert np.array_equal(np.asarray(found.data), CUBE)


def test_a_store_is_one_cube_of_its_folder(tmp_path):
    """Else its chunks would be looked through as files."""
    store(tmp_path / "in" / "a.zarr", 3)
    store(tmp_path / "in" / "b", 2)
    assert find_cubes(tmp_path) == ([tmp_path / "in" / "a.zarr", tmp_path / "in" / "b"], [])
    assert find_cubes(tmp_path / "in" / "a.zarr") == ([tmp_path / "in" / "a.zarr"], [])


# -- all -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.nc", "b.nc", "a.h5", "a.hdf5", "a.he5", "a.hspy"])
@pytest.mark.parametrize("content", [b"", b"CDF", b"CDF\x01", b"\x89HDF\r\n\x1a\n", b"not a cube at all" * 50], ids=["empty", "three", "four", "magic", "text"])
def test_files_of_another_kind_are_one_sentence(tmp_path, name, content):
    """Else zero bytes or a wrong ending would end in a traceback."""
    (tmp_path / name).write_bytes(content)
    for open_ in (candidates, read_cube):
        with pytest.raises(CubeError) as raised:
            open_(tmp_path / name)
        assert name in str(raised.value)
        assert "\n" not in str(raised.value)
        assert str(raised.value).endswith(".")


@pytest.mark.parametrize("name", ["a.nc", "b.nc", "c.nc", "d.nc", "e.h5", "f.hspy"])
def test_files_that_are_cut_off_or_changed_are_a_cube_or_one_sentence(tmp_path, name):
    """Else a damaged file would end in a traceback of another library."""
    path = tmp_path / name
    if name in WRITERS:
        WRITERS[name](path, dataset(("y", "x", "band")))
    elif name == "f.hspy":
        hspy(path)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("cube", data=CUBE, chunks=(3, 3, 3), compression="gzip")
            file["wavelength"] = CENTRES
    content = path.read_bytes()
    random = np.random.default_rng(len(name))
    seen = set()
    for turn in range(60):
        changed = bytearray(content)
        if turn % 3:
            for place in random.integers(0, len(content), 6):
                changed[place] = random.integers(256)
        else:
            del changed[int(random.integers(len(content))) :]
        path.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                candidates(path)
                np.asarray(read_cube(path).data)
            except HsiError as error:
                seen.add(str(error))
    assert seen, "no damage was noticed at all"
    assert all("\n" not in sentence and name in sentence and sentence.endswith(".") for sentence in seen)
