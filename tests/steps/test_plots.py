"""What the verbs of a projection write, read back."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from napari_hsi_ssl.config import PcaConfig, UmapConfig
from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.explore.embedding import SampleMap
from napari_hsi_ssl.explore.figure import ticks
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, pca, umap
from napari_hsi_ssl.steps.lasso import lasso_class, lasso_counts, lasso_masks, strokes_around
from napari_hsi_ssl.steps.pca import components
from napari_hsi_ssl.steps.plots import components_report, scatter_report

SHAPE = (20, 16, 10)


@pytest.fixture
def project(tmp_path):
    generator = np.random.default_rng(0)
    files = []
    for domain in ("coffee", "sugar"):
        path = tmp_path / domain / f"{domain}.hdr"
        path.parent.mkdir()
        write_envi_cube(path, as_cube(generator.random(SHAPE, dtype=np.float32), np.linspace(400, 900, 10), "reflectance", name=domain))
        files.append(path)
    run(cubes.new(tmp_path / "project", files))
    made = Project.open(tmp_path / "project")
    run(pca.fit_pca(made, PcaConfig(bands=19, components=3)))
    return made


def test_scatter_writes_every_pixel_into_its_table(project, tmp_path):
    report = run(scatter_report(project, 2, 3, "domain", to=tmp_path / "bins.csv"))
    assert report["pixels"] == {"coffee": 320, "sugar": 320}
    with (tmp_path / "bins.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == [*report["axes"], "coffee", "sugar"]
    assert np.array([row[2:] for row in rows[1:]], dtype=int).sum(axis=0).tolist() == [320, 320]
    places = np.array([row[:2] for row in rows[1:]], dtype=float)
    assert (np.abs(places).max(axis=0) <= np.abs(report["limits"]).max(axis=1)).all()


@pytest.mark.parametrize("colour", ["density", "domain", "mask"])
def test_scatter_draws_a_picture_with_points_in_it(project, tmp_path, colour):
    run(scatter_report(project, colour=colour, to=tmp_path / "scatter.png"))
    with Image.open(tmp_path / "scatter.png") as image:
        picture = np.asarray(image)
    inside = picture[30:560, 100:790].reshape(-1, 3).astype(int)
    assert (np.ptp(inside, axis=1) > 40).sum() > 300, "no coloured pixel in the plot"


def test_loadings_lie_at_the_wavelengths_of_their_bands(project, tmp_path):
    """19 bands of the grid over 10 of the cube: every second one is a band of its own."""
    found = components(project)
    np.testing.assert_allclose(found.positions[::2], np.linspace(400, 900, 10))
    np.testing.assert_allclose(found.cumulative, np.cumsum(found.explained))
    np.testing.assert_array_equal(found.loadings, project.projection().components)
    report = run(components_report(project, to=tmp_path / "loadings.csv"))
    assert report["unit"] == "wavelength_nm"
    with (tmp_path / "loadings.csv").open() as stream:
        rows = list(csv.reader(stream))
    np.testing.assert_allclose(np.array(rows[4:], dtype=float)[:, 1:], found.loadings.T)
    run(components_report(project, to=tmp_path / "loadings.png"))
    with Image.open(tmp_path / "loadings.png") as picture:
        assert picture.size[0] > 500


def test_mnf_is_called_so_and_a_grid_in_nm_is_its_own_axis(project):
    run(pca.fit_pca(project, PcaConfig(bands=12, components=3, method="mnf", grid="wavelength")))
    found = components(project)
    assert found.names == ("MNF 1", "MNF 2", "MNF 3")
    np.testing.assert_array_equal(found.positions, project.projection().grid)
    assert run(scatter_report(project))["axes"][0].startswith("MNF 1")


def test_another_ending_is_refused_before_anything_is_read(project, tmp_path):
    for step in (scatter_report(project, to=tmp_path / "a.pdf"), components_report(project, to=tmp_path / "a.pdf")):
        with pytest.raises(ConfigError, match=r"expected \.png or \.csv"):
            run(step)


def test_a_lasso_from_the_command_line_becomes_masks_and_a_class(project):
    scores = {name: np.asarray(project.scores(name), dtype=np.float32)[..., :2] * project.projection().scale.astype(np.float32)[:2] for name in project.entries}
    strokes = strokes_around(project, [(0, -9), (9, -9), (9, 9), (0, 9)])
    expected = {name: places[..., 0] > 0 for name, places in scores.items()}
    counts = run(lasso_counts(project, strokes))["cubes"]
    assert {name: row["selected"] for name, row in counts.items()} == {name: int(found.sum()) for name, found in expected.items()}
    report = run(lasso_class(project, strokes, "bright", ["sugar"]))
    assert (report["number"], list(report["cubes"])) == (1, ["sugar"])
    np.testing.assert_array_equal(project.labels("sugar") == 1, expected["sugar"])
    run(lasso_masks(project, strokes))
    np.testing.assert_array_equal(project.mask("coffee"), expected["coffee"])
    upper = strokes_around(project, [(-9, 0), (9, 0), (9, 9), (-9, 9)])
    run(lasso_masks(project, upper, "remove"))
    np.testing.assert_array_equal(project.mask("coffee"), expected["coffee"] & (scores["coffee"][..., 1] <= 0))
    run(lasso_masks(project, upper, "add", outside=True))
    np.testing.assert_array_equal(project.mask("coffee"), expected["coffee"] | (scores["coffee"][..., 1] > 0))


def test_masks_that_would_be_empty_stay_and_a_lasso_beside_everything_is_refused(project):
    everything = strokes_around(project, [(-99, -99), (99, -99), (99, 99), (-99, 99)])
    report = run(lasso_masks(project, everything, "remove"))
    assert len(report["warnings"]) == 2
    assert project.mask("coffee") is None
    with pytest.raises(ProjectError, match="holds no pixel"):
        run(lasso_counts(project, strokes_around(project, [(50, 50), (51, 50), (51, 51)])))
    with pytest.raises(ConfigError, match="2 different corners"):
        strokes_around(project, [(0, 0), (1, 1)])


def test_a_umap_is_shown_and_lassoed_like_components(project, monkeypatch):
    """With places that are known: the first two components, mirrored."""

    def mirrored(features, neighbours, distance, seed):
        yield from ()
        return -features[:, :2]

    monkeypatch.setattr(umap, "umap_places", mirrored)
    report = run(umap.fit_umap(project, UmapConfig(sample=100, neighbours=5)))
    assert report["pixels"] == {"coffee": 50, "sugar": 50}
    shown = run(scatter_report(project, space="umap"))
    assert shown["axes"] == ["UMAP 1", "UMAP 2"]
    assert shown["pixels"] == {"coffee": 50, "sugar": 50}
    sample = SampleMap.load(project.folder / report["umap"])
    counts = run(lasso_counts(project, strokes_around(project, [(0, -9), (9, -9), (9, 9), (0, 9)], space="umap")))["cubes"]
    assert sum(row["selected"] for row in counts.values()) == int((sample.places[:, 0] > 0).sum())
    assert project.noted("umap")["settings"]["sample"] == 100


def test_ticks_are_round_numbers_within_the_axis():
    assert ticks(-1.3, 3.9) == [-1.0, 0.0, 1.0, 2.0, 3.0]
    assert ticks(0.0, 0.05, 5) == [0.0, 0.01, 0.02, 0.03, 0.04, 0.05]
