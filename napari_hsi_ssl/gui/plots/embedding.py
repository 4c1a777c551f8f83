"""The embedding as it is being learned: held-out patches in a plane, coloured by what they are."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style
from napari_hsi_ssl.steps.snapshots import Embedding

_POINT = 7
_NOTHING = "No picture yet: a pretraining run is judged every few epochs, and needs held-out patches."
_UNLABELLED = "no class"


class EmbeddingView(QWidget):
    """A scatter of the judged patches, with a list of what the colours mean.

    Attributes
    ----------
    beside : QWidget
        The list and what it tells apart, to be laid out by whoever shows the view.
    """

    drawn = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._embedding: Embedding | None = None
        self._hidden: set[str] = set()
        self.plot = pg.PlotWidget()
        self.plot.setMinimumSize(200, 110)
        self.plot.getPlotItem().setAspectLocked(True)
        prepare(self.plot.getPlotItem())
        for side in ("left", "bottom"):
            self.plot.getPlotItem().getAxis(side).setStyle(showValues=False)  # places on a sphere have no unit
        self.points = pg.ScatterPlotItem(size=_POINT, pen=None)
        self.plot.addItem(self.points)
        self.by = QComboBox()
        self.by.setToolTip("What the colours tell apart: the patches' domains, or the classes that they are labelled with; training sees no label")
        for text, key in (("Domain", "domain"), ("Class", "class")):
            self.by.addItem(text, key)
        self.by.currentIndexChanged.connect(self._colour_changed)
        self.legend = LegendList(checkable=True)
        self.legend.setToolTip("What each colour stands for; untick to hide")
        self.legend.toggled.connect(self._toggled)
        self.note = QElidingLabel(_NOTHING)
        self.beside = QWidget()
        beside = QVBoxLayout(self.beside)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(3)
        beside.addWidget(self.by)
        beside.addWidget(self.legend, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.plot, 1)
        column.addWidget(self.note)
        self.set_theme(theme)

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self.plot.setBackground(theme.background)
        style(self.plot.getPlotItem(), theme)
        self._draw()

    def show_embedding(self, embedding: Embedding | None) -> None:
        """Show the picture of a run, or that there is none yet; the same run's view is kept."""
        other = embedding is None or self._embedding is None or embedding.run != self._embedding.run
        self._embedding = embedding
        if other:
            self._hidden.clear()
            self.plot.getPlotItem().enableAutoRange()
        self._draw()
        self.drawn.emit()

    def groups(self) -> tuple[list[str], list[str], NDArray[np.int64]]:
        """Return the names of the groups that are told apart, their colours, and the group (n,) of each patch."""
        if self._embedding is None:
            return [], [], np.zeros(0, dtype=np.int64)
        snapshot = self._embedding.snapshot
        if self.by.currentData() == "domain":
            return list(snapshot.domains), [self._theme.legible(colour) for colour in palette(len(snapshot.domains))], snapshot.domain.astype(np.int64)
        classes = self._embedding.classes
        known = np.array((0, *classes.numbers))
        return [_UNLABELLED, *classes.names], [self._theme.muted, *map(self._theme.legible, classes.colours)], np.searchsorted(known, self._embedding.numbers)

    def _draw(self) -> None:
        names, colours, group = self.groups()
        found = self._embedding
        counts = np.bincount(group, minlength=len(names))
        entries = [(name, f"{name} ({count})", colour, name not in self._hidden) for name, colour, count in zip(names, colours, counts, strict=True) if count]
        self.legend.set_entries(entries)
        if found is None:
            self.points.clear()
            self._say(_NOTHING)
            return
        visible = np.array([name not in self._hidden for name in names])[group]
        brushes = [pg.mkBrush(colour + "c8") for colour in colours]
        places = found.snapshot.places[visible]
        self.points.setData(places[:, 0], places[:, 1], brush=[brushes[number] for number in group[visible]])
        share = f"{100 * found.snapshot.explained:.0f} % of the variance"
        self._say(f"{found.run} · after epoch {found.snapshot.epoch} · principal plane of {len(group)} held-out patches, {share}")

    def _say(self, words: str) -> None:
        self.note.setText(words)
        self.note.setToolTip(words)

    def _colour_changed(self) -> None:
        self._hidden.clear()
        self._draw()

    def _toggled(self, name: str, shown: bool) -> None:
        (self._hidden.discard if shown else self._hidden.add)(name)
        self._draw()
