"""Folders of one image a band: order, wavelengths, what counts as one, and what is wrong with one."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hsi_ssl.cubes.readers import candidates, find_cubes, is_cube_folder, read_cube
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.files import folder_fingerprint
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes as steps

CUBE = np.random.default_rng(6).integers(0, 250, (12, 15, 11)).astype("u2")


def save(folder, name="band_{}.tif", values=CUBE, numbers=range(11), **options):
    folder.mkdir(parents=True, exist_ok=True)
    for band, number in enumerate(numbers):
        path = folder / name.format(number)
        image = np.ascontiguousarray(values[:, :, band])
        if path.suffix == ".tif":
            tifffile.imwrite(path, image, photometric="minisblack", **options)
        else:
            Image.fromarray(image).save(path)
    return folder


@pytest.mark.parametrize(("name", "kind", "options"), [
    ("band_{}.tif", "u2", {}), ("band_{}.tif", ">u2", {"byteorder": ">"}), ("b{}.tif", "f4", {"compression": "zlib"}),
    ("B{}_x.png", "u2", {}), ("{}.png", "u1", {}), ("s 1 band {}.bmp", "u1", {}),
])  # fmt: skip
def test_bands_come_in_natural_order(tmp_path, name, kind, options):
    """Else band 10 would stand between 1 and 2."""
    values = CUBE.astype(kind)
    found = read_cube(save(tmp_path / "scene.1", name, values, **options))
    assert found.name == "scene.1"
    assert found.dtype == np.dtype(kind).newbyteorder("=")
    assert np.array_equal(np.asarray(found.data), values)
    assert np.array_equal(np.asarray(found.data[3, 4]), values[3, 4])
    assert np.array_equal(np.asarray(found.data[:, :, 10]), values[:, :, 10])
    assert np.array_equal(np.asarray(found.data[2:9:2, ::-1, [7, 2]]), values[2:9:2, ::-1, [7, 2]])
    assert "wavelength" not in found.coords
    assert candidates(tmp_path / "scene.1") == ("scene.1",)


@pytest.mark.parametrize(("name", "factor"), [("band_{}nm.tif", 1), ("{}.png", 1), ("scan2_{} nm.png", 1), ("b_{}um.tif", 1000), ("{}.tif", 1)])
def test_names_tell_the_wavelengths(tmp_path, name, factor):
    """Else the user would have to type them."""
    centres = 450.5 + 20 * np.arange(11)
    found = read_cube(save(tmp_path / "a", name, CUBE, centres / factor))
    assert np.allclose(found.wavelength, centres)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wavelengths.txt", "{}\n"),
        ("wavelengths.csv", "band,wavelength\n0,{}\n"),
        ("wavelength.csv", "wavelength_um\n{}\n"),
        ("bands.csv", "file;nm\nx;{}\n"),
    ],
)
def test_a_table_beside_tells_the_wavelengths(tmp_path, name, text):
    """Else cameras that write them into a file of their own would lose them."""
    centres = 450.0 + 20 * np.arange(11)
    head, _, line = text.rstrip("\n").rpartition("\n")
    values = centres / 1000 if "um" in text else centres
    save(tmp_path / "a")
    (tmp_path / "a" / name).write_text(f"{head}\n" * bool(head) + "".join(line.format(value) + "\n" for value in values))
    assert np.allclose(read_cube(tmp_path / "a").wavelength, centres)


def test_bands_that_fall_are_sorted_by_wavelength(tmp_path):
    """Else spectra would zigzag."""
    save(tmp_path / "a")
    (tmp_path / "a" / "wavelengths.txt").write_text("".join(f"{900 - 10 * band}\n" for band in range(11)))
    found = read_cube(tmp_path / "a")
    assert (np.diff(found.wavelength) > 0).all()
    assert np.array_equal(np.asarray(found.data), CUBE[:, :, ::-1])


def _other_size(folder):
    tifffile.imwrite(folder / "band_4.tif", np.zeros((3, 4), "u2"))


def _other_type(folder):
    tifffile.imwrite(folder / "band_4.tif", np.zeros((12, 15), "f4"))


def _colour(folder):
    tifffile.imwrite(folder / "band_4.tif", np.zeros((12, 15, 3), "u2"), photometric="rgb")


def _cut(folder):
    content = (folder / "band_4.tif").read_bytes()
    (folder / "band_4.tif").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_other_size, r"band_4\.tif is 3×4 pixels and most others in a are 12×15, expected one size"),
        (_other_type, r"band_4\.tif holds float32 values and most others in a hold uint16, expected one type"),
        (_colour, r"band_4\.tif has shape \(12, 15, 3\), expected a grey image of one band"),
        (_cut, r"band_4\.tif"),
        (lambda folder: (folder / "band_4.tif").write_bytes(b""), r"band_4\.tif cannot be read as a TIFF"),
        (lambda folder: (folder / "band_4.tif").unlink(), r"holds band_3\.tif and next band_5\.tif, expected an image for number 4 between them"),
        (lambda folder: (folder / "wavelengths.txt").write_text("400\n500\n"), r"wavelengths\.txt has 2 wavelengths and the folder 11 images"),
        (lambda folder: (folder / "wavelengths.txt").write_text("red\n" * 11), r"wavelengths\.txt has|is no wavelength"),
        (lambda folder: (folder / "wavelengths.txt").write_text("nan\n" * 11), r"wavelengths that are not numbers|is no wavelength|has \d+ wavelengths"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, spoil, words):
    """Else a cube with a wrong band would be believed."""
    folder = save(tmp_path / "a")
    spoil(folder)
    with pytest.raises(CubeError, match=words) as raised:
        read_cube(folder)
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")


def test_a_png_that_is_cut_off_is_one_sentence_when_it_is_read(tmp_path):
    """Else the words of Pillow would reach the user."""
    folder = save(tmp_path / "a", "b{}.png", CUBE)
    content = (folder / "b3.png").read_bytes()
    (folder / "b3.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(CubeError, match=r"b3\.png cannot be read as an image"):
        np.asarray(read_cube(folder).data)


def test_a_folder_of_bands_is_found_as_one_cube(tmp_path):
    """Else its images would be skipped one by one as pictures of two axes."""
    save(tmp_path / "scenes" / "one")
    save(tmp_path / "scenes" / "two", "b{}.png")
    assert find_cubes(tmp_path / "scenes") == ([tmp_path / "scenes" / "one", tmp_path / "scenes" / "two"], [])
    assert find_cubes(tmp_path / "scenes" / "one")[0] == [tmp_path / "scenes" / "one"]


def test_folders_of_other_images_are_no_cubes(tmp_path):
    """Else label images, photographs or many cubes would become one cube."""
    save(tmp_path / "masks")
    save(tmp_path / "few", numbers=range(7))
    save(tmp_path / "tiles", "tile_{0}_{0}.tif")
    for band in range(11):
        (tmp_path / "photographs").mkdir(exist_ok=True)
        Image.fromarray(np.zeros((12, 15, 3), "u1")).save(tmp_path / "photographs" / f"img_{band}.png")
        (tmp_path / "cubes").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "cubes" / f"c{band}.tif", CUBE, photometric="minisblack", planarconfig="contig")
        (tmp_path / "sizes").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "sizes" / f"c{band}.tif", np.zeros((10 + band, 20), "u1"))
    save(tmp_path / "beside")
    np.save(tmp_path / "beside" / "cube.npy", CUBE)
    for name in ("masks", "few", "tiles", "photographs", "cubes", "sizes", "beside"):
        assert not is_cube_folder(tmp_path / name), name
    cubes, _ = find_cubes(tmp_path)
    assert sorted(path.name for path in cubes) == sorted(["cube.npy", *(f"c{band}.tif" for band in range(11))])


def test_a_project_takes_folders_as_cubes(tmp_path):
    """Else a store or a folder of bands could be read but not worked with."""
    save(tmp_path / "raw" / "leaf", "band_{}nm.tif", numbers=range(400, 510, 10))
    run(steps.new(tmp_path / "project", [tmp_path / "raw" / "leaf"]))
    project = Project.open(tmp_path / "project")
    entry = project.entry("leaf")
    assert (entry.domain, entry.shape) == ("raw", (12, 15, 11))
    assert np.array_equal(np.asarray(project.cube("leaf").data), CUBE)
    assert steps.info(tmp_path / "raw" / "leaf")["wavelength_range_nm"] == [400, 500]
    assert entry.fingerprint == steps.fingerprint(entry.path, project.cube("leaf"))
    before = folder_fingerprint(entry.path)
    save(tmp_path / "raw" / "leaf", "band_{}nm.tif", CUBE[:, :, ::-1], range(400, 510, 10))
    assert folder_fingerprint(entry.path)["hash"] != before["hash"]


def test_the_fingerprint_does_not_depend_on_time_or_place(tmp_path):
    """Else a copied store would count as another cube."""
    first, second = save(tmp_path / "a"), save(tmp_path / "b")
    os.utime(second / "band_3.tif", (1, 1))
    assert folder_fingerprint(first)["hash"] == folder_fingerprint(second)["hash"]
    (second / "band_3.tif").unlink()
    assert folder_fingerprint(first)["hash"] != folder_fingerprint(second)["hash"]
