"""A confusion matrix as a heat map, with recall, precision and F1 of every class as bars in the same row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Signal
from qtpy.QtGui import QColor, QFont, QFontMetrics

from napari_hsi_ssl.gui.plots.theme import Theme, contrast, mix, prepare, style

_ROW_PIXELS = 14
_FRAME_PIXELS = 46
_NUMBERS_UP_TO = 10
_NAME_LETTERS = 22
_TITLE_PIXELS = 18
_LEAST_WIDTH = 280
_BARS = {"accuracy": ("recall", "#56b4e9"), "precision": ("precision", "#e69f00"), "f1": ("F1", "#009e73")}
_THICK = 0.26


class ConfusionPlot(pg.GraphicsLayoutWidget):
    """True classes in rows, classes of the map in columns; colour is the share of the row."""

    pointed = Signal(str)
    """What the cell under the pointer means, in words; "" outside."""

    numbered = _NUMBERS_UP_TO
    """With as many classes numbers have room in the cells."""

    def __init__(self, report: Mapping[str, Any], theme: Theme) -> None:
        super().__init__()
        self._counts = np.asarray(report["confusion"], dtype=np.int64)
        self._names = [str(name) for name in report["names"]]
        self._numbers = [int(number) for number in report.get("numbers", range(1, len(self._names) + 1))]
        totals = self._counts.sum(axis=1, keepdims=True)
        self._shares = np.divide(self._counts, totals, out=np.zeros(self._counts.shape), where=totals > 0)
        self.setMinimumSize(_LEAST_WIDTH, max(120, _ROW_PIXELS * len(self._names) + _FRAME_PIXELS))
        self.matrix = self.addPlot(0, 0)
        self.bars = self.addPlot(0, 1)
        for plot in (self.matrix, self.bars):
            prepare(plot)
        self.ci.layout.setColumnStretchFactor(0, 5)
        self.ci.layout.setColumnStretchFactor(1, 2)
        self._draw(report, theme)
        self.scene().sigMouseMoved.connect(self._moved)

    def _draw(self, report: Mapping[str, Any], theme: Theme) -> None:
        self.setBackground(theme.background)
        count = len(self._names)
        image = pg.ImageItem(self._shares, axisOrder="row-major")
        image.setLevels((0.0, 1.0))
        self._table = table = _ramp(theme)
        self._written: list[pg.TextItem] = []
        image.setLookupTable(table)
        image.setRect(QRectF(0, 0, count, count))
        self.matrix.addItem(image)
        self.write(shares=False)
        rows = [(index + 0.5, shortened(f"{number} {name}")) for index, (number, name) in enumerate(zip(self._numbers, self._names, strict=True))]
        self.matrix.getAxis("left").setTicks([rows])
        every = 1 + count // 9
        self.matrix.getAxis("bottom").setTicks([[(index + 0.5, str(number)) for index, number in enumerate(self._numbers) if index % every == 0]])
        self.matrix.setLabel("bottom", "Map")  # short: in a low dock the legend of the bars begins close by
        self.matrix.setLabel("left", "Class in the labels")
        # A class of the map that has no labelled pixel has no accuracy, and so no bar.
        named = []
        for number, (key, (word, colour)) in enumerate(_BARS.items()):
            figures = [report["per_class"].get(str(of), {}).get(key) for of in self._numbers]
            known = [(index, figure) for index, figure in enumerate(figures) if figure is not None]
            places = np.array([index + 0.5 + _THICK * (number - 1) for index, _ in known])
            widths = np.array([100 * figure for _, figure in known])
            self.bars.addItem(pg.BarGraphItem(x0=0, y=places, height=_THICK, width=widths, brush=theme.legible(colour), pen=None))
            named.append(f'<span style="color:{theme.legible(colour)}">{word}</span>')
        average = pg.InfiniteLine(100 * report["aa"], angle=90, pen=pg.mkPen(theme.accent, width=1.5))
        average.setToolTip("average accuracy (AA)")
        self.bars.addItem(average, ignoreBounds=True)
        self.bars.setLabel("bottom", f"{', '.join(named)} (%)")
        self.bars.getAxis("left").setStyle(showValues=False)
        self.bars.getAxis("bottom").setTicks([[(share, str(share)) for share in (0, 50, 100)]])  # the bars may be narrow
        self.bars.setYLink(self.matrix)
        for plot, right in ((self.matrix, count), (self.bars, 100)):
            plot.invertY(True)
            plot.setMouseEnabled(False, False)
            plot.hideButtons()
            plot.setRange(xRange=(0, right), yRange=(0, count), padding=0.0)
            style(plot, theme)
        self.matrix.showGrid(False, False)
        for side in ("left", "bottom"):
            self.matrix.getAxis(side).setStyle(tickLength=0)
        names = self.matrix.getAxis("left")
        letters = QFontMetrics(names.style["tickFont"])
        # pyqtgraph leaves out labels that are wider than the axis it has planned, and plans before it knows them.
        names.setWidth(max(letters.horizontalAdvance(text) for _, text in rows) + 12 + _TITLE_PIXELS)

    def write(self, *, shares: bool) -> None:
        """Write counts into the cells, or percent of the row; nothing where there are too many."""
        for text in self._written:
            self.matrix.removeItem(text)
        self._written.clear()
        count = len(self._names)
        for row, column in np.ndindex(count, count) if count <= self.numbered else ():
            if self._counts[row, column]:
                self._write(row, column, f"{100 * self._shares[row, column]:.0f}" if shares else f"{self._counts[row, column]:,}")

    def _write(self, row: int, column: int, words: str) -> None:
        red, green, blue = self._table[int(255 * self._shares[row, column])][:3].tolist()
        cell = f"#{red:02x}{green:02x}{blue:02x}"
        ink = max(("#000000", "#ffffff"), key=lambda colour: contrast(colour, cell))
        text = pg.TextItem(words, color=QColor(ink), anchor=(0.5, 0.5))
        font = QFont()
        font.setPointSize(8)
        text.setFont(font)
        text.setPos(column + 0.5, row + 0.5)
        self.matrix.addItem(text, ignoreBounds=True)
        self._written.append(text)

    def words(self, row: int, column: int) -> str:
        """Say what a cell means."""
        count, share = self._counts[row, column], self._shares[row, column]
        return f"{self._names[row]} mapped as {self._names[column]}: {count:,} of {self._counts[row].sum():,} ({100 * share:.1f} %)"

    def _moved(self, position: QPointF) -> None:
        words = ""
        if self.matrix.sceneBoundingRect().contains(position):
            point = self.matrix.vb.mapSceneToView(position)
            row, column = int(np.floor(point.y())), int(np.floor(point.x()))
            if 0 <= row < len(self._names) and 0 <= column < len(self._names):
                words = self.words(row, column)
        self.pointed.emit(words)


def shortened(name: str) -> str:
    """Return a class name that has room beside the matrix."""
    return name if len(name) <= _NAME_LETTERS else name[: _NAME_LETTERS - 1] + "…"


def _ramp(theme: Theme) -> NDArray[np.uint8]:
    """Return colours (256, 3) from the background to blue, steep at first: a few errors in a hundred must be seen."""
    shares = np.linspace(0, 1, 256) ** 0.6
    start = mix(theme.background, theme.text, 0.05)
    colours = [mix(start, "#56b4e9" if theme.dark else "#0072b2", float(share)) for share in shares]
    return np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in colours], dtype=np.uint8)
