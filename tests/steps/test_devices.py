"""The devices and what a training would cost there, as command and as step: nothing of the trial stays in the project."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import DistilConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.devices import devices
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.runs import list_runs
from tests.gui.conftest import write_cube


@pytest.fixture
def project(tmp_path):
    run(new(tmp_path / "project", [write_cube(tmp_path / "raw" / "tea" / "tea.hdr", (30, 28, 12), 0)]))
    return Project.open(tmp_path / "project")


def test_the_command_tells_the_cost_and_leaves_no_run(project):
    run(fit_pca(project, PcaConfig(components=3)))
    run(cut_patches(project, PatchConfig(size=6, stride=3, coverage=0)))
    seen = []
    report = run(devices(project, PretrainConfig(batch_size=8, epochs=2)), lambda _: seen.append(len(list_runs(project))))
    assert max(seen) == 0, "a list of runs that is drawn meanwhile must not show the trial"
    assert not list((project.folder / "runs").iterdir())
    result = CliRunner().invoke(app, ["devices", str(project.folder), "--batch-size", "8", "--epochs", "2", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert [row["device"] for row in told["choices"]] == [row["device"] for row in report["choices"]]
    assert all(row["seconds"] > 0 and row["memory"] > 0 for row in told["choices"])
    assert "note" not in told


@pytest.mark.parametrize(("config", "words"), [(PretrainConfig(), "has no patches yet"), (DistilConfig(), "has no PCA yet")])
def test_what_cannot_be_trained_yet_is_said_beside_the_devices(project, config, words):
    report = run(devices(project, config))
    assert words in report["note"]
    assert report["choices"]
    assert "seconds" not in report["choices"][0]
    assert project.inlet is None
