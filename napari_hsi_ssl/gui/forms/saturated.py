"""Saturated pixels: how many the current cube has, and out of its mask with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui import layers, mask_layers
from napari_hsi_ssl.gui.forms.copying import CopyButton
from napari_hsi_ssl.gui.forms.pieces import QUIET, heading, plain_button, row, words_label
from napari_hsi_ssl.gui.masking import save_drawn
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import prepare, recipe

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form


class SaturatedPanel(QWidget):
    """Counts the saturated pixels of the current cube and takes them out of its mask, embedded in a form."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(heading("Saturated pixels"))
        self.count = form.needs_project(plain_button("Count", "Count the pixels of this cube that are at the ceiling in some band; nothing is changed"))
        self.leave = form.needs_project(
            plain_button("Leave saturated pixels out", "Take the pixels that are at the ceiling in some band out of this cube's mask, and save it")
        )
        self.ceiling = QLineEdit()
        self.ceiling.setPlaceholderText("auto")
        self.ceiling.setMaximumWidth(64)
        self.ceiling.setToolTip("The number of a saturated pixel, such as 4095 for 12 bits; empty: as the header and the largest value tell")
        self.copies = CopyButton(self._copy, lambda: "")
        layout.addLayout(row(self.count, self.leave, self.ceiling, None, self.copies))
        self.words = words_label(QUIET)
        self.words.hide()
        layout.addWidget(self.words)
        self.count.clicked.connect(lambda: self._find(leave=False))
        self.leave.clicked.connect(lambda: self._find(leave=True))
        form.desk.cube_changed.connect(self._other_cube)

    def value(self) -> float | None:
        """Return the ceiling that was typed, or None.

        Raises
        ------
        ConfigError
            When it is no number.
        """
        text = self.ceiling.text().strip()
        try:
            return float(text.replace(",", ".")) if text else None
        except ValueError:
            raise ConfigError(f"The ceiling is '{text}', expected a number such as 4095, or nothing; correct it.") from None

    def _find(self, *, leave: bool) -> None:
        form, cube = self._form, self._form.desk.cube
        if form.project is None or not cube:
            return
        try:
            ceiling = self.value()
        except ConfigError as error:
            form.say(str(error), "error")
            return
        layer = layers.find(form.desk.viewer, "mask", cube)
        drawn = mask_layers.mask_on_canvas(form.desk.viewer, cube) if layer is not None and layers.unsaved(layer) else None
        if leave:
            form.run(_leave_out(form.project, cube, ceiling, drawn), self._left_out, f"looking for saturated pixels in {cube}")
        else:
            steps = prepare.flag_saturated(form.project, [cube], ceiling=ceiling, unmask=False)
            form.run(steps, self._counted, f"looking for saturated pixels in {cube}", writes=False)

    def _counted(self, report: dict[str, Any]) -> None:
        found = report["cubes"][0]
        self._show(_sentence(found) + (f" {found['in_mask']:,} of them lie in the mask." if found["saturated"] else ""))

    def _left_out(self, report: dict[str, Any]) -> None:
        form, found = self._form, report["cubes"][0]
        layer = layers.find(form.desk.viewer, "mask", found["cube"])
        if layer is not None:
            layers.mark_unsaved(layer, False)
        form.desk.masks_changed.emit(found["cube"])
        self._show(_sentence(found))
        removed = found.get("removed", 0)
        form.say(f"{found['cube']}: {removed:,} saturated pixels are out of the mask." if removed else f"{found['cube']}: the mask holds no saturated pixel.")
        if form.project is not None:
            form.done = recipe.saturated(form.project.folder, [found["cube"]], self.value())

    def _show(self, words: str) -> None:
        self.words.setText(words)
        self.words.setVisible(bool(words))

    def _other_cube(self, *_: object) -> None:
        self._show("")

    def _copy(self, kind: str, _last: bool) -> bool:
        project, cube = self._form.project, self._form.desk.cube
        return self._form.copy_recipe(kind, lambda: recipe.saturated(project.folder, [cube], self.value()) if project is not None and cube else None)


def _sentence(found: dict[str, Any]) -> str:
    if found["ceiling"] is None:
        return "Nothing tells at which number this cube is saturated; type it where it says auto."
    if not found["saturated"]:
        return f"No pixel is saturated (at {found['ceiling']:g})."
    return f"{found['saturated']:,} pixels are saturated (at {found['ceiling']:g}), in bands {found['bands']}."


def _leave_out(project: Project, cube: str, ceiling: float | None, drawn: NDArray[np.bool_] | None) -> Steps[dict[str, Any]]:
    """Take saturated pixels out of the mask as it is seen: what was drawn and not saved yet counts."""
    if drawn is not None:
        yield from save_drawn(project, cube, drawn)
    return (yield from prepare.flag_saturated(project, [cube], ceiling=ceiling))
