"""What is written is read again, by this program and by others."""

from __future__ import annotations

import csv
from itertools import count
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import spectral.io.envi as spectral_envi
import tifffile
from PIL import Image, ImageColor

from napari_hsi_ssl.cubes.cube import Classes, ClassMap, as_cube
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.writers import (
    confidence_path,
    load_map,
    save_map,
    write_areas_csv,
    write_envi_classification,
    write_envi_cube,
    write_geotiff,
    write_png,
)
from napari_hsi_ssl.errors import CubeError, LabelError, ProjectError

RANDOM = np.random.default_rng(2)
LABELS = RANDOM.choice([0, 2, 5, 9], (20, 30)).astype(np.int32)
CLASSES = Classes.of([2, 5, 9], {2: "clay", 5: "iron, red {old}"})
FOUND = ClassMap(LABELS, CLASSES, RANDOM.random((20, 30)).astype("f4"), {"run": "pretrain-1", "command": "napari-hsi-ssl classify …"})


def test_a_map_survives_saving(tmp_path):
    """Else class numbers, names, colours, confidence or provenance would be lost."""
    path = tmp_path / "maps" / "scene--run--knn.tif"
    save_map(path, FOUND)
    again = load_map(path)
    assert np.array_equal(again.labels, LABELS)
    assert again.labels.dtype.kind == "i"
    assert np.array_equal(again.confidence, FOUND.confidence)
    assert again.classes == CLASSES
    assert again.provenance == FOUND.provenance
    assert np.array_equal(tifffile.imread(path), LABELS)
    assert sorted(file.name for file in path.parent.iterdir()) == ["scene--run--knn.confidence.tif", "scene--run--knn.json", "scene--run--knn.tif"]


def test_a_map_is_there_only_when_its_card_is(tmp_path, monkeypatch):
    """Else a map that was killed half way would be shown with the names of the old one."""
    path = tmp_path / "a.tif"
    save_map(path, FOUND)
    other = ClassMap(LABELS * 0, CLASSES, FOUND.confidence)
    monkeypatch.setattr("tifffile.imwrite", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_map(path, other)
    monkeypatch.undo()
    assert np.array_equal(load_map(path).labels, LABELS), "what was not yet whole has replaced nothing"
    real, moves = Path.replace, count()
    monkeypatch.setattr(Path, "replace", lambda *paths: real(*paths) if next(moves) == 0 else (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_map(path, other)
    with pytest.raises(LabelError, match=r"a\.tif is no whole map: a\.json is missing; make the map again"):
        load_map(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: confidence_path(path).unlink(), r"a\.confidence\.tif is missing"),
        (lambda path: tifffile.imwrite(confidence_path(path), np.zeros((3, 4), "f4")), r"has shape \(3, 4\) and the map \(20, 30\)"),
        (lambda path: path.with_suffix(".json").write_text("{}"), r"a\.json lacks classes or provenance"),
    ],
)
def test_a_spoilt_map_is_named(tmp_path, spoil, message):
    """Else a map with another map's confidence would be believed."""
    save_map(tmp_path / "a.tif", FOUND)
    spoil(tmp_path / "a.tif")
    with pytest.raises(LabelError, match=message):
        load_map(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "f4", "f8", "u2", "u4", "i8", "u8", ">u2", "f2", "i1"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_cube_survives_writing_and_spectral_reads_it(tmp_path, kind, lazy):
    """Else exported cubes would hold other numbers, in our program or in others."""
    values = RANDOM.integers(0, 100, (4, 5, 6)).astype(kind)
    cube = as_cube(
        da.from_array(values, chunks=2) if lazy else values,
        wavelength=np.linspace(400.1, 999.9, 6),
        quantity="radiance",
        name="scene",
        nodata=7.0,
        fwhm=np.full(6, 3.5),
        bad_bands=np.array([False, True, False, False, False, True]),
        default_bands=(4, 2, 0),
        sensor="Fenix",
    )
    write_envi_cube(tmp_path / "out.hdr", cube)
    again = read_cube(tmp_path / "out.hdr")
    assert np.array_equal(again.data, values)
    assert np.array_equal(again.wavelength, cube.wavelength)
    assert {key: again.attrs[key] for key in ("quantity", "nodata", "default_bands", "sensor")} == {
        "quantity": "radiance", "nodata": 7.0, "default_bands": (4, 2, 0), "sensor": "Fenix",
    }  # fmt: skip
    assert np.array_equal(again.attrs["fwhm"], cube.attrs["fwhm"])
    assert np.array_equal(again.attrs["bad_bands"], cube.attrs["bad_bands"])
    theirs = spectral_envi.open(str(tmp_path / "out.hdr"))
    assert np.array_equal(theirs.open_memmap(interleave="bip"), values)
    assert np.allclose(theirs.bands.centers, cube.wavelength)


@pytest.mark.parametrize("quantity", ["dn", "radiance", "reflectance", "unknown"])
def test_the_quantity_survives_writing(tmp_path, quantity):
    """Else a reflectance would come back as unknown and be mixed with digital numbers."""
    write_envi_cube(tmp_path / "a.hdr", as_cube(np.full((2, 3, 4), 0.25), quantity=quantity))
    again = read_cube(tmp_path / "a.hdr")
    assert again.attrs["quantity"] == quantity
    assert (again.data == 0.25).all()


def test_a_cube_is_not_written_over_itself(tmp_path):
    """Else exporting to the same name would destroy the measurement."""
    write_envi_cube(tmp_path / "a.hdr", as_cube(np.ones((2, 3, 4))))
    before = (tmp_path / "a.dat").read_bytes()
    with pytest.raises(CubeError, match=r"a\.hdr is the file the cube is read from; choose another name"):
        write_envi_cube(tmp_path / "a.hdr", read_cube(tmp_path / "a.hdr"))
    assert (tmp_path / "a.dat").read_bytes() == before
    with pytest.raises(CubeError, match=r"b\.img does not end in \.hdr"):
        write_envi_cube(tmp_path / "b.img", as_cube(np.ones((2, 3, 4))))


def test_an_unwritable_place_is_one_sentence(tmp_path):
    """Else a failed export would end in a traceback."""
    (tmp_path / "file").write_text("no folder")
    for write in (lambda path: write_envi_cube(path, as_cube(np.ones((2, 3, 4)))), lambda path: write_envi_classification(path, LABELS, CLASSES)):
        with pytest.raises(ProjectError, match="cannot be written"):
            write(tmp_path / "file" / "a.hdr")


@pytest.mark.parametrize("highest", [9, 300])
def test_envi_classification_is_read_by_spectral_and_by_us(tmp_path, highest):
    """Else another program would show other classes, names or colours."""
    labels = np.where(LABELS == 9, highest, LABELS)
    classes = Classes.of([2, 5, highest], {2: "clay", 5: "iron, red {old}"})
    write_envi_classification(tmp_path / "map.hdr", labels, classes)
    theirs = spectral_envi.open(str(tmp_path / "map.hdr"))
    assert np.array_equal(np.squeeze(theirs.open_memmap(interleave="bip")), labels)
    assert theirs.metadata["class names"][2] == "clay"
    assert int(theirs.metadata["classes"]) == highest + 1 == len(theirs.metadata["class names"])
    lookup = np.array(theirs.metadata["class lookup"], dtype=int).reshape(-1, 3)
    assert tuple(lookup[5]) == ImageColor.getrgb(classes.colours[1])
    ours, names = read_labels(tmp_path / "map.hdr", labels.shape)
    assert np.array_equal(ours, labels)
    assert names[5] == "iron; red (old)"


def test_class_numbers_that_envi_cannot_hold_are_refused(tmp_path):
    """Else they would wrap round into other classes."""
    for value in (-1, 70000):
        with pytest.raises(LabelError, match=r"map\.hdr: class numbers go from .* expected 0 to 65535"):
            write_envi_classification(tmp_path / "map.hdr", np.full((2, 2), value), Classes.of([1]))


@pytest.mark.parametrize("kept", [False, True], ids=["given", "in the provenance"])
@pytest.mark.parametrize("highest", [9, 300])
def test_tiff_keeps_class_numbers_and_the_place_on_the_earth(tmp_path, highest, kept):
    """Else a map would not lie over its scene in a GIS."""
    tags = {33550: (12, 3, (30.0, 30.0, 0.0)), 34737: (2, 8, "WGS 84|")}
    labels = np.where(LABELS == 9, highest, LABELS)
    found = ClassMap(labels, Classes.of([2, 5, highest]), FOUND.confidence)
    if kept:
        save_map(tmp_path / "kept.tif", ClassMap(found.labels, found.classes, found.confidence, {"geotags": tags}))
        found, tags = load_map(tmp_path / "kept.tif"), None
    write_geotiff(tmp_path / "a.tif", found, tags)
    assert np.array_equal(read_raster(tmp_path / "a.tif"), labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages.first
        assert page.tags[33550].value == (30.0, 30.0, 0.0)
        assert page.tags[34737].value.startswith("WGS 84")
        if highest < 256:
            assert tuple(page.colormap[:, 5] // 257) == ImageColor.getrgb(found.classes.colours[1])


def test_picture_has_the_class_colours_and_a_legend(tmp_path):
    """Else a printed map could not be read."""
    labels = LABELS.copy()
    labels[0, 0] = 77
    write_png(tmp_path / "a.png", labels, CLASSES)
    with Image.open(tmp_path / "a.png") as opened:
        picture = np.asarray(opened.convert("RGB"))
    factor = 480 // 30
    small = picture[factor // 2 : 20 * factor : factor, factor // 2 : 30 * factor : factor]
    for number, colour in zip((0, *CLASSES.numbers), ("#000000", *CLASSES.colours), strict=True):
        assert (small[labels == number] == ImageColor.getrgb(colour)).all()
    assert (small[0, 0] == 128).all()
    legend = picture[:, 30 * factor :]
    for colour in CLASSES.colours:
        assert (legend == ImageColor.getrgb(colour)).all(axis=2).sum() > 100
    write_png(tmp_path / "b.png", np.zeros((600, 700), int), Classes.of([]))
    with Image.open(tmp_path / "b.png") as opened:
        assert opened.size == (700, 600)


def test_areas_add_up(tmp_path):
    """Else the table of areas would contradict the map."""
    write_areas_csv(tmp_path / "a.csv", FOUND)
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(int(row["class"]), row["name"], row["colour"]) for row in rows] == list(zip(CLASSES.numbers, CLASSES.names, CLASSES.colours, strict=True))
    assert [int(row["pixels"]) for row in rows] == [int((number == LABELS).sum()) for number in CLASSES.numbers]
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-5)
    write_areas_csv(tmp_path / "b.csv", ClassMap(LABELS * 0, CLASSES, FOUND.confidence))
    assert "0,0.000000" in (tmp_path / "b.csv").read_text()
