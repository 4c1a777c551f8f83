"""The menus beside the spectra: which means, over which cubes, seen how, and how near is near enough."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtGui import QAction, QActionGroup
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QMenu, QPushButton, QWidget, QWidgetAction

from napari_hsi_ssl.gui.plots.views import HINTS, RAW, VIEWS

_SCOPES = {
    "cube": ("of this cube", "Of the cube that is shown"),
    "domain": ("of the cubes of its domain", "Of every cube of the same domain, one curve a cube"),
    "all": ("of all cubes", "Of every cube of the project, one curve a cube"),
}


def action(menu: QMenu, words: str, tip: str, *, checkable: bool = False) -> QAction:
    """Add an entry with a tooltip to a menu."""
    made = QAction(words, menu, checkable=checkable)
    made.setToolTip(tip)
    menu.addAction(made)
    menu.setToolTipsVisible(True)
    return made


def menu_button(words: str, tip: str, menu: QMenu | None = None) -> QPushButton:
    """Return a button that opens a menu."""
    button = QPushButton(words)
    button.setToolTip(tip)
    button.setMenu(menu or QMenu(button))
    return button


class _Choice(QMenu):
    """A menu in which one of some entries is ticked."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._group = QActionGroup(self)
        self._keys: dict[str, QAction] = {}

    def add(self, key: str, words: str, tip: str) -> None:
        """Add an entry; the first one is ticked."""
        made = action(self, words, tip, checkable=True)
        made.setChecked(not self._keys)
        self._keys[key] = made
        self._group.addAction(made)
        made.triggered.connect(self.changed)

    @property
    def value(self) -> str:
        """The key of the entry that is ticked."""
        return next(key for key, made in self._keys.items() if made.isChecked())

    def choose(self, key: str) -> None:
        """Tick another entry, as a click would."""
        self._keys[key].trigger()


class MeansMenu(_Choice):
    """What to take the mean of, and over which cubes."""

    asked = Signal(str)
    selection_followed = Signal(bool)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.mask = action(self, "Mean of the mask", "Mean ± standard deviation of the pixels in the mask, of all pixels where there is none")
        self.classes = action(self, "Means of the classes", "Mean ± standard deviation of every labelled class")
        for key, (words, tip) in _SCOPES.items():
            self.add(key, f"      {words}", tip)
        self.pool = action(self, "      all cubes in one curve", "One mean over the pixels of all those cubes that have the same bands", checkable=True)
        self.addSeparator()
        self.region = action(self, "Mean of the drawn region", "Mean ± standard deviation inside the shapes drawn on the image")
        self.selection = action(self, "Follow the selection", "Show the mean of the selected pixels, and keep it up to date", checkable=True)
        self.selection.setChecked(True)
        for made, what in ((self.mask, "mask"), (self.classes, "classes"), (self.region, "region")):
            made.triggered.connect(lambda _=False, what=what: self.asked.emit(what))
        self.selection.toggled.connect(self.selection_followed)


class ViewMenu(_Choice):
    """How spectra are shown."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        for key, words in VIEWS.items():
            self.add(key, words, HINTS[key])
        self.choose(RAW)


class MapMenu(QMenu):
    """How near a pixel must be to a reference, and the wish for the map."""

    asked = Signal(float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.angle = QDoubleSpinBox(minimum=0.001, maximum=3.14, singleStep=0.01, decimals=3, value=0.1)
        self.angle.setMinimumWidth(120)
        self.angle.setToolTip("Pixels farther than this from every reference stay unmapped; 0.1 rad is 5.7°")
        self.make = QPushButton("Map this cube")
        self.make.setToolTip("References are the curves that are ticked in the list; a pixel gets the nearest one (spectral angle mapper)")
        self.make.clicked.connect(self._ask)
        box = QWidget()
        form = QFormLayout(box)
        form.addRow("Largest angle (rad)", self.angle)
        form.addRow(self.make)
        holder = QWidgetAction(self)
        holder.setDefaultWidget(box)
        self.addAction(holder)

    def _ask(self) -> None:
        self.close()
        self.asked.emit(self.angle.value())
