"""MATLAB files of both versions: every array that we read is the array that SciPy (version 5) or h5py (version 7.3) reads.

`test_matlab` compares single arrays of every type; here are whole files: other variables before, between and behind, both byte orders, options of storage.
"""

from __future__ import annotations

import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.cubes.matlab import list_arrays, read_array
from napari_hsi_ssl.cubes.readers import candidates, read_cube
from napari_hsi_ssl.errors import CubeError

CODES = {"i1": (1, 8), "u1": (2, 9), "i2": (3, 10), "u2": (4, 11), "i4": (5, 12), "u4": (6, 13), "f4": (7, 7), "f8": (9, 6), "i8": (12, 14), "u8": (13, 15)}
"""Type of the values and class of the array, as MathWorks' *MAT-File Format* numbers them."""

OTHERS = {
    "text": "some words",
    "structure": {"wavelength": np.arange(3.0), "cube": np.zeros((2, 2, 2)), "inner": {"a": 1}},
    "cells": np.array([np.zeros((2, 2, 2)), "b"], dtype=object),
    "empty": np.zeros((0, 3, 2)),
    "flag": np.array(True),
    "complex": np.ones((2, 2, 2)) * 1j,
    "number": 5,
}
cubes = st.tuples(*[st.integers(1, 4)] * 3)


@settings(max_examples=50, deadline=None)
@given(
    shape=cubes,
    kind=st.sampled_from(sorted(CODES)),
    others=st.lists(st.sampled_from(sorted(OTHERS)), unique=True),
    place=st.integers(0, 7),
    compressed=st.booleans(),
    row=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_cube_among_other_variables_is_the_one_that_scipy_reads(tmp_path_factory, shape, kind, others, place, compressed, row, seed):
    """Else a structure, a cell or text before the cube would shift what is read, or its wavelengths would be another variable's."""
    random = np.random.default_rng(seed)
    cube = random.integers(0, 100, shape).astype(kind)
    centres = 400.0 + 10 * np.arange(shape[2])
    content = [(name, OTHERS[name]) for name in others]
    content[place:place] = [("scene", cube), ("wavelength", centres if row else centres[:, None])]
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    scipy.io.savemat(path, dict(content), do_compression=compressed)
    theirs = scipy.io.loadmat(path)
    assert candidates(path) == ("scene",) if shape[2] > 1 else True  # MATLAB drops a last axis of length 1
    for array in list_arrays(path)[0]:
        if not array.is_complex:
            assert np.array_equal(read_array(path, array.name), theirs[array.name]), array.name
    if shape[2] > 1:
        found = read_cube(path)
        assert np.array_equal(np.asarray(found.data), theirs["scene"])
        assert found.dtype == theirs["scene"].dtype
        assert np.allclose(found.wavelength, theirs["wavelength"].ravel())


@settings(max_examples=50, deadline=None)
@given(
    shape=cubes,
    stored=st.sampled_from(sorted(CODES)),
    order=st.sampled_from("<>"),
    compressed=st.booleans(),
    small=st.booleans(),
    seed=st.integers(0, 99),
)
def test_files_of_either_byte_order_are_those_that_scipy_reads(tmp_path_factory, shape, stored, order, compressed, small, seed):
    """Else files of other machines would give swapped bytes; SciPy reads them and cannot write them."""
    values = np.random.default_rng(seed).integers(0, 100, shape).astype(order + stored)
    code, klass = CODES[stored]
    name = struct.pack(f"{order}HH4s", *((4, 1) if order == ">" else (1, 4)), b"cube") if small else struct.pack(f"{order}II8s", 1, 4, b"cube")
    data = values.tobytes(order="F")
    body = struct.pack(f"{order}IIII", 6, 8, klass, 0) + struct.pack(f"{order}IIiii4x", 5, 12, *shape) + name
    body += struct.pack(f"{order}II", code, len(data)) + data + bytes(-len(data) % 8)
    element = struct.pack(f"{order}II", 14, len(body)) + body
    if compressed:
        packed = zlib.compress(element)
        element = struct.pack(f"{order}II", 15, len(packed)) + packed
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + (b"MI" if order == ">" else b"IM") + element)
    theirs = scipy.io.loadmat(path)["cube"]
    ours = read_array(path, "cube")
    assert np.array_equal(ours, theirs)
    assert np.array_equal(ours, values)
    assert np.array_equal(np.asarray(read_cube(path).data), values)


@settings(max_examples=30, deadline=None)
@given(
    shape=cubes,
    kind=st.sampled_from([*(f"<{kind}" for kind in sorted(CODES)), ">f8", ">u2"]),
    options=st.sampled_from(
        [{}, {"chunks": True}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True}, {"compression": "lzf"}, {"fletcher32": True}]
    ),
    seed=st.integers(0, 99),
)
def test_version_7_3_is_what_h5py_reads_with_its_axes_turned(tmp_path_factory, shape, kind, options, seed):
    """Else a file that MATLAB saves with -v7.3 would be another cube than its twin of version 5."""
    cube = np.random.default_rng(seed).integers(0, 100, shape).astype(kind)
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("scene", data=cube.T, **options).attrs["MATLAB_class"] = np.bytes_("double")
        file.create_dataset("words", data=np.frombuffer("ab".encode("utf-16-le"), "<u2")[:, None]).attrs["MATLAB_class"] = np.bytes_("char")
        file.create_group("structure").create_dataset("field", data=np.zeros((2, 2)))
    with h5py.File(path) as file:
        theirs = file["scene"][()].T
    assert np.array_equal(read_array(path, "scene"), theirs)
    found = read_cube(path)
    assert np.array_equal(np.asarray(found.data), theirs)
    assert found.dtype.newbyteorder("=") == np.dtype(kind).newbyteorder("=")


def test_integers_that_matlab_stores_smaller_than_their_class(tmp_path):
    """MATLAB stores a double array of small whole numbers as bytes: SciPy and we give the stored type, which is the same values in an eighth of the room."""
    body = (
        struct.pack("<IIII", 6, 8, 6, 0)
        + struct.pack("<IIiii4x", 5, 12, 2, 2, 2)
        + struct.pack("<II8s", 1, 4, b"cube")
        + struct.pack("<II", 2, 8)
        + bytes(range(8))
    )
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 14, len(body)) + body)
    theirs, ours = scipy.io.loadmat(path)["cube"], read_cube(path)
    assert ours.dtype == theirs.dtype == np.uint8
    assert scipy.io.loadmat(path, mat_dtype=True)["cube"].dtype == np.float64
    assert np.array_equal(ours.data, theirs)


def test_version_4_scipy_reads_and_we_refuse(tmp_path):
    """It knows two axes only, so that it cannot hold a cube; as a labels file it must be saved again."""
    scipy.io.savemat(tmp_path / "a.mat", {"gt": np.ones((3, 4))}, format="4")
    with pytest.raises(CubeError, match=r"a\.mat cannot be read as a MATLAB file .*expected version 5 or 7\.3"):
        read_cube(tmp_path / "a.mat")
