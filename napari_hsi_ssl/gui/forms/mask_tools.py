"""Masks by clicking, by hand and by combining: the other pages of the mask form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.gui import layers, mask_layers
from napari_hsi_ssl.gui.forms.fields import tidy
from napari_hsi_ssl.gui.forms.pieces import plain_button, row, words_label
from napari_hsi_ssl.gui.masking import NewMask, combined_with, region_of, ruled
from napari_hsi_ssl.gui.pictures import closed

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.mask import MaskForm

_BY = {"angle": "spectral angle (rad)", "brightness": "brightness (share)"}
_FOLLOW = {"seed": "the pixel clicked", "mean": "the region's mean"}
_HOW = {"add": "OR · add", "intersect": "AND · keep only", "subtract": "AND NOT · take away", "replace": "replace by"}


class GrowPage(QWidget):
    """Regions of like pixels that grow from where the user clicks."""

    def __init__(self, form: MaskForm) -> None:
        super().__init__()
        self.form = form
        self._seed: tuple[int, int] | None = None
        self._base: NDArray[np.bool_] | None = None
        self._how = "add"
        self._cube = ""
        self._number = 0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.grow = form.needs_project(
            plain_button(
                "Grow from clicks (Shift+G)",
                "Click a pixel on the image, or move with the arrow keys and press Enter: what is like it and connected joins (Shift+G)",
            )
        )
        self.grow.setCheckable(True)
        self.grow.toggled.connect(lambda on: form.point("grow" if on else ""))
        layout.addWidget(self.grow)
        self.how = QComboBox()
        self.how.addItems(["add it to the mask", "take it out of the mask"])
        self.how.setToolTip("What becomes of the region; Shift with the click or with Enter does the other")
        self.by = QComboBox()
        self.by.addItems(list(_BY.values()))
        self.by.setToolTip("What the pixels of one region have in common")
        self.follow = QComboBox()
        self.follow.addItems(list(_FOLLOW.values()))
        self.follow.setToolTip("Compare with the pixel that was clicked, or with the mean of the region as it grows: it then follows slow shading")
        self.tolerance = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.tolerance.setRange(0.005, 0.6)
        self.tolerance.setDecimals(3)
        self.tolerance.setSingleStep(0.005)
        self.tolerance.setValue(0.1)
        self.tolerance.setToolTip("How unlike pixels of a region may be; the last region follows while you drag")
        rows = tidy(QFormLayout())
        for words, widget in (("Each region:", self.how), ("Like in", self.by), ("Compared with", self.follow), ("Tolerance", self.tolerance)):
            rows.addRow(words, widget)
        layout.addLayout(rows)
        self.by.currentIndexChanged.connect(self._again)
        self.follow.currentIndexChanged.connect(self._again)
        self.how.currentIndexChanged.connect(self._turned)
        self.tolerance.valueChanged.connect(self._again)

    def config(self, seed: tuple[int, int]) -> MaskConfig:
        """Return the settings of a region as they stand."""
        return MaskConfig(
            method="grow",
            at=(seed,),
            grow_by=list(_BY)[self.by.currentIndex()],
            follow=list(_FOLLOW)[self.follow.currentIndex()],
            tolerance=round(self.tolerance.value(), 4),
            combine=self._how,
            fill_holes=False,
        )

    def start(self, y: int, x: int, other: bool) -> None:
        """Grow a region from a pixel; ``other`` does the opposite of what is chosen."""
        self._how = "subtract" if (self.how.currentIndex() == 1) != other else "add"
        self._seed, self._cube = (y, x), self.form.desk.cube
        base = mask_layers.mask_on_canvas(self.form.desk.viewer, self._cube)
        self._base = np.zeros(self.form.frame_shape(), dtype=bool) if base is None else base
        self._number += 1
        self.form.picker.mark([(y, x)])
        self._go()

    def forget(self) -> None:
        """Let the settings no longer change the last region: something else was done since."""
        self._seed = None

    def _turned(self, _index: int) -> None:
        if self._seed is not None:
            self._how = "add" if self.how.currentIndex() == 0 else "subtract"
            self._go()

    def _again(self, *_: object) -> None:
        if self._seed is not None and self._cube == self.form.desk.cube:
            self._go()

    def _go(self) -> None:
        form, seed = self.form, self._seed
        if form.project is None or seed is None:
            return
        config = self.config(seed)
        form.step_recipe(config)
        done = partial(self._grown, self._cube, self._number)
        form.jobs.start(ruled(form.project, self._cube, config, self._base), done, label="growing", slot="grow", on_error=form.preview_failed)

    def _grown(self, cube: str, number: int, new: NewMask) -> None:
        self.form.show_region(cube, new, f"grow {number}")


class HandPage(QWidget):
    """Outlines and brushes."""

    def __init__(self, form: MaskForm) -> None:
        super().__init__()
        self.form = form
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        draw = {
            "Polygon": ("add_polygon", "Click the corners on the image, double-click to close, then add or remove it"),
            "Lasso": ("add_polygon_lasso", "Draw an outline on the image, then add or remove it"),
        }
        tools = QHBoxLayout()
        tools.setSpacing(4)
        for text, (mode, tooltip) in draw.items():
            button = form.needs_project(plain_button(text, tooltip))
            button.clicked.connect(lambda _=False, mode=mode: form.draw(mode))
            tools.addWidget(button)
        for text, mode, tooltip in (("Brush", "paint", "Paint foreground"), ("Eraser", "erase", "Paint background")):
            button = form.needs_project(plain_button(text, f"{tooltip}; [ and ] change the size, Ctrl+Z takes a stroke back"))
            button.clicked.connect(lambda _=False, mode=mode: form.brush(mode))
            tools.addWidget(button)
        layout.addLayout(tools)
        regions = []
        for text, what, tooltip in (
            ("Add drawn", "add", "Make what was drawn foreground"),
            ("Remove drawn", "remove", "Make what was drawn background"),
            ("Keep only drawn", "keep", "Make all that lies outside of what was drawn background"),
        ):
            button = form.needs_project(plain_button(text, tooltip))
            button.clicked.connect(lambda _=False, what=what: self.apply(what))
            regions.append(button)
        layout.addLayout(row(*regions))

    def apply(self, what: str) -> None:
        """Add what was drawn to the mask (``add``), take it away (``remove``) or take everything else away (``keep``)."""
        form = self.form
        shapes = [closed(points, kind) for kind, points in layers.drawn(form.desk.viewer)]
        if not shapes or form.project is None:
            form.say("Draw a polygon or a lasso on the image first.", "warning")
            return
        cube = form.desk.cube
        form.need_mask(lambda: None)
        done = partial(self._apply, cube, what)
        form.jobs.call(region_of, form.frame_shape(), shapes, on_result=done, slot="region", on_error=form.preview_failed)

    def _apply(self, cube: str, what: str, region: NDArray[np.bool_]) -> None:
        form = self.form
        layers.clear_drawing(form.desk.viewer)
        if not region.any():
            form.say("What was drawn holds no pixel of the image, so the mask is as before: draw it around some pixels.", "warning")
            return
        outside = what == "keep"
        mask_layers.change_mask(form.desk.viewer, cube, ~region if outside else region, what == "add")
        form.say("")
        form.changed_by_hand()


class CombinePage(QWidget):
    """The mask on the canvas with another one: OR, AND, AND NOT."""

    def __init__(self, form: MaskForm) -> None:
        super().__init__()
        self.form = form
        self.path = ""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.how = QComboBox()
        self.how.addItems(list(_HOW.values()))
        self.how.setToolTip("OR joins two masks, AND keeps what both have, AND NOT takes the other away")
        self.what = QComboBox()
        self.what.setToolTip("What the mask on the canvas is combined with")
        self.what.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.what.setMinimumContentsLength(14)
        self.apply = form.needs_project(plain_button("Apply", "Change the mask on the canvas so; Ctrl+Z takes it back"))
        self.apply.clicked.connect(self.run)
        rows = tidy(QFormLayout())
        rows.addRow("The mask", self.how)
        rows.addRow("with", self.what)
        layout.addLayout(rows)
        self.sentence = words_label("#9aa4b0")
        layout.addLayout(row(self.sentence, self.apply))
        self.how.currentIndexChanged.connect(self._tell)
        self.what.currentIndexChanged.connect(self._tell)
        self.refresh()

    def choices(self) -> dict[str, str]:
        """Return what there is to combine with, as words by name."""
        found = {"saved": "the saved mask", "labels": "every labelled pixel"}
        project = self.form.project
        if project is not None:
            known = project.classes
            found |= {f"labels {number}": f"class {number}: {name}" for number, name in zip(known.numbers, known.names, strict=True)}
        return found | {"selection": "the selected pixels", "file": "a file …"}

    def refresh(self) -> None:
        """Offer the classes that there are."""
        choices = self.choices()
        if [self.what.itemText(index) for index in range(self.what.count())] != list(choices.values()):
            kept = self.what.currentData()
            blocked = self.what.blockSignals(True)
            self.what.clear()
            for name, words in choices.items():
                self.what.addItem(words, name)
            self.what.setCurrentIndex(max(0, self.what.findData(kept)))
            self.what.blockSignals(blocked)
        self._tell()

    def choose(self, what: str, how: str) -> None:
        """Choose an operand and how it is combined, by name."""
        self.what.setCurrentIndex(self.what.findData(what))
        self.how.setCurrentIndex(list(_HOW).index(how))

    def _tell(self, *_: object) -> None:
        how = list(_HOW)[self.how.currentIndex()]
        sign = {"add": "mask OR ", "intersect": "mask AND ", "subtract": "mask AND NOT ", "replace": ""}[how]
        self.sentence.setText(f"{sign}{self.what.currentText().removesuffix(' …')}")

    def run(self) -> None:
        """Combine."""
        form, what = self.form, str(self.what.currentData())
        if form.project is None or not form.desk.cube:
            return
        if what == "file":
            self.path, _ = QFileDialog.getOpenFileName(self, "A mask, labels or polygons")
            if not self.path:
                return
        cube, how = form.desk.cube, list(_HOW)[self.how.currentIndex()]
        base = mask_layers.mask_on_canvas(form.desk.viewer, cube)
        selection = getattr(form.desk, "selection", None)
        form.jobs.call(
            combined_with, form.project, cube, base, what, how, selection, self.path,
            on_result=partial(form.show_region, cube), slot="combine", on_error=form.preview_failed,
        )  # fmt: skip


class CheckPage(QWidget):
    """The rule on all cubes, looked through before it is saved."""

    def __init__(self, form: MaskForm) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        words = words_label("#9aa4b0")
        words.setText("The rule as it stands, on every cube of the project. What looks wrong is marked; a click opens that cube.")
        layout.addWidget(words)
        self.check: QPushButton = form.needs_project(
            plain_button("Check all cubes (Shift+C)", "Find the masks of all cubes and look through them before any is saved (Shift+C)")
        )
        self.check.clicked.connect(form.check_all)
        self.all: QPushButton = form.needs_project(plain_button("Save all unseen", "Make and save the masks of all cubes by the rule, without looking"))
        self.all.clicked.connect(form.mask_all)
        layout.addLayout(row(self.check, self.all))
