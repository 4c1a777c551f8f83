"""The scatter step against plain NumPy on scores that are read whole."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import points_in_poly

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.cubes.cube import Classes, ClassMap, as_cube
from napari_hsi_ssl.cubes.writers import save_map, write_envi_cube
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, pca
from napari_hsi_ssl.steps.coordinates import CellCache, Coordinates, pair_of
from napari_hsi_ssl.steps.scatter import Stroke, cells_counted, held_by_cube, scatter, select

SHAPE = (20, 16, 10)
POLYGON = np.array([(-1.0, -0.5), (0.6, -0.7), (0.3, 0.9), (-0.5, 0.4)])


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
    run(pca.fit_pca(made, PcaConfig(bands=10, components=3)))
    return made


def halves(project):
    mask = np.zeros(SHAPE[:2], dtype=bool)
    mask[:, :7] = True
    project.save_mask("coffee", mask)
    return mask


def truth(project, cube, x=0, y=1):
    """Real coordinates (n, 2) of all pixels."""
    scores = np.asarray(project.scores(cube), dtype=np.float32).reshape(-1, 3)[:, [x, y]]
    return scores * project.projection().scale.astype(np.float32)[[x, y]]


def test_only_used_pixels_are_counted_and_by_domain(project):
    mask = halves(project)
    view = run(scatter(project, colour="domain"))
    assert {name: int(found.counts.sum()) for name, found in view.densities.items()} == {"coffee": int(mask.sum()), "sugar": 320}
    places = truth(project, "sugar")
    (x0, x1), (y0, y1) = view.plane.limits
    expected = np.histogram2d(np.clip(places[:, 0], x0, x1), np.clip(places[:, 1], y0, y1), 512, ((x0, x1), (y0, y1)))[0]
    assert np.abs(view.densities["sugar"].counts - expected).sum() <= 2
    assert view.axes[0].startswith("PC 1 (")


def test_colours_by_mask_show_what_is_outside_too(project):
    mask = halves(project)
    view = run(scatter(project, colour="mask"))
    counts = {name: int(found.counts.sum()) for name, found in view.densities.items()}
    assert counts == {"in the masks": int(mask.sum()) + 320, "outside": 320 - int(mask.sum())}


def test_colours_by_label_are_the_classes_and_what_is_painted_counts(project):
    labels = np.zeros(SHAPE[:2], dtype=np.int32)
    labels[:5], labels[5:7] = 2, 9
    project.save_labels("coffee", labels, {2: "arabica", 9: "robusta"})
    view = run(scatter(project, colour="label"))
    counts = {name: int(found.counts.sum()) for name, found in view.densities.items()}
    assert counts == {"not labelled": 640 - 7 * 16, "arabica": 80, "robusta": 32}
    assert view.colours["arabica"] == dict(zip(project.classes.names, project.classes.colours, strict=True))["arabica"]
    painted = run(scatter(project, colour="label", painted={"coffee": np.full(SHAPE[:2], 9)}))
    assert int(painted.densities["robusta"].counts.sum()) == 320


def test_colours_by_map_take_the_newest_one(project):
    with pytest.raises(ProjectError, match="no map yet"):
        run(scatter(project, colour="map"))
    labels = np.ones(SHAPE[:2], dtype=np.int32)
    labels[10:] = 4
    classes = Classes.of([1, 4], {1: "one", 4: "four"})
    save_map(project.map_path("sugar", "run", "knn"), ClassMap(labels, classes, np.ones(SHAPE[:2], dtype=np.float32), {}))
    view = run(scatter(project, colour="map"))
    assert {name: int(found.counts.sum()) for name, found in view.densities.items()} == {"no class": 320, "one": 160, "four": 160}


@pytest.mark.parametrize("kept", [0, 2**20])
def test_a_lasso_holds_the_pixels_whose_scores_lie_in_it(project, kept):
    """With and without memory for the cells: a shift of one pixel or exchanged axes would show at once."""
    mask = halves(project)
    cache = CellCache(kept)
    pair = pair_of(project, 1, 2)
    view = run(scatter(project, pair, cache=cache))
    stroke = Stroke(pair, view.plane, POLYGON)
    expected = points_in_poly(truth(project, "coffee", 1, 2).astype(float), POLYGON).reshape(SHAPE[:2])
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(run(select(project, "coffee", [stroke], cache=cache)), expected & mask)
    np.testing.assert_array_equal(run(select(project, "coffee", [stroke], outside=True, cache=cache)), expected)
    smaller = Stroke(pair, view.plane, POLYGON / 2, "subtract")
    np.testing.assert_array_equal(
        run(select(project, "coffee", [stroke, smaller], outside=True)),
        expected & ~points_in_poly(truth(project, "coffee", 1, 2).astype(float), POLYGON / 2).reshape(SHAPE[:2]),
    )
    added = Stroke(pair, view.plane, POLYGON + 1, "add")
    both = run(select(project, "coffee", [stroke, added], outside=True))
    assert (both >= expected).all()
    assert both.sum() > expected.sum()


def test_cubes_are_told_apart_each_from_each_or_one_from_the_others(project):
    mask = halves(project)
    for cube, expected in (("", {"coffee": int(mask.sum()), "sugar": 320}), ("sugar", {"sugar": 320, "other cubes": int(mask.sum())})):
        view = run(scatter(project, colour="cube", cube=cube))
        assert {name: int(found.counts.sum()) for name, found in view.densities.items()} == expected


def test_what_a_lasso_holds_of_each_cube_is_counted(project):
    view = run(scatter(project))
    strokes = [Stroke(view.pair, view.plane, POLYGON)]
    plain = {cube: int(points_in_poly(truth(project, cube).astype(float), POLYGON).sum()) for cube in ("coffee", "sugar")}
    found = run(held_by_cube(project, ["coffee", "sugar"], strokes))
    assert found == plain
    assert list(found.values()) == sorted(plain.values(), reverse=True)
    away = [Stroke(view.pair, view.plane, POLYGON + 1000)]
    assert run(held_by_cube(project, ["coffee", "sugar"], away)) == {}


def test_a_region_lights_up_where_its_pixels_lie(project):
    view = run(scatter(project))
    region = np.zeros(SHAPE[:2], dtype=bool)
    region[3:6, 4:9] = True
    counts = run(cells_counted(project, "coffee", view, region))
    assert counts.sum() == region.sum()
    x, y = truth(project, "coffee").T
    chosen = region.ravel()
    np.testing.assert_array_equal(counts, view.plane.count(view.plane.cells(x[chosen], y[chosen])))


def test_cells_are_forgotten_when_they_are_too_many():
    cache = CellCache(most_bytes=100)
    cache.put(("a",), np.zeros(20, dtype=np.int32))
    cache.put(("b",), np.zeros(20, dtype=np.int32))
    assert cache.get(("a",)) is None
    assert cache.get(("b",)) is not None


def test_what_is_not_there_is_told_in_a_sentence(project):
    with pytest.raises(ConfigError, match="use a number from 1 to 3"):
        Coordinates(project, pair_of(project).__class__(0, 5, "components", project.inlet))
    with pytest.raises(ConfigError, match="expected one of density"):
        run(scatter(project, colour="size"))
    with pytest.raises(ProjectError, match="no UMAP yet"):
        Coordinates(project, pair_of(project, space="umap"))
    for cube in project.entries:
        project.save_mask(cube, np.zeros(SHAPE[:2], dtype=bool))
    with pytest.raises(ProjectError, match="no used pixel"):
        run(scatter(project))
