"""Bad bands and the chain in a project: what is saved, what the PCA sees, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl.config import ChainConfig, ClassifyConfig, DistilConfig, EvaluateConfig, PatchConfig, PcaConfig, PretrainConfig, RunConfig
from napari_hsi_ssl.config.chain import parse_step
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import confidence_path, write_envi_cube
from napari_hsi_ssl.errors import CubeError, ProjectError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, patches, prepare, train
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.evaluate import evaluate
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


def test_a_run_on_bands_keeps_its_chain_and_its_bad_bands(project):
    """A map must be made of what the network was taught on, however the project prepares spectra now."""
    drawn = np.zeros((20, 18), dtype=np.int32)
    drawn[:6], drawn[10:16] = 1, 2
    project.save_labels("leaf", drawn, {1: "one", 2: "two"})
    first = ChainConfig(steps=(parse_step("savgol:window=5,order=2"), parse_step("snv")))
    run(prepare.set_chain(project, first))
    run(prepare.bad_bands(project, chosen="3,20-22"))
    run(fit_pca(project, PcaConfig(bands=10, components=3)))
    taught = DistilConfig(input="bands", epochs=1, batch_size=16, window=3, max_steps=2, devices=1)
    run(train.distil(project, taught, run="taught"))
    pinned = project.run_folder("taught")
    assert pinned.config.chain == first
    assert pinned.config.cubes[0].bad_bands == (3, 20, 21, 22)
    stored = np.load(pinned.resolve(pinned.config.cubes[0].path))
    np.testing.assert_array_equal(stored, np.asarray(project.prepared("leaf").data))
    np.testing.assert_allclose(np.delete(stored, [3, 20, 21, 22], axis=2).mean(axis=2), 0, atol=1e-5)

    made = run(classify(project, "taught", ClassifyConfig(method="distil")))["maps"][0]["path"]
    before, sure = tifffile.imread(made), tifffile.imread(confidence_path(Path(made)))
    run(prepare.set_chain(project, ChainConfig(steps=(parse_step("resample:start=420,stop=860,step=40"),))))
    run(prepare.bad_bands(project, chosen="0-9"))
    made = run(classify(project, "taught", ClassifyConfig(method="distil")))["maps"][0]["path"]
    np.testing.assert_array_equal(tifffile.imread(made), before)
    np.testing.assert_array_equal(tifffile.imread(confidence_path(Path(made))), sure)
    assert len(np.unique(before)) > 1 or np.ptp(sure) > 0


def test_a_run_is_judged_with_the_chain_of_its_projection(project):
    y, x = np.mgrid[:20, :18]
    drawn = (1 + (y // 3 + x // 3) % 2).astype(np.int32)
    project.save_labels("leaf", drawn, {1: "one", 2: "two"})
    run(prepare.set_chain(project, ChainConfig(steps=(parse_step("resample:start=420,stop=860,step=20"), parse_step("snv")))))
    run(fit_pca(project, PcaConfig(bands=16, components=4)))
    run(patches.cut_patches(project, PatchConfig(size=4, stride=1, coverage=0.2, split="blocks")))
    run(train.pretrain(project, PretrainConfig.from_recipe("pixel", epochs=1, batch_size=4, max_steps=2, projection=16, devices=1), run="learned"))
    first = run(evaluate(project, "learned", EvaluateConfig(k=3, labels="class", minimum=1)))
    assert 0 <= first["knn_accuracy"] <= 1
    assert first["simple"]
    run(prepare.set_chain(project, ChainConfig()))
    again = run(evaluate(project, "learned", EvaluateConfig(k=3, labels="class", minimum=1)))
    assert again["simple"] == first["simple"]
    assert again["knn_accuracy"] == first["knn_accuracy"]
