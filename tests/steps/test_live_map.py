"""A rough map by a run that is still training, in the window's compute process and from the command line."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl.config import PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.errors import LabelError, RunError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.live_map import live_map
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import pretrain
from tests.steps.cameras import write_camera
from tests.test_cli import command

SMALL = {"devices": 1, "accelerator": "cpu", "precision": "32", "batch_size": 16, "max_steps": 3, "projection": 8, "trunk": {"widths": (8, 12)}}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("live")
    paths = [write_camera(folder, "near", 24, 1, side=40), write_camera(folder, "far", 31, 3, side=40)]
    made = Project.open(run(new(folder / "project", paths))["project"])
    run(fit_pca(made, PcaConfig(components=6, bands=24, scale="standardise")))
    run(cut_patches(made, PatchConfig(size=7, stride=3, split="blocks", guard=0)))
    for inlet in ("pca", "learned"):
        run(pretrain(made, PretrainConfig.parse({**SMALL, "inlet": inlet}), run=inlet))
        folder = made.run_folder(inlet)
        for name in ("result.json", "model.safetensors"):  # as it is while it trains
            (folder.path / name).unlink()
    return made


def test_nothing_is_learned_without_labels(project):
    with pytest.raises(LabelError, match="has no labels"):
        run(live_map(project, "pca", "near_1"))


@pytest.mark.parametrize("run_name", ["pca", "learned"])
def test_a_grid_of_pixels_is_classified_by_the_newest_checkpoint(project, tmp_path_factory, run_name):
    truth = np.load(next(project.folder.parent.glob("near_1.labels.npy")))
    project.save_labels("near_1", np.where(np.indices(truth.shape).sum(axis=0) % 3 == 0, truth, 0))
    report = run(live_map(project, run_name, "near_1", k=3, pixels=400))
    found = tifffile.imread(report["path"])
    assert (report["step"], report["stride"], found.shape) == (3, 2, (20, 20))
    assert (found == truth[1::2, 1::2]).mean() > 0.8
    assert sum(report["shares"].values()) == report["pixels"] == 400
    other = run(live_map(project, run_name, "far_3", pixels=100))  # by the labels of the other cube
    assert other["pixels"] == 100


def test_the_command_line_makes_one_too(project):
    report = command("runs", project.folder, "--glance", "pca", "--cube", "near_1")
    assert (report["cube"], report["stride"]) == ("near_1", 1)


def test_a_run_without_a_checkpoint_says_so(project):
    folder = project.run_folder("learned")
    for path in folder.checkpoints.iterdir():
        path.unlink()
    with pytest.raises(RunError, match=r"has no checkpoint yet; wait for its first one\."):
        run(live_map(project, "learned", "near_1"))
