"""Training as it happens: loss, accuracies and throughput of one run or of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.run_curves import RunCurves, smooth, thin
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style

_REDRAW_MS = 200
_COLOURS = 20
_POINTS = 2000
_WIDE = 760
_UNBOUNDED = 16777215
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
        """Return the epochs' numbers, with the word at the first."""
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
        self._items: dict[tuple[Any, ...], pg.PlotDataItem] = {}
        self._used: set[tuple[Any, ...]] = set()

        self.status = QElidingLabel(_NOTHING)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setMinimumSize(360, 120)
        self._epoch_axes = [EpochAxis() for _ in range(3)]
        self.loss_plot, self.accuracy_plot, self.speed_plot = (
            self.graphics.addPlot(0, column, axisItems={"top": axis}) for column, axis in enumerate(self._epoch_axes)
        )
        self._plots = (self.loss_plot, self.accuracy_plot, self.speed_plot)
        for column, share in enumerate((4, 4, 3)):
            self.graphics.ci.layout.setColumnStretchFactor(column, share)
        for plot, label in zip(self._plots, ("Loss", "Accuracy (%)", "Patches/s"), strict=True):
            prepare(plot)
            plot.showAxis("top")
            plot.setLabel("left", label)
            plot.setLabel("bottom", "Step")
        self.speed_plot.setXLink(self.loss_plot)
        self.accuracy_plot.setXLink(self.loss_plot)
        self.accuracy_plot.addLegend(offset=(-6, -6), labelTextSize="8pt", colCount=1)
        self.runs = LegendList(checkable=True)
        self.runs.setToolTip("Runs of this project; tick several to compare them")
        self.runs.toggled.connect(self.show_run)
        self.runs.hide()

        # Events come one at a time, a redraw costs more than all of them: so many events, one picture.
        self._timer = QTimer(self, singleShot=True, interval=_REDRAW_MS)
        self._timer.timeout.connect(self.redraw)

        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.graphics, 4)
        row.addWidget(self.runs, 1)
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
        for key in list(self._items):
            key[0].removeItem(self._items.pop(key))
        for plot in self._plots:
            style(plot, theme)
        self.redraw()

    def set_runs(self, states: Mapping[str, str]) -> None:
        """List the runs there are, oldest first, and where they stand; what is known of others is forgotten."""
        self._runs = {name: self._runs.get(name) or RunCurves(name) for name in states}
        for name, state in states.items():
            self._runs[name].state = state
        self._shown &= set(states)
        if self._current not in self._runs:
            self._current = ""
        self.redraw()

    @property
    def shown(self) -> set[str]:
        """Names of the runs that are drawn."""
        return set(self._shown)

    def add_events(self, run: str, events: Iterable[Mapping[str, Any]]) -> None:
        """Take new events of a run; one that has not been heard of before is shown at once."""
        if run not in self._runs:
            self._runs[run] = RunCurves(run)
        curves = self._runs[run]
        if not curves.heard:
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
            if not self._runs[run].heard:
                self.run_asked.emit(run)
        self.redraw()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the throughput to the line above where three plots would be cramped."""
        super().resizeEvent(event)
        wide = self.width() >= _WIDE
        self.speed_plot.setVisible(wide)
        self.speed_plot.setMaximumWidth(_UNBOUNDED if wide else 0)

    def colours(self) -> dict[str, str]:
        """Return the colour of every run."""
        base = palette(_COLOURS)
        return {name: self._theme.legible(base[(index + 1) % _COLOURS]) for index, name in enumerate(self._runs)}

    # -- drawing ----------------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw what has come."""
        self._timer.stop()
        colours = self.colours()
        visible = [curves for name, curves in self._runs.items() if name in self._shown]
        self._used.clear()
        for curves in visible:
            self._draw(curves, colours[curves.name])
        for key in [key for key in self._items if key not in self._used]:
            key[0].removeItem(self._items.pop(key))
        self.runs.set_entries((name, name, colours[name], name in self._shown) for name in self._runs)
        self.runs.setVisible(len(self._runs) > 0)
        current = self._runs.get(self._current)
        self.status.setText(current.status() + (f" · ⚠ {current.message}" if current.message else "") if current else _NOTHING)
        self.status.setToolTip(current.message if current else "")
        longest = max(visible, key=lambda curves: len(curves.epochs_at), default=None)
        for plot, axis in zip(self._plots, self._epoch_axes, strict=True):
            axis.set_ends(longest.epochs_at if longest else {})
            filled = any(key[0] is plot for key in self._items)
            for side in ("bottom", "left"):
                if plot.getAxis(side).style["showValues"] != filled:  # an empty plot has no numbers to believe
                    plot.getAxis(side).setStyle(showValues=filled)

    def _draw(self, curves: RunCurves, colour: str) -> None:
        for plot, curve in ((self.loss_plot, curves.loss), (self.speed_plot, curves.throughput)):
            if not len(curve):
                continue
            steps, values = curve.steps, curve.values
            noisy = len(curve) > _SMOOTHED_ABOVE
            pen = pg.mkPen(colour + "38", width=1) if noisy else pg.mkPen(colour, width=2)
            self._curve(plot, (curves.name, "raw", noisy), *thin(steps, values, _POINTS), pen=pen)
            if noisy:
                mean = smooth(values, max(5, len(curve) // 50))
                self._curve(plot, (curves.name, "mean"), *thin(steps, mean, _POINTS), pen=pg.mkPen(colour, width=2))
        several = len(self._shown) > 1
        for index, (kind, curve) in enumerate(curves.accuracies.items()):
            name = f"{curves.name} {kind}" if several else kind
            dotted = len(curve) <= _SMOOTHED_ABOVE
            look: dict[str, Any] = {"pen": pg.mkPen(colour, width=2, style=_DASHES[index % len(_DASHES)]), "name": name}
            if dotted:
                look |= {"symbol": _SYMBOLS[index % len(_SYMBOLS)], "symbolSize": 6, "symbolBrush": colour, "symbolPen": None}
            self._curve(self.accuracy_plot, (curves.name, name, dotted), curve.steps, 100 * curve.values, **look)

    def _curve(self, plot: pg.PlotItem, key: tuple[object, ...], x: NDArray[np.float64], y: NDArray[np.float64], **look: Any) -> None:  # noqa: ANN401
        # A curve that is kept costs a tenth of one that is made anew.
        item = self._items.get((plot, *key))
        if item is None:
            item = self._items[plot, *key] = plot.plot(connect="finite", **look)
        item.setData(x, y)
        self._used.add((plot, *key))
