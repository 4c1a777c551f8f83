"""What a cut of patches gives: bars a domain before and after stratification, and example patches as the network will see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QSplitter, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.forms.pieces import QUIET, words_label
from napari_hsi_ssl.gui.plots.theme import Theme, mix, prepare, style
from napari_hsi_ssl.patches.index import TEST, TRAIN
from napari_hsi_ssl.patches.preview import PatchPreview
from napari_hsi_ssl.patches.sheet import FRAMES, Example

_TILE, _FRAME = 56, 3
_NAME_LETTERS = 14
_WIDTH = 0.36
_PALE = 0.55
_NOTHING = "Open form 4: what a cut would give shows here while the settings change."


class PatchesView(QWidget):
    """Bars on the left, examples on the right, one line of words above."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._seen: PatchPreview | None = None
        self.words = words_label(QUIET)
        self.words.setText(_NOTHING)
        self.bars = pg.PlotWidget()
        self.bars.setMinimumWidth(160)
        self.bars.setToolTip("Patches a domain: pale all that the mask and the split give, full what is kept; orange train, blue test")
        plot = self.bars.getPlotItem()
        prepare(plot)
        plot.setMouseEnabled(False, False)
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.getAxis("bottom").setHeight(24)
        self.sheet = SheetView()
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidget(self.sheet)
        scroll.setMinimumWidth(150)
        scroll.setToolTip("Example patches as the network will see them")
        self.key = QLabel(wordWrap=True)
        self.key.setToolTip(self.bars.toolTip())
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(6, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bars, 1)
        column.addWidget(self.key)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(scroll)
        split.setSizes([400, 500])
        self.words.setContentsMargins(6, 2, 6, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.words)
        layout.addWidget(split, 1)
        self.set_theme(theme)

    def show_preview(self, seen: PatchPreview, examples: Sequence[Example]) -> None:
        """Show what a cut would give."""
        self._seen = seen
        self.words.setText(seen.trouble or summary(seen))
        self.sheet.show_examples(examples)
        self._draw()

    def clear(self) -> None:
        """Show nothing: another project is open."""
        self._seen = None
        self.words.setText(_NOTHING)
        self.sheet.show_examples(())
        self._draw()

    def set_theme(self, theme: Theme) -> None:
        """Take the colours of another theme."""
        self._theme = theme
        self.bars.setBackground(theme.background)
        self.key.setText(_key(theme))
        self._draw()

    def _draw(self) -> None:
        plot = self.bars.getPlotItem()
        plot.clear()
        seen = self._seen
        domains = list(seen.before) if seen is not None else []
        if seen is not None:
            places = np.arange(len(domains), dtype=float)
            for offset, counts, pale in ((-_WIDTH / 2, seen.before, _PALE), (_WIDTH / 2, seen.after, 0.0)):
                bottom = np.zeros(len(domains))
                for split, code in (("train", TRAIN), ("test", TEST)):
                    height = np.array([counts[domain][split] for domain in domains], dtype=float)
                    colour = mix(FRAMES[code], self._theme.background, pale)
                    bars = pg.BarGraphItem(x=places + offset, y0=bottom, height=height, width=_WIDTH * 0.94, brush=colour, pen=None)
                    plot.addItem(bars)
                    bottom += height
        letters = _NAME_LETTERS if len(domains) < 5 else 8
        plot.getAxis("bottom").setTicks([[(place, _short(domain, letters)) for place, domain in enumerate(domains)]])
        plot.setLabel("left", "Patches")
        self.key.setVisible(seen is not None)
        plot.setXRange(-0.6, max(1, len(domains)) - 0.4, padding=0)
        plot.enableAutoRange(axis="y")
        style(plot, self._theme)
        plot.showGrid(False, True, 0.15)


class SheetView(QWidget):
    """Example patches: a row a domain, training ones framed in orange, held-out ones in blue."""

    def __init__(self) -> None:
        super().__init__()
        self.examples: tuple[Example, ...] = ()
        self.grid = QGridLayout(self)
        self.grid.setContentsMargins(6, 4, 6, 4)
        self.grid.setSpacing(4)
        self.grid.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self._pool: list[QLabel] = []

    def show_examples(self, examples: Sequence[Example]) -> None:
        """Show other examples; labels are used again, since the settings change while the user watches."""
        self.examples = tuple(examples)
        rows: dict[str, list[Example]] = {}
        for example in self.examples:
            rows.setdefault(example.domain, []).append(example)
        wanted: list[tuple[int, int, Example | None, str]] = []
        for line, (domain, members) in enumerate(rows.items()):
            wanted.append((line, 0, None, domain))
            wanted += [(line, column, member, "") for column, member in enumerate(members, start=1)]
        while len(self._pool) < len(wanted):
            self._pool.append(QLabel())
        for label in self._pool:
            self.grid.removeWidget(label)
            label.hide()
        for label, (line, column, shown, text) in zip(self._pool, wanted, strict=False):
            label.clear()
            if shown is None:
                label.setText(_short(text, _NAME_LETTERS))
                label.setToolTip(f"Domain {text}")
            else:
                label.setPixmap(tile(shown, self.devicePixelRatioF()))
                label.setToolTip(shown.words)
            self.grid.addWidget(label, line, column)
            label.show()


def tile(example: Example, ratio: float = 1.0) -> QPixmap:
    """Return a patch with a frame in the colour of its part, sharp on screens of any scale."""
    return framed(example.picture, FRAMES[example.split], _TILE, ratio)


def framed(picture: NDArray[np.uint8], colour: str, inner: int, ratio: float = 1.0) -> QPixmap:
    """Return a picture (y, x, 3) as a square of ``inner`` points in a frame of a colour, sharp on screens of any scale."""
    side = inner + 2 * _FRAME
    pixmap = QPixmap(QSize(round(side * ratio), round(side * ratio)))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(QColor(colour))
    data = np.ascontiguousarray(picture)
    height, width = data.shape[:2]
    image = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    painter = QPainter(pixmap)
    painter.drawImage(QRect(_FRAME, _FRAME, inner, inner), image)
    painter.end()
    return pixmap


def summary(seen: PatchPreview) -> str:
    """Return what a cut would give and where the other windows went, in one line."""
    train, test = (sum(counts[split] for counts in seen.after.values()) for split in ("train", "test"))
    windows = seen.windows.values()
    total, empty, too_little = (sum(getattr(window, name) for window in windows) for name in ("total", "empty", "too_little"))
    lost, full = sum(seen.lost.values()), sum(sum(counts.values()) for counts in seen.before.values())
    parts = [f"{train + test:,} patches: {train:,} train, {test:,} test", f"of {total:,} windows"]
    if too_little:
        parts.append(f"{too_little:,} have too little foreground")
    if empty:
        parts.append(f"{empty:,} have none")
    if lost:
        parts.append(f"{lost:,} lie on both sides of the split")
    if full > train + test:
        parts.append(f"{full - train - test:,} are over the limit a domain")
    return " · ".join(parts)


def _key(theme: Theme) -> str:
    """Return what the colours of the bars mean, as rich text."""

    def box(code: int, pale: float) -> str:
        return f"<span style='color:{mix(FRAMES[code], theme.background, pale)}'>■</span>"

    pairs = (("found", _PALE), ("kept", 0.0))
    return "<br>".join(f"{words}: {box(TRAIN, pale)} train {box(TEST, pale)} test" for words, pale in pairs)


def _short(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}…"
