"""Learned inlets from the project to maps: three cameras, one trunk, and a camera that comes later."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, EvaluateConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.errors import HsiError, ProjectError, RunError
from napari_hsi_ssl.learning.checkpoint import load_model
from napari_hsi_ssl.learning.inlets import inlet_scores
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.evaluate import evaluate
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.prepare import bad_bands
from napari_hsi_ssl.steps.train import distil, pretrain
from tests.steps.cameras import write_camera

QUICK = {"devices": 1, "accelerator": "cpu", "precision": "32", "batch_size": 16}
SMALL = {**QUICK, "epochs": 2, "max_steps": 3, "projection": 8, "trunk": {"widths": (8, 12), "stem_stride": 1, "stride": 1, "pool": "centre"}}


def fails(step) -> str:
    with pytest.raises(HsiError) as caught:
        run(step)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith((".", ")"))
    return message


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Two cameras, 24 and 31 bands, one of them with two cubes of different bad bands; a run with learned inlets."""
    folder = tmp_path_factory.mktemp("cameras")
    paths = [write_camera(folder, "near", 24, 1), write_camera(folder, "near", 24, 2), write_camera(folder, "far", 31, 3)]
    made = Project.open(run(new(folder / "project", paths))["project"])
    run(bad_bands(made, ["near_1"], chosen="3"))
    for name in made.entries:
        made.save_labels(name, np.load(folder / f"{name}.labels.npy"))
    run(fit_pca(made, PcaConfig(components=6, bands=24, scale="standardise")))
    run(cut_patches(made, PatchConfig(size=7, stride=3, split="blocks", guard=0)))
    run(pretrain(made, PretrainConfig.parse({**SMALL, "inlet": "learned"}), run="learned"))
    return Project.open(made.folder)


def test_every_domain_has_an_inlet_of_its_own_bands_and_the_card_says_so(project):
    card = json.loads((project.folder / "runs" / "learned" / "model.json").read_text())
    tensors = load_file(project.folder / "runs" / "learned" / "model.safetensors")
    assert [(row["name"], len(row["used"]), row["tensors"]) for row in card["inlets"]] == [("far", 31, "inlets.0_far"), ("near", 23, "inlets.1_near")]
    assert tensors["inlets.0_far.weight"].shape == (6, 31)
    assert tensors["inlets.1_near.weight"].shape == (6, 23)
    assert 3 not in card["inlets"][1]["used"], "a band that is bad in one cube of a camera is used in none"
    assert any(name.startswith("trunk.") for name in tensors)


def test_evaluate_and_maps_work_with_learned_inlets(project):
    report = run(evaluate(project, "learned", EvaluateConfig(k=3, minimum=2)))
    assert {"knn_accuracy", "random_knn_accuracy"} <= set(report)
    plain = run(pretrain(project, PretrainConfig.parse(SMALL), run="plain"))
    assert plain["state"] == "finished"
    frozen = run(evaluate(project, "plain", EvaluateConfig(k=3, minimum=2)))
    assert report["simple"] == frozen["simple"], "the plain rows know nothing of the inlets"
    assert report["random_knn_accuracy"] == frozen["random_knn_accuracy"]
    maps = run(classify(project, "learned", ClassifyConfig(method="knn", k=1)))["maps"]
    assert {row["cube"] for row in maps} == set(project.entries)
    assert all(sum(row["areas"].values()) == 20 * 20 for row in maps)


def test_bands_of_a_cube_are_kept_once_for_all_runs(project):
    before = sorted(project.folder.glob("bands/*/*.npy"))
    assert len(before) == 3
    run(pretrain(project, PretrainConfig.parse({**SMALL, "inlet": "learned", "max_steps": 1}), run="again"))
    assert sorted(project.folder.glob("bands/*/*.npy")) == before


def test_a_camera_that_comes_later_takes_the_trunk_over(project, tmp_path):
    """In a project of its own, with its own PCA: new inlet, trunk kept, fine-tuned or frozen; the map is made by it."""
    path = write_camera(tmp_path, "later", 40, 4)
    later = Project.open(run(new(tmp_path / "later-project", [path]))["project"])
    name = next(iter(later.entries))
    later.save_labels(name, np.load(tmp_path / f"{name}.labels.npy"))
    run(fit_pca(later, PcaConfig(components=6, bands=40, scale="standardise")))
    theirs = project.folder / "runs" / "learned"
    settings = {**QUICK, "epochs": 3, "max_steps": 4, "window": 5, "inlet": "learned"}
    run(distil(later, DistilConfig.parse({**settings, "freeze": True}), init=str(theirs), run="frozen"))
    had, kept = load_file(theirs / "model.safetensors"), load_file(later.folder / "runs" / "frozen" / "model.safetensors")
    for tensor in (key for key in had if key.startswith("trunk.")):
        np.testing.assert_array_equal(kept[tensor], had[tensor])
    assert kept["inlets.0_later.weight"].shape == (6, 40)
    run(distil(later, DistilConfig.parse(settings), init=str(theirs), run="tuned"))
    tuned = load_file(later.folder / "runs" / "tuned" / "model.safetensors")
    assert any((tuned[tensor] != had[tensor]).any() for tensor in had if tensor.startswith("trunk."))
    (row,) = run(classify(later, "tuned", ClassifyConfig(method="distil")))["maps"]
    assert sum(row["areas"].values()) == 20 * 20
    run(cut_patches(later, PatchConfig(size=5, stride=2, split="blocks", guard=0)))
    report = run(pretrain(later, PretrainConfig.parse({**SMALL, "inlet": "learned"}), init=str(theirs), run="went-on"))
    assert report["state"] == "finished"
    card = json.loads((later.folder / "runs" / "went-on" / "model.json").read_text())
    assert card["starts"] == {"later": "its projection, turned towards the filters of 'near' at its wavelengths"}


def test_another_architecture_is_refused_before_a_run_is_made(project):
    """Else the failed run keeps its name."""
    run(fit_pca(project, PcaConfig(components=5, bands=24, scale="standardise")))
    settings = {**QUICK, "epochs": 1, "window": 5}
    said = fails(distil(project, DistilConfig.parse({**settings, "inlet": "learned"}), init="learned", run="never"))
    assert said == "run 'learned' was trained on 6 channels, but this run has 5; make a PCA with as many components, or start from another run."
    run(fit_pca(project, PcaConfig(components=6, bands=24, scale="none")))
    assert "with learned inlets, but this run has the frozen projection" in fails(distil(project, DistilConfig.parse(settings), init="learned", run="never"))
    assert "was trained on another inlet" in fails(distil(project, DistilConfig.parse(settings), init="plain", run="never"))
    (project.folder / "runs" / "plain" / "model.json").write_text("{}")
    assert "lacks or misstates a field" in fails(distil(project, DistilConfig.parse(settings), init="plain", run="never"))
    assert not (project.folder / "runs" / "never").exists()


def test_what_cannot_be_learned_is_said_before_a_run_is_made(project, tmp_path):
    settings = PretrainConfig.parse({**SMALL, "inlet": "learned"})
    run(fit_pca(project, PcaConfig(components=6, bands=24, scale="snv")))
    assert "cannot start as a PCA with scale 'snv'" in fails(pretrain(project, settings, run="never"))
    run(fit_pca(project, PcaConfig(components=6, bands=24, scale="none")))
    run(cut_patches(project, PatchConfig(size=7, stride=3, split="blocks", guard=0, background="zero")))
    assert "background 'zero'" in fails(pretrain(project, settings, run="never"))
    mixed = [write_camera(tmp_path, "x", 24, 1), write_camera(tmp_path, "x", 31, 2)]
    other = Project.open(run(new(tmp_path / "p", mixed))["project"])
    run(fit_pca(other, PcaConfig(components=6, bands=24)))
    run(cut_patches(other, PatchConfig(size=7, stride=3, split="blocks", guard=0)))
    assert "(24 bands, 400–1000 nm) and 'x_2' (31 bands, 400–1000 nm) are of one domain, 'x'" in fails(pretrain(other, settings, run="never"))
    assert not (project.folder / "runs" / "never").exists()


def test_a_cube_of_an_unknown_domain_is_named(project, tmp_path):
    later = Project.open(project.folder)
    name = "far_3"
    entry = later.entry(name)
    later.put(type(entry)(**{**entry.__dict__, "domain": "unheard-of"}))
    with pytest.raises(ProjectError, match="is of domain 'unheard-of', for which run 'learned' has no inlet, only for far, near"):
        run(classify(later, "learned", ClassifyConfig(method="knn", k=1), cubes=[name]))
    later.put(entry)


def test_the_inlet_knows_its_bands(project):
    model, _ = load_model(project.folder / "runs" / "learned" / "model.safetensors")
    with pytest.raises(RunError, match="has 5 bands, but the inlet of domain 'far' 31"):
        inlet_scores(model, "far", np.zeros((2, 2, 5)))
    with pytest.raises(RunError, match="no inlet for domain 'other', only for far, near"):
        inlet_scores(model, "other", np.zeros((2, 2, 31)))
