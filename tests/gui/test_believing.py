"""How far a map can be believed, in the window: images in place of its classes, what is unlike training, differences, areas, reliability."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QTableWidget

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.cubes.writers import load_map, save_map
from napari_hsi_ssl.gui import result_layers
from napari_hsi_ssl.gui.layers import find
from napari_hsi_ssl.gui.plots.results import ResultsView, report_of
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.workbench import open_explorer, open_workbench
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.labels import save_painted
from tests.gui.conftest import write_cube

CLASSES = Classes.of([1, 2], {1: "clay", 2: "chalk"})
SHAPE = (48, 48)


@pytest.fixture
def form(viewer, qtbot, tmp_path):
    """The Classify form of a project of one labelled cube."""
    run(cubes.new(tmp_path / "p", [write_cube(tmp_path / "scene" / "scene.hdr", (*SHAPE, 8))]))
    project = Project.open(tmp_path / "p")
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = (1 + ((y - 24) ** 2 + (x - 24) ** 2 < 256)).astype(np.int32)
    run(save_painted(project, "scene", np.where((y + x) % 3 == 0, truth, 0).astype(np.int32), {1: "clay", 2: "chalk"}))
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    bench.open("classify")
    made = bench.forms["classify"]
    qtbot.waitUntil(made.choose.isEnabled, timeout=10_000)
    return made


def saved(form, name, wrong, layers=()):
    """Save a map of the cube that is wrong in its first rows."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    found = (1 + ((y - 24) ** 2 + (x - 24) ** 2 < 256)).astype(np.int32)
    found[20 : 20 + wrong] = 3 - found[20 : 20 + wrong]
    generator = np.random.default_rng(0)
    images = {layer: generator.random(SHAPE).astype(np.float32) for layer in layers}
    path = form.project.map_path("scene", name, "knn")
    save_map(path, ClassMap(found, CLASSES, generator.uniform(0.6, 1, SHAPE).astype(np.float32), {"run": name, "cube": "scene"}, images))
    return path


def shown(form, path, qtbot):
    viewer = form.desk.viewer
    form.desk.map_made.emit(str(path))
    qtbot.waitUntil(lambda: result_layers.map_on_canvas(viewer, path) is not None, timeout=10_000)
    layer = result_layers.map_on_canvas(viewer, path)
    qtbot.waitUntil(lambda: result_layers.confidence_of(viewer, layer) is not None, timeout=10_000)
    return layer


def test_the_images_of_a_map_take_the_place_of_its_classes(form, qtbot):
    """Else what was written beside a map could only be seen in other programs."""
    viewer, look = form.desk.viewer, form.look
    plain, rich = saved(form, "plain", 1), saved(form, "rich", 2, ("entropy", "typicality"))
    layer = shown(form, rich, qtbot)
    assert [look.images.itemText(index) for index in range(look.images.count())] == ["Classes", "Confidence", "Entropy", "Unlike training"]
    look.show_image("typicality")
    qtbot.waitUntil(lambda: result_layers.layer_of(viewer, layer, "typicality") is not None, timeout=10_000)
    strange = result_layers.layer_of(viewer, layer, "typicality")
    np.testing.assert_allclose(strange.data, 1 - load_map(rich, layers=True).layers["typicality"])  # the stranger the brighter
    assert strange.visible
    assert not layer.visible
    look.show_image("entropy")
    qtbot.waitUntil(lambda: result_layers.layer_of(viewer, layer, "entropy") is not None, timeout=10_000)
    assert not strange.visible
    look.show_image("")
    assert layer.visible
    assert not result_layers.layer_of(viewer, layer, "entropy").visible
    shown(form, plain, qtbot)
    assert [look.images.itemText(index) for index in range(look.images.count())] == ["Classes", "Confidence"]
    again = shown(form, saved(form, "rich", 3), qtbot)  # made anew without them: the old ones must not stand beside it
    qtbot.waitUntil(lambda: result_layers.layer_of(viewer, again, "entropy") is None, timeout=10_000)
    qtbot.waitUntil(lambda: look.images.count() == 2, timeout=10_000)


def test_what_is_unlike_training_is_marked_on_request(form, qtbot):
    form.method.setCurrentIndex(form.method.findData("knn"))
    form.run_box.setCurrentText("spectra")
    assert form.config().unknown is None
    form.believing.setValue(0.1)
    assert form.config().unknown == pytest.approx(0.1)
    assert form.config().layers == ("entropy",)
    words = form.recipe().words
    assert words[words.index("--unknown") + 1] == "0.1"
    assert words[words.index("--layer") + 1] == "entropy"
    with qtbot.waitSignal(form.canvas.map_shown, timeout=60_000):
        form.make.click()
    (path,) = form.project.maps()
    found = load_map(path, layers=True)
    assert found.classes.names == ("clay", "chalk", "unlike training")
    np.testing.assert_array_equal(found.labels == 3, found.layers["typicality"] <= np.float32(0.1))
    assert 0 < (found.labels == 3).mean() < 0.3
    assert [form.look.images.itemData(index) for index in range(form.look.images.count())] == ["", "confidence", "entropy", "typicality"]
    assert any("unlike training" in form.look.legend.item(index).text() for index in range(form.look.legend.count()))


def test_two_maps_are_compared_over_the_image_and_in_the_table(form, qtbot):
    explorer = open_explorer(form.desk.viewer)
    paths = [saved(form, "one", 2), saved(form, "two", 8)]
    shown(form, paths[0], qtbot)
    form.refresh()
    form.maps.list.selectAll()
    form.maps.compare_maps()
    qtbot.waitUntil(lambda: find(form.desk.viewer, "differences", "scene") is not None, timeout=20_000)
    layer = find(form.desk.viewer, "differences", "scene")
    assert (np.asarray(layer.data) > 0).sum() == 6 * SHAPE[1]
    assert set(layer.features["class"]) >= {"clay → chalk", "chalk → clay"}
    assert "where they differ is coloured" in form.words.text()
    assert not any(one.visible for one in result_layers.map_layers(form.desk.viewer))  # their colours mean classes, not pairs
    assert "clay → chalk" in form.look.legend.item(0).text() + form.look.legend.item(1).text()
    qtbot.waitUntil(lambda: explorer.results.current is not None and explorer.results.current.title.startswith("compare"), timeout=5_000)
    grid = explorer.results.content.findChild(QTableWidget)
    assert [grid.item(row, 0).text() for row in range(2)] == ["clay", "chalk"]
    assert "blocks of 24 pixels" in explorer.results.current.table.note
    shown(form, paths[1], qtbot)
    qtbot.waitUntil(lambda: not layer.visible, timeout=5_000)


def test_areas_and_reliability_stand_in_the_results(form, qtbot, tmp_path):
    explorer = open_explorer(form.desk.viewer)
    path = saved(form, "one", 6)
    labels = form.project.labels_path("scene")
    form.maps.areas_by(path, labels)
    qtbot.waitUntil(lambda: explorer.results.current is not None and explorer.results.current.title.startswith("areas"), timeout=20_000)
    assert form.done.command.endswith(f"areas {path} --labels {labels}")
    assert explorer.results.current.table.columns[2] == "Mapped, pixels"
    assert sum(row[3] for row in explorer.results.current.table.rows) == pytest.approx(SHAPE[0] * SHAPE[1])


def test_a_score_shows_confidence_against_accuracy(form, qtbot):
    """Else nobody would see that a map which says 80 % is right in 60 % of such pixels."""
    report = run(score(saved(form, "one", 6), form.project.labels_path("scene")))
    view = ResultsView(Theme.named("dark"))
    qtbot.addWidget(view)
    view.resize(900, 320)
    view.add(report_of("score", report))
    content = view.content
    assert "ECE" in content.words.text()
    np.testing.assert_allclose(content.reliability.accuracy, [100 * row["accuracy"] for row in report["reliability"]])
    assert not content.reliability.isVisibleTo(view)
    content.believed.click()
    assert content.reliability.isVisibleTo(view)
    found = tifffile.imread(form.project.map_path("scene", "one", "knn"))
    truth = tifffile.imread(form.project.labels_path("scene"))
    assert content.reliability.n.sum() == (truth > 0).sum()
    assert (content.reliability.n @ content.reliability.accuracy) / 100 == pytest.approx((found == truth)[truth > 0].sum())
