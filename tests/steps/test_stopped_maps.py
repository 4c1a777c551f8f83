"""A self-distillation map that was cancelled, or whose computation was killed, goes on from its finished tiles when it is asked for again."""

import json

import numpy as np
import psutil
import pytest

from napari_hsi_ssl.config import ClassifyConfig, DistilConfig, PatchConfig, PcaConfig
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.train import distil
from tests.steps.cameras import write_camera

CONFIG = ClassifyConfig(method="distil", layers=("entropy", "disagreement"))
QUICK = {"devices": 1, "accelerator": "cpu", "precision": "32", "batch_size": 16, "epochs": 1, "max_steps": 2, "window": 3}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("large")
    made = Project.open(run(new(folder / "project", [write_camera(folder, "near", 12, 1, side=120)]))["project"])
    made.save_labels("near_1", np.where(np.random.default_rng(0).random((120, 120)) < 0.05, np.load(folder / "near_1.labels.npy"), 0).astype(np.int32))
    run(fit_pca(made, PcaConfig(components=4, bands=12)))
    run(cut_patches(made, PatchConfig(size=3, stride=9, split="blocks", guard=0)))
    run(distil(made, DistilConfig.parse(QUICK), run="taught"))
    return Project.open(made.folder)


def begun(project):
    """Return a map of which some tiles are finished, not all."""
    steps = classify(project, "taught", CONFIG, memory=1)
    for progress in steps:
        if progress.message == "near_1: map" and progress.done >= 2:
            assert progress.done < progress.total
            return steps
    raise AssertionError("it was done before it could be stopped")


def finished(project):
    """Make the map; returns its files by their endings, and the warnings."""
    seen = []
    run(classify(project, "taught", CONFIG, memory=1), seen.append)
    path = project.map_path("near_1", "taught", "distil")
    found = {file.name: file.read_bytes() for file in path.parent.glob(f"{path.stem}.*") if file.suffix == ".tif"}
    assert not list(project.folder.glob("embeddings/unfinished/*/*/*")), "what is no longer needed is left"
    return found, json.loads(path.with_suffix(".json").read_text()), [progress.message for progress in seen if progress.warning]


def test_a_map_that_is_cancelled_or_killed_goes_on_where_it_was(project):
    calm, card, warned = finished(project)
    assert len(calm) == 4
    assert warned == []
    begun(project).close()
    again = finished(project)
    assert again[:2] == (calm, card)
    assert len(again[2]) == 1, "told more than once"
    assert "near_1: its map goes on from " in again[2][0]
    steps = begun(project)
    psutil.Process(shared_process().pid).kill()
    with pytest.raises(HsiError, match="the compute process ended during 'classify'"):
        list(steps)
    killed = finished(project)
    assert killed[:2] == (calm, card)
    assert "near_1: its map goes on from " in killed[2][0]
