"""Two small pictures for whoever prepares spectra: how good each band is, and spectra before and after a chain."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Signal

from napari_hsi_ssl.cubes.bad_bands import BandReport
from napari_hsi_ssl.gui.palette import palette
from napari_hsi_ssl.gui.plots.theme import prepare, style
from napari_hsi_ssl.steps.prepare import SpectraPreview

COLOURS: Final = {"header": "#999999", "dead": "#d55e00", "noisy": "#e69f00", "water": "#56b4e9", "chosen": "#cc79a7"}
_SHOWN = 4


class _Plot(pg.PlotWidget):
    def __init__(self, left: str) -> None:
        super().__init__()
        self.setMenuEnabled(False)
        self.setMinimumHeight(150)
        self.setMaximumHeight(190)
        item = self.getPlotItem()
        item.setLabel("bottom", "band")
        item.setLabel("left", left)
        prepare(item)
        self._dress()
        palette.changed.connect(self._dress)

    def _dress(self) -> None:
        self.setBackground(palette.theme.background)
        style(self.getPlotItem(), palette.theme)


class BandPlot(_Plot):
    """The signal-to-noise ratio of every band, bad ones shaded by their reason; a click, or a drag across several, turns them over."""

    toggled = Signal()

    def __init__(self) -> None:
        super().__init__("SNR")
        self.setToolTip("Signal-to-noise ratio of each band. Click a band, or drag across several, to call it bad or good")
        self.setMouseEnabled(x=False, y=False)
        self.reasons: list[str] = []
        self._places = np.zeros(0)
        self._shades: list[pg.LinearRegionItem] = []
        self._pressed: int | None = None
        self.curve = self.plot([], [])
        palette.changed.connect(self._draw_curve)

    def show_report(self, report: BandReport, bad: tuple[int, ...] | None = None) -> None:
        """Show a report, with its own bad bands or the given ones."""
        count = len(report.reasons)
        self._places = np.arange(count, dtype=np.float64) if report.wavelengths is None else report.wavelengths
        self.getPlotItem().setLabel("bottom", "band" if report.wavelengths is None else "nm")
        self.reasons = list(report.reasons) if bad is None else [(report.reasons[band] or "chosen") if band in bad else "" for band in range(count)]
        self.curve.setData(self._places, report.snr)
        self._draw_curve()
        self._shade()

    def _draw_curve(self) -> None:
        self.curve.setPen(pg.mkPen(palette.theme.text))

    @property
    def bad(self) -> tuple[int, ...]:
        """The bands that are bad as the picture stands."""
        return tuple(band for band, reason in enumerate(self.reasons) if reason)

    def turn(self, first: int, last: int) -> None:
        """Turn the bands from first to last over: bad ones when the first was good, else good ones."""
        reason = "" if self.reasons[first] else "chosen"
        for band in range(min(first, last), max(first, last) + 1):
            self.reasons[band] = reason
        self._shade()
        self.toggled.emit()

    def _shade(self) -> None:
        for shade in self._shades:
            self.removeItem(shade)
        self._shades = []
        if not self.reasons:
            return
        edges = (
            np.concatenate([[-0.5, 0.5]])
            if len(self._places) == 1
            else np.interp(np.arange(len(self._places) + 1) - 0.5, np.arange(len(self._places)), self._places)
        )
        start = 0
        for band in range(1, len(self.reasons) + 1):
            if band == len(self.reasons) or self.reasons[band] != self.reasons[start]:
                if self.reasons[start]:
                    colour = pg.mkColor(COLOURS[self.reasons[start]])
                    colour.setAlpha(110)
                    shade = pg.LinearRegionItem((edges[start], edges[band]), movable=False, brush=colour, pen=pg.mkPen(None))
                    shade.setZValue(-10)
                    self.addItem(shade)
                    self._shades.append(shade)
                start = band

    def _band_at(self, event: Any) -> int | None:  # noqa: ANN401 - a Qt event, of Qt 5 or 6
        if not self.reasons:
            return None
        place = event.position().toPoint() if hasattr(event, "position") else event.pos()
        x = self.getPlotItem().vb.mapSceneToView(self.mapToScene(place)).x()
        return int(np.abs(self._places - x).argmin())

    def mousePressEvent(self, event: Any) -> None:  # noqa: ANN401 - Qt's name
        """Remember where a drag begins."""
        self._pressed = self._band_at(event)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: ANN401 - Qt's name
        """Wait for the end of the drag."""

    def mouseReleaseEvent(self, event: Any) -> None:  # noqa: ANN401 - Qt's name
        """Turn the bands over that were clicked or dragged across."""
        end = self._band_at(event)
        if self._pressed is not None and end is not None:
            self.turn(self._pressed, end)
        self._pressed = None


class PreviewPlot(_Plot):
    """Spectra before a chain (thin, left axis scaled to fit) and after it."""

    def __init__(self) -> None:
        super().__init__("prepared")
        self.setToolTip(
            "After the steps: the pixel pinned last in the spectra, or the mean of the mask and a few of its pixels (faint). "
            "Dashed: before them, stretched to the same height"
        )

        self._preview: SpectraPreview | None = None
        palette.changed.connect(self._draw_again)

    def _draw_again(self) -> None:
        if self._preview is not None:
            self.show_preview(self._preview)

    def show_preview(self, preview: SpectraPreview) -> None:
        """Draw some spectra before and after."""
        self._preview = preview
        item, theme = self.getPlotItem(), palette.theme
        item.clear()
        item.setLabel("bottom", "nm" if preview.in_nm else "band")
        after = np.where(preview.new_bad, np.nan, preview.prepared)
        before = np.where(preview.bad, np.nan, preview.raw)
        colour = pg.mkColor(theme.legible("#56b4e9"))
        faint = pg.mkColor(colour)
        faint.setAlpha(90)
        for one in after[:: max(1, len(after) // _SHOWN)] if len(after) > 1 else ():
            item.plot(preview.new_positions, one, pen=pg.mkPen(faint), connect="finite")
        item.plot(preview.new_positions, after.mean(axis=0), pen=pg.mkPen(colour, width=2), connect="finite")
        mean = before.mean(axis=0)
        if np.isfinite(after).any() and np.isfinite(mean).any():
            low, high = np.nanmin(mean), np.nanmax(mean)
            bottom, top = np.nanmin(after), np.nanmax(after)
            stretched = bottom + (mean - low) / ((high - low) or 1.0) * (top - bottom)
            item.plot(preview.positions, stretched, pen=pg.mkPen(theme.muted, style=pg.QtCore.Qt.PenStyle.DashLine), connect="finite")


def legend() -> str:
    """Return the reasons in their colours, as rich text."""
    words = {"header": "header", "dead": "dead", "noisy": "noisy", "water": "water vapour", "chosen": "chosen"}
    return " ".join(f"<span style='color:{palette.ink(COLOURS[reason])}'>■ {word}</span>" for reason, word in words.items())
