"""Results: tables, the confusion matrix, copy and save."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QTableWidget

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.plots.confusion import ConfusionPlot
from napari_hsi_ssl.gui.plots.results import ResultsView, evaluation, map_areas, report_of, tabs
from napari_hsi_ssl.gui.plots.tables import plain_table, written
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.metrics.scores import agreement, report

CLASSES = Classes.of([2, 5, 9], {2: "corn", 5: "wheat", 9: "woods"})
EVALUATION = {
    "knn_accuracy": 0.93412, "linear_probe": 0.9561, "random_knn_accuracy": 0.612, "random_linear_probe": 0.7, "k": 20, "labels": "domain",
    "simple": {"mean_spectrum": {"knn_accuracy": 0.88, "linear_probe": 0.91}, "mean_pca": {"knn_accuracy": 0.87, "linear_probe": None}},
    "n_train": 3400, "n_test": 1200, "split": "by whole cube", "chance": 0.31, "not_scored": {"hippo": {"test": 12, "train": 30, "why": "12 held-out patches"}},
}  # fmt: skip


@pytest.fixture(params=["dark", "light"])
def view(request, qtbot):
    widget = ResultsView(Theme.named(request.param))
    qtbot.addWidget(widget)
    return widget


def score():
    rng = np.random.default_rng(3)
    truth = rng.choice([0, 2, 5, 9], 400)
    predicted = np.where(rng.random(400) < 0.7, truth, rng.choice([2, 5, 9], 400))
    return report(truth, np.where(predicted == 0, 2, predicted), CLASSES)


def cells(view):
    grid = view.content.findChild(QTableWidget)
    return [[grid.item(row, column).text() for column in range(grid.columnCount())] for row in range(grid.rowCount())]


def test_a_judgement_shows_the_backbone_beside_its_rivals_in_percent(view):
    view.add(evaluation("pretrain-1", EVALUATION))
    assert cells(view) == [
        ["Pretrained backbone", "93.4 %", "95.6 %"],
        ["Random backbone", "61.2 %", "70.0 %"],
        ["Mean spectrum", "88.0 %", "91.0 %"],
        ["Mean PCA spectrum", "87.0 %", "–"],
    ]
    note = view.current.table.note
    assert "1,200 held out" in note
    assert "hippo (12 held-out patches)" in note


def test_areas_have_swatches_and_shares_that_add_up(view):
    view.add(map_areas("indian_pines · run · knn", {"corn": 30, "wheat": 60, "woods": 10}, CLASSES, 0.83))
    assert cells(view)[1] == ["wheat", "60", "60.0 %"]
    assert sum(row[2] for row in view.current.table.rows) == pytest.approx(1)
    assert "83.0 %" in view.current.table.note
    grid = view.content.findChild(QTableWidget)
    colour = grid.item(1, 0).icon().pixmap(12, 12).toImage().pixelColor(6, 6).name()
    assert colour == CLASSES.colours[1]


def test_a_score_shows_figures_and_matrix_of_the_report(view):
    found = score()
    view.add(report_of("score", {**found, "map": "a--b--knn"}))
    plot = view.content.findChild(ConfusionPlot)
    counts = np.array(found["confusion"])
    assert plot.words(0, 1) == f"corn mapped as wheat: {counts[0, 1]} of {counts[0].sum()} ({100 * counts[0, 1] / counts[0].sum():.1f} %)"
    np.testing.assert_allclose(plot._shares.sum(axis=1), 1)
    assert f"OA {100 * found['oa']:.1f} %" in view.current.table.note
    assert f"κ {found['kappa']:.3f}" in view.current.table.note


def test_matrix_rows_are_true_classes_from_the_top(view):
    # A matrix drawn from the bottom, or transposed, would blame the wrong class.
    plot = ConfusionPlot(score(), Theme.named("dark"))
    assert plot.matrix.vb.yInverted()
    assert [text for _, text in plot.matrix.getAxis("left")._tickLevels[0]] == ["2 corn", "5 wheat", "9 woods"]


def test_rows_and_columns_of_the_matrix_are_named(qtbot):
    plot = ConfusionPlot(score(), Theme.named("dark"))
    qtbot.addWidget(plot)
    assert plot.matrix.getAxis("left").labelText == "Class in the labels"
    assert plot.matrix.getAxis("bottom").labelText == "Map"


def test_two_results_of_one_cube_are_told_apart_and_no_column_is_cut_off(view, qtbot):
    # At 1280 px the dock is 480 px wide: both entries read "abu-urban-2 · training…", and the share was beyond the edge.
    for method in ("ridge", "knn"):
        view.add(map_areas(f"abu-urban-2 · training-free · {method}", {"corn": 30, "wheat": 60, "woods": 10}, CLASSES))
    view.resize(480, 240)
    view.show()
    qtbot.waitExposed(view)
    grid = view.content.findChild(QTableWidget)
    assert sum(grid.columnWidth(column) for column in range(3)) <= grid.viewport().width()
    one_line = view.list.fontMetrics().height()
    assert all(view.list.visualItemRect(view.list.item(row)).height() >= 2 * one_line for row in range(2))


def test_the_matrix_is_seen_whole_in_a_small_dock(view, qtbot):
    view.add(report_of("score", {**score(), "map": "a--b--knn"}))
    view.resize(480, 250)
    view.show()
    qtbot.waitExposed(view)
    plot = view.content.findChild(ConfusionPlot)
    qtbot.waitUntil(lambda: plot.width() <= plot.parentWidget().width(), timeout=3000)


def test_a_class_of_the_map_without_labels_has_no_bar(qtbot):
    truth, predicted = np.array([2, 2, 5, 5]), np.array([2, 9, 5, 5])
    plot = ConfusionPlot(report(truth, predicted, CLASSES), Theme.named("dark"))
    qtbot.addWidget(plot)
    recall, precision, _ = (item for item in plot.bars.items if type(item).__name__ == "BarGraphItem")
    assert recall.opts["width"].tolist() == [50.0, 100.0]
    assert precision.opts["width"].tolist() == [100.0, 100.0]
    assert plot._shares[2].tolist() == [0, 0, 0]


def test_the_matrix_tells_counts_or_percent(view):
    found = score()
    view.add(report_of("score", {**found, "map": "a--b--knn"}))
    plot, counts = view.content.findChild(ConfusionPlot), np.array(found["confusion"])
    assert [text.toPlainText() for text in plot._written] == [f"{count:,}" for count in counts[counts > 0]]
    view.content.percent.click()
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    assert [text.toPlainText() for text in plot._written] == [f"{share:.0f}" for share in shares[counts > 0]]
    drawn = [item for item in plot.matrix.items if type(item).__name__ == "TextItem"]
    assert len(drawn) == np.count_nonzero(counts), "the counts would shine through"


def test_a_page_is_asked_for_where_map_and_labels_are_known(view, tmp_path, monkeypatch, qtbot):
    view.add(report_of("score", {**score(), "map": "a--b--knn"}))
    assert not view.html_button.isEnabled(), "an older result does not say which map it is of"
    view.add(report_of("score", {**score(), "map": "a--b--knn", "path": "/m/a--b--knn.tif", "labels": "/l.tif"}))
    monkeypatch.setattr("napari_hsi_ssl.gui.plots.results.QFileDialog.getSaveFileName", lambda *words: (str(tmp_path / words[2]), ""))
    with qtbot.waitSignal(view.page_wanted, timeout=1000) as asked:
        view.html_button.click()
    assert asked.args == ["/m/a--b--knn.tif", "/l.tif", str(tmp_path / "a--b--knn.html")]


def test_a_comparison_is_a_plain_table():
    table = plain_table({"agreement": agreement(np.array([2, 2, 5]), np.array([2, 5, 5])), "verdict": "no difference"})
    assert ("Agreement", "66.7 %") in table.rows
    assert ("Verdict", "no difference") in table.rows


def test_a_newer_result_of_the_same_name_replaces_the_older(view):
    view.add(evaluation("run", EVALUATION))
    view.add(map_areas("map", {"corn": 1}, CLASSES))
    view.add(evaluation("run", {**EVALUATION, "knn_accuracy": 0.5}))
    assert view.titles == ["run · domain labels", "map"]
    assert cells(view)[0][1] == "50.0 %"
    view.list.setCurrentRow(1)
    assert cells(view)[0][0] == "corn"


def test_copy_and_csv_carry_plain_numbers(view, tmp_path, monkeypatch):
    found = score()
    view.add(report_of("score", found))
    view.copy()
    rows = list(csv.reader(io.StringIO(QApplication.clipboard().text()), delimiter="\t"))
    assert float(rows[1][2]) == found["per_class"]["2"]["accuracy"]
    monkeypatch.setattr("napari_hsi_ssl.gui.plots.results.QFileDialog.getSaveFileName", lambda *_: (str(tmp_path / "r.csv"), ""))
    view.csv_button.click()
    text = (tmp_path / "r.csv").read_text()
    assert tabs(text) == QApplication.clipboard().text()
    assert [int(cell) for cell in text.splitlines()[-1].split(",")[1:]] == found["confusion"][-1]


def test_png_is_a_picture_of_what_is_shown(view, tmp_path, monkeypatch, qtbot):
    view.add(report_of("score", score()))
    view.resize(900, 300)
    view.show()
    qtbot.waitExposed(view)
    monkeypatch.setattr("napari_hsi_ssl.gui.plots.results.QFileDialog.getSaveFileName", lambda *_: (str(tmp_path / "r.png"), ""))
    view.png_button.click()
    from skimage.io import imread

    image = imread(tmp_path / "r.png")
    assert image.shape[1] > 500
    assert len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 20


def test_without_a_result_nothing_can_be_saved_and_it_says_what_to_do(view):
    assert not view.png_button.isEnabled()
    assert "No result yet" in view.content.text()
    view.add(evaluation("run", EVALUATION))
    view.clear()
    assert not view.png_button.isEnabled()


@pytest.mark.parametrize(("value", "how", "text"), [(None, "percent", "–"), (0.12345, "percent", "12.3 %"), (12345, "count", "12,345"), ("a", "number", "a")])
def test_numbers_as_a_reader_sees_them(value, how, text):
    assert written(value, how) == text
