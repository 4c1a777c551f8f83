"""A plot's view in which a drag of the left button draws a lasso or a rectangle."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal


class LassoView(pg.ViewBox):
    """A view in which, on request, a drag of the left button draws an outline instead of moving the picture.

    Attributes
    ----------
    tool : {"", "lasso", "rectangle"}
        What a drag draws.
    """

    drawn = Signal(object, str)
    """float64 polygon (n, 2) of (x, y) in the units of the axes, and "new", "add" (with Shift) or "subtract" (with Ctrl)."""

    def __init__(self) -> None:
        super().__init__()
        self.tool = ""
        self._points: list[tuple[float, float]] = []
        self.outline = pg.PlotCurveItem(connect="all")
        self.outline.setZValue(20)
        self.addItem(self.outline, ignoreBounds=True)

    def mouseDragEvent(self, ev: pg.GraphicsScene.mouseEvents.MouseDragEvent, axis: int | None = None) -> None:
        """Collect the outline's points; emit the polygon when the button is released."""
        if not self.tool or ev.button() != Qt.MouseButton.LeftButton:
            super().mouseDragEvent(ev, axis)
            return
        ev.accept()
        if ev.isStart():
            self._points = [self._place(ev.buttonDownPos())]
        here = self._place(ev.pos())
        if self.tool == "rectangle":
            (x0, y0), (x1, y1) = self._points[0], here
            self._points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        else:
            self._points.append(here)
        closed = np.array([*self._points, self._points[0]] if ev.isFinish() or self.tool == "rectangle" else self._points)
        self.outline.setData(closed[:, 0], closed[:, 1])
        if ev.isFinish() and len(self._points) > 2:
            self.drawn.emit(np.array(self._points, dtype=np.float64), _mode(ev.modifiers()))

    def _place(self, position: pg.Point) -> tuple[float, float]:
        point = self.mapToView(position)
        return float(point.x()), float(point.y())


def _mode(modifiers: Qt.KeyboardModifier) -> str:
    if modifiers & Qt.KeyboardModifier.ShiftModifier:
        return "add"
    return "subtract" if modifiers & Qt.KeyboardModifier.ControlModifier else "new"
