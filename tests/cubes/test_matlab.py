"""MATLAB cubes of both versions, and everything that could be taken for one."""

from __future__ import annotations

import struct

import dask.array as da
import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hsi_ssl.cubes.matlab import list_arrays, read_array, reshape
from napari_hsi_ssl.cubes.readers import candidates, read_cube
from napari_hsi_ssl.errors import ChoiceError, CubeError

CUBE = np.random.default_rng(0).normal(size=(5, 6, 7))


def write_v73(path, arrays, *, classes=None, **options):
    """Write arrays as MATLAB 7.3 does: a user block of 512 bytes, axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            data = file.create_dataset(name, data=np.asarray(values).T, **(options if np.ndim(values) == 3 else {}))
            data.attrs["MATLAB_class"] = np.bytes_((classes or {}).get(name, "double"))
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(512, b" "))


@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "chunks": (3, 2, 4)}], ids=["plain", "compressed"])
def test_version_7_3_equals_its_version_5_twin_and_stays_in_the_file(tmp_path, options):
    """Else MATLAB's reversed axes would turn the cube, or opening would read all of it."""
    wavelength = np.linspace(400, 1000, 7)[:, None]
    scipy.io.savemat(tmp_path / "five.mat", {"cube": CUBE, "wavelength": wavelength})
    write_v73(tmp_path / "seven.mat", {"cube": CUBE, "wavelength": wavelength}, **options)
    five, seven = read_cube(tmp_path / "five.mat"), read_cube(tmp_path / "seven.mat")
    assert np.array_equal(five.data, CUBE)
    assert isinstance(five.data, np.memmap)
    assert np.array_equal(np.asarray(seven.data), CUBE)
    assert np.array_equal(seven.wavelength, wavelength[:, 0])
    assert np.array_equal(five.wavelength, wavelength[:, 0])
    assert isinstance(seven.data, da.Array if options else np.memmap)
    for part in ((2, 3), (slice(None), slice(None), 4), (slice(4, None, -2), slice(0, 0), slice(1, 5)), (slice(None, None, 2), 1, slice(None, None, -1))):
        assert np.array_equal(np.asarray(seven.data[part]), CUBE[part])


def test_unsorted_wavelengths_in_version_7_3_are_sorted_lazily(tmp_path):
    """Else the HDF5 path would forget the order of bands."""
    wavelength = np.array([0.4, 0.6, 0.5, 0.7, 0.9, 0.8, 1.0])
    write_v73(tmp_path / "a.mat", {"cube": CUBE, "wl": wavelength}, compression="gzip")
    found = read_cube(tmp_path / "a.mat")
    order = np.argsort(wavelength)
    assert np.allclose(found.wavelength, wavelength[order] * 1000)
    assert np.array_equal(np.asarray(found.data), CUBE[:, :, order])
    assert np.array_equal(np.asarray(found.data[2, 3]), CUBE[2, 3, order])


def test_a_folded_y_is_unfolded_column_by_column(tmp_path):
    """Else scenes of unmixing collections would come out scrambled."""
    folded = CUBE.reshape(30, 7, order="F").T
    for path, write in ((tmp_path / "five.mat", scipy.io.savemat), (tmp_path / "seven.mat", write_v73)):
        write(path, {"Y": folded, "nRow": np.array([[5.0]]), "nCol": np.array([[6.0]])})
        assert candidates(path) == ("Y",)
        assert np.array_equal(read_cube(path).data, CUBE)
    scipy.io.savemat(tmp_path / "wrong.mat", {"Y": folded, "nRow": 4.0, "nCol": 6.0})
    with pytest.raises(CubeError, match=r"wrong\.mat: 'Y' has shape \(7, 30\), but nRow × nCol is 4 × 6"):
        read_cube(tmp_path / "wrong.mat")


@pytest.mark.parametrize("write", [scipy.io.savemat, write_v73])
def test_several_candidates_ask_for_a_key(tmp_path, write):
    """Else one of several cubes would be taken at random."""
    path = tmp_path / "two.mat"
    write(path, {"small": CUBE[:2], "large": CUBE, "map": CUBE[:, :, 0]})
    with pytest.raises(ChoiceError, match=r"two\.mat holds several arrays that could be a cube \(large, small\).*--key") as caught:
        read_cube(path)
    assert caught.value.candidates == ("large", "small") == candidates(path)
    found = read_cube(path, key="small")
    assert np.array_equal(found.data, CUBE[:2])
    assert found.attrs["key"] == "small"
    with pytest.raises(CubeError, match=r"two\.mat holds no numeric array 'none', only .*large \(5, 6, 7\)"):
        read_cube(path, key="none")
    with pytest.raises(CubeError, match=r"array 'map' has shape \(5, 6\), expected three axes"):
        read_cube(path, key="map")


def test_arrays_that_are_no_cubes_do_not_count(tmp_path):
    """Else masks, texts and empty arrays would be offered as cubes."""
    scipy.io.savemat(tmp_path / "a.mat", {"mask": CUBE > 0, "name": "scene", "cells": np.array([CUBE], dtype=object), "empty": np.zeros((0, 2, 3))})
    with pytest.raises(CubeError, match=r"a\.mat holds no array of three axes \(.*\), expected a cube"):
        candidates(tmp_path / "a.mat")
    write_v73(tmp_path / "b.mat", {"mask": (CUBE > 0).astype("u1"), "cube": CUBE}, classes={"mask": "logical"})
    assert candidates(tmp_path / "b.mat") == ("cube",)
    scipy.io.savemat(tmp_path / "c.mat", {"cube": CUBE * 1j})
    with pytest.raises(CubeError, match=r"c\.mat holds no array of three axes \(cube \(5, 6, 7\) complex\)"):
        read_cube(tmp_path / "c.mat")
    with pytest.raises(CubeError, match=r"c\.mat: array 'cube' holds complex numbers, expected real ones"):
        read_cube(tmp_path / "c.mat", key="cube")


@settings(max_examples=60, deadline=None)
@given(
    values=arrays(
        st.sampled_from(["f8", "f4", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "?"]),
        st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple),
    ),
    name=st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True),
    compressed=st.booleans(),
)
def test_version_5_arrays_are_those_that_scipy_reads(tmp_path_factory, values, name, compressed):
    """Else our reader, which no damaged file can crash, would give other numbers than SciPy's."""
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    scipy.io.savemat(path, {"before": "text", name: values, "after": [[{"a": 1}]]}, do_compression=compressed)
    theirs = scipy.io.loadmat(path)[name]
    (found,) = [array for array in list_arrays(path)[0] if array.name == name]
    assert found.shape == theirs.shape
    assert found.logical == (values.dtype == bool)
    ours = read_array(path, name)
    assert ours.dtype == (theirs.dtype if values.dtype != bool else np.uint8)
    assert np.array_equal(ours, theirs, equal_nan=values.dtype.kind == "f")


def test_version_5_of_the_other_byte_order(tmp_path):
    """Else files of old workstations would give swapped bytes."""
    head = b"MATLAB 5.0".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    body = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIiii", 5, 12, 2, 3, 2) + b"\0" * 4 + struct.pack(">HH4s", 4, 1, b"cube")
    body += struct.pack(">II12h", 3, 24, *range(12))
    (tmp_path / "a.mat").write_bytes(head + struct.pack(">II", 14, len(body)) + body)
    assert np.array_equal(scipy.io.loadmat(tmp_path / "a.mat")["cube"], np.arange(12).reshape(2, 3, 2, order="F"))
    assert np.array_equal(read_cube(tmp_path / "a.mat").data, np.arange(12).reshape(2, 3, 2, order="F"))


def test_no_damaged_byte_gives_anything_but_the_array_or_an_error(tmp_path):
    """Else a damaged file would crash the window, as SciPy's reader does, or hang."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"cube": CUBE})
    whole = path.read_bytes()
    refused = 0
    for place in range(124, 200):
        for value in (0, 3, 255):
            content = bytearray(whole)
            content[place] = value
            path.write_bytes(content)
            try:
                assert read_cube(path).size == CUBE.size
            except CubeError as error:
                refused += 1
                assert "a.mat" in str(error)  # noqa: PT017 - either outcome is right
    assert refused > 50


@pytest.mark.parametrize("version", [5, 7])
@pytest.mark.parametrize("kept", [0, 100, 300, 700])
def test_a_file_that_is_cut_off_is_one_sentence(tmp_path, version, kept):
    """Else SciPy's or h5py's own words would reach the user."""
    path = tmp_path / "cut.mat"
    scipy.io.savemat(path, {"cube": CUBE}, do_compression=True) if version == 5 else write_v73(path, {"cube": CUBE})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CubeError, match=r"cut\.mat (cannot be read as a MATLAB file|holds no array of three axes)"):
        read_cube(path)


@pytest.mark.parametrize("order", ["C", "F"])
def test_two_dimensional_arrays_take_the_shape_given(tmp_path, order):
    """Else pixels of (band, pixel) matrices would land in other rows."""
    flat = CUBE.reshape(30, 7, order=order)
    for name, array in (("pixels", flat), ("bands", flat.T)):
        scipy.io.savemat(tmp_path / f"{name}.mat", {"X": array})
        assert np.array_equal(read_cube(tmp_path / f"{name}.mat", shape=(5, 6, 7), order=order).data, CUBE)
    with pytest.raises(CubeError, match=r"'X' has shape \(7, 30\) \(210 values\), but the given shape \(5, 6, 8\) needs 240"):
        read_cube(tmp_path / "bands.mat", shape=(5, 6, 8))


def test_shape_turns_axes_that_lie_otherwise():
    """Else a band-first array could not be read at all."""
    for axes in ((2, 0, 1), (0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0)):
        assert np.array_equal(reshape(CUBE.transpose(axes), (5, 6, 7), "C", "x"), CUBE)
    with pytest.raises(CubeError, match="order is 'A', expected C or F"):
        reshape(CUBE, (5, 6, 7), "A", "x")
