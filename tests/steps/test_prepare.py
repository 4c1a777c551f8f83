"""Bad bands and the chain in a project: what is saved, what the PCA sees, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.config import ChainConfig, PcaConfig, RunConfig
from napari_hsi_ssl.config.chain import parse_step
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import CubeError, ProjectError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, prepare
from napari_hsi_ssl.steps.pca import components, fit_pca


@pytest.fixture
def project(tmp_path):
    values = np.random.default_rng(0).integers(100, 4000, (20, 18, 25)).astype(np.uint16)
    values[4, 5, 6] = 4095
    write_envi_cube(tmp_path / "raw" / "leaf.hdr", as_cube(values, np.linspace(400, 880, 25), "dn", "leaf"))
    run(cubes.new(tmp_path / "project", [tmp_path / "raw" / "leaf.hdr"]))
    return Project.open(tmp_path / "project")


def test_chain_and_bad_bands_are_saved_and_name_another_pca(project):
    plain = run(fit_pca(project, PcaConfig(bands=10, components=3)))["inlet"]
    report = run(prepare.set_chain(project, ChainConfig(steps=(parse_step("resample:start=420,stop=860,step=40"), parse_step("snv")))))
    assert report["pca_outdated"]
    opened = Project.open(project.folder)
    assert opened.prepared("leaf").shape == (20, 18, 12)
    chained = run(fit_pca(opened, PcaConfig(bands=10, components=3)))["inlet"]
    assert components(opened).loadings.shape == (3, 10)
    run(prepare.bad_bands(opened, chosen="0-2"))
    assert Project.open(project.folder).cube("leaf").attrs["bad_bands"].nonzero()[0].tolist() == [0, 1, 2]
    flagged = run(fit_pca(opened, PcaConfig(bands=10, components=3)))["inlet"]
    assert len({plain, chained, flagged}) == 3
    opened.chain = ChainConfig()
    run(prepare.bad_bands(opened, chosen="header"))
    assert run(fit_pca(opened, PcaConfig(bands=10, components=3)))["inlet"] == plain


def test_a_chain_that_does_not_fit_is_not_saved(project):
    with pytest.raises(CubeError, match="step 1 \\(resample\\)"):
        run(prepare.set_chain(project, ChainConfig(steps=(parse_step("resample:start=400,stop=2000,step=10"),))))
    assert project.chain == ChainConfig()
    with pytest.raises(ProjectError, match="all 25 bands"):
        run(prepare.bad_bands(project, chosen="0-24"))


def test_saturated_pixels_leave_the_mask(project):
    report = run(prepare.flag_saturated(project))
    assert report["cubes"][0]["saturated"] == 1
    assert np.argwhere(~project.mask("leaf")).tolist() == [[4, 5]]


def test_preview_shows_the_mask_before_and_after(project):
    shown = run(prepare.preview_chain(project, "leaf", ChainConfig(steps=(parse_step("snv"),))))
    np.testing.assert_allclose(shown.prepared.mean(axis=1), 0, atol=1e-9)


def test_runs_of_older_versions_have_an_empty_chain():
    old = RunConfig.parse({"kind": "pretrain", "pretrain": {}, "cubes": [{"name": "a", "domain": "b", "path": "c", "sha256": "d"}]})
    assert old.chain == ChainConfig()
