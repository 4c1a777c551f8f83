"""Curves of training runs over steps: loss, accuracies, and one more quantity that the user chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_hsi_ssl.gui.plots.run_curves import Curve, RunCurves, smooth, thin
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style

_POINTS = 2000
_WIDE = 760
_UNBOUNDED = 16777215
_SMOOTHED_ABOVE = 50
_DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine, Qt.PenStyle.DashDotDotLine)
_SYMBOLS = ("o", "t", "s", "d", "+")
QUANTITIES = {
    "accuracy": ("Accuracy", "Accuracy (%)", "kNN accuracy on domain labels of held-out patches, or of the exits on held-out labels"),
    "alignment": ("Alignment", "Align. ––, unif. - -", "Of held-out patches: how near two views of one patch are (lower is better), "
                  "and how evenly patches fill the sphere (lower is more even)"),
    "learning_rate": ("Learning rate", "Learning rate", "Step size of the optimiser"),
    "throughput": ("Throughput", "Patches/s", "Patches a second, on all devices"),
    "memory": ("Memory", "Memory (GB)", "What training takes of the device's memory"),
}  # fmt: skip
"""What can be drawn beside the loss: its name, the label of its axis, and what it says."""


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
        epochs = [epoch for epoch, step in self._ends if minVal <= step <= maxVal]
        every = _round_up((epochs[-1] - epochs[0] + 1) * 55 / max(size, 1))
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


class TrainingCurves(QWidget):
    """Loss, accuracies and one more quantity of several runs, over each other."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.graphics = pg.GraphicsLayoutWidget()
        self.graphics.setMinimumSize(320, 120)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.graphics)
        self._items: dict[tuple[Any, ...], pg.PlotDataItem] = {}
        self._used: set[tuple[Any, ...]] = set()
        self._named: set[tuple[pg.PlotItem, str]] = set()
        self._quantity = "accuracy"
        self._epoch_axes = [EpochAxis() for _ in range(3)]
        self.loss_plot, self.accuracy_plot, self.other_plot = (
            self.graphics.addPlot(0, column, axisItems={"top": axis}) for column, axis in enumerate(self._epoch_axes)
        )
        self._plots = (self.loss_plot, self.accuracy_plot, self.other_plot)
        for plot, label in zip(self._plots, ("Loss", QUANTITIES["accuracy"][1], ""), strict=True):
            prepare(plot)
            plot.showAxis("top")
            plot.setLabel("left", label)
            plot.setLabel("bottom", "Step")
        for plot in self._plots[1:]:
            plot.setXLink(self.loss_plot)
        self.accuracy_plot.addLegend(offset=(-6, -6), labelTextSize="8pt", colCount=1)
        self.set_theme(theme)
        self._arrange()

    def set_theme(self, theme: Theme) -> None:
        """Forget what is drawn; the next drawing is in other colours."""
        self._theme = theme
        self.graphics.setBackground(theme.background)
        for key in list(self._items):
            key[0].removeItem(self._items.pop(key))
        for plot in self._plots:
            style(plot, theme)
        self.accuracy_plot.legend.setLabelTextColor(theme.text)

    def choose(self, quantity: str) -> None:
        """Show another quantity, a key of `QUANTITIES`."""
        self._quantity = quantity
        if quantity != "accuracy":
            self.other_plot.setLabel("left", QUANTITIES[quantity][1], color=self._theme.text, **{"font-size": "9pt"})
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the accuracy out where three plots would be cramped."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        other = self._quantity != "accuracy"
        shown = {self.loss_plot: True, self.accuracy_plot: not other or self.width() >= _WIDE, self.other_plot: other}
        for plot, visible in shown.items():
            plot.setVisible(visible)
            plot.setMaximumWidth(_UNBOUNDED if visible else 0)

    # -- drawing ----------------------------------------------------------------------------------------------------------

    def draw(self, visible: Sequence[RunCurves], colours: Mapping[str, str]) -> None:
        """Draw some runs, each in its colour."""
        self._used.clear()
        self._named.clear()
        for curves in visible:
            self._draw(curves, colours[curves.name])
        for key in [key for key in self._items if key not in self._used]:
            key[0].removeItem(self._items.pop(key))
        longest = max(visible, key=lambda curves: len(curves.epochs_at), default=None)
        for plot, axis in zip(self._plots, self._epoch_axes, strict=True):
            axis.set_ends(longest.epochs_at if longest else {})
            filled = any(key[0] is plot for key in self._items)
            for side in ("bottom", "left"):
                if plot.getAxis(side).style["showValues"] != filled:  # an empty plot has no numbers to believe
                    plot.getAxis(side).setStyle(showValues=filled)

    def _draw(self, curves: RunCurves, colour: str) -> None:
        self._noisy(self.loss_plot, curves.name, curves.loss, colour)
        self._dotted(self.accuracy_plot, curves.name, curves.accuracies, colour, 100.0)
        if self._quantity == "alignment":
            self._dotted(self.other_plot, curves.name, {name: curves.figures[name] for name in ("alignment", "uniformity")}, colour)
        elif self._quantity == "throughput":
            self._noisy(self.other_plot, curves.name, curves.figures["throughput"], colour)
        elif self._quantity != "accuracy":
            curve = curves.figures[self._quantity]
            factor = 1e-9 if self._quantity == "memory" else 1.0
            self._curve(self.other_plot, (curves.name, self._quantity), *thin(curve.steps, factor * curve.values, _POINTS), pen=pg.mkPen(colour, width=2))

    def _noisy(self, plot: pg.PlotItem, name: str, curve: Curve, colour: str) -> None:
        if not len(curve):
            return
        steps, values = curve.steps, curve.values
        noisy = len(curve) > _SMOOTHED_ABOVE
        pen = pg.mkPen(colour + "38", width=1) if noisy else pg.mkPen(colour, width=2)
        self._curve(plot, (name, "raw", noisy), *thin(steps, values, _POINTS), pen=pen)
        if noisy:
            mean = smooth(values, max(5, len(curve) // 50))
            self._curve(plot, (name, "mean"), *thin(steps, mean, _POINTS), pen=pg.mkPen(colour, width=2))

    def _dotted(self, plot: pg.PlotItem, run: str, curves: Mapping[str, Curve], colour: str, factor: float = 1.0) -> None:
        for index, (kind, curve) in enumerate(curves.items()):
            if not len(curve):
                continue
            dotted = len(curve) <= _SMOOTHED_ABOVE
            # The legend names a kind once: the list beside the plots says which colour is which run.
            name = None if (plot, kind) in self._named else kind
            self._named.add((plot, kind))
            look: dict[str, Any] = {"pen": pg.mkPen(colour, width=2, style=_DASHES[index % len(_DASHES)]), "name": name}
            if dotted:
                look |= {"symbol": _SYMBOLS[index % len(_SYMBOLS)], "symbolSize": 6, "symbolBrush": colour, "symbolPen": None}
            self._curve(plot, (run, kind, dotted, name), *thin(curve.steps, factor * curve.values, _POINTS), **look)

    def _curve(self, plot: pg.PlotItem, key: tuple[object, ...], x: NDArray[np.float64], y: NDArray[np.float64], **look: Any) -> None:  # noqa: ANN401
        # A curve that is kept costs a tenth of one that is made anew.
        item = self._items.get((plot, *key))
        if item is None:
            item = self._items[plot, *key] = plot.plot(connect="finite", **look)
        item.setData(x, y)
        self._used.add((plot, *key))
