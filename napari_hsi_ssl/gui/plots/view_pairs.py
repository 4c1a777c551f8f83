"""What contrastive training sees of a patch: pairs of views and the spectra of their middle pixel, live while strengths are changed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QDialog, QFrame, QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_hsi_ssl.config import AugmentConfig, PretrainConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.view_pairs import ViewPairs
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import BAD, QUIET, heading, plain_button, row, words_label
from napari_hsi_ssl.gui.jobs import Jobs, Update
from napari_hsi_ssl.gui.palette import palette
from napari_hsi_ssl.gui.plots.patches import framed
from napari_hsi_ssl.gui.plots.theme import Theme, prepare, style
from napari_hsi_ssl.steps.views_preview import PAIRS, preview_views

PREVIEW_MS = 250
_TILE, _LABEL, _SIZE = 92, 164, (880, 580)
_LABELS = {
    "flip": "Mirror", "rotate": "Quarter turns", "light": "Light", "slope": "Slope of the light", "distortion": "Smooth distortion",
    "band_drop": "Dropped bands", "sensor_noise": "Sensor noise", "gain": "Gain", "offset": "Offset", "noise": "Noise", "drop": "Dropped components",
}  # fmt: skip
_GROUPS = {
    "Of the image": ("flip", "rotate", "crop", "cutout"),
    "Of the bands": ("light", "slope", "distortion", "band_drop", "sensor_noise"),
    "Of the components": ("gain", "offset", "noise", "drop"),
}


class ViewsPreview(QDialog):
    """Strengths on the left; on the right the patch with pairs of its views, and their spectra below.

    Parameters
    ----------
    desk : Desk
        Says which patch: that of the current cube around the pixel pinned last, else the one with most foreground.
    settings : ConfigFields of PretrainConfig
        The form whose strengths are edited here.
    parent : QWidget
        It ends with this.

    Attributes
    ----------
    pairs : ViewPairs or None
        What is shown.
    """

    def __init__(self, desk: Desk, settings: ConfigFields[PretrainConfig], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Views of a patch")
        self.resize(*_SIZE)
        self.desk, self.settings = desk, settings
        self.jobs = Jobs(self)
        self.pairs: ViewPairs | None = None
        self._draw = 0
        self.words, self.trouble = words_label(QUIET), words_label(BAD)
        self.trouble.hide()
        self.groups = [ConfigFields(AugmentConfig, names, labels=_LABELS) for names in _GROUPS.values()]
        self.moved = ConfigFields(PretrainConfig, ("neighbour",), labels={"neighbour": "Neighbours (px)"})
        self.tiles = [QLabel() for _ in range(1 + 2 * PAIRS)]
        self.plot = pg.PlotWidget()
        self.plot.setMenuEnabled(False)
        self.plot.setMinimumHeight(150)
        self.plot.setToolTip("Spectra of the middle pixel, as far as the projection holds them; the frame of a picture has the colour of its curve")
        prepare(self.plot.getPlotItem())
        self.again = plain_button("Other draws", "Draw the views anew, with the same strengths")
        self.again.clicked.connect(self.draw_again)
        self.reset = plain_button("As the recipe has them", "Take the strengths back to those of the recipe")
        self.reset.clicked.connect(self.back_to_recipe)
        self._lay_out()
        self._timer = QTimer(self, singleShot=True, interval=PREVIEW_MS)
        self._timer.timeout.connect(self.preview)
        for group, names in zip(self.groups, _GROUPS.values(), strict=True):
            group.edited.connect(partial(self._edited, names))
        self.moved.edited.connect(lambda config: self._hand_over({"neighbour": config.neighbour}))
        settings.changed.connect(self._settings_changed)
        for signal in (desk.cube_changed, desk.inlet_changed, desk.patches_changed, desk.project_changed, desk.pixel_pinned):
            signal.connect(self.ask_preview)
        palette.changed.connect(self._show)
        self._settings_changed()

    def _lay_out(self) -> None:
        inside = QWidget()
        left = QVBoxLayout(inside)
        left.setContentsMargins(0, 0, 8, 0)
        titled: list[tuple[str, ConfigFields[Any]]] = [*zip(_GROUPS, self.groups, strict=True), ("Of the second view", self.moved)]
        for title, group in titled:
            left.addWidget(heading(title))
            left.addWidget(group)
            for name, form in group.rows.items():  # all editors begin below each other
                form.labelForField(group.editors[name].widget).setMinimumWidth(_LABEL)
        left.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(inside)
        scroll.setFixedWidth(270)
        grid = QGridLayout()
        grid.setAlignment(Qt.AlignmentFlag.AlignLeft)
        grid.setHorizontalSpacing(10)
        for column, text in enumerate(("Patch", *(f"Pair {pair}" for pair in range(1, PAIRS + 1)))):
            grid.addWidget(QLabel(text), 0, column)
        grid.addWidget(self.tiles[0], 1, 0)
        for number, tile in enumerate(self.tiles[1:]):
            grid.addWidget(tile, 1 + number % 2, 1 + number // 2)
        right = QVBoxLayout()
        right.addWidget(self.words)
        right.addWidget(self.trouble)
        right.addLayout(grid)
        right.addWidget(self.plot, 1)
        right.addLayout(row(self.again, self.reset, None))
        layout = QHBoxLayout(self)
        layout.addWidget(scroll)
        layout.addLayout(right, 1)

    # -- settings -----------------------------------------------------------------------------------------------------------

    def _settings_changed(self, *_: object) -> None:
        config = self.settings.value()  # as it is now: who heard of the change first may have changed more
        for group in self.groups:
            group.setValue(config.augment)
        self.moved.setValue(config)
        self.ask_preview()

    def _edited(self, names: tuple[str, ...], views: AugmentConfig) -> None:
        """Hand strengths that were changed here to the form."""
        self._hand_over({"augment": {name: getattr(views, name) for name in names}})

    def back_to_recipe(self) -> None:
        """Take all strengths back to those of the recipe."""
        recipe = PretrainConfig.from_recipe(self.settings.value().recipe)
        self._hand_over({"augment": recipe.augment, "neighbour": recipe.neighbour})

    def _hand_over(self, changes: dict[str, Any]) -> None:
        try:
            self.settings.setValue(self.settings.value().changed(changes, "views"))
        except ConfigError as error:  # other settings of the form speak against it
            self._say_trouble(str(error))
            return
        self.settings.edited.emit(self.settings.value())

    # -- views --------------------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """Preview once it can be seen."""
        super().showEvent(event)
        self.ask_preview()

    def ask_preview(self, *_: object) -> None:
        """Preview shortly: a spin box that is held down asks many times."""
        if self.isVisible():
            self._timer.start()

    def draw_again(self) -> None:
        """Draw other views of the same strengths."""
        self._draw += 1
        self.preview()

    def preview(self) -> None:
        """Make the views; the latest request wins."""
        project, cube = self.desk.project, self.desk.cube
        if project is None or not cube or project.inlet is None:
            self._say_trouble("Needs the PCA: form 3." if cube else "Needs cubes: form 1.")
            return
        try:
            config = self.settings.value()
        except ConfigError as error:
            self._say_trouble(str(error))
            return
        config = config.model_copy(update={"seed": config.seed + self._draw})
        self.jobs.start(
            preview_views(project, config, cube, self.desk.pinned), self._seen, label="views of a patch", slot="views",
            on_update=self._updated, on_error=lambda _error, sentence, _details: self._say_trouble(sentence),
        )  # fmt: skip

    def _updated(self, update: Update) -> None:
        if self.pairs is None or update.progress.message.startswith("waiting"):
            self.words.setText(f"{update.progress.message} …")

    def _say_trouble(self, sentence: str) -> None:
        self.trouble.setText(sentence)
        self.trouble.show()

    def _seen(self, pairs: ViewPairs) -> None:
        self.pairs = pairs
        self.trouble.hide()
        self._show()

    def _show(self) -> None:
        pairs = self.pairs
        if pairs is None or not self.desk.alive:
            return
        self.words.setText(f"{pairs.words}. Shift-click a pixel of the image for another patch.")
        theme = Theme.named(self.desk.viewer.theme)
        colours = [theme.text, *map(theme.legible, pairs.colours[1:])]
        for tile, picture, name, colour in zip(self.tiles, pairs.pictures, pairs.names, colours, strict=True):
            tile.setPixmap(framed(picture, colour, _TILE, self.devicePixelRatioF()))
            tile.setToolTip(name.capitalize())
        self.plot.setBackground(theme.background)
        self.plot.clear()
        # The patch's own curve lies on top.
        for spectrum, colour, width in list(zip(pairs.spectra, colours, [3] + [1] * (2 * PAIRS), strict=True))[::-1]:
            self.plot.plot(pairs.positions, spectrum, pen=pg.mkPen(colour, width=width))
        self.plot.setLabel("bottom", "Wavelength (nm)" if pairs.in_nm else "Band number")
        self.plot.setLabel("left", "Middle pixel")
        style(self.plot.getPlotItem(), theme)
