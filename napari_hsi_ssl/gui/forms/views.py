"""How the current cube is looked at: true colour, false colour, bands, a ratio or an index, and how it is stretched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QVBoxLayout, QWidget

from napari_hsi_ssl.config import ViewConfig
from napari_hsi_ssl.gui.forms.copying import CopyButton
from napari_hsi_ssl.gui.forms.pieces import CAREFUL, boxed, row, words_label
from napari_hsi_ssl.gui.pictures import Composite
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.steps import recipe

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_KINDS: Final = {
    "auto": ("Automatic", "True colour where the cube covers the visible, false colour or the header's bands otherwise"),
    "true": ("True colour", "As the eye would see it (CIE 1931 observer), from all visible bands"),
    "false": ("False colour", "Near infrared as red, red as green, green as blue; short-wave infrared bands where there are no others"),
    "default": ("Header's bands", "The default bands that the file's header names"),
    "bands": ("Three bands", "Any three bands as red, green and blue"),
    "band": ("One band", "One band in grey"),
    "ratio": ("Ratio a / b", "One band divided by another"),
    "index": ("Index (a − b) / (a + b)", "Normalised difference of two bands: NDVI with 860 and 670 nm"),
}
_PICKED: Final = {"bands": ("R", "G", "B"), "band": ("band",), "ratio": ("a", "b"), "index": ("a", "b")}
_FIRST_NM: Final = {"bands": (860.0, 650.0, 550.0), "band": (550.0,), "ratio": (860.0, 670.0), "index": (860.0, 670.0)}
_PAUSE_MS = 150


class ViewsPanel(QWidget):
    """Edits one `ViewConfig` and shows each change at once on the canvas.

    Parameters
    ----------
    form : Form
        Whose desk and canvas are used.
    """

    edited = Signal(object)
    """The `ViewConfig` that the user has just made."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form
        self.desk, self.canvas = form.desk, form.canvas
        self._centres: NDArray[np.float64] | None = None
        self._cube = ""
        self._joint_given = False
        self.kind = _Steady()
        for name, (words, hint) in _KINDS.items():
            self.kind.addItem(words, name)
            self.kind.setItemData(self.kind.count() - 1, hint, 3)  # the tooltip's role
        self.kind.setToolTip("How the cube is coloured")
        self.pickers = [(QLabel(), _Steady()) for _ in range(3)]
        for _, box in self.pickers:
            box.setToolTip("The band, in nm where the cube has wavelengths")
        for _, box in self.pickers:
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(5)
            box.activated.connect(self._changed)
        self.picks = boxed(row(*(widget for pair in self.pickers for widget in pair)))
        self.low, self.high = _percent(2.0), _percent(98.0)
        self.low.setToolTip("Percentile of the image that becomes darkest: raise it against haze and dead pixels")
        self.high.setToolTip("Percentile of the image that becomes brightest: lower it against glints")
        self.joint = QCheckBox("colours together")
        self.joint.setToolTip("One stretch for all three colours, which keeps their balance; off: each its own, which shows most")
        self.everywhere = QCheckBox("keep for all cubes of the project")
        self.everywhere.setToolTip("Look at every cube of the project like this until napari is closed; off: at this one")
        self.note = words_label(CAREFUL)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.kind)
        layout.addWidget(self.picks)
        layout.addLayout(row(QLabel("Stretch"), self.low, QLabel("to"), self.high, QLabel("%"), None))
        layout.addWidget(self.joint)
        self.copy = CopyButton(self._copy, lambda: "")
        layout.addLayout(row(self.everywhere, None, self.copy))
        layout.addWidget(self.note)
        self.note.hide()
        self._later = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._later.timeout.connect(self._show)
        self.kind.activated.connect(self._kind_changed)
        self.joint.clicked.connect(self._changed)
        self.everywhere.clicked.connect(self._changed)
        for box in (self.low, self.high):
            box.valueChanged.connect(self._later.start)
        self.canvas.looked.connect(self._looked)
        self.desk.cube_changed.connect(self._cube_changed)
        self._cube_changed()
        if self.canvas.composite is not None and self.canvas.composite.cube == self.desk.cube:
            self._looked(self.canvas.composite)

    # -- the settings ---------------------------------------------------------------------------------------------------

    def value(self) -> ViewConfig:
        """Return what is chosen."""
        kind = str(self.kind.currentData())
        bands = tuple(box.currentIndex() for _, box in self.pickers[: len(_PICKED.get(kind, ()))])
        low, high = self.low.value(), self.high.value()
        joint = self.joint.isChecked() if self.joint.isEnabled() and self._joint_given else None
        return ViewConfig(kind=kind, bands=bands if min(bands, default=0) >= 0 else (), stretch=(low, max(high, low + 0.1)), joint=joint)

    def setValue(self, config: ViewConfig) -> None:
        """Show settings without acting on them."""
        self.kind.setCurrentIndex(list(_KINDS).index(config.kind))
        for box, number in ((self.low, config.stretch[0]), (self.high, config.stretch[1])):
            box.blockSignals(True)
            box.setValue(number)
            box.blockSignals(False)
        self._joint_given = config.joint is not None
        self.joint.setChecked(bool(config.joint))
        for (_, box), band in zip(self.pickers, config.bands, strict=False):
            box.setCurrentIndex(band)
        self._offer()

    def _copy(self, kind: str, _last: bool) -> bool:
        """Put this look on the clipboard, as a picture of the current cube that lies in the project's folder."""
        project, cube = self._form.project, self.desk.cube
        if project is None or not cube:
            return self._form.copy_recipe(kind, lambda: None)
        return self._form.copy_recipe(kind, lambda: recipe.view(project.folder, cube, self.value(), project.folder / f"{cube}.png"))

    # -- what the user does -----------------------------------------------------------------------------------------------

    def _kind_changed(self, _index: int = 0) -> None:
        kind = str(self.kind.currentData())
        if kind in _PICKED and self._centres is not None:
            for (_, box), nm in zip(self.pickers, _FIRST_NM[kind], strict=False):
                box.setCurrentIndex(int(np.abs(self._centres - nm).argmin()))
        two = kind in {"ratio", "index"} and self.pickers[0][1].currentIndex() == self.pickers[1][1].currentIndex()
        if two:  # a cube far from 860 nm: two equal bands show nothing
            self.pickers[0][1].setCurrentIndex(self.pickers[0][1].count() - 1)
            self.pickers[1][1].setCurrentIndex(0)
        self._joint_given = False
        self._offer()
        self._changed()

    def _changed(self, *_: object) -> None:
        self._joint_given = self._joint_given or self.sender() is self.joint
        self._later.start(0)

    def _show(self) -> None:
        if self.canvas.picture is None:
            return
        config = self.value()
        self.note.hide()
        self.edited.emit(config)
        self.canvas.show_view(config, everywhere=self.everywhere.isChecked())

    # -- what the canvas says ---------------------------------------------------------------------------------------------

    def _cube_changed(self, _name: str = "") -> None:
        project, name = self.desk.project, self.desk.cube
        entry = project.entries.get(name) if project is not None else None
        self.setEnabled(entry is not None)
        if entry is None or project is None:
            self._cube = ""
            return
        place = f"{project.folder}/{name}/{entry.shape[2]}"
        if place != self._cube:
            self._cube, self._centres = place, None if entry.wavelengths is None else np.asarray(entry.wavelengths, dtype=np.float64)
            texts = [f"band {band}" for band in range(entry.shape[2])] if self._centres is None else [f"{nm:.0f} nm" for nm in self._centres]
            for _, box in self.pickers:
                box.clear()
                box.addItems(texts)
            self.setValue(self.canvas.view_of(name))

    def _looked(self, made: Composite) -> None:
        """Tell which bands are seen, and what could not be shown as wished."""
        if made.cube != self.desk.cube:
            return
        self._cube_changed()
        self.note.setText(in_window(made.look.note))
        self.note.setVisible(bool(made.look.note))
        if made.look.kind not in _PICKED or not self.picks.isVisibleTo(self):
            for (_, box), band in zip(self.pickers, made.look.shown, strict=False):
                box.setCurrentIndex(band)
        if not self._joint_given:
            self.joint.setChecked(made.look.joint)

    def _offer(self) -> None:
        """Show the pickers that the kind needs."""
        names = _PICKED.get(str(self.kind.currentData()), ())
        for place, (label, box) in enumerate(self.pickers):
            there = place < len(names)
            label.setVisible(there)
            box.setVisible(there)
            if there:
                label.setText(names[place])
                box.setToolTip(f"Band shown as {_WORDS.get(names[place], names[place])}")
        self.picks.setVisible(bool(names))
        self.joint.setEnabled(len(names) in {0, 3})


_WORDS: Final = {"R": "red", "G": "green", "B": "blue", "band": "grey"}


class _Steady(QComboBox):
    """A choice that the mouse wheel scrolls past."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the workbench unless the choice has been clicked."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _SteadyNumber(QDoubleSpinBox):
    """A number that the mouse wheel scrolls past."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the workbench unless the number has been clicked."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


def _percent(value: float) -> QDoubleSpinBox:
    box = _SteadyNumber()
    box.setRange(0, 100)
    box.setDecimals(1)
    box.setSingleStep(0.5)
    box.setValue(value)
    box.setKeyboardTracking(False)
    return box
