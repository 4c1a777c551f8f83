"""The trunk in the box: there without any training, behind any camera's inlet, chosen by labels like everything else, and a start for training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.writers import load_map
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.checkpoint import load_model
from napari_hsi_ssl.mapping.pretrained import box, stand_behind
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.features import features
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import distil, pretrain
from napari_hsi_ssl.steps.training_free import training_free_inlet
from tests.steps.cameras import write_camera

QUICK = {"devices": 1, "accelerator": "cpu", "precision": "32", "batch_size": 16, "epochs": 2, "max_steps": 2}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Two cameras in one project, one of them with fewer bands than the trunk takes components."""
    folder = tmp_path_factory.mktemp("box")
    paths = [write_camera(folder, "near", 24, 1, side=40), write_camera(folder, "far", 41, 3, side=40)]
    made = Project.open(run(new(folder / "project", paths))["project"])
    for name in made.entries:
        made.save_labels(name, np.load(folder / f"{name}.labels.npy"))
    return made


def test_the_box_is_small_and_says_what_it_was_made_of():
    path, card = box()
    assert path.stat().st_size < 5e6
    model, _ = load_model(path)
    assert model.dim == 512
    about = card["about"]
    assert any("Indian Pines" in line and "CC-BY" in line for line in about["data"])
    assert {"protocol", "limits", "figures", "licence", "not_in_it"} <= about.keys()
    assert {"Samson", "EnMAP"} <= about["figures"].keys()
    assert "inlet_sha256" not in card


def test_a_map_before_anything_is_trained(project):
    for method in ("knn", "linear"):
        (row, _) = run(classify(project, "pretrained", ClassifyConfig(method=method, k=5)))["maps"]
        found, truth = load_map(project.map_path(row["cube"], "pretrained", method)), project.labels(row["cube"])
        assert (found.labels == truth).mean() > 0.9
        assert "--run pretrained" in found.provenance["command"]
        assert found.provenance["model_sha256"]
    assert project.inlet is None, "the project's own projection is left alone"


def test_it_stands_beside_the_training_free_embedding_too(project):
    areas = {"near_1": project.area("near_1")}
    sizes = {name: run(features(project, name, areas))[0]["near_1"].shape[2] for name in ("pretrained", "training-free", "pretrained+training-free")}
    assert sizes["pretrained"] == 512
    assert sizes["pretrained+training-free"] == sizes["pretrained"] + sizes["training-free"]


def test_components_that_a_projection_lacks_are_as_if_they_were_zero(project):
    import torch

    inlet = project.inlet_folder(run(training_free_inlet(project))["inlet"])
    model, card = load_model(stand_behind(inlet))
    assert (card["channels"], model.trunk.stem.weight.shape[1]) == (24, 24)
    whole, _ = load_model(box()[0])
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 24, 5, 5)).astype(np.float32))
    padded = torch.cat([x, torch.zeros(3, 6, 5, 5)], dim=1)
    torch.testing.assert_close(model.embed(x), whole.embed(padded))


def test_training_starts_from_it_behind_the_projects_own_projection(project):
    run(fit_pca(project, PcaConfig(components=12, bands=24)))
    run(cut_patches(project, PatchConfig(size=5, stride=3, split="blocks", guard=0)))
    run(pretrain(project, PretrainConfig.from_recipe("pixel", **QUICK, learning_rate=1e-6), init="pretrained", run="on"))
    run(distil(project, DistilConfig.parse({**QUICK, "window": 5, "freeze": True}), init="pretrained", run="taught"))
    theirs = load_file(box()[0])
    kept = load_file(project.run_folder("taught").model_path)
    np.testing.assert_array_equal(kept["trunk.stages.2.0.second.weight"], theirs["trunk.stages.2.0.second.weight"])
    went_on = load_file(project.run_folder("on").model_path)
    np.testing.assert_allclose(went_on["trunk.stem.weight"], theirs["trunk.stem.weight"][:, :12], atol=1e-4)


def test_more_components_than_it_takes_are_refused(project, tmp_path):
    path = write_camera(tmp_path, "many", 60, 2)
    other = Project.open(run(new(tmp_path / "p", [path]))["project"])
    run(fit_pca(other, PcaConfig(components=40, bands=60)))
    run(cut_patches(other, PatchConfig(size=5, stride=2, split="blocks", guard=0)))
    with pytest.raises(RunError, match="takes 30 components, but this projection has 40; make one with --components 30 or fewer"):
        run(pretrain(other, PretrainConfig.from_recipe("pixel", **QUICK), init="pretrained"))
    assert not list(other.folder.glob("runs/*"))


def test_a_newer_box_takes_the_place_of_an_older_one_in_a_project(project):
    inlet = project.inlet_folder(run(training_free_inlet(project))["inlet"])
    path = stand_behind(inlet)
    before = path.read_bytes()
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, "made_from": "older"}))
    path.write_bytes(b"older")
    assert stand_behind(inlet).read_bytes() == before
