"""Two components of all used pixels against each other, drawn as a density so that millions of pixels stay legible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QPushButton, QSplitter, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.explore.density import Density
from napari_hsi_ssl.explore.shading import binned, blended_image, dotted, side_for, single_image, tinted_image
from napari_hsi_ssl.gui.plots.lasso import LassoView
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style
from napari_hsi_ssl.steps.scatter import axis_text

_SIDE_WIDTH = 138
_LEGEND_WIDTH = 124
_SELECTED = {True: "#ff4fdc", False: "#c4009a"}
"""Of selected pixels, on a dark and on a light background."""
_NO_PCA = "No PCA yet: fit one in step 3, Explore."
_COLOURINGS = {
    "density": ("Density", "One colour scale for how many pixels lie in a bin"),
    "domain": ("Domain", "A colour for each domain"),
    "cube": ("This cube", "The cube that is shown, and all others"),
    "mask": ("Mask", "Pixels inside and outside of the masks"),
    "label": ("Label", "The colours of the classes that pixels are labelled with"),
    "map": ("Map", "The colours of the classes on the map made last"),
}
_LASSO_TIP = "Drag around pixels in the scatter to select them in the image; Shift adds to the selection, Ctrl takes away"


class ScatterPlot(QWidget):
    """The density of any two components, in one colour scale or mixed from the colours of groups, with what is selected over it."""

    pair_changed = Signal(int, int)
    """The user wants these components (counted from 0) on x and y."""
    colour_changed = Signal(str)
    """The user wants other groups told apart: a key of `_COLOURINGS`."""
    space_changed = Signal(str)
    """The user wants the "components" or the "umap"."""
    lasso_drawn = Signal(object, str)
    """float64 polygon (n, 2) in component units, of the pair that is shown, and "new", "add" or "subtract"."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._densities: dict[str, Density] = {}
        self._colours: dict[str, str] = {}
        self._colour = "density"
        self._selected: NDArray[np.integer] | None = None
        self._explained: NDArray[np.float64] = np.zeros(0)
        self._shown_pair: tuple[int, int] | None = None
        self._word = "PC"
        self._count = 0

        self.view = LassoView()
        self.view.drawn.connect(self.lasso_drawn)
        self.plot = pg.PlotWidget(viewBox=self.view)
        self.plot.setMinimumSize(170, 110)
        prepare(self.plot.getPlotItem())
        self.plot.getPlotItem().hideButtons()  # "Whole scatter" says in words what pyqtgraph's "A" does
        self.image, self.overlay = pg.ImageItem(axisOrder="col-major"), pg.ImageItem(axisOrder="col-major")
        self.overlay.setZValue(10)
        self.overlay.hide()
        self.plot.addItem(self.image)
        self.plot.addItem(self.overlay)

        self.space_box = QComboBox()
        for text, key in (("Components", "components"), ("UMAP", "umap")):
            self.space_box.addItem(text, key)
        self.space_box.setToolTip("What is plotted: components of all pixels, or the UMAP of a sample of them")
        self.space_box.activated.connect(lambda: self.space_changed.emit(self.space))
        self.space_box.hide()
        self.x_box, self.y_box, self.colour_box = QComboBox(), QComboBox(), QComboBox()
        for box, axis in ((self.x_box, "horizontal"), (self.y_box, "vertical")):
            box.setToolTip(f"Component on the {axis} axis")
            box.activated.connect(self._pair_chosen)
        for key, (text, tooltip) in _COLOURINGS.items():
            self.colour_box.addItem(text, key)
            self.colour_box.setItemData(self.colour_box.count() - 1, tooltip, 3)  # Qt.ToolTipRole
        self.colour_box.setToolTip("What the colours tell apart")
        self.colour_box.activated.connect(lambda: self.colour_changed.emit(self.colour))
        self.lasso_button = QPushButton("Lasso", checkable=True, checked=True)
        self.lasso_button.setToolTip(_LASSO_TIP)
        self.box_button = QPushButton("Box", checkable=True)
        self.box_button.setToolTip(_LASSO_TIP.replace("Drag around pixels", "Drag a rectangle over pixels"))
        for button, other in ((self.lasso_button, self.box_button), (self.box_button, self.lasso_button)):
            button.clicked.connect(lambda on, other=other: self._tool_chosen(on, other))
        self.view.tool = "lasso"
        self.reset_button = QPushButton("Whole scatter", clicked=self.show_all)
        self.reset_button.setToolTip("Zoom out to the whole scatter; the wheel zooms, a drag of the middle button moves")
        self.note = QLabel(_NO_PCA, wordWrap=True)
        self.legend = LegendList()
        self.legend.setMinimumWidth(_LEGEND_WIDTH)
        self.legend.setToolTip("What each colour stands for")
        self._lay_out()
        self.set_theme(theme)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        for text, box in (("x", self.x_box), ("y", self.y_box), ("by", self.colour_box)):
            form.addRow(text, box)
            box.setFixedWidth(_SIDE_WIDTH - 24)
        tools = QHBoxLayout()
        tools.setSpacing(3)
        for button in (self.lasso_button, self.box_button):
            button.setFixedWidth((_SIDE_WIDTH - 3) // 2)
            button.setStyleSheet("padding: 3px 2px;")
            tools.addWidget(button)
        self.reset_button.setStyleSheet("padding: 3px 2px;")
        self.side = QVBoxLayout()
        self.side.setSpacing(3)
        self.side.addWidget(self.space_box)
        self.side.addLayout(form)
        self.side.addLayout(tools)
        for widget in (self.reset_button, self.note):
            self.side.addWidget(widget)
        for widget in (self.space_box, self.reset_button, self.note):
            widget.setFixedWidth(_SIDE_WIDTH)
        self.side.addStretch()
        row = QHBoxLayout()
        row.addLayout(self.side)
        self.split = QSplitter(Qt.Orientation.Horizontal, childrenCollapsible=False)
        self.split.addWidget(self.plot)
        self.split.addWidget(self.legend)
        self.split.setStretchFactor(0, 1)
        self.split.setStretchFactor(1, 0)
        self.split.setSizes([500, _LEGEND_WIDTH + 30])
        row.addWidget(self.split, 1)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(6, 6, 6, 4)
        self.column.setSpacing(3)
        self.column.addLayout(row, 1)

    # -- what is shown --------------------------------------------------------------------------------------------------

    @property
    def pair(self) -> tuple[int, int]:
        """The components on x and y, counted from 0."""
        if not self._count:
            return 0, 1
        return self.x_box.currentIndex(), self.y_box.currentIndex()

    @property
    def colour(self) -> str:
        """What the colours are to tell apart."""
        return str(self.colour_box.currentData())

    def set_colour(self, colour: str) -> None:
        """Say what the colours are to tell apart."""
        self.colour_box.setCurrentIndex(self.colour_box.findData(colour))

    @property
    def space(self) -> str:
        """The "components" or the "umap"."""
        return str(self.space_box.currentData())

    def offer_umap(self, there: bool) -> None:
        """Let the user choose the UMAP where there is one."""
        self.space_box.setVisible(there)
        if not there:
            self.space_box.setCurrentIndex(0)

    def set_space(self, space: str) -> None:
        """Say what is plotted."""
        self.space_box.setCurrentIndex(self.space_box.findData(space))

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self.plot.setBackground(theme.background)
        self.view.outline.setPen(pg.mkPen(theme.accent, width=2))
        self._redraw()
        self._redraw_selected()

    def set_components(self, explained: Sequence[float] | NDArray[np.floating], word: str = "PC", count: int | None = None) -> None:
        """Offer the components of a projection, with the share (k,) of the variance that each explains; none when empty.

        ``count`` says how many axes there are where nothing is known of their shares.
        """
        x, y = self.pair
        self._word = word
        self._explained = np.asarray(explained, dtype=np.float64)
        self._count = len(self._explained) if count is None else count
        for box, index in ((self.x_box, x), (self.y_box, y if y != x else 1)):
            names = [f"{word} {number}" for number in range(1, self._count + 1)]
            if names != [box.itemText(item) for item in range(box.count())]:
                box.clear()
                box.addItems(names)
            box.setCurrentIndex(min(index, self._count - 1))
        self._densities, self._selected = {}, None
        self._shown_pair = None
        self.say("" if self._count else _NO_PCA)
        self._redraw()
        self._redraw_selected()

    def set_densities(self, densities: Mapping[str, Density], x: int, y: int, colours: Mapping[str, str] | None = None, colour: str = "density") -> None:
        """Draw one density a group, all on the same bins, of the components ``x`` and ``y``.

        Parameters
        ----------
        densities : dict of str to Density
        x, y : int
        colours : dict of str to str, optional
            ``#rrggbb`` of the groups; others are given one.
        colour : str
            What the groups are; with "density" they are drawn as one.
        """
        before = self._frame() if self._densities else None
        moved = (x, y) != self._shown_pair or not self._densities
        self._densities = dict(densities)
        self._colours = dict(colours or {})
        self._colour = colour
        self._shown_pair = (x, y)
        self._selected = None
        self.x_box.setCurrentIndex(x)
        self.y_box.setCurrentIndex(y)
        self.set_colour(colour)
        self.forget_outline()
        self._redraw()
        self._redraw_selected()
        if moved or before != self._frame():
            self.show_all()

    def set_selected(self, counts: NDArray[np.integer] | None) -> None:
        """Light up how many selected pixels lie in each bin (x bin, y bin), or none."""
        self._selected = counts if counts is not None and counts.any() else None
        self._redraw_selected()

    def forget_outline(self) -> None:
        """Take the line of the lasso away."""
        self.view.outline.setData([], [])

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
        """Return the colour of every group; domains keep their own by the order of their names."""
        names = sorted(self._densities)
        given = dict(zip(names, palette(len(names)), strict=True)) | self._colours
        return {name: self._theme.legible(given[name]) for name in self._densities}

    def _redraw(self) -> None:
        there = bool(self._densities)
        if there:
            groups = {name: density.counts for name, density in self._densities.items()}
            sizes = {name: int(counts.sum()) for name, counts in groups.items()}
            side = side_for(sum(sizes.values()), next(iter(groups.values())).shape[0])
            if self._colour == "density":
                total = binned(np.sum(list(groups.values()), axis=0), side)
                picture = single_image(dotted(total), self._theme.dark)
                entries = self._scale_entries(total)
            else:
                colours = self.colours()
                picture = blended_image([dotted(binned(counts, side)) for counts in groups.values()], list(colours.values()))
                entries = [(name, f"{name}\n{sizes[name]:,} px", colours[name], True) for name in groups]
            self.image.setImage(picture, autoLevels=False, levels=(0, 255))
            self.image.setRect(self._frame())
            self.legend.set_entries(entries)
        self.image.setVisible(there)
        self.legend.setVisible(there)
        for widget in (self.x_box, self.y_box, self.colour_box, self.reset_button):
            widget.setEnabled(self._count > 0)
        for button in (self.lasso_button, self.box_button):
            button.setEnabled(there)
        x, y = self._shown_pair or self.pair
        self.plot.setLabel("bottom", axis_text(self._word, x, self._explained))
        self.plot.setLabel("left", axis_text(self._word, y, self._explained))
        style(self.plot.getPlotItem(), self._theme)
        for side_name in ("bottom", "left"):
            self.plot.getAxis(side_name).setStyle(showValues=there)

    def _redraw_selected(self) -> None:
        counts = self._selected
        if counts is not None and self._densities:
            # Bins as those of the picture below: else a coarse one would be covered only here and there.
            points = sum(int(density.counts.sum()) for density in self._densities.values())
            counts = dotted(binned(counts, side_for(points, counts.shape[0])))
            self.overlay.setImage(tinted_image(counts, _SELECTED[self._theme.dark]), autoLevels=False, levels=(0, 255))
            self.overlay.setRect(self._frame())
        self.overlay.setVisible(counts is not None and bool(self._densities))

    def _scale_entries(self, total: NDArray[np.integer]) -> list[tuple[str, str, str, bool]]:
        """Return legend entries that tell what the colours mean: counts of a bin from the fullest down."""
        top = int(total.max(initial=0))
        if top == 0:
            return []
        steps = sorted({top, *(10**power for power in range(len(str(top))))}, reverse=True)
        colours = single_image(np.array([steps]), self._theme.dark)[0, :, :3].tolist()
        return [(str(count), f"{count:,} px in a bin", "#{:02x}{:02x}{:02x}".format(*rgb), True) for count, rgb in zip(steps, colours, strict=True)]

    def _pair_chosen(self) -> None:
        self.pair_changed.emit(*self.pair)

    def _tool_chosen(self, on: bool, other: QPushButton) -> None:
        if on:
            other.setChecked(False)
        self.view.tool = "lasso" if self.lasso_button.isChecked() else "rectangle" if self.box_button.isChecked() else ""
        if not self.view.tool:
            self.forget_outline()
