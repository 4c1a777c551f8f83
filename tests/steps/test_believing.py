"""Scores tell whether confidence can be believed; maps are compared by who says what; areas come with their errors."""

import csv

import numpy as np
import pytest
import spectral.io.envi as spectral_envi
import tifffile

from napari_hsi_ssl import run
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, as_cube
from napari_hsi_ssl.cubes.cube_writers import write_cube
from napari_hsi_ssl.cubes.writers import save_map
from napari_hsi_ssl.errors import ConfigError, LabelError
from napari_hsi_ssl.metrics.area import adjusted_areas
from napari_hsi_ssl.metrics.calibration import calibration_report
from napari_hsi_ssl.metrics.scores import confusion
from napari_hsi_ssl.steps.areas import areas
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.judge import compare, difference_map, score

CLASSES = Classes.of([2, 5, 9], {2: "clay", 5: "coal", 9: "chalk"})
PLACE = {33550: (12, 3, (30.0, 20.0, 0.0)), 33922: (12, 6, (0.0, 0.0, 0.0, 3.6e5, 5.8e6, 0.0)), 34735: (3, 12, (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32633))}


def maps(folder, cube="scene"):
    """Save two maps that are right now and then, and labels of a part of the frame."""
    generator = np.random.default_rng(1)
    truth = generator.choice([2, 5, 9], (60, 50)).astype(np.int32)
    paths = []
    for number, share in enumerate((0.9, 0.7)):
        found = np.where(generator.random(truth.shape) < share, truth, generator.choice([2, 5, 9], truth.shape)).astype(np.int32)
        found[:2] = 0
        confidence = np.where(found > 0, generator.uniform(0.5, 1, truth.shape), 0).astype(np.float32)
        paths.append(folder / f"{cube}--run-{number}--knn.tif")
        save_map(paths[-1], ClassMap(found, CLASSES, confidence, {"cube": cube}))
    labels = folder / "labels.tif"
    tifffile.imwrite(labels, np.where(generator.random(truth.shape) < 0.5, truth, 0))
    return *paths, labels


def test_a_score_says_whether_confidence_can_be_believed(tmp_path):
    """Else a map that is 60 % right at 90 % confidence would look as good as an honest one."""
    first, _, labels = maps(tmp_path)
    report = run(score(first, labels))
    found, sure, truth = tifffile.imread(first), tifffile.imread(first.with_suffix(".confidence.tif")), tifffile.imread(labels)
    used = (truth > 0) & (found > 0)
    expected = calibration_report(sure[used], found[used] == truth[used])
    assert report["ece"] == expected["ece"]
    assert report["reliability"] == expected["reliability"]
    assert report["calibration"]["n"] == used.sum() < report["n"]
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, found)
    assert "ece" not in run(score(plain, labels))  # a raster of class numbers claims nothing


def test_two_maps_are_compared_class_by_class_and_pair_by_pair(tmp_path):
    first, second, labels = maps(tmp_path)
    a, b, truth = (tifffile.imread(path) for path in (first, second, labels))
    report = run(compare(first, second, labels, block=10, out=tmp_path / "where.hdr"))
    clay = report["per_class"][0]
    assert (clay["name"], clay["both"]) == ("clay", int(((a == 2) & (b == 2)).sum()))
    top = report["differences"][0]
    numbers = dict(zip(CLASSES.names, CLASSES.numbers, strict=True))
    assert top["pixels"] == int(((a == numbers[top["first"]]) & (b == numbers[top["second"]])).sum())
    assert sum(row["pixels"] for row in report["differences"]) == int(((a > 0) & (a != b)).sum())
    assert report["difference"]["difference"] == pytest.approx((a == truth)[truth > 0].mean() - (b == truth)[truth > 0].mean())
    assert report["difference"]["low"] < report["difference"]["difference"] < report["difference"]["high"]
    assert report["difference"]["block"] == 10
    assert "independent" in report["note"]
    written = spectral_envi.open(str(tmp_path / "where.hdr"))
    found = difference_map(first, second)
    np.testing.assert_array_equal(written.read_band(0), found.labels)
    assert written.metadata["class names"][1] == f"{top['first']} → {top['second']}"
    for ending in (".tif", ".png"):
        run(compare(first, second, out=tmp_path / f"where{ending}"))
    assert (tmp_path / "where.png").stat().st_size > 500
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "where.tif"), found.labels)
    with pytest.raises(ConfigError, match=r"where\.jpg, but where maps differ is written as"):
        run(compare(first, second, out=tmp_path / "where.jpg"))
    tifffile.imwrite(tmp_path / "small.tif", a[:9])
    with pytest.raises(LabelError, match="expected the same cube"):
        run(compare(first, tmp_path / "small.tif"))


def test_areas_are_adjusted_by_the_errors_and_in_hectares_where_the_place_is_known(tmp_path):
    """Else areas would be counted pixels, however wrong the map is, in a unit that nobody asked for."""
    cube = tmp_path / "scene.tif"
    write_cube(cube, as_cube(np.ones((60, 50, 2), np.float32), geotags=PLACE))
    run(new(tmp_path / "p", [cube]))
    folder = tmp_path / "p" / "maps"
    folder.mkdir()
    first, _, labels = maps(folder)
    report = run(areas(first, labels, to=tmp_path / "areas.csv"))
    a, truth = tifffile.imread(first), tifffile.imread(labels)
    used = (truth > 0) & (a > 0)
    counts = confusion(truth[used], a[used], [2, 5, 9]).T
    expected = adjusted_areas(counts, [int((a == number).sum()) for number in (2, 5, 9)])
    total = (a > 0).sum() * 30 * 20 / 10_000
    assert report["unit"] == "ha"
    assert report["pixel_size"] == [30, 20]
    assert report["judged_share"] == 1
    for place, row in enumerate(report["rows"]):
        assert row["area"] == pytest.approx(expected.share[place] * total)
        assert row["area_error"] == pytest.approx(expected.share_error[place] * total)
        assert row["mapped_pixels"] == (a == row["number"]).sum()
        assert row["user"] == pytest.approx(expected.user[place])
    assert report["overall"] == pytest.approx(expected.overall)
    with (tmp_path / "areas.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["name"] for row in table] == ["clay", "coal", "chalk"]
    assert float(table[1]["area_ha"]) == report["rows"][1]["area"]
    assert run(areas(first, labels, pixel_size=10))["rows"][0]["area"] == pytest.approx(report["rows"][0]["area"] / 6)


def test_without_a_place_areas_are_pixels(tmp_path):
    first, _, labels = maps(tmp_path)
    report = run(areas(first, labels))
    assert report["unit"] == "pixels"
    assert report["pixel_size"] is None
    assert sum(row["area"] for row in report["rows"]) == pytest.approx((tifffile.imread(first) > 0).sum())


@pytest.mark.parametrize(("options", "words"), [({"pixel_size": 0}, "pixel size is 0 m"), ({"to": "areas.txt"}, r"ends in \.csv")])
def test_bad_options_are_one_sentence(tmp_path, options, words):
    first, _, labels = maps(tmp_path)
    if "to" in options:
        options = {"to": tmp_path / options["to"]}
    with pytest.raises(ConfigError, match=words):
        run(areas(first, labels, **options))
