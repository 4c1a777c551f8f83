"""Labels and masks from every kind of file, with the file's own class numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image
from skimage.measure import points_in_poly

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.cubes.writers import write_envi_classification
from napari_hsi_ssl.errors import ChoiceError, CubeError, LabelError
from tests.cubes.envi_files import write

LABELS = np.random.default_rng(1).choice([0, 3, 7, 200], (6, 9)).astype("u1")


def _palette(path):
    picture = Image.frombytes("P", (9, 6), LABELS.tobytes())
    picture.putpalette(list(range(255, -1, -1)) * 3)
    picture.save(path)


WRITERS = {
    "a.tif": lambda path: tifffile.imwrite(path, LABELS),
    "zlib.tif": lambda path: tifffile.imwrite(path, LABELS.astype("f4")[None], compression="zlib"),
    "a.npy": lambda path: np.save(path, LABELS.astype("i8")),
    "a.npz": lambda path: np.savez(path, gt=LABELS, name=np.array("x")),
    "a.mat": lambda path: scipy.io.savemat(path, {"gt": LABELS.astype(float), "cube": np.zeros((6, 9, 4)), "vector": np.arange(5)}),
    "grey.png": lambda path: Image.fromarray(LABELS).save(path),
    "deep.png": lambda path: Image.fromarray(LABELS.astype("u2")).save(path),
    "palette.png": _palette,
    "rgb.png": lambda path: Image.fromarray(np.dstack([LABELS] * 3)).save(path),
    "a.hdr": lambda path: write(path.parent, LABELS[:, :, None], name="a", number=1, interleave="bil"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_numbers_that_were_written(tmp_path, name):
    """Else class numbers would be renumbered, scaled or turned on the way in."""
    path = tmp_path / name
    WRITERS[name](path)
    assert np.array_equal(read_raster(path), LABELS)
    labels, names = read_labels(path, (6, 9))
    assert labels.dtype == np.int32
    assert np.array_equal(labels, LABELS)
    assert names == {}


def test_masks_of_truth_values_are_numbers(tmp_path):
    """Else a boolean mask could not be compared with 0."""
    mask = LABELS > 5
    np.save(tmp_path / "a.npy", mask)
    Image.fromarray(mask).save(tmp_path / "a.png")
    scipy.io.savemat(tmp_path / "a.mat", {"mask": mask})
    for ending in ("npy", "png", "mat"):
        assert np.array_equal(read_raster(tmp_path / f"a.{ending}") != 0, mask)


def test_envi_classification_brings_its_names(tmp_path):
    """Else the classes of another program would lose their names."""
    write_envi_classification(tmp_path / "a.hdr", LABELS, Classes.of([3, 7, 200], {3: "clay", 7: "iron, red"}))
    labels, names = read_labels(tmp_path / "a.hdr", (6, 9))
    assert np.array_equal(labels, LABELS)
    assert {number: names[number] for number in (3, 7, 200)} == {3: "clay", 7: "iron; red", 200: "class 200"}


def test_names_lie_beside_the_labels_of_a_project_or_a_map(tmp_path):
    """Else names given in the window would be gone when the file is used again."""
    tifffile.imwrite(tmp_path / "a.tif", LABELS)
    (tmp_path / "classes.json").write_text(json.dumps(Classes.of([3, 7], {3: "clay"}).to_json()))
    assert read_labels(tmp_path / "a.tif", (6, 9))[1] == {3: "clay", 7: "class 7"}
    (tmp_path / "a.json").write_text(json.dumps({"classes": Classes.of([3], {3: "loam"}).to_json()}))
    assert read_labels(tmp_path / "a.tif", (6, 9))[1] == {3: "loam"}
    (tmp_path / "a.json").write_text("[1, 2]")
    assert read_labels(tmp_path / "a.tif", (6, 9))[1] == {3: "clay", 7: "class 7"}


def test_several_images_ask_for_a_key(tmp_path):
    """Else training and test maps of one file would be confused."""
    scipy.io.savemat(tmp_path / "a.mat", {"tr": LABELS, "te": LABELS * 0})
    np.savez(tmp_path / "a.npz", tr=LABELS, te=LABELS * 0)
    for ending in ("mat", "npz"):
        with pytest.raises(ChoiceError, match=r"several arrays that could be the image \(tr, te\).*--key"):
            read_raster(tmp_path / f"a.{ending}")
        assert np.array_equal(read_labels(tmp_path / f"a.{ending}", (6, 9), key="tr")[0], LABELS)
    with pytest.raises(CubeError, match=r"a\.mat holds no array 'gt', only tr \(6, 9\), te \(6, 9\)"):
        read_raster(tmp_path / "a.mat", key="gt")


def test_the_nodata_value_of_a_file_is_unlabelled(tmp_path):
    """Else GIS rasters would be refused for their -9999."""
    image = LABELS.astype("f4")
    image[image == 0] = -9999
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=[(42113, 2, None, "-9999", True)])
    write(tmp_path, image[:, :, None], name="b", number=4, data_ignore_value=-9999)
    for name in ("a.tif", "b.hdr"):
        assert np.array_equal(read_labels(tmp_path / name, (6, 9))[0], LABELS)


BAD = {
    "nan": (np.where(LABELS == 3, np.nan, LABELS), r"bad\.npy holds \d+ values that are no numbers \(NaN or infinite\), expected class numbers"),
    "infinite": (np.where(LABELS == 3, np.inf, LABELS), "no numbers"),
    "fractions": (LABELS + 0.5, r"bad\.npy holds the value [\d.]+, expected whole class numbers"),
    "negative": (LABELS.astype("i2") - 1, r"bad\.npy holds values from -1 to 199, expected class numbers from 0"),
    "huge": (LABELS.astype("f8") * 1e9, r"holds values from 0 to 2e\+11, expected class numbers"),
    "shape": (LABELS[:5], r"bad\.npy has shape \(5, 9\), expected \(6, 9\) \(y, x\) as the cube; use labels"),
    "turned": (LABELS.T, r"has shape \(9, 6\), expected \(6, 9\) .*it fits when transposed"),
}


@pytest.mark.parametrize("fault", BAD)
def test_labels_that_are_none_are_refused_in_one_sentence(tmp_path, fault):
    """Else NaN or fractions would silently become classes."""
    values, message = BAD[fault]
    np.save(tmp_path / "bad.npy", values)
    with pytest.raises(LabelError, match=message):
        read_labels(tmp_path / "bad.npy", (6, 9))


def test_files_that_are_no_image_are_refused_in_one_sentence(tmp_path):
    """Else a colour picture or a cube would be read as labels."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 9, 3)).astype("u1")).save(tmp_path / "a.png")
    with pytest.raises(CubeError, match=r"a\.png is a colour picture, expected one class number a pixel"):
        read_raster(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(CubeError, match=r"b\.png cannot be read as a picture"):
        read_raster(tmp_path / "b.png")
    np.save(tmp_path / "cube.npy", np.zeros((6, 9, 3)))
    with pytest.raises(CubeError, match=r"cube\.npy holds an array of shape \(6, 9, 3\), expected an image"):
        read_raster(tmp_path / "cube.npy")
    scipy.io.savemat(tmp_path / "a.mat", {"cube": np.zeros((6, 9, 3))})
    with pytest.raises(CubeError, match=r"a\.mat holds no image of two axes \(cube \(6, 9, 3\)\)"):
        read_raster(tmp_path / "a.mat")
    (tmp_path / "a.jpg").write_bytes(b"lossy")
    with pytest.raises(CubeError, match=r"a\.jpg is of no supported kind .*expected TIFF"):
        read_raster(tmp_path / "a.jpg")
    with pytest.raises(CubeError, match="does not exist"):
        read_raster(tmp_path / "none.tif")
    np.save(tmp_path / "text.npy", np.array([["a", "b"]]))
    with pytest.raises(CubeError, match="holds <U1 values, expected numbers"):
        read_raster(tmp_path / "text.npy")


# -- polygons --------------------------------------------------------------------------------------------------------------


def feature(rings, kind="Polygon", **properties):
    """Return one GeoJSON feature."""
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": rings}}


def save(path, *features):
    """Write a GeoJSON collection."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def square(x0, y0, x1, y1):
    """Return a closed ring."""
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def test_polygons_cover_exactly_the_pixels_between_their_corners(tmp_path):
    """Else x and y would be swapped, or the border shifted by a pixel."""
    path = save(
        tmp_path / "a.geojson",
        feature([square(1, 2, 5, 8), square(2, 3, 4, 6)], **{"class": "iron"}),
        feature([[square(6, 0, 8, 1)], [square(6, 9, 7, 10)]], "MultiPolygon", label=4),
        feature([square(4, 7, 6, 8)], name="7"),
        feature([square(0, 0, 1, 1)], classification={"name": "iron"}),
        feature([square(1, 0, 2, 1)], label=2, name="clay"),
    )
    labels, names = read_labels(path, (12, 9))
    expected = np.zeros((12, 9), dtype=np.int32)
    expected[2:8, 1:5] = 8
    expected[3:6, 2:4] = 0
    expected[0, 6:8] = expected[9, 6] = 4
    expected[7, 4:6] = 7
    expected[0, 0], expected[0, 1] = 8, 2
    assert np.array_equal(labels, expected)
    assert names == {8: "iron", 2: "clay"}


@pytest.mark.parametrize("seed", range(5))
def test_polygons_hold_the_pixels_whose_centres_lie_inside(tmp_path, seed):
    """Else slanted borders would be drawn by another rule than the documented one."""
    outline = np.random.default_rng(seed).uniform(-2, 22, (5, 2))
    labels, _ = read_labels(save(tmp_path / "a.geojson", feature([outline.tolist()], label=1)), (18, 20))
    ys, xs = np.mgrid[:18, :20]
    inside = points_in_poly(np.column_stack([xs.ravel() + 0.5, ys.ravel() + 0.5]), outline).reshape(18, 20)
    assert np.array_equal(labels == 1, inside)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ('{"features": []}', "holds no feature"),
        (json.dumps(feature([square(0, 0, 2, 2)])), "feature 1 has no class, expected a property 'class', 'label' or 'name'"),
        (json.dumps(feature([square(0, 0, 2, 2)], label=0)), "feature 1 has the class number 0, expected a whole number of at least 1"),
        (json.dumps(feature([0, 0], "Point", label=1)), "feature 1 is a Point, expected a Polygon"),
        (json.dumps(feature([[[0, 0], [1, 1]]], label=1)), "fewer than three corners"),
        (json.dumps(feature([[["a", 0], [1, 1], [2, 2]]], label=1)), "coordinates that are no numbers"),
        (json.dumps(feature([square(50, 50, 60, 60)], label=1)), "feature 1 covers no pixel of the 6×9 image"),
        (json.dumps(feature(None, label=1)), "fewer than three corners|coordinates that are no numbers"),
        ("[3]", "feature 1 has no class"),
    ],
)
def test_faulty_polygons_are_named(tmp_path, content, message):
    """Else a wrong polygon would vanish without a word."""
    (tmp_path / "a.geojson").write_text(content)
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(tmp_path / "a.geojson", (6, 9))
    assert "a.geojson" in str(caught.value)


ROI = """; ENVI Output of ROIs (5.3) [Mon Jan 1 00:00:00 2024]
; Number of ROIs: 2
; File Dimension: 9 x 6
;
; ROI name: Corn, young
; ROI rgb value: {255, 0, 0}
; ROI npts: 2
; ROI name: Soy
; ROI rgb value: {0, 255, 0}
; ROI npts: 1
;   ID    X    Y   B1
     1    1    2   55
     2    9    6   12

     1    3    1    7
"""


def test_envi_regions_are_read_with_their_names(tmp_path):
    """Else points would be off by one, swapped, or given to another region."""
    (tmp_path / "a.txt").write_text(ROI)
    labels, names = read_labels(tmp_path / "a.txt", (6, 9))
    expected = np.zeros((6, 9), dtype=np.int32)
    expected[1, 0] = expected[5, 8] = 1
    expected[0, 2] = 2
    assert np.array_equal(labels, expected)
    assert names == {1: "Corn, young", 2: "Soy"}
    counted_from_zero = ROI.replace("     2    9    6", "     2    8    5").replace("     1    3    1", "     1    0    1")
    (tmp_path / "b.txt").write_text(counted_from_zero)
    assert read_labels(tmp_path / "b.txt", (6, 9))[0][5, 8] == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("9 x 6", "6 x 9", r"was drawn on an image of shape \(9, 6\), expected \(6, 9\)"),
        ("npts: 2", "npts: 3", "names 2 regions with 4 points and lists 3"),
        ("9    6", "10    6", r"point X = 10, Y = 6 lies outside the 6×9"),
        ("9    6", "9    b", r"line 13: found .*expected ID, X and Y"),
        (ROI, "hello world", r"line 1: found 'hello world'"),
        (ROI, "", "names 0 regions"),
    ],
)
def test_faulty_regions_are_named(tmp_path, old, new, message):
    """Else points of another image would be used as labels."""
    (tmp_path / "a.txt").write_text(ROI.replace(old, new))
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(tmp_path / "a.txt", (6, 9))
    assert "a.txt" in str(caught.value)
