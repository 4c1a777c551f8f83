"""Rivals in the window: scored on the split in use, seen in Results, left half way."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QTableWidget

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import SplitConfig
from napari_hsi_ssl.gui.forms import rivals
from napari_hsi_ssl.gui.plots.results import ResultsView, report_of
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.workbench import open_explorer, open_workbench
from napari_hsi_ssl.steps import cubes
from napari_hsi_ssl.steps.labels import save_painted
from napari_hsi_ssl.steps.project_splits import split_project
from tests.gui.conftest import write_cube


@pytest.fixture
def form(viewer, qtbot, tmp_path, monkeypatch):
    """The Classify form of a project whose labels are divided into left and right, by blocks."""
    monkeypatch.setitem(rivals._CHOICES, "quick", ("the quick ones", ("position", "knn", "lda", "forest"), ""))
    scene = write_cube(tmp_path / "scene" / "scene.hdr", (48, 48, 8))
    run(cubes.new(tmp_path / "divided", [scene]))
    project = Project.open(tmp_path / "divided")
    y, x = np.mgrid[:48, :48]
    run(save_painted(project, "scene", (1 + ((y - 24) ** 2 + (x - 24) ** 2 < 256)).astype(np.int32), {1: "tray", 2: "bean"}))
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    bench.open("classify")
    made = bench.forms["classify"]
    qtbot.waitUntil(made.choose.isEnabled, timeout=10_000)
    return made


def repeated():
    """A report of three folds, as `steps.baselines` returns it."""
    common = {"name": "in full", "kappa": 0.71, "kappa_interval": [0.6, 0.8], "aa": 0.7, "aa_interval": [0.65, 0.75], "seconds": 3.2, "folds": 3, "seeds": 2}
    first = {"key": "distil:bands/3", **common, "oa": 0.81, "oa_interval": [0.7, 0.92], "difference": None, "difference_interval": None, "p": None}
    second = {"key": "svm", **common, "oa": 0.78, "oa_interval": [0.7, 0.86], "difference": -0.03, "difference_interval": [-0.08, 0.02], "p": 0.21}
    return {"rows": [first, second], "reference": "distil:bands/3", "notes": "3 folds."}


def test_repeated_folds_show_intervals_and_differences(qtbot):
    view = ResultsView(Theme.named("dark"))
    qtbot.addWidget(view)
    view.add(report_of("baselines", repeated()))
    grid = view.content.findChild(QTableWidget)
    cells = [[grid.item(row, column).text() for column in range(grid.columnCount())] for row in range(2)]
    assert cells[0] == ["Self-distillation, bands/3", "81.0 %", "70.0 … 92.0", "70.0 %", "65.0 … 75.0", "0.71", "–", "–", "–", "3.2"]
    assert cells[1] == ["RBF SVM", "78.0 %", "70.0 … 86.0", "70.0 %", "65.0 … 75.0", "0.71", "-3.0 %", "-8.0 … 2.0", "0.21", "3.2"]
    assert view.current.table.note == "Reference: Self-distillation, bands/3. 3 folds."
    assert view.current.csv().splitlines()[2].startswith("RBF SVM,0.78,70.0 … 86.0")


def divide(form):
    run(split_project(form.project, SplitConfig(kind="blocks", block=12, guard=0, folds=2), number=1))
    form.refresh()


def test_the_table_needs_a_split_and_stands_in_results(form, qtbot):
    explorer = open_explorer(form.desk.viewer)
    button = form.rivals.button
    assert not button.isEnabled()
    assert "divide the labels" in button.toolTip()
    divide(form)
    assert button.isEnabled()
    button.click()
    qtbot.waitUntil(lambda: "Best on" in form.words.text(), timeout=120_000)
    assert "Position alone, without any spectrum" in form.words.text()
    assert form.done.verb == "baselines"
    assert "share a pixel" in form.warnings.text(), "blocks without a guard leak, and the form says so"
    results = explorer.results
    qtbot.waitUntil(lambda: results.current is not None, timeout=5_000)
    grid = results.content.findChild(QTableWidget)
    assert grid.item(0, 0).text() == "Position alone"
    assert grid.rowCount() == 4
    assert float(grid.item(1, 1).text().removesuffix(" %")) > 90
    assert "share a pixel with a training window" in results.current.table.note


def test_a_table_can_be_left_and_goes_on(form, qtbot):
    divide(form)
    form.rivals.button.click()
    kept = form.project.folder / "tables"
    qtbot.waitUntil(lambda: len(list(kept.glob("*.json"))) >= 2, timeout=60_000)
    form.cancel()
    qtbot.waitUntil(lambda: not form.running, timeout=10_000)
    assert "kept" in form.words.text()
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    form.rivals.button.click()
    qtbot.waitUntil(lambda: "Best on" in form.words.text(), timeout=120_000)
    assert {path: path.stat().st_mtime_ns for path in before} == before
