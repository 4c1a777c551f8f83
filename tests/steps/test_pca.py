"""A projection is named by what it was made from, so nothing old is taken for new, and nothing a run relies on changes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.pca import fit_pca


@pytest.fixture
def project(tmp_path) -> Project:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((12, 10, 8)))
    run(new(tmp_path / "project", [tmp_path / "a.npy"]))
    return Project.open(tmp_path / "project")


def test_a_file_that_changed_gets_a_projection_and_scores_of_its_own(project, tmp_path):
    """The same name and shape with other values must not be answered with the scores of before."""
    first = run(fit_pca(project, PcaConfig(components=3)))
    before = np.array(project.scores("a"))
    np.save(tmp_path / "a.npy", np.random.default_rng(1).random((12, 10, 8)))
    second = run(fit_pca(Project.open(project.folder), PcaConfig(components=3)))
    assert second["inlet"] != first["inlet"]
    assert any("has changed" in warning for warning in second["warnings"])
    assert not np.allclose(np.array(Project.open(project.folder).scores("a")), before)
    assert not run(fit_pca(Project.open(project.folder), PcaConfig(components=3)))["warnings"], "it is told once"


def test_the_same_pca_again_leaves_the_files_of_the_first_alone(project):
    """Runs know pca.npz and the scores by their hashes."""
    run(fit_pca(project, PcaConfig(components=3)))
    folder = project.inlet_folder()
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    run(fit_pca(project, PcaConfig(components=3)))
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()} == before


def test_the_same_pca_again_heals_scores_that_were_cut(project):
    """The sentence about them says so, and a file that was there used to be left as it was."""
    run(fit_pca(project, PcaConfig(components=3)))
    path = project.inlet_folder() / "a.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ProjectError, match="holds no scores"):
        project.scores("a")
    run(fit_pca(project, PcaConfig(components=3)))
    assert path.read_bytes() == whole
