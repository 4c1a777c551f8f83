"""NumPy and plain numbers, and looking through folders for cubes."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.io
import tifffile

from napari_hsi_ssl.cubes import envi
from napari_hsi_ssl.cubes.readers import candidates, find_cubes, read_cube
from napari_hsi_ssl.errors import ChoiceError, CubeError, HsiWarning
from tests.cubes.envi_files import write

CUBE = np.random.default_rng(0).integers(0, 1000, (5, 6, 7)).astype("u2")


@pytest.mark.parametrize("array", [CUBE, np.asfortranarray(CUBE), CUBE.astype(">f4"), CUBE.astype("f2")], ids=["C", "F", "big-endian", "half"])
def test_npy_is_mapped_not_read(tmp_path, array):
    """Else a cube larger than memory could not be opened, or its order of axes would be lost."""
    np.save(tmp_path / "a.npy", array)
    found = read_cube(tmp_path / "a.npy")
    assert isinstance(found.data, np.memmap)
    assert np.array_equal(found.data, array)
    assert found.name == "a"
    assert found.attrs["quantity"] == "unknown"


def test_npz_takes_its_only_cube_and_asks_between_several(tmp_path):
    """Else the wrong array would be taken, or its wavelengths ignored."""
    np.savez(tmp_path / "one.npz", cube=CUBE, wavelengths=np.arange(7) / 10 + 0.4, map=CUBE[:, :, 0], name=np.array("scene"))
    found = read_cube(tmp_path / "one.npz")
    assert np.array_equal(found.data, CUBE)
    assert np.allclose(found.wavelength, np.arange(7) * 100 + 400)
    np.savez_compressed(tmp_path / "two.npz", a=CUBE[:2], b=CUBE)
    assert candidates(tmp_path / "two.npz") == ("b", "a")
    with pytest.raises(ChoiceError, match=r"two\.npz .*\(b, a\)"):
        read_cube(tmp_path / "two.npz")
    assert np.array_equal(read_cube(tmp_path / "two.npz", key="a").data, CUBE[:2])
    with pytest.raises(CubeError, match=r"two\.npz holds no array 'c', only a, b"):
        read_cube(tmp_path / "two.npz", key="c")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["u1", "<u2", "<f4", "<f8"])
def test_plain_numbers_take_shape_and_order_given(tmp_path, order, kind):
    """Else a file without a header could not be read, or would be read in the other order."""
    values = (CUBE % 250).astype(kind)
    for ending in ("raw", "dump"):
        path = tmp_path / f"plain.{ending}"
        path.write_bytes(values.tobytes(order))
        found = read_cube(path, shape=(5, 6, 7), order=order)
        assert np.array_equal(found.data, values)
        assert isinstance(found.data, np.memmap)
    with pytest.raises(CubeError, match=r"plain\.raw has \d+ bytes, but 209 values|plain\.raw has \d+ bytes, but 240 values"):
        read_cube(tmp_path / "plain.raw", shape=(5, 6, 8))
    with pytest.raises(CubeError, match="order is 'B', expected C or F"):
        read_cube(tmp_path / "plain.raw", shape=(5, 6, 7), order="B")
    with pytest.raises(CubeError, match=r"given shape is \(5, 0, 7\)"):
        read_cube(tmp_path / "plain.raw", shape=(5, 0, 7))


def test_flat_npy_takes_the_shape_given(tmp_path):
    """Else (band, pixel) matrices of NumPy users could not be read."""
    np.save(tmp_path / "flat.npy", CUBE.reshape(30, 7).T)
    assert np.array_equal(read_cube(tmp_path / "flat.npy", shape=(5, 6, 7)).data, CUBE)
    with pytest.raises(CubeError, match=r"flat\.npy: array 'flat' has shape \(7, 30\), expected three axes \(y, x, band\); .*--shape"):
        read_cube(tmp_path / "flat.npy")


def test_damaged_or_dangerous_numpy_files_are_one_sentence(tmp_path):
    """Else a stranger's pickle would be executed, or NumPy's own words reach the user."""
    np.save(tmp_path / "objects.npy", np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(CubeError, match=r"objects\.npy: array 'objects' holds object values"):
        read_cube(tmp_path / "objects.npy")
    np.save(tmp_path / "cut.npy", CUBE)
    content = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(content[:300])
    for look in (read_cube, candidates):
        with pytest.raises(CubeError, match=r"cut\.npy is cut off: 300 bytes found, 548 expected"):
            look(tmp_path / "cut.npy")
    (tmp_path / "cut.npy").write_bytes(content[:20])
    with pytest.raises(CubeError, match=r"cut\.npy cannot be read as a NumPy file"):
        read_cube(tmp_path / "cut.npy")
    (tmp_path / "no.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CubeError, match=r"no\.npz cannot be read as a NumPy file"):
        read_cube(tmp_path / "no.npz")
    np.save(tmp_path / "empty.npy", np.zeros((0, 3, 4)))
    with pytest.raises(CubeError, match=r"'empty' is empty \(shape \(0, 3, 4\)\)"):
        read_cube(tmp_path / "empty.npy")


def test_an_unsupported_ending_lists_what_is_supported(tmp_path):
    """Else the user would not know what to convert to."""
    (tmp_path / "a.xls").write_bytes(b"x")
    with pytest.raises(CubeError, match=r"a\.xls is of no supported kind \('\.xls'\), expected ENVI .*TIFF .*Zarr .*NetCDF .*HDF5 .*MATLAB .*NumPy"):
        read_cube(tmp_path / "a.xls")


@pytest.fixture
def folder(tmp_path):
    """A folder as laboratories have them: cubes among everything else."""
    write(tmp_path, CUBE, name="apple")
    write(tmp_path, CUBE, name="lone")
    (tmp_path / "lone.dat").unlink()
    for name in ("WHITEREF_apple", "apple_dark", "white", "dark_reference", "apple-white-ref"):
        write(tmp_path, CUBE, name=name)
    (tmp_path / "orphan.raw").write_bytes(b"1234")
    below = tmp_path / "wine" / "red"
    below.mkdir(parents=True)
    scipy.io.savemat(below / "grape.mat", {"a": CUBE, "b": CUBE[1:]})
    scipy.io.savemat(below / "grape_gt.mat", {"gt": CUBE})
    np.save(below / "white_paper.npy", CUBE)
    np.save(below / "flat.npy", CUBE[0])
    tifffile.imwrite(below / "leaf.tif", CUBE, photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(below / "photo.tif", np.zeros((8, 9, 3), "u1"), photometric="rgb")
    (below / "broken.mat").write_bytes(b"nonsense")
    (below / "photo.png").write_bytes(b"nonsense")
    (tmp_path / "README.md").write_text("read me")
    labels = tmp_path / "labels"
    labels.mkdir()
    np.save(labels / "leaf.npy", CUBE)
    made = tmp_path / "project"
    made.mkdir()
    (made / "project.json").write_text("{}")
    np.save(made / "scores.npy", CUBE)
    return tmp_path


def test_a_folder_gives_its_cubes_and_says_why_others_are_skipped(folder):
    """Else masks and references would be trained on, or one broken file would stop everything."""
    cubes, skipped = find_cubes(folder)
    assert [str(path.relative_to(folder)).replace("\\", "/") for path in cubes] == [
        "apple.hdr", "wine/red/grape.mat", "wine/red/leaf.tif", "wine/red/white_paper.npy",
    ]  # fmt: skip
    reasons = {path.name: reason for path, reason in skipped}
    assert {name for name, reason in reasons.items() if "white or dark reference" in reason} == {
        "WHITEREF_apple.hdr", "apple_dark.hdr", "white.hdr", "dark_reference.hdr", "apple-white-ref.hdr",
    }  # fmt: skip
    assert {name for name, reason in reasons.items() if "labels or a mask" in reason} == {"grape_gt.mat", "leaf.npy"}
    assert "has no data file beside it" in reasons["lone.hdr"]
    assert "has no ENVI header beside it" in reasons["orphan.raw"]
    assert "flat (6, 7)" in reasons["flat.npy"]
    assert "colour picture" in reasons["photo.tif"]
    assert "cannot be read as a MATLAB file" in reasons["broken.mat"]
    assert "no supported kind" in reasons["photo.png"]
    assert len(reasons) == len(skipped) == 13


def test_looking_through_a_folder_reads_no_values(tmp_path):
    """Else a folder of large cubes would take minutes: 200 GB here, of which nothing is on disk."""
    text = write(tmp_path, CUBE, name="first").read_text().replace("lines = 5", "lines = 50000").replace("samples = 6", "samples = 20000")
    for number in range(14):
        (tmp_path / f"c{number}.hdr").write_text(text)
        with (tmp_path / f"c{number}.img").open("wb") as stream:
            stream.truncate(50000 * 20000 * 7 * 2)
    started = time.perf_counter()
    cubes, skipped = find_cubes(tmp_path)
    assert len(cubes) == 15
    assert not skipped
    assert time.perf_counter() - started < 20, "a terabyte of data is read"


def test_no_folder_is_one_sentence(tmp_path):
    """Else a mistyped folder would look like an empty one."""
    with pytest.raises(CubeError, match="nowhere is no folder"):
        find_cubes(tmp_path / "nowhere")


def test_doubts_in_a_folder_do_not_warn(tmp_path):
    """Else looking through a folder would repeat the warnings that opening gives."""
    header = write(tmp_path, CUBE, byte_order=None)
    assert find_cubes(tmp_path)[0] == [header]
    with pytest.warns(HsiWarning, match="byte order"):
        envi.open_envi(header)
