"""A run's features beside the training-free ones, and the choice among them, on a real run."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import ClassifyConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import load_map, write_envi_cube
from napari_hsi_ssl.errors import ConfigError, LabelError, ProjectError, RunError
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.features import beside, features
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.recommend import recommend
from napari_hsi_ssl.steps.train import pretrain
from tests.test_cli import command

SHAPE, BANDS = (60, 60), 14


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two materials in squares, labelled all over, and a run of two steps."""
    folder = tmp_path_factory.mktemp("recommend")
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = 1 + (y // 10 + x // 10) % 2
    rng = np.random.default_rng(0)
    spectra = 5 + rng.normal(0, 0.5, (2, BANDS))
    values = spectra[truth - 1] + rng.normal(0, 0.3, (*SHAPE, BANDS))
    write_envi_cube(folder / "scene.hdr", as_cube(values.astype(np.float32), np.linspace(450, 900, BANDS), "radiance", "scene"))
    run(new(folder / "project", [folder / "scene.hdr"]))
    made = Project.open(folder / "project")
    run(save_painted(made, "scene", np.where(rng.random(SHAPE) < 0.4, truth, 0).astype(np.int32), {1: "oak", 2: "ash"}))
    run(fit_pca(made, PcaConfig(bands=BANDS, components=6)))
    run(cut_patches(made, PatchConfig(size=8, stride=4)))
    run(pretrain(made, PretrainConfig(epochs=1, max_steps=2, batch_size=16, precision="32"), run="small"))
    return made


def test_a_run_beside_the_training_free_embedding_makes_a_map(project):
    run(classify(project, beside("small"), ClassifyConfig(method="knn", k=5)))
    found = load_map(project.map_path("scene", beside("small"), "knn"))
    truth = project.labels("scene")
    assert (found.labels[truth > 0] == truth[truth > 0]).mean() > 0.9
    assert {"model_sha256", "embedding", "command"} <= found.provenance.keys()
    assert "--run small+training-free" in found.provenance["command"]


def test_spectra_make_a_map_too(project):
    run(classify(project, "spectra", ClassifyConfig(method="linear")))
    truth, found = project.labels("scene"), load_map(project.map_path("scene", "spectra", "linear"))
    assert (found.labels[truth > 0] == truth[truth > 0]).mean() > 0.9


def test_both_blocks_are_there(project):
    areas = {"scene": np.ones(SHAPE, dtype=bool)}
    dimensions = {name: run(features(project, name, areas))[0]["scene"].shape[2] for name in ("small", "training-free", beside("small"))}
    assert dimensions[beside("small")] == dimensions["small"] + dimensions["training-free"]


def test_every_choice_is_tried_and_the_best_is_told(project):
    report = run(recommend(project))
    assert {(row["run"], row["method"]) for row in report["rows"]} == {
        (name, method) for name in ("spectra", "training-free", "small", "small+training-free", "pretrained") for method in ("knn", "linear")
    }
    top = max(row["accuracy"] for row in report["rows"])
    assert report["accuracy"] >= top - 0.01
    assert report["guard"] == 12  # of the trunk in the box: its window of 5 behind a filter of radius 4
    assert all(len(row["accuracies"]) == report["parts"] for row in report["rows"])


def test_the_command_that_is_copied_says_the_same(project):
    words = shlex.split(recipe.recommend(project.folder).command)
    assert words[0] == recipe.PROGRAM
    assert command(*words[1:])["run"] == run(recommend(project))["run"]


def test_what_cannot_be_is_told(project):
    with pytest.raises(ProjectError, match="nobody"):
        run(classify(project, beside("nobody"), ClassifyConfig()))
    with pytest.raises(ConfigError, match="no classes of their own"):
        run(classify(project, beside("small"), ClassifyConfig(method="distil")))
    corner = np.zeros(SHAPE, np.int32)
    corner[:4, :4], corner[:4, 4:8] = 1, 2
    from napari_hsi_ssl import files

    files.write_tiff(project.folder / "corner.tif", corner)
    with pytest.raises(LabelError, match="several places"):
        run(recommend(project, {"scene": project.folder / "corner.tif"}))


@pytest.mark.parametrize("name", ["spectra", "training-free", "pretrained", "small+training-free"])
def test_a_run_cannot_take_the_name_of_other_features(project, name):
    with pytest.raises(RunError, match="choose another name"):
        run(pretrain(project, PretrainConfig(epochs=1, max_steps=1, batch_size=16), run=name))
