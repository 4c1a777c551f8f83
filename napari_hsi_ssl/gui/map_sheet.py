"""The maps of all cubes by one run side by side: looked through, opened with a click, saved as one picture or one table."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFileDialog, QListView, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.map_sheet import SIDE
from napari_hsi_ssl.gui.contact_sheet import docked, icon
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.forms.pieces import BAD, GOOD, QUIET, ProgressRow, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.jobs import Job, Jobs
from napari_hsi_ssl.gui.memory import memory_for
from napari_hsi_ssl.steps.batch import SheetMap, save_sheet, sheet_maps

TITLE = "Maps of all cubes"
_PLACE = Qt.ItemDataRole.UserRole
_NAMED = 3  # classes named under a map, the largest first


class MapSheet(QWidget):
    """Thumbnails of the maps of all cubes by a run and a method.

    Parameters
    ----------
    desk : Desk

    Attributes
    ----------
    found : list of SheetMap
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk, self.memory = desk, memory_for(desk)
        self.found: list[SheetMap] = []
        self.run, self.method = "", ""
        self._jobs = Jobs(self)
        self._job: Job | None = None
        self.words = words_label(QUIET)
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setIconSize(QSize(SIDE, SIDE))
        self.list.setGridSize(QSize(SIDE + 24, SIDE + 62))
        self.list.setWordWrap(True)
        self.list.setToolTip("Click a map, or press Enter on it, to see it over its cube")
        self.list.itemClicked.connect(self._open)
        self.list.itemActivated.connect(self._open)
        self.progress = ProgressRow()
        self.progress.cancel.clicked.connect(self.cancel)
        self.progress.hide()
        self.save = primary("Save…", "All maps as one picture (PNG), or the areas by class and cube as a table (CSV)")
        self.save.clicked.connect(self._ask)
        self.again = plain_button("Read again", "Show the maps as they are now")
        self.again.clicked.connect(lambda: self.show_maps(self.run, self.method))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 8)
        layout.addWidget(self.words)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.progress)
        layout.addLayout(row(self.save, self.again, None))
        desk.project_changed.connect(self._project_changed)

    def show_maps(self, run: str, method: str) -> None:
        """Read the maps of all cubes by a run and a method, and show them."""
        project = self.desk.project
        if project is None:
            return
        self.run, self.method = run, method
        self._start("reading maps")
        self._job = self._jobs.start(
            sheet_maps(project, run, method), self._read, label="maps of all cubes", slot="sheet",
            on_update=self.progress.show_update, on_error=self._went_wrong, on_cancelled=lambda _: self._ended(),
        )  # fmt: skip

    def cancel(self) -> None:
        """Ask what is running to end."""
        if self._job is not None and self._job.running:
            self._job.cancel()

    def save_to(self, path: Path) -> None:
        """Write a picture or a table, by the ending of the name."""
        project = self.desk.project
        if project is None:
            return
        self._start(f"writing {path.name}")
        self._job = self._jobs.start(
            save_sheet(project, self.run, self.method, path), lambda report: self._ended(f"{Path(report['to']).name} is written.", GOOD), label="sheet",
            slot="save", on_update=self.progress.show_update, on_error=self._went_wrong, on_cancelled=lambda _: self._ended(),
        )  # fmt: skip

    def _ask(self) -> None:
        name = str(Path(self.memory.folder("exports")) / f"{self.run}--{self.method}.png")
        path, _ = QFileDialog.getSaveFileName(self, "Save all maps", name, "Picture of all maps (*.png);;Areas by class and cube (*.csv)")
        if path:
            self.memory.used("exports", Path(path))
            self.save_to(Path(path))

    def _read(self, found: list[SheetMap]) -> None:
        self.found = found
        self.list.clear()
        for one in found:
            item = QListWidgetItem(icon(one.picture), f"{one.cube}\n{_shares(one)}")
            item.setData(_PLACE, (one.cube, str(one.path)))
            item.setTextAlignment(int(Qt.AlignmentFlag.AlignHCenter))
            item.setToolTip(f"{one.cube}: {_shares(one, len(one.areas))}. Click to see it over its cube")
            self.list.addItem(item)
        self._ended(f"{self.run} · {self.method}: {len(found)} map{'s' * (len(found) != 1)}")

    def _open(self, item: QListWidgetItem) -> None:
        cube, path = item.data(_PLACE)
        if self.desk.project is not None and cube in self.desk.project.entries:
            self.desk.set_cube(cube)
            self.desk.map_made.emit(path)

    def _start(self, words: str) -> None:
        self.progress.begin(words)
        for button in (self.save, self.again):
            button.setEnabled(False)

    def _ended(self, words: str = "", colour: str = QUIET) -> None:
        self.progress.hide()
        self._job = None
        self.save.setEnabled(bool(self.found))
        self.again.setEnabled(bool(self.run))
        if words:
            self.words.set_colour(colour)
            self.words.setText(words)

    def _went_wrong(self, _error: BaseException, sentence: str, _details: str) -> None:
        self._ended(sentence, BAD)

    def _project_changed(self) -> None:
        if self.desk.project is None or not {one.cube for one in self.found} <= set(self.desk.project.entries):
            self.cancel()
            self.found, self.run = [], ""
            self.list.clear()
            self.words.setText("")
            self._ended()


def _shares(one: SheetMap, count: int = _NAMED) -> str:
    """Return the shares of the largest classes of a map, in words."""
    total = max(1, sum(one.areas.values()))
    largest = sorted(((pixels, name) for name, pixels in one.areas.items() if pixels), reverse=True)[:count]
    return " · ".join(f"{name} {pixels / total:.0%}" for pixels, name in largest)


def open_map_sheet(desk: Desk) -> MapSheet:
    """Show the sheet of maps of a desk, the same one at every call."""
    sheet: MapSheet = docked(desk, "map_sheet", MapSheet, TITLE)
    return sheet
