"""Runs side by side, and the picture of an embedding with what the project knows of its patches."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.config import DistilConfig, PretrainConfig, RunConfig
from napari_hsi_ssl.errors import ProjectError, RunError
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.patches.snapshot import Snapshot
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps import cubes, run
from napari_hsi_ssl.steps.comparison import compare_runs
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.runs import list_runs
from napari_hsi_ssl.steps.snapshots import read_embedding, save_embedding
from tests.gui.conftest import write_cube


@pytest.fixture
def project(tmp_path):
    run(cubes.new(tmp_path / "project", [write_cube(tmp_path / "raw" / "coffee" / "beans.hdr")]))
    return Project.open(tmp_path / "project")


def made(project, name, **settings):
    return RunFolder.create(project.folder / "runs" / name, RunConfig(kind="pretrain", pretrain=PretrainConfig.parse(settings)))


def test_settings_that_differ_and_the_last_figures(project):
    one, two = made(project, "one", epochs=5), made(project, "two", epochs=5, batch_size=32, augment={"gain": 0.5})
    one.emit("started", total_steps=50, parameters=1000)
    one.emit("step", epoch=1, step=1, loss=9.0, throughput=100.0, memory=3e9)
    one.emit("step", epoch=1, step=2, loss=9.0, throughput=100.0, memory=2e9)
    one.emit("epoch", epoch=1, step=10, loss=3.0, knn_accuracy=0.5, alignment=0.4, uniformity=-2.0)
    one.emit("epoch", epoch=2, step=20, loss=2.0)
    one.finish({"loss": 2.0, "seconds": 60.0})
    files.write_json(one.path / "evaluation-class.json", {"knn_accuracy": 0.7, "linear_probe": 0.6})
    report = compare_runs(project, ["one", "two", "one"])
    assert report["runs"] == ["one", "two"]
    assert report["settings"] == {"batch_size": [64, 32], "augment.gain": [0.2, 0.5]}
    found = {name: values[0] for name, values in report["figures"].items()}
    assert found == {
        "state": "finished", "parameters": 1000, "epoch": 2, "step": 20, "throughput": 100.0, "loss": 2.0, "knn_accuracy": 0.5, "alignment": 0.4,
        "uniformity": -2.0, "seconds": 60.0, "memory": 3e9, "class knn_accuracy": 0.7, "class linear_probe": 0.6,
    }  # fmt: skip
    assert report["figures"]["state"] == ["finished", "new"]
    assert report["figures"]["loss"] == [2.0, None]
    assert "batch_size" in report["notes"][0]
    two.emit("step", epoch=1, step=1, loss=1.0)
    assert compare_runs(project, ["one", "two"])["figures"]["step"] == [20, 1]


def test_kinds_of_training_can_be_compared(project):
    made(project, "one")
    RunFolder.create(project.folder / "runs" / "sd", RunConfig(kind="distil", distil=DistilConfig()))
    settings = compare_runs(project, ["one", "sd"])["settings"]
    assert settings["kind"] == ["pretrain", "distil"]
    assert settings["window"] == [None, DistilConfig().window]


def test_one_run_is_no_comparison(project):
    made(project, "one")
    with pytest.raises(RunError, match="1 run is named to compare, expected at least two"):
        compare_runs(project, ["one", "one"])
    with pytest.raises(ProjectError, match="no run 'two'"):
        compare_runs(project, ["one", "two"])


def test_a_list_of_runs_knows_the_last_step_that_counts(project):
    folder = made(project, "one", epochs=5)
    folder.emit("started", total_steps=50, epochs=5)
    for step in (1, 2, 3):
        folder.emit("step", step=step, epoch=1, loss=float(step))
    (row,) = list_runs(project)
    assert (row["step"], row["loss"], row["total_steps"], row["state"]) == (3, 3.0, 50, "stopped")
    folder.emit("resumed", step=2, total_steps=60)
    (row,) = list_runs(project)
    assert (row["step"], row["loss"], row["total_steps"]) == (2, 2.0, 60)


def test_patches_of_the_picture_have_the_classes_of_the_projects_labels(project, tmp_path):
    folder = made(project, "one")
    assert read_embedding(project, "one") is None
    with pytest.raises(RunError, match="no picture of its embedding"):
        save_embedding(project, "one", tmp_path / "one.csv")
    cube = np.zeros(3, dtype=np.int32)
    y = np.array([0, 0, 12], dtype=np.int32)
    index = PatchIndex(("beans",), ("coffee",), cube, y, np.array([0, 10, 4], np.int32), cube, np.ones(3, np.uint8), np.ones(3, np.float32), 8)
    Snapshot.of(index, np.array([[0, 1], [2, 3], [4, 5]], np.float32), 0.5, 7).save(folder.path / "embedding.npz")
    assert read_embedding(project, "one").numbers.tolist() == [0, 0, 0]
    labels = np.zeros((24, 20), dtype=np.int32)
    labels[:8, :8], labels[2, 12] = 4, 9
    run(save_painted(project, "beans", labels, {4: "good", 9: "bad"}))
    assert read_embedding(project, "one").numbers.tolist() == [4, 9, 0]
    assert save_embedding(project, "one", tmp_path / "one.csv")["patches"] == 3
    rows = list(csv.reader((tmp_path / "one.csv").read_text().splitlines()))
    assert rows[0] == ["cube", "y", "x", "domain", "class", "axis_1", "axis_2"]
    assert rows[1:] == [
        ["beans", "0", "0", "coffee", "good", "0", "1"],
        ["beans", "0", "10", "coffee", "bad", "2", "3"],
        ["beans", "12", "4", "coffee", "", "4", "5"],
    ]
