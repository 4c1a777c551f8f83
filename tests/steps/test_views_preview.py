"""The views of a patch before training: what the preview shows is what a training does, also on an MNF."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import AugmentConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import recipe, run
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.views_preview import preview_views
from tests.gui.conftest import write_cube

QUIET = AugmentConfig(flip=False, rotate=False, gain=0, offset=0, noise=0, drop=0, cutout=0)
BAND_VIEWS = ("light=0.2", "slope=0.1", "distortion=0.1", "band_drop=0.1", "sensor_noise=0.05")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Two cameras, an MNF of bands standardised by domain, small patches."""
    folder = tmp_path_factory.mktemp("views")
    paths = [write_cube(folder / "raw" / domain / f"{domain}.hdr", (30, 28, bands), seed) for seed, (domain, bands) in enumerate((("tea", 12), ("salt", 9)))]
    run(new(folder / "project", paths))
    made = Project.open(folder / "project")
    run(fit_pca(made, PcaConfig(bands=10, components=5, method="mnf", scale="standardise")))
    run(cut_patches(made, PatchConfig(size=6, stride=2, split="blocks")))
    return made


def command(*words: object, code: int = 0) -> dict:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_without_views_all_pictures_are_the_patch(project):
    pairs = run(preview_views(project, PretrainConfig(augment=QUIET), "tea", (10, 12), pairs=2))
    assert (pairs.y, pairs.x, pairs.size) == (7, 9, 6)
    assert pairs.pictures.shape == (5, 6, 6, 3)
    for picture, spectrum in zip(pairs.pictures[1:], pairs.spectra[1:], strict=True):
        np.testing.assert_array_equal(picture, pairs.pictures[0])
        np.testing.assert_allclose(spectrum, pairs.spectra[0], rtol=1e-6)
    measured = np.asarray(project.cube("tea").data[10, 12], dtype=float)
    grid = np.interp(np.linspace(0, 1, 10), np.linspace(0, 1, 12), measured)
    np.testing.assert_allclose(pairs.spectra[0], grid, rtol=0.1)  # five of ten components
    assert pairs.in_nm
    assert pairs.positions[[0, -1]] == pytest.approx([450, 900])


def test_more_light_is_the_same_factor_in_every_band(project):
    pairs = run(preview_views(project, PretrainConfig(augment=QUIET.model_copy(update={"light": 0.4})), "salt", (15, 14)))
    ratio = pairs.spectra[1:] / pairs.spectra[0]
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(10), rtol=0.03)  # but for what five components do not hold of the mean
    assert np.ptp(ratio[:, 0]) > 0.1
    again = run(preview_views(project, PretrainConfig(augment=QUIET.model_copy(update={"light": 0.4})), "salt", (15, 14)))
    np.testing.assert_array_equal(again.pictures, pairs.pictures)
    other = run(preview_views(project, PretrainConfig(seed=1, augment=QUIET.model_copy(update={"light": 0.4})), "salt", (15, 14)))
    assert not np.array_equal(other.spectra[1:], pairs.spectra[1:])


def test_the_second_view_of_a_pair_may_lie_beside_the_first(project):
    pairs = run(preview_views(project, PretrainConfig(augment=QUIET, neighbour=3), "tea", (10, 12)))
    np.testing.assert_array_equal(pairs.pictures[1], pairs.pictures[0])
    assert any(not np.array_equal(second, pairs.pictures[0]) for second in pairs.pictures[2::2])


def test_the_command_writes_a_picture_and_gives_its_advice(project, tmp_path):
    to = tmp_path / "views.png"
    report = command("views", project.folder, "--to", to, "--cube", "salt", "--recipe", "pixel", *(word for view in BAND_VIEWS for word in ("--augment", view)))
    assert np.asarray(Image.open(to)).std() > 10
    assert (report["cube"], report["size"]) == ("salt", 6)
    assert report["inlet"] == "MNF, 5 components of bands standardised by domain"
    assert report["advice"].startswith("Recipe pixel: patches of 5 to 9 pixels")
    assert "These have 6" in command("views", project.folder, "--to", to)["advice"]


def test_wrong_words_are_answered_in_one_sentence(project, tmp_path):
    to = tmp_path / "views.png"
    assert "ending in .png" in command("views", project.folder, "--to", tmp_path / "v.jpg", code=1)["error"]
    assert "lies outside of cube 'tea'" in command("views", project.folder, "--to", to, "--at", "99,2", "--cube", "tea", code=1)["error"]
    assert "there is no field 'augment.glow'" in command("views", project.folder, "--to", to, "--augment", "glow=1", code=1)["error"]
    assert "VIEW=STRENGTH" in command("views", project.folder, "--to", to, "--augment", "light", code=2)["error"]
    assert not to.exists()


def test_a_cube_smaller_than_a_patch_is_named(tmp_path):
    run(new(tmp_path / "project", [write_cube(tmp_path / "raw" / "tiny.hdr", (12, 10, 9))]))
    small = Project.open(tmp_path / "project")
    run(fit_pca(small, PcaConfig(bands=9, components=4)))
    with pytest.raises(ConfigError, match="'tiny' has 12×10 pixels, smaller than a patch of 32"):
        run(preview_views(small, PretrainConfig(), "tiny"))
    assert run(preview_views(small, PretrainConfig.from_recipe("pixel"), "tiny")).size == 9  # no patches yet: as the recipe advises


def test_pretraining_on_an_mnf_with_views_in_band_space(project):
    """From the command line to a judged model: config, weights, and the inlet that they belong to."""
    views = [word for view in BAND_VIEWS for word in ("--augment", view)]
    report = command("pretrain", project.folder, "--recipe", "pixel", "--batch-size", 16, "--epochs", 2, "--max-steps", 6, "--precision", "32", *views)
    assert report["state"] == "finished"
    assert np.isfinite(report["loss"])
    folder = project.run_folder(report["run"])
    stored = folder.config.pretrain
    assert stored is not None
    assert stored.augment == PretrainConfig.from_recipe("pixel", augment=dict(view.split("=") for view in BAND_VIEWS)).augment
    assert stored.augment.gain == PretrainConfig.from_recipe("pixel").augment.gain  # the recipe's own
    judged = command("evaluate", project.folder, "--run", report["run"], "--k", 3)
    assert 0 <= judged["knn_accuracy"] <= 1
    plain = command("pretrain", project.folder, "--recipe", "pixel", "--batch-size", 16, "--epochs", 2, "--max-steps", 6, "--precision", "32")
    assert plain["loss"] != report["loss"]
    again = command("pretrain", project.folder, "--config", folder.config_path, "--augment", "light=0.9")
    changed = project.run_folder(again["run"]).config.pretrain
    assert changed is not None
    assert changed.augment == stored.augment.model_copy(update={"light": 0.9})


def test_the_copied_command_names_the_changed_views_alone():
    config = PretrainConfig.from_recipe("pixel", augment={"slope": 0.1, "flip": False})
    made = recipe.pretrain(Path("/data/p"), config)
    assert made.command == "napari-hsi-ssl pretrain /data/p --recipe pixel --augment flip=False --augment slope=0.1"
    assert "augment={'flip': False, 'slope': 0.1}" in made.python
