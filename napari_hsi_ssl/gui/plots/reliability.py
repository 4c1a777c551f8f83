"""Confidence against accuracy: whether a map is right as often as it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt

from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style

_LEAST_SIDE = 170


class ReliabilityPlot(pg.GraphicsLayoutWidget):
    """A dot a bin of confidence: on the diagonal where it is borne out, below where the map is too sure of itself.

    Parameters
    ----------
    report : dict
        With ``reliability``: rows of ``n``, ``confidence``, ``accuracy``; and ``ece`` (fractions).
    theme : Theme
    """

    def __init__(self, report: Mapping[str, Any], theme: Theme) -> None:
        super().__init__()
        self.setMinimumSize(_LEAST_SIDE, _LEAST_SIDE)
        self.setBackground(theme.background)
        self.plot = self.addPlot(0, 0)
        prepare(self.plot)
        rows = report["reliability"]
        self.confidence = 100 * np.array([row["confidence"] for row in rows])
        self.accuracy = 100 * np.array([row["accuracy"] for row in rows])
        self.n = np.array([row["n"] for row in rows])
        line = theme.legible("#56b4e9")
        self.plot.addItem(pg.PlotDataItem([0, 100], [0, 100], pen=pg.mkPen(theme.text, width=1, style=Qt.PenStyle.DashLine)))
        for said, found in zip(self.confidence.tolist(), self.accuracy.tolist(), strict=True):
            self.plot.addItem(pg.PlotDataItem([said, said], [said, found], pen=pg.mkPen(theme.accent, width=1)))
        # The area of a dot is its share of the pixels.
        sizes = 5 + 13 * np.sqrt(self.n / self.n.max())
        self.plot.addItem(pg.ScatterPlotItem(self.confidence, self.accuracy, size=sizes, brush=line, pen=pg.mkPen(theme.background)))
        self.plot.setLabel("bottom", "Confidence (%)")
        self.plot.setLabel("left", "Accuracy (%)")
        low = max(0.0, float(np.floor(min(self.confidence.min(), self.accuracy.min()) / 10) * 10))
        self.plot.setRange(xRange=(low, 101), yRange=(low, 101), padding=0.02)
        self.plot.setMouseEnabled(False, False)
        self.plot.hideButtons()
        style(self.plot, theme)
        self.setToolTip(
            f"A dot a bin of confidence ({len(rows)} bins of as many pixels): on the line where the map is right as often as it says, below it where it is too "
            f"sure. Mean distance from the line (ECE): {100 * report['ece']:.1f} %"
        )
