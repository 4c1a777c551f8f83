"""Colours of words and signs that stay legible on napari's theme, whichever it is.

A colour is chosen once, for the dark theme; on another one it is moved towards black or white until it stands out. Labels hear of
a new theme themselves and restyle themselves alone: a style sheet on a form would be applied to all that is in it.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_hsi_ssl.gui.plots.theme import Theme, contrast, luminance, mix

LEAST_CONTRAST = 4.5
"""Of text, WCAG 2.1 level AA."""


def legible(colour: str, background: str, least: float = LEAST_CONTRAST) -> str:
    """Return ``colour``, moved towards black or white until text in it stands out from ``background``; all ``#rrggbb``."""
    towards = "#ffffff" if luminance(background) < 0.18 else "#000000"
    share = 0.0
    while contrast(mixed := mix(colour, towards, share), background) < least and share < 1:
        share += 0.05
    return mixed


class Palette(QObject):
    """The colours of the theme that the windows show.

    Attributes
    ----------
    changed : Signal()
        Another theme is shown.
    theme : Theme
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.theme = Theme.named("dark")

    def follow(self, viewer: Any) -> None:  # noqa: ANN401 - a Viewer, or its model without a window
        """Take the theme of a viewer, now and whenever it changes; napari's theme is one of all its windows."""
        viewer.events.theme.connect(self._heard)
        self.show(viewer.theme)

    def _heard(self, event: Any) -> None:  # noqa: ANN401 - an event of napari
        self.show(event.value if hasattr(event, "value") else event.source.theme)

    def show(self, name: str) -> None:
        """Take the colours of the napari theme called ``name``."""
        theme = Theme.named(name)
        if theme != self.theme:
            self.theme = theme
            self.changed.emit()

    def ink(self, colour: str) -> str:
        """Return a colour that was chosen for the dark theme as it can be read on this one."""
        return legible(colour, self.theme.background)


palette = Palette()
"""The one of this process: a theme is a setting of napari, not of a window."""
