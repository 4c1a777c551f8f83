"""What is said of a backbone while it is trained: figures, the picture, and that training knows nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hsi_ssl import files
from napari_hsi_ssl.learning.setup import prepare
from napari_hsi_ssl.patches.index import TEST, PatchIndex
from napari_hsi_ssl.patches.snapshot import Snapshot
from tests.learning.made_runs import write_pretrain_run


@pytest.fixture
def folder(tmp_path):
    return write_pretrain_run(tmp_path / "runs" / "p", epochs=4, neighbour=2)


def objective_of(folder):
    return prepare(folder.config, folder.resolve, 1).objective


def test_figures_and_picture_are_of_held_out_patches(folder):
    objective = objective_of(folder)
    report = objective.judge(1)
    assert 0 <= report["alignment"] <= 4
    assert report["uniformity"] < 0
    assert 0 <= report["knn_accuracy"] <= 1
    snapshot = Snapshot.load(folder.path / "embedding.npz")
    index = PatchIndex.load(folder.resolve(folder.config.patches))
    held_out = {tuple(row) for row in np.stack([index.cube, index.y, index.x], 1)[index.split == TEST].tolist()}
    assert {tuple(row) for row in np.stack([snapshot.cube, snapshot.y, snapshot.x], 1).tolist()} == held_out
    assert snapshot.epoch == 1


def test_equal_views_align(folder):
    # With every strength 0 and no neighbours both views are one, so their distance is 0 whatever the network.
    still = {"flip": False, "rotate": False, "gain": 0, "offset": 0, "noise": 0, "drop": 0, "cutout": 0}
    files.write_json(
        folder.config_path, {**files.plain(folder.config.model_dump()), "pretrain": {**folder.config.pretrain.model_dump(), "neighbour": 0, "augment": still}}
    )
    assert objective_of(folder).judge(1)["alignment"] == pytest.approx(0, abs=1e-10)


def test_judging_leaves_the_training_alone(folder):
    judged, other = objective_of(folder), objective_of(folder)
    state = torch.random.get_rng_state()
    weights = {name: tensor.clone() for name, tensor in judged.model.state_dict().items()}
    first = judged.judge(1)
    assert judged.judge(1) == first
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in judged.model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in judged.model.parameters())
    assert other.judge(2).keys() == first.keys()


def test_the_picture_is_laid_over_the_one_before(folder):
    objective = objective_of(folder)
    objective.judge(1)
    path = folder.path / "embedding.npz"
    before = Snapshot.load(path)
    with torch.no_grad():
        for parameter in objective.model.parameters():
            parameter.add_(0.001 * torch.randn_like(parameter))
    objective.judge(2)
    after = Snapshot.load(path)
    assert after.epoch == 2
    assert np.abs(after.places - before.places).max() < 0.1 * np.abs(before.places).max()
    path.write_bytes(b"damaged")
    objective.judge(3)
    assert Snapshot.load(path).epoch == 3


def test_one_domain_has_no_accuracy_but_a_picture(tmp_path):
    folder = write_pretrain_run(tmp_path / "runs" / "one", cubes=1, epochs=4)
    assert objective_of(folder).judge(1).keys() == {"alignment", "uniformity"}
    assert (folder.path / "embedding.npz").exists()
