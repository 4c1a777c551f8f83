"""Two principal components of all used pixels against each other, drawn as a density so that millions of pixels stay legible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.explore.density import Density
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style

_SIDE_WIDTH = 112
_FAINTEST = 0.3
_FEWEST_BINS = 32
_NO_PCA = "No PCA yet: fit one in step 3, Explore."


def shade(counts: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return logarithmic brightness in [0, 1] of counts; 0 where nothing lies, at least `_FAINTEST` where anything does.

    One pixel is as visible as it must be, and the fullest bin does not outshine the rest.
    """
    logs = np.log1p(counts.astype(np.float32))
    top = float(logs.max(initial=0.0))
    if top == 0:
        return logs
    return np.where(logs > 0, _FAINTEST + (1 - _FAINTEST) * logs / top, 0).astype(np.float32)


def single_image(counts: NDArray[np.generic], dark: bool) -> NDArray[np.uint8]:
    """Return RGBA (x bins, y bins, 4) of one density in viridis, its dense end the one that stands out from the background."""
    level = shade(counts)
    table = pg.colormap.get("viridis").getLookupTable(0.0, 1.0, 256, alpha=True)
    index = level if dark else 1 - level * 0.95
    image = table[(index * 255).astype(np.uint8)].astype(np.uint8)
    image[..., 3] = np.where(level > 0, 255, 0)
    return image


def blended_image(layers: Sequence[NDArray[np.generic]], colours: Sequence[str]) -> NDArray[np.uint8]:
    """Return RGBA (x bins, y bins, 4) in which a bin has the mixed colours of what lies in it, each weighted by its own logarithm.

    A small domain is not drowned by a large one: every domain is scaled by its own fullest bin.
    """
    weights = [shade(counts) for counts in layers]
    total = np.sum(weights, axis=0)
    image = np.zeros((*total.shape, 4), dtype=np.float32)
    for weight, colour in zip(weights, colours, strict=True):
        share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
        for channel, start in enumerate((1, 3, 5)):
            image[..., channel] += share * int(colour[start : start + 2], 16)
    image[..., 3] = 255 * np.sqrt(np.max(weights, axis=0))
    return np.rint(image).astype(np.uint8)


def coarser(counts: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return counts on bins wide enough for few points to be seen: about two bins and a half a root of the number of points.

    Neighbouring bins are added up, by powers of two, so that no point is lost; many points keep all bins.
    """
    bins, wanted = min(counts.shape), 2.5 * float(counts.sum()) ** 0.5
    while bins > wanted and bins > _FEWEST_BINS and not any(side % 2 for side in counts.shape):
        counts = counts[::2, ::2] + counts[1::2, ::2] + counts[::2, 1::2] + counts[1::2, 1::2]
        bins = min(counts.shape)
    return counts


class LassoView(pg.ViewBox):
    """A view in which, on request, a drag of the left button draws a lasso instead of moving the picture."""

    drawn = Signal(object)
    """float64 polygon (n, 2) of (x, y) in the units of the axes."""

    def __init__(self) -> None:
        super().__init__()
        self.lasso = False
        self._points: list[tuple[float, float]] = []
        self.outline = pg.PlotCurveItem(connect="all")
        self.addItem(self.outline, ignoreBounds=True)

    def mouseDragEvent(self, ev: pg.GraphicsScene.mouseEvents.MouseDragEvent, axis: int | None = None) -> None:
        """Collect the lasso's points; emit the polygon when the button is released."""
        if not self.lasso or ev.button() != Qt.MouseButton.LeftButton:
            super().mouseDragEvent(ev, axis)
            return
        ev.accept()
        if ev.isStart():
            self._points = [self._place(ev.buttonDownPos())]
        self._points.append(self._place(ev.pos()))
        closed = np.array([*self._points, self._points[0]] if ev.isFinish() else self._points)
        self.outline.setData(closed[:, 0], closed[:, 1])
        if ev.isFinish() and len(self._points) > 2:
            self.drawn.emit(np.array(self._points, dtype=np.float64))

    def _place(self, position: pg.Point) -> tuple[float, float]:
        point = self.mapToView(position)
        return float(point.x()), float(point.y())


class ScatterPlot(QWidget):
    """The density of any two components, in one colour scale or blended by domain."""

    pair_changed = Signal(int, int)
    """The user wants these components (counted from 0) on x and y."""
    lasso_drawn = Signal(object)
    """float64 polygon (n, 2) in component units, of the pair that is shown."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._densities: dict[str, Density] = {}
        self._explained: NDArray[np.float64] = np.zeros(0)
        self._shown_pair: tuple[int, int] | None = None
        self._word = "PC"

        self.view = LassoView()
        self.view.drawn.connect(self.lasso_drawn)
        self.plot = pg.PlotWidget(viewBox=self.view)
        self.plot.setMinimumSize(240, 120)
        prepare(self.plot.getPlotItem())
        self.image = pg.ImageItem(axisOrder="col-major")
        self.plot.addItem(self.image)

        self.x_box, self.y_box = QComboBox(), QComboBox()
        for box, axis in ((self.x_box, "horizontal"), (self.y_box, "vertical")):
            box.setToolTip(f"Component on the {axis} axis")
            box.activated.connect(self._pair_chosen)
        self.domain_box = QCheckBox("By domain")
        self.domain_box.setToolTip("Colour every bin by the domains whose pixels lie in it")
        self.domain_box.toggled.connect(self._redraw)
        self.lasso_button = QPushButton("Lasso", checkable=True)
        self.lasso_button.setToolTip("Drag around pixels in the scatter to select them")
        self.lasso_button.toggled.connect(self._lasso_toggled)
        self.lasso_button.hide()
        self.reset_button = QPushButton("Whole scatter", clicked=self.show_all)
        self.reset_button.setToolTip("Zoom out to the whole scatter")
        self.note = QLabel(_NO_PCA, wordWrap=True)
        self.legend = LegendList()

        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("x", self.x_box)
        form.addRow("y", self.y_box)
        side = QVBoxLayout()
        side.setSpacing(3)
        side.addLayout(form)
        for widget in (self.domain_box, self.reset_button, self.lasso_button, self.note):
            widget.setFixedWidth(_SIDE_WIDTH)
            side.addWidget(widget)
        side.addStretch()
        for box in (self.x_box, self.y_box):
            box.setFixedWidth(_SIDE_WIDTH - 20)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 6, 6, 4)
        row.addLayout(side)
        row.addWidget(self.plot, 4)
        row.addWidget(self.legend, 1)
        self.set_theme(theme)

    # -- what is shown --------------------------------------------------------------------------------------------------

    @property
    def pair(self) -> tuple[int, int]:
        """The components on x and y, counted from 0."""
        if not len(self._explained):
            return 0, 1
        return self.x_box.currentIndex(), self.y_box.currentIndex()

    def allow_lasso(self, allowed: bool = True) -> None:
        """Offer the lasso: only where somebody acts on `lasso_drawn`."""
        self.lasso_button.setVisible(allowed)

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self.plot.setBackground(theme.background)
        self.view.outline.setPen(pg.mkPen(theme.accent, width=2))
        self._redraw()

    def set_components(self, explained: Sequence[float] | NDArray[np.floating], word: str = "PC") -> None:
        """Offer the components of a projection, with the share (k,) of the variance that each explains; none when empty."""
        self._word = word
        x, y = self.pair
        self._explained = np.asarray(explained, dtype=np.float64)
        count = len(self._explained)
        for box, index in ((self.x_box, x), (self.y_box, y if y != x else 1)):
            box.clear()
            box.addItems([f"{word} {number}" for number in range(1, count + 1)])
            box.setCurrentIndex(min(index, count - 1))
        self._densities = {}
        self._shown_pair = None
        self.say("" if count else _NO_PCA)
        self._redraw()

    def set_densities(self, densities: Mapping[str, Density], x: int, y: int) -> None:
        """Draw one density a domain, all on the same bins, of the components ``x`` and ``y``."""
        moved = (x, y) != self._shown_pair or not self._densities
        self._densities = dict(densities)
        self._shown_pair = (x, y)
        self.x_box.setCurrentIndex(x)
        self.y_box.setCurrentIndex(y)
        self.view.outline.setData([], [])
        self._redraw()
        if moved:
            self.show_all()

    def show_all(self) -> None:
        """Zoom out to the whole scatter."""
        if self._densities:
            self.plot.setRange(self._frame(), padding=0.02)

    def say(self, text: str) -> None:
        """Write a word for the user beside the plot."""
        self.note.setText(text)

    # -- drawing ----------------------------------------------------------------------------------------------------------

    def _frame(self) -> QRectF:
        first = next(iter(self._densities.values()))
        x, y = first.x_edges, first.y_edges
        return QRectF(float(x[0]), float(y[0]), float(x[-1] - x[0]), float(y[-1] - y[0]))

    def colours(self) -> dict[str, str]:
        """Return the colour of every domain, in the order of their names so that a domain keeps its own."""
        names = sorted(self._densities)
        return {name: self._theme.legible(colour) for name, colour in zip(names, palette(len(names)), strict=True)}

    def _redraw(self) -> None:
        by_domain = self.domain_box.isChecked()
        if self._densities:
            layers = self._layers()
            colours = self.colours()
            if by_domain:
                picture = blended_image(list(layers.values()), [colours[name] for name in layers])
                entries = [(name, f"{name} · {int(layers[name].sum()):,} px", colours[name], True) for name in sorted(layers)]
            else:
                total = coarser(np.sum([density.counts for density in self._densities.values()], axis=0))
                picture = single_image(total, self._theme.dark)
                entries = self._scale_entries(total, picture)
            self.image.setImage(picture, autoLevels=False, levels=(0, 255))
            self.image.setRect(self._frame())
            self.legend.set_entries(entries)
        self.image.setVisible(bool(self._densities))
        self.legend.setVisible(bool(self._densities))
        for box in (self.x_box, self.y_box, self.domain_box, self.reset_button):
            box.setEnabled(len(self._explained) > 0)
        self.lasso_button.setEnabled(bool(self._densities))
        x, y = self._shown_pair or self.pair
        self.plot.setLabel("bottom", self._axis_name(x))
        self.plot.setLabel("left", self._axis_name(y))
        style(self.plot.getPlotItem(), self._theme)
        for side in ("bottom", "left"):
            self.plot.getAxis(side).setStyle(showValues=bool(self._densities))

    def _layers(self) -> dict[str, NDArray[np.integer]]:
        """Return the counts of every domain, all on bins as coarse as the smallest number of points needs."""
        layers = {name: coarser(density.counts) for name, density in self._densities.items()}
        side = min(counts.shape[0] for counts in layers.values())
        for name, counts in layers.items():
            parts = counts.shape[0] // side
            layers[name] = counts.reshape(side, parts, side, parts).sum(axis=(1, 3))
        return layers

    def _axis_name(self, component: int) -> str:
        share = f" ({100 * self._explained[component]:.1f} %)" if component < len(self._explained) else ""
        return f"{self._word} {component + 1}{share}"

    def _scale_entries(self, total: NDArray[np.integer], picture: NDArray[np.uint8]) -> list[tuple[str, str, str, bool]]:
        """Return legend entries that tell what the colours mean: counts of a bin from the fullest down."""
        top = int(total.max(initial=0))
        if top == 0:
            return []
        steps = sorted({top, *(10**power for power in range(len(str(top))))}, reverse=True)
        entries = []
        for count in steps:
            nearest = np.unravel_index(np.abs(np.where(total > 0, total, -top) - count).argmin(), total.shape)
            red, green, blue = picture[nearest][:3].tolist()
            entries.append((str(count), f"{count:,} px in a bin", f"#{red:02x}{green:02x}{blue:02x}", True))
        return entries

    def _pair_chosen(self) -> None:
        self.pair_changed.emit(*self.pair)

    def _lasso_toggled(self, on: bool) -> None:
        self.view.lasso = on
        if not on:
            self.view.outline.setData([], [])
