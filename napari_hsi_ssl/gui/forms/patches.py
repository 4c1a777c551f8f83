"""4 Patches: cut windows from the used pixels and divide them into training and test ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHeaderView, QLabel, QTableWidget, QTableWidgetItem

from napari_hsi_ssl.config import RECIPES, PatchConfig, window_advice
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui import layers, result_layers
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import BAD, QUIET, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.plots.patches import summary
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.patches.preview import PatchPreview, patches_over_pixels, share_over_pixels
from napari_hsi_ssl.patches.sheet import Example
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.patches import cut_patches, example_patches, preview_patches, save_sheet
from napari_hsi_ssl.steps.recipe import Recipe

PREVIEW_MS = 200
_HEATS = {"": "nothing", "patches": "patches over each pixel", "share": "foreground in the windows"}
_Seen = tuple[PatchPreview, tuple[Example, ...], NDArray[np.float32] | None]

_HINTS = {
    "size": "Side of a patch in pixels",
    "background": "What background inside a patch becomes: the mean of its foreground (so that the tray is not learned), as it is, or zero",
    "test_share": "Share of the cubes or blocks that is held out for the test",
    "seed": "Seed of the split and of the choice of patches",
    "per_domain": "At most this many patches a domain, chosen at random",
}


class PatchesForm(Form):
    """The fourth form: where the patches are."""

    number = 4
    title = "Patches"
    of_a_cube = False

    def build(self) -> None:
        """Lay the form out."""
        self.fields = ConfigFields(
            PatchConfig,
            ("size", "stride", "coverage", "background", "split"),
            ("per_domain", "test_share", "guard", "block", "seed"),
            labels={"coverage": "Least foreground", "per_domain": "Patches a domain", "test_share": "Held out", "guard": "Guard (px)", "block": "Block (px)"},
            empty={"per_domain": "all"},
            hints=_HINTS,
            words={"mean": "mean of the foreground", "keep": "as it is", "auto": "automatic", "cube": "whole cubes", "blocks": "guarded blocks"},
        )
        for name in ("stride", "block"):
            self.fields.editors[name].widget.setSpecialValueText("half the size" if name == "stride" else "twice the size")
        self.body.addWidget(self.fields)
        self.advice = words_label(QUIET)
        self.advice.setText("\n".join(map(window_advice, RECIPES)))
        self.body.addWidget(self.advice)
        self.live = QCheckBox("Preview while I change the settings")
        self.live.setChecked(True)
        self.live.setToolTip("Counts and examples below the image follow the settings; nothing is cut before you say so")
        self.live.toggled.connect(self.ask_preview)
        self.examples = self.needs_project(plain_button("Examples", "Bring bars and example patches to the front, below the image"))
        self.examples.clicked.connect(lambda: self.desk.plot_wanted.emit("patches"))
        self.sheet = self.needs_project(plain_button("Save sheet…", "Write the example patches of every domain into a PNG picture"))
        self.sheet.clicked.connect(self.ask_sheet)
        self.body.addWidget(self.live)
        self.body.addLayout(row(self.examples, self.sheet, None))
        self.told = words_label(QUIET)
        self.told.setToolTip("What a cut with these settings would give")
        self.told.hide()
        self.body.addWidget(self.told)
        self.cut = self.needs_project(primary("Cut patches", "Find the patches of all cubes; nothing is copied, a patch is an address"))
        self.cut.clicked.connect(self.cut_patches)
        self.body.addWidget(self.cut)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(("Domain", "Train", "Test"))
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        self._size_table(0)
        self.table.setToolTip("Number of patches")
        self.body.addWidget(self.table)
        self.grid = QCheckBox("Show the patches of this cube")
        self.grid.setChecked(True)
        self.grid.setToolTip("Outlines on the image: training patches orange, test patches blue")
        self.grid.toggled.connect(self._show_grid)
        self.body.addWidget(self.grid)
        self.heat = QComboBox()
        for name, words in _HEATS.items():
            self.heat.addItem(words, name)
        self.heat.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.heat.setMinimumContentsLength(10)
        self.heat.setToolTip("Lay over the image how many patches cover each pixel, or how much foreground the windows over it hold")
        self.heat.currentIndexChanged.connect(self._heat_wanted)
        line = row(QLabel("Show on the image"), self.heat)
        line.setStretch(1, 1)
        self.body.addLayout(line)
        self.seen: PatchPreview | None = None
        self._shown = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PREVIEW_MS)
        self._timer.timeout.connect(self.preview)
        self.fields.changed.connect(self.ask_preview)
        for signal in (self.desk.cube_changed, self.desk.masks_changed, self.desk.inlet_changed, self.desk.project_changed):
            signal.connect(self.ask_preview)

    def standing(self) -> Standing:
        """Say how many patches there are."""
        project = self.project
        if project is None or not project.entries:
            return Standing("blocked", "Needs cubes: form 1.")
        if project.patches is None or not project.patches_path().exists():
            return Standing("ready", "No patches yet." if project.inlet else "No patches yet. No PCA either, which training needs.")
        noted = self.noted("patches")
        count, size = noted.get("count"), noted.get("size")
        return Standing("done", f"{count:,} patches of {size}×{size} pixels" if count is not None else "Patches are cut.")

    def project_opened(self) -> None:
        """Show what the project's patches were cut with."""
        self.fields.take(self.noted("patches").get("settings", {}))
        self.seen = None
        self.told.hide()

    def recipe(self) -> recipe.Recipe | None:
        """Return the cut as it stands."""
        return recipe.patches(self.project.folder, self.fields.value()) if self.project is not None else None

    # -- looking before cutting -------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """Preview what the settings give once the form is open."""
        super().showEvent(event)
        self.ask_preview()

    def ask_preview(self, *_: object) -> None:
        """Preview shortly: a spin box that is held down asks many times."""
        if self.live.isChecked() and self.isVisible() and self.project is not None and self.project.entries:
            self._timer.start()

    def preview(self) -> None:
        """Count what the settings give, read examples and the heat over the image; the latest request wins."""
        if self.project is None or not self.project.entries:
            return
        try:
            config = self.fields.value()
        except ConfigError as error:
            self._tell(str(error), BAD)
            return
        steps = _look(self.project, config, self.desk.cube, self.heat.currentData())
        self.jobs.start(steps, self._seen, label="previewing the patches", slot="preview", on_error=self._preview_failed)

    def _seen(self, found: _Seen) -> None:
        if not self.desk.alive:
            return
        seen, examples, heat = found
        self.seen = seen
        self._tell_seen(seen)
        self.desk.patches_previewed.emit(seen, examples)
        self._show_heat(heat)

    def _tell_seen(self, seen: PatchPreview) -> None:
        """Say what the settings give, without what the warnings of the last cut say already."""
        if seen.index is None:
            self._tell(f"Nothing would be cut: {seen.trouble}", BAD)
            return
        notes = [in_window(note) for note in (*(f"cube '{cube}' is left out: {why}" for cube, why in seen.left_out.items()), *seen.notes)]
        self._tell("\n".join((f"Preview: {summary(seen)}", *(note for note in notes if note not in self._warned))), QUIET)

    def _tell(self, words: str, colour: str) -> None:
        self.told.set_colour(colour)
        self.told.setText(in_window(words))
        self.told.setVisible(bool(words))

    def _preview_failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self._tell(sentence, BAD)

    def _heat_wanted(self, *_: object) -> None:
        if self.heat.currentData():
            self.preview()
        else:
            self._show_heat(None)

    def _show_heat(self, heat: NDArray[np.float32] | None) -> None:
        viewer, cube = self.desk.viewer, self.desk.cube
        old = layers.find(viewer, "heat", cube)
        if heat is None or not self.heat.currentData():
            if old is not None:
                old.visible = False
        elif heat.shape == self.project.entry(cube).shape[:2] if self.project is not None and cube else False:
            share = self.heat.currentData() == "share"
            result_layers.show_heat(viewer, cube, heat, (0.0, 1.0 if share else max(1.0, float(np.nanmax(heat, initial=1.0)))))

    def ask_sheet(self) -> None:
        """Ask for a file and write the sheet of examples into it."""
        path, _ = QFileDialog.getSaveFileName(self, "Sheet of example patches", str(Path(self.memory.folder("sheet")) / "patches.png"), "PNG picture (*.png)")
        if path:
            self.memory.used("sheet", Path(path))
            self.save_sheet(Path(path).with_suffix(".png"))

    def save_sheet(self, path: Path) -> None:
        """Write the sheet of the patches that were previewed last."""
        if self.project is not None and self.seen is not None and self.seen.index is not None:
            steps = save_sheet(self.project, self.seen.index, self.seen.config, path)
            done = recipe.patches(self.project.folder, self.seen.config, path)
            self.run(steps, lambda _: self._sheet_written(path, done), "drawing the sheet", writes=False)

    def _sheet_written(self, path: Path, done: Recipe) -> None:
        self.done = done
        self.say(f"{path} is written.")

    def update_widgets(self) -> None:
        """Show what was cut."""
        noted = self.noted("patches") if self.project is not None and self.project.patches else {}
        if noted.get("patches") == self._shown:
            return
        self._shown = noted.get("patches", "")
        self.show_counts(noted.get("per_domain", {}))

    def show_counts(self, counts: dict[str, dict[str, int]]) -> None:
        """Fill the table of patches a domain."""
        rows = [(name, split["train"], split["test"]) for name, split in counts.items()]
        if len(rows) > 1:
            rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
        self.table.setRowCount(len(rows))
        self._size_table(len(rows))
        for index, values in enumerate(rows):
            for column, value in enumerate(values):
                item = QTableWidgetItem(value if isinstance(value, str) else f"{value:,}")
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(index, column, item)

    def _size_table(self, rows: int) -> None:
        """Give the table the height of its rows: an empty one would push the rest out of sight."""
        line = self.table.verticalHeader().defaultSectionSize()
        self.table.setFixedHeight(self.table.horizontalHeader().sizeHint().height() + line * min(max(rows, 1), 8) + 6)

    def cut_patches(self) -> None:
        """Cut the patches."""
        if self.project is None:
            return
        try:
            config = self.fields.value()
        except ConfigError as error:
            self.say(str(error), "error")
            return
        self.run(cut_patches(self.project, config), self._cut, "cutting patches")

    def _cut(self, report: dict[str, Any]) -> None:
        train = sum(split["train"] for split in report["per_domain"].values())
        if self.seen is not None:
            self._tell_seen(self.seen)
        if report["count"] == 0:
            self.say("No patch was found: lower the least foreground or the size.", "error")
        else:
            self.say(f"{report['count']:,} patches: {train:,} to train, {report['count'] - train:,} held out.")
        self._shown = ""
        self.desk.patches_changed.emit()
        if self.seen is None or not self.live.isChecked():
            self.preview()

    def _show_grid(self, on: bool) -> None:
        self.canvas.grid_wanted = on
        layer = layers.find(self.desk.viewer, "grid", self.desk.cube)
        if layer is not None:
            layer.visible = on
        elif on:
            self.canvas.show_grid()


def _look(project: Project, config: PatchConfig, cube: str, heat: str) -> Steps[_Seen]:
    """Preview a cut, with examples and what lies over the image of the current cube."""
    seen = yield from preview_patches(project, config)
    examples = (yield from example_patches(project, seen.index, config)) if seen.index is not None else ()
    if not heat or not cube:
        return seen, examples, None
    yield Progress(message="coverage of the image")
    if heat == "share":
        return seen, examples, share_over_pixels(project.area(cube), config)
    shape = project.entry(cube).shape[:2]
    count = np.zeros(shape, dtype=np.float32) if seen.index is None else patches_over_pixels(seen.index, cube, shape).astype(np.float32)
    return seen, examples, np.where(count > 0, count, np.float32(np.nan))
