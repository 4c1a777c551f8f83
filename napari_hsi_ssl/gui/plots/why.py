"""Why a pixel has its class: votes, exits, its spectrum beside those of the classes, and the labelled pixels most like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QLabel, QListView, QListWidget, QListWidgetItem, QSplitter, QVBoxLayout, QWidget

from napari_hsi_ssl.explore.crops import framed
from napari_hsi_ssl.gui.plots.legend import LegendList, swatch
from napari_hsi_ssl.gui.plots.spectrum import runs_of
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style

_NOTHING = "Click a pixel of a map on the image to see why it has its class."
_SHOWN = 2
"""Classes whose mean spectra are drawn at first: the winner and the one behind it."""
_QUANTITIES = {"dn": "Digital number", "radiance": "Radiance", "reflectance": "Reflectance"}
_ICON, _FACTOR = 68, 4
_SIDE = 210


class WhyView(QWidget):
    """The report of `steps.explain.explain_pixel` as words, curves and small pictures.

    Attributes
    ----------
    wanted : Signal(str, int, int)
        Cube, y and x of a labelled pixel whose picture was clicked.
    """

    wanted = Signal(str, int, int)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._report: Mapping[str, Any] | None = None
        self._chosen: set[str] = set()
        self.words = QLabel(_NOTHING, wordWrap=True)
        self.words.setTextFormat(Qt.TextFormat.PlainText)  # class names come from files
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.classes = LegendList(checkable=True)
        self.classes.setToolTip("Votes for each class, or its probability; tick a class to see the mean of its labelled pixels ± one standard deviation")
        self.classes.toggled.connect(self._toggled)
        self.exits = QListWidget()
        self.exits.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.exits.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.exits.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.exits.setToolTip("What each exit of the network says of this pixel, from the first to the deepest")
        self.plot = pg.PlotWidget()
        self.plot.setMinimumSize(220, 110)
        prepare(self.plot.getPlotItem())
        self.near = QListWidget()
        self.near.setViewMode(QListView.ViewMode.IconMode)
        self.near.setIconSize(QSize(_ICON, _ICON))
        self.near.setResizeMode(QListView.ResizeMode.Adjust)
        self.near.setMovement(QListView.Movement.Static)
        self.near.setSpacing(2)
        self.near.setMinimumWidth(2 * _ICON + 40)
        self.near.setToolTip(
            "The labelled pixels most like this one, the nearest first, with their class and the distance of their features; click to go there"
        )
        self.near.itemClicked.connect(self._go)
        self.near.itemActivated.connect(self._go)
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.words)
        column.addWidget(self.classes, 3)
        column.addWidget(self.exits, 2)
        side.setMinimumWidth(_SIDE)
        split = QSplitter(Qt.Orientation.Horizontal, childrenCollapsible=False)
        for place, (part, stretch) in enumerate(((side, 0), (self.plot, 3), (self.near, 2))):
            split.addWidget(part)
            split.setStretchFactor(place, stretch)
        split.setSizes([_SIDE + 20, 380, 3 * _ICON + 120])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(6, 6, 6, 4)
        whole.addWidget(split)
        self._parts = (self.classes, self.plot, self.near)
        self.clear()
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self.plot.setBackground(theme.background)
        style(self.plot.getPlotItem(), theme)
        self._draw()

    def clear(self, words: str = _NOTHING) -> None:
        """Show words alone."""
        self._report = None
        self.words.setText(words)
        self.exits.hide()
        for part in self._parts:
            part.setVisible(False)

    def wait(self, words: str) -> None:
        """Say what is on its way; what is shown stays."""
        self.words.setText(words)

    def show_report(self, report: Mapping[str, Any], pictures: Sequence[NDArray[np.uint8]]) -> None:
        """Show a report; the first picture (n, n, 3) is of the pixel itself, the others of the neighbours in their order."""
        self._report = report
        name, sure = report["class"]["name"], report["confidence"]
        words = f"Row {report['y']}, column {report['x']}\n{name}, {sure:.2f} sure"
        self.words.setText(f"{words}\n{report['note']}" if report["note"] else words)
        shares = {row["name"]: row["share"] for row in report["votes"]}
        named = {row["name"]: row["colour"] for row in (*report["votes"], *report["means"])}
        self._chosen = {report["class"]["name"], *list(shares)[:_SHOWN]}
        entries = [(one, f"{shares[one]:.0%} · {one}" if one in shares else one, colour, one in self._chosen) for one, colour in named.items()]
        self.classes.set_entries(entries)
        self._list_exits(report["exits"])
        self._list_near(report, pictures)
        for part in self._parts:
            part.setVisible(True)
        self._draw()

    def _list_exits(self, exits: Sequence[Mapping[str, Any]]) -> None:
        self.exits.clear()
        self.exits.setVisible(bool(exits))
        for row in exits:
            best = row["votes"][0]
            item = QListWidgetItem(swatch(best["colour"]), f"exit {row['exit']} · {best['share']:.0%} {best['name']}")
            item.setToolTip(" · ".join(f"{vote['name']} {vote['share']:.1%}" for vote in row["votes"][:4]))
            self.exits.addItem(item)

    def _list_near(self, report: Mapping[str, Any], pictures: Sequence[NDArray[np.uint8]]) -> None:
        self.near.clear()
        own = {"cube": report["cube"], "y": report["y"], "x": report["x"], **report["class"]}
        for row, picture in zip((own, *report["neighbours"]), pictures, strict=True):
            far = f"{row['distance']:.3f}" if "distance" in row else "this pixel"
            item = QListWidgetItem(_icon(framed(picture, row["colour"], _FACTOR)), f"{_short(row['name'])}\n{far}")
            item.setData(Qt.ItemDataRole.UserRole, (row["cube"], row["y"], row["x"]))
            item.setToolTip(f"{row['name']} · {row['cube']} · row {row['y']}, column {row['x']}" + (f" · distance {far}" if "distance" in row else ""))
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
            self.near.addItem(item)

    def _draw(self) -> None:
        plot = self.plot.getPlotItem()
        plot.clear()
        report = self._report
        if report is None:
            return
        theme = self._theme
        own = _values(report["spectrum"])
        x = np.arange(own.size, dtype=float) if report["wavelengths"] is None else _values(report["wavelengths"])
        gaps = np.isin(np.arange(own.size), report["bad"]) if len(report["bad"]) < own.size else np.zeros(own.size, dtype=bool)
        for row in report["means"]:
            if row["name"] in self._chosen:
                mean, sd, colour = _values(row["mean"]), _values(row["sd"]), theme.legible(row["colour"])
                # A band has no gaps in pyqtgraph: it is drawn piece by piece.
                for start, stop in runs_of(np.isfinite(mean) & ~gaps):
                    part = slice(start, stop)
                    edges = [pg.PlotCurveItem(x[part], mean[part] + sign * sd[part], pen=None) for sign in (-1, 1)]
                    plot.addItem(pg.FillBetweenItem(*edges, brush=colour + "38"))
                plot.plot(x, np.where(gaps, np.nan, mean), pen=pg.mkPen(colour, width=2), connect="finite")
        plot.plot(x, np.where(gaps, np.nan, own), pen=pg.mkPen(theme.text, width=2, style=Qt.PenStyle.DashLine), connect="finite")
        plot.setLabel("bottom", "Band" if report["wavelengths"] is None else "Wavelength (nm)")
        plot.setLabel("left", _QUANTITIES.get(report["quantity"], "Value"))
        plot.setToolTip("Dashed: this pixel. Lines and bands: the mean of each class's labelled pixels ± one standard deviation")
        style(plot, theme)
        plot.enableAutoRange()

    def _toggled(self, name: str, shown: bool) -> None:
        (self._chosen.add if shown else self._chosen.discard)(name)
        self._draw()

    def _go(self, item: QListWidgetItem) -> None:
        self.wanted.emit(*item.data(Qt.ItemDataRole.UserRole))


def _values(numbers: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if number is None else number for number in numbers])


def _short(name: str) -> str:
    return name if len(name) <= 12 else name[:11] + "…"


def _icon(picture: NDArray[np.uint8]) -> QIcon:
    height, width, _ = picture.shape
    image = QImage(np.ascontiguousarray(picture).tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image))
