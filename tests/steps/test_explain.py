"""Why a pixel has its class: from maps of every kind, by the step and on the command line."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, PcaConfig
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, run
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.explain import explain, explain_pixel, open_case
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import distil
from tests.steps.cameras import write_camera


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A cube with some labels, and one without, of the same camera; a taught network."""
    home = tmp_path_factory.mktemp("why")
    paths = [write_camera(home, "field", 14, number, side=24) for number in (1, 2)]
    run(cubes.new(home / "p", paths))
    made = Project.open(home / "p")
    first, _ = made.entries
    labels = np.load(home / "field_1.labels.npy")
    run(save_painted(made, first, np.where(np.random.default_rng(0).random(labels.shape) < 0.3, labels, 0), {1: "sand", 2: "clay", 3: "<b>loam</b>"}))
    run(fit_pca(made, PcaConfig(bands=14, components=5)))
    run(distil(made, DistilConfig(epochs=3, batch_size=16, window=5, devices=1, widths=(8, 12)), run="taught"))
    return made


def mapped(project, which, method, cube, **more):
    return run(classify(project, which, ClassifyConfig(method=method, k=5, references=60, **more), [cube]))["maps"][0]["path"]


@pytest.mark.parametrize(("which", "method"), [("spectra", "knn"), ("training-free", "knn"), ("training-free", "linear"), ("taught", "distil")])
@pytest.mark.parametrize("place", [0, 1])
def test_the_winner_of_the_votes_is_the_class_of_the_map(project, which, method, place):
    """Else the words would explain another map than the one that is seen."""
    from pathlib import Path

    cube = list(project.entries)[place]
    path = Path(mapped(project, which, method, cube))
    found = load_map(path)
    case = run(open_case(project, path))
    for y, x in ((3, 4), (23, 0), (11, 20)):
        report = run(explain_pixel(project, case, y, x, 4))
        assert report["class"]["number"] == found.labels[y, x]
        assert report["votes"][0]["number"] == found.labels[y, x]
        assert report["votes"][0]["share"] == pytest.approx(found.confidence[y, x], abs=2e-3)
        assert not report["note"]
        assert len(report["neighbours"]) == 4
        assert {row["cube"] for row in report["neighbours"]} == {next(iter(project.entries))}
        for row in report["neighbours"]:
            assert project.labels(row["cube"])[row["y"], row["x"]] == row["number"]
        np.testing.assert_allclose(report["spectrum"], np.asarray(project.cube(cube).data[y, x]), rtol=1e-6)
        assert len(report["exits"]) == (2 if method == "distil" else 0)
    first = next(iter(project.entries))
    mean = next(row for row in report["means"] if row["number"] == 2)
    pixels = np.asarray(project.cube(first).data)[project.labels(first) == 2]
    np.testing.assert_allclose(mean["mean"], pixels.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(mean["sd"], pixels.std(axis=0), rtol=1e-3)
    assert mean["n"] == len(pixels)


def test_a_neighbour_of_a_labelled_pixel_is_itself(project):
    first = next(iter(project.entries))
    y, x = np.argwhere(project.labels(first) == 3)[0].tolist()
    path = project.map_path(first, "training-free", "knn")
    mapped(project, "training-free", "knn", first)
    nearest = run(explain(project, path, y, x))["neighbours"][0]
    assert nearest["distance"] < 0.2


def test_other_labels_than_those_of_the_map_are_told(project, tmp_path):
    """Else votes of now would pass for those that made the map."""
    first = next(iter(project.entries))
    path = project.map_path(first, "spectra", "knn")
    mapped(project, "spectra", "knn", first)
    before = project.labels(first)
    try:
        project.save_labels(first, np.where(before > 0, before % 3 + 1, 0))
        assert "have changed since the map was made" in run(explain(project, path, 3, 4))["note"]
    finally:
        project.save_labels(first, before)


@pytest.mark.parametrize(("at", "words"), [((24, 0), "is outside the map"), ((0, -1), "is outside the map"), ((5, 6), "is not classified")])
def test_a_pixel_without_a_class_is_one_sentence(project, at, words):
    first = next(iter(project.entries))
    area = np.ones((24, 24), dtype=bool)
    area[5, 6] = False
    project.save_mask(first, area)
    try:
        path = mapped(project, "spectra", "knn", first)
        with pytest.raises(LabelError, match=words):
            run(explain(project, project.map_path(first, "spectra", "knn"), *at))
        assert path.endswith("--spectra--knn.tif")
    finally:
        project.mask_path(first).unlink()


def test_the_command_line_says_it_in_json(project):
    first = next(iter(project.entries))
    path = mapped(project, "spectra", "knn", first)
    done = CliRunner().invoke(app, ["explain", str(project.folder), "--map", path, "--at", "3,4", "--neighbours", "2", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["y"], report["x"], len(report["neighbours"])) == (3, 4, 2)
    wrong = CliRunner().invoke(app, ["explain", str(project.folder), "--map", path, "--at", "3;4"])
    assert wrong.exit_code == 2
