"""The masks of all cubes side by side: looked through, ticked, and only then saved."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QBrush, QColor, QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QListView, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.explore.thumbnails import SIDE, CheckedMask
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.forms.pieces import BAD, CAREFUL, GOOD, QUIET, ProgressRow, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.jobs import Job, Jobs, Update
from napari_hsi_ssl.gui.palette import palette
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.steps.mask import check_masks, judge, save_checked

TITLE = "Masks of all cubes"
RULES = {
    "otsu": "Otsu threshold", "threshold": "a threshold", "angle": "the spectral angle to pixels", "kmeans": "the clusters", "all": "whole images",
    "grow": "growing from pixels", "labels": "the labels", "saved": "the saved masks", "file": "files",
}  # fmt: skip
"""What the masks were made by, in words."""
_NAME = Qt.ItemDataRole.UserRole
_ROOM = 110  # letters on a tile


class ContactSheet(QWidget):
    """Thumbnails of every cube with its mask's outline and share; what looks wrong is marked and not ticked.

    Parameters
    ----------
    desk : Desk

    Attributes
    ----------
    checked : dict of str to CheckedMask
        The masks that were found, by cube.
    failed : dict of str to str
        Why a cube has none.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.checked: dict[str, CheckedMask] = {}
        self.failed: dict[str, str] = {}
        self._config = MaskConfig()
        self._jobs = Jobs(self)
        self._job: Job | None = None
        self._touched: set[str] = set()
        self._filling = False
        self.words = words_label(QUIET)
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setIconSize(QSize(SIDE, SIDE))
        self.list.setGridSize(QSize(SIDE + 24, SIDE + 62))
        self.list.setWordWrap(True)
        self.list.setSpacing(4)
        self.list.setToolTip("Click a cube, or press Enter on it, to open it; Space ticks it: only ticked masks are saved")
        self.list.itemClicked.connect(self._open)
        self.list.itemActivated.connect(self._open)
        self.list.itemChanged.connect(self._ticked)
        self.progress = ProgressRow()
        self.progress.cancel.clicked.connect(self.cancel)
        self.progress.hide()
        self.save = primary("Save ticked masks", "Save the masks of the ticked cubes; the others keep what they have")
        self.save.clicked.connect(self.save_ticked)
        self.every = plain_button("Tick all", "Tick every mask")
        self.every.clicked.connect(lambda: self.tick(lambda _: True))
        self.sound = plain_button("Tick unmarked", "Tick only the masks that do not look wrong")
        self.sound.clicked.connect(lambda: self.tick(lambda one: not one.doubt))
        self.none = plain_button("Tick none", "Untick every mask")
        self.none.clicked.connect(lambda: self.tick(lambda _: False))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 8)
        layout.addWidget(self.words)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.progress)
        layout.addLayout(row(self.save, self.every, self.sound, self.none, None))
        desk.project_changed.connect(self._project_changed)
        palette.changed.connect(self._mark)
        self._tell()

    # -- finding ------------------------------------------------------------------------------------------------------------

    def check(self, config: MaskConfig) -> None:
        """Find the masks of all cubes by a rule, without saving any."""
        project = self.desk.project
        if project is None:
            return
        self._config = config
        self.checked, self.failed, self._touched = {}, {}, set()
        self.list.clear()
        self.progress.begin("finding masks")
        self._job = self._jobs.start(
            check_masks(project, config), self._all_found, label="masks of all cubes", slot="check",
            on_update=self._updated, on_error=self._went_wrong, on_cancelled=self._ended,
        )  # fmt: skip
        self._tell()

    def cancel(self) -> None:
        """Ask what is running to end; what was found stays."""
        if self._job is not None and self._job.running:
            self._job.cancel()

    def _updated(self, update: Update) -> None:
        self.progress.show_update(update)
        for event in update.events:
            if "checked" in event:
                self._add(event["checked"])
            elif "failed" in event:
                name, sentence = event["failed"]
                self._add_failed(name, in_window(sentence))
        self._judge(judge(list(self.checked.values())))

    def _all_found(self, found: list[CheckedMask]) -> None:
        for one in found:
            if one.cube not in self.checked:
                self._add(one)
        self._judge(found)
        self._ended()

    def _ended(self, _words: str = "") -> None:
        self.progress.hide()
        self._job = None
        self._tell()

    def _went_wrong(self, _error: BaseException, sentence: str, _details: str) -> None:
        self._ended()
        self._say(sentence, BAD)

    def _project_changed(self) -> None:
        names = set(self.desk.project.entries) if self.desk.project is not None else set()
        if not names or not set(self.checked) <= names:
            self.cancel()
            self.checked, self.failed = {}, {}
            self.list.clear()
            self._tell()

    # -- the thumbnails -------------------------------------------------------------------------------------------------------

    def _add(self, one: CheckedMask) -> None:
        self.checked[one.cube] = one
        item = QListWidgetItem(icon(one.picture), "")
        item.setData(_NAME, one.cube)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setTextAlignment(int(Qt.AlignmentFlag.AlignHCenter))
        self._filling = True
        item.setCheckState(Qt.CheckState.Checked)
        self.list.addItem(item)
        self._filling = False

    def _add_failed(self, name: str, sentence: str) -> None:
        if name in self.failed:
            return
        self.failed[name] = sentence
        item = QListWidgetItem(_none(short_reason(sentence)), f"{name}\nno mask")
        item.setData(_NAME, name)
        item.setToolTip(f"{name}: {sentence}")
        item.setForeground(QBrush(QColor(palette.ink(BAD))))
        self.list.addItem(item)

    def _judge(self, judged: list[CheckedMask]) -> None:
        for one in judged:
            self.checked[one.cube] = one
        self._mark()

    def _mark(self) -> None:
        """Write under every thumbnail what it shows, and untick what looks wrong, unless the user has ticked it."""
        self._filling = True
        for item in self._items():
            one = self.checked.get(str(item.data(_NAME)))
            if one is None:
                continue
            item.setText(f"{one.cube}\n{one.share:.1%}" + (f"\n⚠ {one.doubt}" if one.doubt else ""))
            item.setToolTip(f"{one.cube}: {one.share:.1%} foreground" + (f"; {one.doubt}" if one.doubt else "") + ". Click to open it")
            item.setForeground(QBrush(QColor(palette.ink(CAREFUL))) if one.doubt else QBrush())
            if one.cube not in self._touched:
                item.setCheckState(Qt.CheckState.Unchecked if one.doubt else Qt.CheckState.Checked)
        self._filling = False
        self._tell()

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(index) for index in range(self.list.count())]

    def _ticked(self, item: QListWidgetItem) -> None:
        if not self._filling:
            self._touched.add(str(item.data(_NAME)))
            self._tell()

    def tick(self, wanted: object) -> None:
        """Tick the masks of which ``wanted(CheckedMask)`` is true, and no others."""
        assert callable(wanted)
        self._filling = True
        for item in self._items():
            one = self.checked.get(str(item.data(_NAME)))
            if one is not None:
                self._touched.add(one.cube)
                item.setCheckState(Qt.CheckState.Checked if wanted(one) else Qt.CheckState.Unchecked)
        self._filling = False
        self._tell()

    def ticked(self) -> list[CheckedMask]:
        """Return the masks that are ticked."""
        names = [str(item.data(_NAME)) for item in self._items() if item.checkState() == Qt.CheckState.Checked]
        return [self.checked[name] for name in names if name in self.checked]

    def _open(self, item: QListWidgetItem) -> None:
        name = str(item.data(_NAME))
        if self.desk.project is not None and name in self.desk.project.entries:
            self.desk.set_cube(name)

    # -- saving -----------------------------------------------------------------------------------------------------------------

    def save_ticked(self) -> None:
        """Save the ticked masks."""
        project, chosen = self.desk.project, self.ticked()
        if project is None or not chosen:
            self._say("No mask is ticked, so there is nothing to save.", CAREFUL)
            return
        if self.desk.busy:
            self._say(f"Wait a moment: {self.desk.busy}.", CAREFUL)
            return
        self.desk.set_busy("saving masks")
        self.progress.begin("saving masks")
        self._job = self._jobs.start(
            save_checked(project, self._config, chosen), lambda report: self._saved(list(report["cubes"])), label="saving masks", slot="save",
            on_update=self.progress.show_update, on_error=self._not_saved, on_cancelled=lambda _: self._saved([]),
        )  # fmt: skip
        self._tell()

    def _saved(self, cubes: list[str]) -> None:
        """Say so, and let the canvas show what is saved now instead of a preview of it."""
        self.desk.set_busy("")
        for cube in cubes:
            layer = layers.find(self.desk.viewer, "mask", cube)
            if layer is not None:
                layers.mark_unsaved(layer, False)
        self.desk.masks_changed.emit("")
        self._ended()
        if cubes:
            self.desk.step_done.emit()
            self._say(f"{_masks(len(cubes))} saved.", GOOD)
        else:
            self._say("Cancelled; what was saved stays.", CAREFUL)

    def _not_saved(self, error: BaseException, sentence: str, details: str) -> None:
        self.desk.set_busy("")
        self._went_wrong(error, sentence, details)

    def _tell(self) -> None:
        running = self._job is not None and self._job.running
        doubtful = sum(bool(one.doubt) for one in self.checked.values())
        for button in (self.save, self.every, self.sound, self.none):
            button.setEnabled(bool(self.checked) and not running)
        if not self.checked and not self.failed:
            self._say("Looking …" if running else "Press “Check all cubes” in the mask form to see the masks of all cubes here.", QUIET)
            return
        parts = [f"By {self._rule()}: {_masks(len(self.checked))}, {len(self.ticked())} ticked"]
        parts += [f"{doubtful} look{'s' * (doubtful == 1)} wrong"] if doubtful else []
        why = ""
        if self.failed:
            reasons = list(dict.fromkeys(_reason(sentence) for sentence in self.failed.values()))
            parts += [f"{len(self.failed)} could not be made"]
            why = f": {reasons[0]}" if len(reasons) == 1 else f"; {next(iter(self.failed))}: {reasons[0]}"
        self._say(" · ".join(parts) + why, CAREFUL if doubtful or self.failed else QUIET)

    def _rule(self) -> str:
        """Return the rule that is applied, in words."""
        config = self._config
        words = RULES[config.method]
        if config.method in {"otsu", "threshold"}:
            words += f" of {'component 1' if config.source == 'pc1' else 'a band' if config.source == 'band' else 'brightness'}"
        return words + (f" of {config.reference}" if config.reference else "")

    def _say(self, words: str, colour: str) -> None:
        self.words.set_colour(colour)
        self.words.setText(words)


def _masks(count: int) -> str:
    return f"{count} mask{'s' * (count != 1)}"


def short_reason(sentence: str) -> str:
    """Return what a tile has room for: what is wrong, without the name of what it is about and what could be done.

    >>> short_reason("mask of rug: the brightness image has one value, so Otsu finds no threshold; choose another “Image”.")
    'the brightness image has one value, so Otsu finds no threshold'
    """
    found = _reason(sentence).partition("; ")[0].rstrip(".")
    return found if len(found) <= _ROOM else found.partition(", ")[0][:_ROOM]


def _reason(sentence: str) -> str:
    return re.sub(r"^(?:mask of [^:]*|cube '[^']*'): ", "", sentence)


def _none(reason: str) -> QIcon:
    """Return the tile of a cube without a mask, with the reason on it."""
    square = QPixmap(SIDE, SIDE)
    square.fill(QColor("#202428"))
    painter = QPainter(square)
    painter.setPen(QColor("#ffb37a"))
    painter.drawText(6, 6, SIDE - 12, SIDE - 12, int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap), reason)
    painter.end()
    return QIcon(square)


def icon(picture: NDArray[np.uint8]) -> QIcon:
    """Return a thumbnail in the middle of a square, so that names stand in line."""
    data = np.ascontiguousarray(picture)
    height, width = data.shape[:2]
    image = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    scaled = QPixmap.fromImage(image).scaled(SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.FastTransformation)
    square = QPixmap(SIDE, SIDE)
    square.fill(QColor(0, 0, 0, 0))
    painter = QPainter(square)
    painter.drawPixmap((SIDE - scaled.width()) // 2, (SIDE - scaled.height()) // 2, scaled)
    painter.end()
    return QIcon(square)


def open_sheet(desk: Desk) -> ContactSheet:
    """Show the contact sheet of a desk, the same one at every call."""
    sheet: ContactSheet = docked(desk, "contact_sheet", ContactSheet, TITLE)
    return sheet


def docked(desk: Desk, name: str, make: Callable[[Desk], QWidget], title: str) -> Any:  # noqa: ANN401 - whatever ``make`` makes
    """Show the widget that a desk keeps under a name, made at the first call: a dock below the canvas, or a window of its own where there is none."""
    held = getattr(desk, name, None)
    window = getattr(desk.viewer, "window", None)
    if held is not None:
        try:
            dock = held.parentWidget()
            (dock or held).show()
            if dock is not None:
                dock.raise_()
        except RuntimeError:  # its dock was closed and Qt has deleted it
            held = None
    if held is None:
        held = make(desk)
        setattr(desk, name, held)
        if window is not None:
            window.add_dock_widget(held, name=title, area="bottom", tabify="HSI explorer" in window.dock_widgets)
    return held
