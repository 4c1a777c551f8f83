"""2 Mask and labels: find or draw the foreground; say which pixels are of which class."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.utils.events import Event
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget
from superqt import QLabeledDoubleRangeSlider

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.labels import LabelsPanel
from napari_hsi_ssl.gui.forms.pieces import Tabs, heading, listen, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.masking import changed_mask, region_of, save_drawn, value_range
from napari_hsi_ssl.gui.pictures import closed
from napari_hsi_ssl.steps import mask as steps

PREVIEW_MS = 150
_NEEDED = {
    "otsu": {"source", "keep"},
    "threshold": {"source"},
    "angle": {"max_angle"},
    "all": set(),
}  # fmt: skip
_HINTS = {
    "method": "Otsu finds the threshold itself; angle keeps pixels whose spectrum is near that of a chosen one; all uses the whole image",
    "invert": "Swap foreground and background at the end",
    "fill_holes": "Count holes inside an object as foreground",
}


class MaskForm(Form):
    """The second form: which pixels count, and what they are."""

    number = 2
    title = "Mask and labels"

    def build(self) -> None:
        """Lay the form out."""
        self.tabs = Tabs()
        self.labels = LabelsPanel(self)
        self.tabs.addTab(self._foreground(), "Foreground")
        self.tabs.addTab(self.labels, "Labels")
        self.tabs.currentChanged.connect(self._look)
        self.body.addWidget(self.tabs)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PREVIEW_MS)
        self._timer.timeout.connect(self.preview)
        self.desk.cube_changed.connect(self._forget_preview)
        self.fields.changed.connect(self._rule_changed)
        self.range.valueChanged.connect(self._range_moved)
        self._range_of = ""
        self._arrange(self.fields.value())
        listen(self.desk.viewer.layers.events.inserted, self, "_tell_share")

    def _foreground(self) -> QWidget:
        tab = QWidget()
        layout = QVBoxLayout(tab)
        layout.setContentsMargins(0, 6, 0, 0)
        self.fields = ConfigFields(
            MaskConfig,
            ("method", "source", "band", "keep", "max_angle"),
            ("fill_holes", "drop_specks", "invert"),
            labels={"source": "Image", "max_angle": "Largest angle (rad)", "drop_specks": "Drop specks under (px)", "fill_holes": "Fill holes"},
            hints=_HINTS,
            words={"otsu": "Otsu threshold", "threshold": "between two values", "angle": "spectral angle", "all": "whole image", "pc1": "PC1"},
        )
        layout.addWidget(self.fields)
        self.range = QLabeledDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.range.setToolTip("Pixels with values between the two handles are kept")
        self.range.setRange(0, 1)
        self.range.setValue((0, 1))
        layout.addWidget(self.range)
        self.pick = self.needs_project(plain_button("Pick reference pixel", "Click a pixel on the image: spectra near its own are kept"))
        self.pick.setCheckable(True)
        self.pick.toggled.connect(self._pick)
        layout.addWidget(self.pick)
        self.live = QCheckBox("Preview while I change the rule")
        self.live.setChecked(True)
        self.live.setToolTip("The mask on the canvas follows the settings; nothing is saved before you say so")
        layout.addWidget(self.live)

        layout.addWidget(heading("By hand"))
        draw = {
            "Polygon": ("add_polygon", "Click the corners on the image, double-click to close, then add or remove it"),
            "Lasso": ("add_polygon_lasso", "Draw an outline on the image, then add or remove it"),
        }
        tools = QHBoxLayout()
        tools.setSpacing(4)
        for text, (mode, tooltip) in draw.items():
            button = self.needs_project(plain_button(text, tooltip))
            button.clicked.connect(lambda _=False, mode=mode: self.draw(mode))
            tools.addWidget(button)
        for text, mode, tooltip in (("Brush", "paint", "Paint foreground"), ("Eraser", "erase", "Paint background")):
            button = self.needs_project(plain_button(text, f"{tooltip}; [ and ] change the size, Ctrl+Z takes a stroke back"))
            button.clicked.connect(lambda _=False, mode=mode: self.brush(mode))
            tools.addWidget(button)
        layout.addLayout(tools)
        regions = []
        for text, what, tooltip in (
            ("Add drawn", "add", "Make what was drawn foreground"),
            ("Remove drawn", "remove", "Make what was drawn background"),
            ("Keep only drawn", "keep", "Make all that lies outside of what was drawn background"),
        ):
            button = self.needs_project(plain_button(text, tooltip))
            button.clicked.connect(lambda _=False, what=what: self.apply_drawing(what))
            regions.append(button)
        layout.addLayout(row(*regions))
        changes = []
        for text, what, tooltip in (
            ("Invert", "invert", "Swap foreground and background"),
            ("Fill holes", "fill", "Count holes inside objects as foreground"),
            ("Drop specks", "specks", "Drop objects smaller than the number of pixels under More settings"),
        ):
            button = self.needs_project(plain_button(text, tooltip))
            button.clicked.connect(lambda _=False, what=what: self.change(what))
            changes.append(button)
        layout.addLayout(row(*changes))

        self.share = words_label("#9aa4b0")
        layout.addWidget(self.share)
        self.save = self.needs_project(primary("Save mask", "Save the mask on the canvas; without one, the rule makes it"))
        self.save.clicked.connect(self.save_mask)
        self.all = self.needs_project(plain_button("Rule on all cubes", "Make and save the masks of all cubes by the rule above"))
        self.all.clicked.connect(self.mask_all)
        self.whole = self.needs_project(plain_button("Whole image", "Every pixel of this cube is used"))
        self.whole.clicked.connect(self.use_whole)
        layout.addLayout(row(self.save, self.all, self.whole))
        layout.addStretch(1)
        return tab

    # -- state ------------------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Say how many cubes have masks and labels."""
        project = self.project
        if project is None or not project.entries:
            return Standing("blocked", "Needs cubes.")
        names = list(project.entries)
        masks = sum(project.mask_path(name).exists() for name in names)
        labels = sum(project.labels_path(name).exists() for name in names)
        told = f"masks of {masks} of {len(names)} cubes" if masks else "No mask yet: the whole image is used"
        return Standing("done" if masks else "ready", f"{told} · " + (f"labels of {labels} of {len(names)}" if labels else "no labels yet"))

    def update_widgets(self) -> None:
        """Show how much is covered, and offer PC1 once there is a PCA."""
        self.labels.refresh()
        self._tell_share()
        if self.range.isVisibleTo(self) and not self._range_of.startswith(f"{self.desk.cube}/"):
            self._find_range(self.fields.value(), preview=False)

    def showEvent(self, event: QShowEvent) -> None:
        """Bring what the open tab is about to the canvas."""
        super().showEvent(event)
        if not event.spontaneous():
            self._look()

    def _forget_preview(self, _cube: str) -> None:
        self._timer.stop()  # it was meant for the cube before

    def _look(self, *_: object) -> None:
        self.canvas.look_at("labels" if self.tabs.currentWidget() is self.labels else "mask")

    def _tell_share(self) -> None:
        layer = layers.find(self.desk.viewer, "mask", self.desk.cube)
        if layer is None:
            self.share.setText("")
        else:
            count = int(np.count_nonzero(layer.data))
            saved = "not saved yet" if layers.unsaved(layer) else "saved"
            self.share.setText(f"{self.desk.cube}: {count:,} of {layer.data.size:,} pixels ({count / layer.data.size:.0%}) · {saved}")

    def _rule_changed(self, config: MaskConfig) -> None:
        self._arrange(config)
        self._timer.start()

    def _arrange(self, config: MaskConfig) -> None:
        needed = _NEEDED[config.method]
        for name in ("source", "keep", "max_angle"):
            self.fields.show_field(name, name in needed)
        self.fields.show_field("band", "source" in needed and config.source == "band")
        self.range.setVisible(config.method == "threshold")
        self.pick.setVisible(config.method == "angle")
        if config.method == "threshold":
            self._find_range(config)

    def _find_range(self, config: MaskConfig, preview: bool = True) -> None:
        wanted = f"{self.desk.cube}/{config.source}/{config.band}"
        if self.project is None or not self.desk.cube or wanted == self._range_of:
            return
        self._range_of = wanted
        show = partial(self._show_range, preview)
        self.jobs.start(value_range(self.project, self.desk.cube, config), show, slot="range", on_error=self._preview_failed)

    def _show_range(self, preview: bool, limits: tuple[float, float]) -> None:
        blocked = self.range.blockSignals(True)
        self.range.setRange(*limits)
        self.range.setValue((limits[0] + 0.2 * (limits[1] - limits[0]), limits[1]))
        self.range.blockSignals(blocked)
        if preview:  # a cube that is only looked at keeps the mask it has
            self._range_moved()

    def _range_moved(self, *_: object) -> None:
        self._timer.start()

    # -- the rule ---------------------------------------------------------------------------------------------------------

    def rule(self) -> MaskConfig:
        """Return the rule as it stands.

        Raises
        ------
        ConfigError
            When something is missing: a band, or a reference pixel.
        """
        config = self.fields.value()
        if config.method == "threshold":
            low, high = self.range.value()
            config = config.model_copy(update={"low": low, "high": high if high < self.range.maximum() else None})
        if config.method == "angle" and config.at is None:
            raise ConfigError("The angle needs a reference: press “Pick reference pixel” and click one on the image.")
        if config.method in {"otsu", "threshold"} and config.source == "band" and config.band is None:
            config = config.model_copy(update={"band": layers.current_band(self.desk.viewer)})
        return config

    def preview(self) -> None:
        """Show the mask that the rule gives, without saving it; the latest request wins."""
        if not self.live.isChecked() or self.project is None or not self.desk.cube:
            return
        try:
            config = self.rule()
        except ConfigError as error:
            self.say(str(error), "warning")
            return
        cube = self.desk.cube
        self.jobs.start(
            steps.preview_mask(self.project, cube, config), lambda mask: self._show(cube, mask), label="preview", slot="preview", on_error=self._preview_failed
        )  # fmt: skip

    def _preview_failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.say(sentence, "error")

    def _show(self, cube: str, mask: NDArray[np.bool_]) -> None:
        if cube == self.desk.cube:
            layer = layers.show_mask(self.desk.viewer, cube, mask, saved=False)
            self.canvas.look_at("mask")
            layer.events.paint.connect(self._painted)
            self.say("")
            self._tell_share()

    def _painted(self, _: Event | None = None) -> None:
        self._tell_share()

    def _pick(self, on: bool) -> None:
        callbacks = self.desk.viewer.mouse_drag_callbacks
        if on:
            callbacks.append(self._clicked)
        elif self._clicked in callbacks:
            callbacks.remove(self._clicked)

    def _clicked(self, _viewer: object, event: Any) -> None:  # noqa: ANN401 - napari's mouse event
        y, x = (round(float(value)) for value in event.position[-2:])
        if self.project is None or not self.desk.cube:
            return
        height, width, _ = self.project.entry(self.desk.cube).shape
        if 0 <= y < height and 0 <= x < width:
            self.pick.setChecked(False)
            self.fields.setValue(self.fields.value().model_copy(update={"at": (y, x)}))

    # -- by hand ----------------------------------------------------------------------------------------------------------

    def draw(self, mode: str) -> None:
        """Let the user draw an outline."""
        self._need_mask(lambda: layers.draw(self.desk.viewer, mode))

    def brush(self, mode: str) -> None:
        """Let the user paint on the mask."""
        self._need_mask(lambda: self._brush(mode))

    def _brush(self, mode: str) -> None:
        layer = layers.find(self.desk.viewer, "mask", self.desk.cube)
        layers.paint_with(self.desk.viewer, layer, 1, mode)
        layer.events.paint.connect(self._painted)

    def _need_mask(self, then: Callable[[], object]) -> None:
        """Start from an empty mask when there is none on the canvas."""
        if self.project is None or not self.desk.cube:
            return
        if layers.find(self.desk.viewer, "mask", self.desk.cube) is None:
            shape = self.project.entry(self.desk.cube).shape[:2]
            layers.show_mask(self.desk.viewer, self.desk.cube, np.zeros(shape, dtype=bool), saved=False)
        then()

    def apply_drawing(self, what: str) -> None:
        """Add what was drawn to the mask (``add``), take it away (``remove``) or take everything else away (``keep``)."""
        shapes = [closed(points, kind) for kind, points in layers.drawn(self.desk.viewer)]
        if not shapes or self.project is None:
            self.say("Draw a polygon or a lasso on the image first.", "warning")
            return
        cube = self.desk.cube
        self._need_mask(lambda: None)
        shape = self.project.entry(cube).shape[:2]
        self.jobs.call(region_of, shape, shapes, on_result=lambda region: self._apply(cube, region, what), slot="region", on_error=self._preview_failed)

    def _apply(self, cube: str, region: NDArray[np.bool_], what: str) -> None:
        outside = what == "keep"
        layers.change_mask(self.desk.viewer, cube, ~region if outside else region, what == "add")
        layers.clear_drawing(self.desk.viewer)
        self.say("")
        self._tell_share()

    def change(self, what: str) -> None:
        """Change the mask on the canvas: ``invert``, ``fill`` holes or drop ``specks``."""
        cube, mask = self.desk.cube, layers.mask_on_canvas(self.desk.viewer, self.desk.cube)
        if mask is None:
            self.say("There is no mask on the canvas yet: draw one or change the rule.", "warning")
            return
        self.jobs.call(changed_mask, mask, what, self.fields.value().drop_specks, on_result=lambda new: self._show(cube, new), slot="change")

    # -- saving -----------------------------------------------------------------------------------------------------------

    def save_mask(self) -> None:
        """Save the mask on the canvas, or make it by the rule when there is none."""
        project, cube = self.project, self.desk.cube
        if project is None or not cube:
            return
        mask = layers.mask_on_canvas(self.desk.viewer, cube)
        if mask is None:
            self._by_rule([cube])
        else:
            self.run(save_drawn(project, cube, mask), lambda report: self._saved(cube, report), "saving the mask")

    def _saved(self, cube: str, report: dict[str, Any]) -> None:
        layer = layers.find(self.desk.viewer, "mask", cube)
        if layer is not None:
            layers.mark_unsaved(layer, False)
        self.desk.masks_changed.emit(cube)
        self.say(f"{cube}: {report['pixels']:,} pixels ({report['share']:.0%}) are foreground.")
        if report["pixels"] == 0:
            self.warn("The mask is empty, so this cube is left out of everything that follows.")

    def mask_all(self) -> None:
        """Make and save the masks of all cubes by the rule."""
        self._by_rule(None)

    def use_whole(self) -> None:
        """Use every pixel of the current cube."""
        self._by_rule([self.desk.cube], MaskConfig(method="all", drop_specks=0))

    def _by_rule(self, cubes: list[str] | None, config: MaskConfig | None = None) -> None:
        if self.project is None:
            return
        try:
            config = config or self.rule()
        except ConfigError as error:
            self.say(str(error), "error")
            return
        self.run(steps.make_masks(self.project, config, cubes), self._made, "finding masks")

    def _made(self, report: dict[str, Any]) -> None:
        made = report["cubes"]
        layer = layers.find(self.desk.viewer, "mask", self.desk.cube)
        if layer is not None and self.desk.cube in made:
            layers.mark_unsaved(layer, False)
        self.desk.masks_changed.emit("")
        shares = [row["share"] for row in made.values()]
        words = f"{len(made)} mask{'s' * (len(made) != 1)} saved: {min(shares):.0%}"
        self.say(words + (f" to {max(shares):.0%} foreground." if len(shares) > 1 else " foreground."))
