"""The maps of a cube in the Classify form: choose, show, score, compare, export."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QFileDialog, QListWidget, QListWidgetItem, QShortcut, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import ClassMap
from napari_hsi_ssl.gui import result_layers
from napari_hsi_ssl.gui.forms.pieces import QUIET, heading, plain_button, row, words_label
from napari_hsi_ssl.gui.layers import role_of
from napari_hsi_ssl.gui.swipe import Comparison
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.areas import areas
from napari_hsi_ssl.steps.export import export
from napari_hsi_ssl.steps.judge import compare, difference_map
from napari_hsi_ssl.steps.project_splits import score_held_out
from napari_hsi_ssl.steps.report import report_held_out

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_EXPORTS = "ENVI classification (*.hdr);;GeoTIFF (*.tif);;PNG with legend (*.png);;Areas (*.csv);;Report (*.html)"
_SWIPE, _BLINK, _WHY = "Shift+W", "Shift+B", "Shift+Y"


class MapList(QWidget):
    """The maps of the current cube, and what can be done with those chosen.

    Parameters
    ----------
    form : Form
        Runs the steps and shows their words.
    """

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.form = form
        self._told_of: frozenset[Path] | None = None
        self._listing = False
        self.list = QListWidget()
        self.list.setMaximumHeight(90)
        self.list.setToolTip("Double-click a map to see it over the image; choose two to compare them")
        self.list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.list.itemDoubleClicked.connect(lambda item: form.desk.map_made.emit(item.data(Qt.ItemDataRole.UserRole)))
        self.list.itemSelectionChanged.connect(self._chosen_changed)
        self.show_map = plain_button("Show", "Lay the chosen map over the image")
        self.score = plain_button("Score", "Overall and average accuracy, kappa and confusion against this cube's labels")
        self.compare = plain_button("Compare", "Agreement of two chosen maps, and whether one is better (McNemar)")
        self.export = plain_button("Export…", "ENVI classification, GeoTIFF, PNG with legend, a CSV of areas, or a page that reports on the map")
        self.show_map.clicked.connect(lambda: [form.desk.map_made.emit(str(path)) for path in self.chosen()])
        self.score.clicked.connect(self.score_map)
        self.compare.clicked.connect(self.compare_maps)
        self.export.clicked.connect(self._ask_export)
        self.comparison = Comparison(form.desk.viewer, self)
        self.swipe = plain_button("Swipe", f"Two chosen maps, divided by a line that is dragged over the image ({_SWIPE})")
        self.blink = plain_button("Blink", f"Two chosen maps in turn ({_BLINK})")
        for button, mode in ((self.swipe, "swipe"), (self.blink, "blink")):
            button.setCheckable(True)
            button.clicked.connect(partial(self.compare_by_eye, mode))
        self.why = plain_button("Why?", f"Click a pixel of the map: votes, exits and the labelled pixels most like it ({_WHY})")
        self.why.clicked.connect(lambda: form.desk.plot_wanted.emit("why"))
        self.areas = plain_button("Areas…", "What each class really covers, with its 95 % interval: the map's areas corrected by its errors on labels")
        self.areas.clicked.connect(self.adjust_areas)
        self.seen = words_label(QUIET)
        self.seen.hide()
        for keys, button in ((_SWIPE, self.swipe), (_BLINK, self.blink), (_WHY, self.why)):
            QShortcut(QKeySequence(keys), self).activated.connect(button.click)
        self.comparison.changed.connect(self._compared_by_eye)
        form.canvas.map_shown.connect(self._map_shown)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("Maps of this cube"))
        layout.addWidget(self.list)
        layout.addLayout(row(self.show_map, self.score, self.compare, self.export))
        layout.addLayout(row(self.swipe, self.blink, self.why, self.areas, None))
        layout.addWidget(self.seen)

    # -- the list ---------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """List the maps of the current cube; those chosen stay chosen."""
        project, chosen = self.form.project, {str(path) for path in self.chosen()}
        self._listing = True
        self.list.clear()
        for path in project.maps() if project else []:
            cube, run, how = path.stem.split("--")
            if cube == self.form.desk.cube:
                item = QListWidgetItem(f"{run} · {how}")
                item.setData(Qt.ItemDataRole.UserRole, str(path))
                item.setToolTip(str(path))
                self.list.addItem(item)
                item.setSelected(str(path) in chosen)
        if self.list.count() and not self.list.selectedItems():
            self.list.item(self.list.count() - 1).setSelected(True)
        self._listing = False
        self._chosen_changed()

    def chosen(self) -> list[Path]:
        """Return the paths of the maps chosen in the list."""
        return [Path(item.data(Qt.ItemDataRole.UserRole)) for item in self.list.selectedItems()]

    def hushed(self) -> None:
        """Take note that the form has taken its words away."""
        self._told_of = None

    def _chosen_changed(self) -> None:
        count = len(self.list.selectedItems())
        for button, on in ((self.show_map, count > 0), (self.score, count == 1), (self.compare, count == 2), (self.export, count == 1)):
            button.setEnabled(on)
        self.areas.setEnabled(count == 1)
        for button in (self.swipe, self.blink):
            button.setEnabled(count == 2 or bool(self.comparison.mode))
        self.why.setEnabled(self.list.count() > 0)
        if self._told_of is not None and not self._listing and frozenset(self.chosen()) != self._told_of:
            self.form.hush()  # figures of one map must not stand above another

    def _map_shown(self, path: str) -> None:
        """Choose the map that has come over the image, so that Score and Export mean what is seen."""
        self.comparison.end(restore=False)
        for index in range(self.list.count()):
            item = self.list.item(index)
            item.setSelected(item.data(Qt.ItemDataRole.UserRole) == path)

    def _tell(self, words: str) -> None:
        """Say what belongs to the chosen maps, until others are chosen."""
        self.form.say(words)
        self._told_of = frozenset(self.chosen())

    # -- two maps by eye --------------------------------------------------------------------------------------------------

    def compare_by_eye(self, mode: str, *_: object) -> None:
        """Swipe between the two chosen maps, or show them in turn; asked again, end it."""
        chosen, again = self.chosen(), self.comparison.mode == mode
        self.comparison.end()
        self._compared_by_eye()
        if again or len(chosen) != 2:
            return
        missing = [path for path in chosen if result_layers.map_on_canvas(self.form.desk.viewer, path) is None]
        self.form.jobs.call(_read, missing, on_result=partial(self._both_there, mode, chosen), slot="maps", label="maps", on_error=self._unreadable)

    def _both_there(self, mode: str, chosen: list[Path], found: dict[Path, ClassMap]) -> None:
        form = self.form
        if not form.desk.alive or any(path.stem.split("--")[0] != form.desk.cube for path in chosen):
            return
        viewer = form.desk.viewer
        for path, one in found.items():
            result_layers.show_map(viewer, form.desk.cube, one.labels, one.classes, result_layers.map_title(path))
        first, second = (result_layers.map_on_canvas(viewer, path) for path in chosen)
        for layer in viewer.layers:
            if role_of(layer) in {"mask", "labels", "grid", "map", "confidence"} and layer not in (first, second):
                layer.visible = False
        if first is not None and second is not None:
            (self.comparison.swipe if mode == "swipe" else self.comparison.blink)(first, second)

    def _unreadable(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.form.say(sentence, "error")
        self._compared_by_eye()

    def _compared_by_eye(self) -> None:
        comparison = self.comparison
        self.swipe.setChecked(comparison.mode == "swipe")
        self.blink.setChecked(comparison.mode == "blink")
        words = ""
        if comparison.maps is not None:
            left, right = (layer.name.split(" · ", 1)[-1] for layer in comparison.maps)
            words = f"left {left}\nright {right}" if comparison.mode == "swipe" else f"now {(left, right)[comparison.shown]}"
        self.seen.setText(words)
        self.seen.setVisible(bool(words))
        if not comparison.mode:
            self._chosen_changed()

    # -- acts -------------------------------------------------------------------------------------------------------------

    def score_map(self) -> None:
        """Score the chosen map against the labels of its cube."""
        form, chosen = self.form, self.chosen()
        if form.project is None or len(chosen) != 1:
            return
        labels = form.project.labels_path(form.desk.cube)
        if not labels.exists():
            path, _ = QFileDialog.getOpenFileName(self, "Labels to score against", form.memory.folder("labels"))
            if not path:
                return
            form.memory.used("labels", Path(path))
            labels = Path(path)
        form.run(score_held_out(form.project, chosen[0], form.desk.cube, labels), self._scored, "scoring the map", writes=False)

    def _scored(self, report: dict[str, Any]) -> None:
        self.form.done = recipe.score(Path(report["path"]), Path(report["labels"]))
        whose = "test pixels of its split" if report["of_split"] else "labelled pixels"
        self._tell(f"OA {report['oa']:.1%} · AA {report['aa']:.1%} · kappa {report['kappa']:.3f} on {report['n']:,} {whose}. {report['worth']}")
        if report["audit"] is None or report["trained_on"]:
            self.form.warn("Pixels it learned from may count here too: for an honest figure, score against labels that were held out.")
        self.form.desk.result_made.emit("score", report)
        self.form.desk.plot_wanted.emit("results")

    def compare_maps(self) -> None:
        """Compare the two chosen maps."""
        form, chosen = self.form, self.chosen()
        if form.project is not None and len(chosen) == 2:
            labels = form.project.labels_path(form.desk.cube)
            form.done = recipe.compare(chosen[0], chosen[1], labels if labels.exists() else None)
            form.run(compare(chosen[0], chosen[1], labels if labels.exists() else None), self._compared, "comparing the maps", writes=False)

    def _compared(self, report: dict[str, Any]) -> None:
        gain = report.get("difference")
        interval = f" (95 %: {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})" if gain and gain["low"] is not None else ""
        words = f" Accuracy of the first less that of the second: {100 * gain['difference']:+.1f} points{interval}." if gain else ""
        self._tell(f"The maps agree on {report['agreement']:.1%} of the pixels; where they differ is coloured by who says what.{words}")
        self.form.desk.result_made.emit("compare", report)
        self.form.desk.plot_wanted.emit("results")
        chosen = self.chosen()
        if len(chosen) == 2:
            self.form.jobs.call(difference_map, *chosen, on_result=self._show_differences, slot="differences", label="differences")

    def _show_differences(self, found: ClassMap) -> None:
        form = self.form
        if form.desk.alive and found.labels.shape == _shape(form):
            result_layers.show_differences(form.desk.viewer, form.desk.cube, found.labels.astype(np.int32), found.classes, f"{form.desk.cube} differences")
            form.look.refresh()

    def adjust_areas(self) -> None:
        """Estimate the areas of the chosen map's classes with the errors that the cube's labels show."""
        form, chosen = self.form, self.chosen()
        if form.project is None or len(chosen) != 1:
            return
        path, _ = QFileDialog.getOpenFileName(self, "Labels that did not teach the map", form.memory.folder("labels"))
        if path:
            form.memory.used("labels", Path(path))
            self.areas_by(chosen[0], Path(path))

    def areas_by(self, found: Path, labels: Path) -> None:
        """Estimate areas by a label file."""
        self.form.done = recipe.areas(found, labels)
        self.form.run(areas(found, labels), self._areas_known, "areas", writes=False)

    def _areas_known(self, report: dict[str, Any]) -> None:
        self._tell(f"Areas by {report['n']:,} labelled pixels: the map is right on {report['overall']:.1%} ± {100 * report['overall_error']:.1f} of its area.")
        self.form.desk.result_made.emit("areas", report)
        self.form.desk.plot_wanted.emit("results")

    def _ask_export(self) -> None:
        chosen, memory = self.chosen(), self.form.memory
        if chosen:
            name = str(Path(memory.folder("exports")) / f"{chosen[0].stem}.hdr")
            path, _ = QFileDialog.getSaveFileName(self, "Export the map", name, _EXPORTS)
            if path:
                memory.used("exports", Path(path))
                self.export_map(chosen[0], Path(path))

    def export_map(self, source: Path, to: Path) -> None:
        """Write a map for other programs, or a page about it; the ending of the name says how."""
        form = self.form
        if to.suffix.lower() in {".html", ".htm"} and form.project is not None:
            form.run(report_held_out(form.project, source, form.desk.cube, to), self._reported, "writing the report", writes=False)
            return
        form.done = recipe.export(source, to)
        form.run(export(source, to), lambda report: form.say(f"{report['to']} is written."), f"exporting {to.name}", writes=False)

    def _reported(self, told: dict[str, Any]) -> None:
        labels, project = told["labels"], self.form.project
        if project is not None:
            self.form.done = recipe.report(project.folder, Path(told["map"]), Path(told["to"]), Path(labels) if labels else None)
        self.form.say(f"{told['to']} is written.")


def _shape(form: Form) -> tuple[int, ...]:
    return form.project.entry(form.desk.cube).shape[:2] if form.project is not None and form.desk.cube else ()


def _read(paths: list[Path]) -> dict[Path, ClassMap]:
    from napari_hsi_ssl.cubes.writers import load_map

    return {path: load_map(path) for path in paths}
