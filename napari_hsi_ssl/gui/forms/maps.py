"""The maps of a cube in the Classify form: choose, show, score, compare, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.forms.pieces import heading, plain_button, row
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.export import export
from napari_hsi_ssl.steps.judge import compare, score

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_EXPORTS = "ENVI classification (*.hdr);;GeoTIFF (*.tif);;PNG with legend (*.png);;Areas (*.csv)"


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
        self.export = plain_button("Export…", "ENVI classification, GeoTIFF, PNG with legend, or a CSV of areas")
        self.show_map.clicked.connect(lambda: [form.desk.map_made.emit(str(path)) for path in self.chosen()])
        self.score.clicked.connect(self.score_map)
        self.compare.clicked.connect(self.compare_maps)
        self.export.clicked.connect(self._ask_export)
        form.canvas.map_shown.connect(self._map_shown)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("Maps of this cube"))
        layout.addWidget(self.list)
        layout.addLayout(row(self.show_map, self.score, self.compare, self.export))

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
        if self._told_of is not None and not self._listing and frozenset(self.chosen()) != self._told_of:
            self.form.hush()  # figures of one map must not stand above another

    def _map_shown(self, path: str) -> None:
        """Choose the map that has come over the image, so that Score and Export mean what is seen."""
        for index in range(self.list.count()):
            item = self.list.item(index)
            item.setSelected(item.data(Qt.ItemDataRole.UserRole) == path)

    def _tell(self, words: str) -> None:
        """Say what belongs to the chosen maps, until others are chosen."""
        self.form.say(words)
        self._told_of = frozenset(self.chosen())

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
        form.done = recipe.score(chosen[0], labels)
        form.run(score(chosen[0], labels), self._scored, "scoring the map", writes=False)

    def _scored(self, report: dict[str, Any]) -> None:
        self._tell(f"OA {report['oa']:.1%} · AA {report['aa']:.1%} · kappa {report['kappa']:.3f} on {report['n']:,} labelled pixels.")
        self.form.warn("Pixels it learned from count here too: for an honest figure, score against labels that were held out.")
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
        test = report.get("mcnemar")
        words = f" · McNemar p = {test['p']:.2g}" if test else ""
        self._tell(f"The maps agree on {report['agreement']:.1%} of the pixels{words}.")
        self.form.desk.result_made.emit("compare", report)
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
        """Write a map for other programs; the ending of the name says how."""
        form = self.form
        form.done = recipe.export(source, to)
        form.run(export(source, to), lambda report: form.say(f"{report['to']} is written."), f"exporting {to.name}", writes=False)
