"""What a map was learned from is found through its provenance, and its score says what it is worth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, RunConfig
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, as_cube
from napari_hsi_ssl.cubes.writers import save_map, write_envi_cube
from napari_hsi_ssl.errors import HsiError, LabelError
from napari_hsi_ssl.metrics.scores import overall_accuracy
from napari_hsi_ssl.patches.audit import audit
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps import cubes, run
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.learned_from import MARK, in_words, learned_from
from napari_hsi_ssl.steps.pinning import pin_labels

SIDE = 24


@pytest.fixture
def truth() -> np.ndarray:
    return (np.indices((SIDE, SIDE)).sum(axis=0) // 8 % 2 + 1).astype(np.int32)


@pytest.fixture
def project(tmp_path, truth) -> Project:
    values = truth[..., None] * 100 + np.random.default_rng(0).normal(0, 60, (SIDE, SIDE, 5))
    for name in ("one", "two"):
        write_envi_cube(tmp_path / "raw" / f"{name}.hdr", as_cube(values.astype(np.float32)))
    run(cubes.new(tmp_path / "project", [tmp_path / "raw"]))
    return Project.open(tmp_path / "project")


@pytest.fixture
def sides(tmp_path, truth):
    """Training labels on the left, test labels on the right, five pixels apart."""
    columns = np.arange(SIDE)
    found = {}
    for name, where in (("train", columns < 10), ("test", columns >= 14)):
        files.write_tiff(tmp_path / f"{name}.tif", np.where(where, truth, 0).astype(np.int32))
        found[name] = tmp_path / f"{name}.tif"
    return found


def by_spectra(project, train=None, out=None):
    run(classify(project, "spectra", ClassifyConfig(k=5), ["one"], train, out))
    return project.map_path("one", "spectra", "knn")


def test_a_score_carries_the_audit_of_its_labels(project, sides, truth):
    path = by_spectra(project, {"one": sides["train"]})
    report = run(score(path, sides["test"]))
    train, test = (tifffile.imread(sides[name]) for name in ("train", "test"))
    assert report["audit"] == audit(train, test, 1, {"map": tifffile.imread(path)})
    assert report["trained_on"] == 0
    assert "held_out" not in report
    assert in_words(report).startswith("No test window of 1 pixel shares a pixel")
    assert sum(row["n"] * row["map"] for row in report["audit"]["by_distance"]) == pytest.approx(report["oa"] * report["n"])


def test_pixels_that_were_trained_on_are_told_apart(project, sides, truth, tmp_path):
    path = by_spectra(project, {"one": sides["train"]})
    files.write_tiff(tmp_path / "all.tif", truth)
    report = run(score(path, tmp_path / "all.tif"))
    predicted, rest = tifffile.imread(path), np.where(tifffile.imread(sides["train"]) == 0, truth, 0)
    assert report["n"] == SIDE * SIDE
    assert report["trained_on"] == 10 * SIDE
    assert report["held_out"]["n"] == 14 * SIDE
    assert report["held_out"]["oa"] == overall_accuracy(rest, predicted)
    assert f"{10 * SIDE} of the scored pixels were trained on; on the other {14 * SIDE} OA is" in in_words(report)
    memory = run(score(path, sides["train"]))
    assert memory["audit"] is None
    assert in_words(memory) == "Every scored pixel was trained on: this measures memory."


def test_labels_that_have_changed_since_are_not_taken_for_those_it_learned_from(project, sides, truth):
    train = tifffile.imread(sides["train"])
    project.save_labels("one", train)
    path = by_spectra(project)
    np.testing.assert_array_equal(learned_from(path).labels["one"], train)
    project.save_labels("one", truth)
    report = run(score(path, sides["test"]))
    assert report["audit"] is None
    assert "the labels of 'one' have changed since the map was learned from them" in report["audit_note"]


def test_labels_of_other_cubes_share_nothing(project, sides, truth, tmp_path):
    files.write_tiff(tmp_path / "all.tif", truth)
    path = by_spectra(project, {"two": tmp_path / "all.tif"})
    report = run(score(path, tmp_path / "all.tif"))
    assert report["trained_on"] == 0
    assert report["audit"]["overlap_share"] == 0
    assert report["audit"]["nearest_distance"] is None


def test_a_self_distillation_run_keeps_its_labels_and_its_window(project, sides, truth):
    train = tifffile.imread(sides["train"])
    path = project.folder / "runs" / "sd"
    labels = (*pin_labels({"one": train}, "train", path), *pin_labels({"one": tifffile.imread(sides["test"])}, "validation", path))
    folder = RunFolder.create(path, RunConfig(kind="distil", distil=DistilConfig(window=15), labels=labels, class_numbers=(1, 2)))
    files.write_json(folder.model_path.with_suffix(".json"), {"window": 15})
    made = project.map_path("one", "sd", "distil")
    told = {"run": "sd", "method": "distil", "cube": "one"}
    save_map(made, ClassMap(truth, Classes.of([1, 2]), np.ones((SIDE, SIDE), dtype=np.float32), told))
    learned = learned_from(made)
    assert learned.window == 15
    np.testing.assert_array_equal(learned.labels["one"], train)
    report = run(score(made, sides["test"]))
    assert report["audit"]["window"] == 15
    assert report["audit"]["overlap_share"] == 1
    assert "of the test windows of 15 pixels contain a training pixel" in in_words(report)


def test_a_copy_of_a_map_leads_back_to_it(project, sides, tmp_path):
    copy = tmp_path / "copy.tif"
    path = by_spectra(project, {"one": sides["train"]}, out=copy)
    assert run(score(copy, sides["test"]))["audit"] == run(score(path, sides["test"]))["audit"]
    tifffile.imwrite(copy, 3 - tifffile.imread(path), description=json.dumps({MARK: str(path)}))
    with pytest.raises(LabelError, match="another map by now"):
        learned_from(copy)


def test_what_cannot_be_audited_says_why_and_is_scored_all_the_same(project, sides, truth, tmp_path):
    np.save(tmp_path / "map.npy", truth)
    report = run(score(tmp_path / "map.npy", sides["test"]))
    assert report["oa"] == 1
    assert report["audit"] is None
    assert "no map of a project" in report["audit_note"]
    assert in_words(report) == report["audit_note"]
    given = run(score(tmp_path / "map.npy", sides["test"], sides["train"], 9))
    assert given["audit"]["window"] == 9
    with pytest.raises(HsiError, match="give --window too"):
        run(score(tmp_path / "map.npy", sides["test"], sides["train"]))
    files.write_tiff(tmp_path / "small.tif", truth[1:])
    with pytest.raises(HsiError, match=r"\(23, 24\)"):
        run(score(tmp_path / "map.npy", sides["test"], tmp_path / "small.tif", 9))
