"""Training as it happens: loss, accuracies and throughput of one run or of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.run_curves import Curve, RunCurves, smooth, thin
from napari_hsi_ssl.gui.plots.theme import Theme, style

_REDRAW_MS = 200
_LEGEND_WIDTH = 170
_COLOURS = 20
_POINTS = 2000
_SMOOTHED_ABOVE = 50
_DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine, Qt.PenStyle.DashDotDotLine)
_SYMBOLS = ("o", "t", "s", "d", "+")
_NOTHING = "No run yet: start one in step 5, Train."


class EpochAxis(pg.AxisItem):
    """An axis that shows where epochs end, on a plot over steps."""

    def __init__(self) -> None:
        super().__init__("top")
        self._ends: list[tuple[int, float]] = []
        self.setStyle(tickLength=-4)

    def set_ends(self, ends: Mapping[int, float]) -> None:
        """Set the last step of every epoch."""
        self._ends = sorted(ends.items())
        self.picture = None
        self.update()

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """Return the ends of as many epochs as have room for their numbers."""
        inside = [step for _, step in self._ends if minVal <= step <= maxVal]
        if not inside:
            return []
        every = _round_up(len(inside) * 40 / max(size, 1))
        chosen = [step for epoch, step in self._ends if minVal <= step <= maxVal and epoch % every == 0] or inside[-1:]
        return [(0.0, chosen)]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Number the epochs, with the word at the first."""
        numbers = {step: str(epoch) for epoch, step in self._ends}
        return [("epoch " if index == 0 else "") + numbers.get(value, "") for index, value in enumerate(values)]


def _round_up(count: float) -> int:
    for power in range(9):
        for step in (1, 2, 5):
            if step * 10**power >= count:
                return step * 10**power
    return 10**9


class TrainingPlot(QWidget):
    """Loss, accuracies and throughput over steps."""

    run_asked = Signal(str)
    """The user wants to see a run whose events are not here yet."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._runs: dict[str, RunCurves] = {}
        self._shown: set[str] = set()
        self._current = ""

        self.status = QElidingLabel(_NOTHING)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setMinimumSize(360, 120)
        self._epoch_axes = [EpochAxis() for _ in range(3)]
        self.loss_plot, self.accuracy_plot, self.speed_plot = (
            self.graphics.addPlot(0, column, axisItems={"top": axis}) for column, axis in enumerate(self._epoch_axes)
        )
        for column, share in enumerate((4, 4, 3)):
            self.graphics.ci.layout.setColumnStretchFactor(column, share)
        for plot, label in ((self.loss_plot, "Loss"), (self.accuracy_plot, "Accuracy (%)"), (self.speed_plot, "Patches/s")):
            plot.showAxis("top")
            plot.setLabel("left", label)
            plot.setLabel("bottom", "Step")
        self.speed_plot.setXLink(self.loss_plot)
        self.accuracy_plot.setXLink(self.loss_plot)
        self.accuracy_plot.addLegend(offset=(-6, -6), labelTextSize="8pt", colCount=1)
        self.runs = LegendList(checkable=True)
        self.runs.setFixedWidth(_LEGEND_WIDTH)
        self.runs.setToolTip("Runs of this project; tick several to compare them")
        self.runs.toggled.connect(self.show_run)
        self.runs.hide()

        # Events come one at a time, a redraw costs more than all of them: so many events, one picture.
        self._timer = QTimer(self, singleShot=True, interval=_REDRAW_MS)
        self._timer.timeout.connect(self.redraw)

        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.graphics, 1)
        row.addWidget(self.runs)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(2)
        column.addWidget(self.status)
        column.addLayout(row, 1)
        self.set_theme(theme)

    # -- what is shown --------------------------------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self.graphics.setBackground(theme.background)
        self.accuracy_plot.legend.setLabelTextColor(theme.text)
        self.redraw()

    def set_runs(self, names: Iterable[str]) -> None:
        """List the runs there are, oldest first; what is known of others is forgotten."""
        names = list(names)
        self._runs = {name: self._runs.get(name) or RunCurves(name) for name in names}
        self._shown &= set(names)
        if self._current not in self._runs:
            self._current = ""
        self.redraw()

    def add_events(self, run: str, events: Iterable[Mapping[str, Any]]) -> None:
        """Take new events of a run; one that has not been seen before is shown at once."""
        if run not in self._runs:
            self._runs[run] = RunCurves(run)
        curves = self._runs[run]
        if curves.state == "waiting":
            self._shown.add(run)
        curves.add(events)
        if curves.state == "running" or not self._current:
            self._current = run
        if not self._timer.isActive():
            self._timer.start()

    def show_run(self, run: str, shown: bool = True) -> None:
        """Show or hide a run; asks for its events where there are none yet."""
        (self._shown.add if shown else self._shown.discard)(run)
        if shown and run in self._runs:
            self._current = run
            if self._runs[run].state == "waiting":
                self.run_asked.emit(run)
        self.redraw()

    def colours(self) -> dict[str, str]:
        """Return the colour of every run."""
        base = palette(_COLOURS)
        return {name: self._theme.legible(base[(index + 1) % _COLOURS]) for index, name in enumerate(self._runs)}

    # -- drawing ----------------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw what has come."""
        self._timer.stop()
        plots = (self.loss_plot, self.accuracy_plot, self.speed_plot)
        for plot in plots:
            for item in plot.listDataItems():
                plot.removeItem(item)
        colours = self.colours()
        visible = [curves for name, curves in self._runs.items() if name in self._shown]
        for curves in visible:
            self._draw(curves, colours[curves.name])
        self.runs.set_entries((name, name, colours[name], name in self._shown) for name in self._runs)
        self.runs.setVisible(len(self._runs) > 0)
        current = self._runs.get(self._current)
        self.status.setText(current.status() + (f" · ⚠ {current.message}" if current.message else "") if current else _NOTHING)
        self.status.setToolTip(current.message if current else "")
        longest = max(visible, key=lambda curves: len(curves.epochs_at), default=None)
        for plot, axis in zip(plots, self._epoch_axes, strict=True):
            axis.set_ends(longest.epochs_at if longest else {})
            style(plot, self._theme)
            for side in ("bottom", "left"):
                plot.getAxis(side).setStyle(showValues=bool(plot.listDataItems()))

    def _draw(self, curves: RunCurves, colour: str) -> None:
        for plot, curve in ((self.loss_plot, curves.loss), (self.speed_plot, curves.throughput)):
            if not len(curve):
                continue
            steps, values = curve.steps, curve.values
            single = len(curve) <= _SMOOTHED_ABOVE
            plot.plot(*thin(steps, values, _POINTS), pen=pg.mkPen(colour if single else colour + "38", width=1.5 if single else 1), connect="finite")
            if not single:
                mean = smooth(values, max(5, len(curve) // 50))
                plot.plot(*thin(steps, mean, _POINTS), pen=pg.mkPen(colour, width=2), connect="finite")
        several = len(self._shown) > 1
        for index, (name, curve) in enumerate(curves.accuracies.items()):
            self._draw_accuracy(curve, colour, index, f"{curves.name} {name}" if several else name)

    def _draw_accuracy(self, curve: Curve, colour: str, index: int, name: str) -> None:
        pen = pg.mkPen(colour, width=2, style=_DASHES[index % len(_DASHES)])
        few = len(curve) <= _SMOOTHED_ABOVE
        dots = {"symbol": _SYMBOLS[index % len(_SYMBOLS)], "symbolSize": 6, "symbolBrush": colour, "symbolPen": None} if few else {}
        self.accuracy_plot.plot(curve.steps, 100 * np.asarray(curve.values), pen=pen, name=name, connect="finite", **dots)
