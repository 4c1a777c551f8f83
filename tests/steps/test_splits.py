"""Before a self-distillation starts it says what its validation labels are worth, and refuses those that are none."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl import files
from napari_hsi_ssl.config import DistilConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.patches.audit import audit
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, run
from napari_hsi_ssl.steps.train import Cluster, distil

SIDE = 24


@pytest.fixture
def project(tmp_path) -> Project:
    values = np.random.default_rng(0).normal(100, 10, (SIDE, SIDE, 40))
    for name in ("one", "two"):
        write_envi_cube(tmp_path / "raw" / f"{name}.hdr", as_cube(values.astype(np.float32)))
    run(cubes.new(tmp_path / "project", [tmp_path / "raw"]))
    return Project.open(tmp_path / "project")


def halves(tmp_path, gap):
    truth = np.where(np.arange(SIDE)[:, None] < 12, 1, 2) * np.ones((1, SIDE), dtype=np.int32)
    sides = {"train": np.where(np.arange(SIDE) < 8, truth, 0), "validation": np.where(np.arange(SIDE) >= 8 + gap, truth, 0)}
    for name, image in sides.items():
        files.write_tiff(tmp_path / f"{name}.tif", image.astype(np.int32))
    return sides


def ready(project, tmp_path, validation_cube="one", window=5, validation="validation"):
    """Make a run folder without training, and return the report and what was said."""
    said = []
    given = {"train": {"one": tmp_path / "train.tif"}, "validation": {validation_cube: tmp_path / f"{validation}.tif"}}
    report = run(distil(project, DistilConfig(window=window), **given, cluster=Cluster(submit=False)), said.append)
    return report, [(progress.message, progress.warning) for progress in said if progress.data.get("type") == "audit" or "not trained" in progress.message]


def test_a_validation_that_leaks_is_a_warning(project, tmp_path):
    sides = halves(tmp_path, gap=0)
    report, said = ready(project, tmp_path)
    assert report["audit"] == {**audit(sides["train"], sides["validation"], 5), "summary": said[0][0]}
    assert said == [("12% of the validation windows of 5 pixels contain a training pixel: in part this measures interpolation, not recognition.", True)]


def test_a_validation_apart_is_told_without_a_warning(project, tmp_path):
    halves(tmp_path, gap=4)
    report, said = ready(project, tmp_path)
    assert report["audit"]["overlap_share"] == 0
    assert [warning for _, warning in said] == [False]
    assert "is of places the model has not seen" in said[0][0]


def test_another_cube_and_a_window_larger_than_it(project, tmp_path):
    halves(tmp_path, gap=0)
    report, _ = ready(project, tmp_path, "two", window=31)
    assert (report["audit"]["overlap_share"], report["audit"]["window"]) == (0, SIDE)


def test_classes_that_are_not_trained_are_left_out_of_the_validation(project, tmp_path):
    sides = halves(tmp_path, gap=4)
    strange = sides["validation"].copy()
    strange[0, -1] = 7
    files.write_tiff(tmp_path / "strange.tif", strange.astype(np.int32))
    report, said = ready(project, tmp_path, validation="strange")
    assert said[0] == ("classes 7 of the validation labels are not trained, so they are left out of it", True)
    kept = project.run_folder(report["run"]).config
    (pinned,) = [label for label in kept.labels if label.role == "validation"]
    assert np.unique(tifffile.imread(project.run_folder(report["run"]).resolve(pinned.path))).tolist() == [0, 1, 2]
    files.write_tiff(tmp_path / "other.tif", np.where(sides["validation"] != 0, 9, 0).astype(np.int32))
    with pytest.raises(LabelError, match="none of the classes 9 of the validation labels is trained"):
        ready(project, tmp_path, validation="other")


def test_labels_that_train_and_judge_are_refused_before_a_run_is_made(project, tmp_path):
    halves(tmp_path, gap=0)
    with pytest.raises(LabelError, match="192 pixel\\(s\\) of 'one' are labelled in both train and validation"):
        ready(project, tmp_path, validation="train")
    assert not (project.folder / "runs").exists()
