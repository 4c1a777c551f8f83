"""How the labels are divided before a self-distillation: settings, what they give on the image, and what the division is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QSpinBox, QToolButton, QVBoxLayout, QWidget

from napari_hsi_ssl.config import DistilConfig, SplitConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.labels import swatch
from napari_hsi_ssl.gui.forms.pieces import BAD, CAREFUL, GOOD, QUIET, plain_button, row, words_label
from napari_hsi_ssl.gui.split_layer import SPLIT_COLOURS, hide_split, show_split
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.project_splits import SplitPreview, chosen_split, forget_split, preview_split, split_project

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

PREVIEW_MS: Final = 250
_WORDS: Final = {"blocks": "blocks apart by a guard", "fields": "whole fields", "cubes": "whole cubes", "random": "single pixels, at random"}
_OF_KIND: Final = {"block": ("blocks",), "guard": ("blocks", "fields"), "share": ("random",)}
"""Settings that mean something for some kinds only."""


class SplitPanel(QWidget):
    """Divides the labels of the project; it works through the form it stands in.

    Parameters
    ----------
    form : Form
        Runs the steps and shows words and progress.

    Attributes
    ----------
    changed : Signal()
        Other labels train from now on.
    seen : SplitPreview or None
        What the settings give.
    """

    changed = Signal()

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form, self._window = form, DistilConfig().window
        self._files: dict[str, dict[str, Path]] = {}
        self._stale = False
        self.seen: SplitPreview | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PREVIEW_MS)
        self._timer.timeout.connect(self.preview)
        self.used = words_label(QUIET)
        self.used.setToolTip("Labels that the next self-distillation learns from, and those that judge it")
        self.fields = ConfigFields(
            SplitConfig,
            ("kind", "block", "guard", "folds", "validation"),
            ("per_class", "test_per_class", "share", "repeats", "seed"),
            labels={
                "kind": "Divide into", "block": "Block (px)", "guard": "Guard (px)", "validation": "Validation part", "per_class": "Training pixels a class",
                "test_per_class": "Test pixels a class", "share": "Test share",
            },
            empty={"folds": "automatic", "per_class": "all", "test_per_class": "all", "share": "by folds"},
            hints={"seed": "Another seed divides otherwise"},
            words=_WORDS,
        )  # fmt: skip
        self.number = QSpinBox()
        self.number.setRange(1, 1)
        self.number.setToolTip("Which of the folds is seen and used: its own part is the test, the others train")
        self.fields.rows["folds"].addRow("Fold", self.number)
        self.parts = {part: QLabel(part) for part in SPLIT_COLOURS}
        legend = QGridLayout()
        legend.setContentsMargins(0, 2, 0, 2)
        for place, (part, label) in enumerate(self.parts.items()):
            sign = QLabel()
            sign.setPixmap(swatch(SPLIT_COLOURS[part], 12).pixmap(12, 12))
            legend.addWidget(sign, place // 2, 2 * (place % 2))
            legend.addWidget(label, place // 2, 2 * (place % 2) + 1)
        for column in (1, 3):
            legend.setColumnStretch(column, 1)
        self.verdict = words_label(QUIET)
        self.shown = QCheckBox("Show on the image")
        self.shown.setChecked(True)
        self.shown.setToolTip("Colour the labelled pixels by the part they fall into; the labels themselves come back when this is folded away")
        self.use = form.needs_project(plain_button("Use this split", "The next self-distillation learns from the training part; its files go to the project"))
        self.all = form.needs_project(plain_button("Use all labels", "Train on every label; nothing is held out"))
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.fields)
        column.addWidget(self.shown)
        column.addLayout(legend)
        column.addLayout(row(self.use, self.all, None))
        column.addWidget(self.verdict)
        # No fold of superqt's: it keeps its height when a sentence in it grows.
        self.head = QToolButton()
        self.head.setCheckable(True)
        self.head.setText("Split and audit")
        self.head.setToolTip("Unfold or fold")
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.setStyleSheet("text-align: left; border: none; background: transparent; padding: 2px;")
        self.inside = inside
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.head)
        layout.addWidget(inside)
        layout.addWidget(self.used)
        self._folded(False)
        self.fields.changed.connect(self._edited)
        self.number.valueChanged.connect(self.ask_preview)
        self.head.toggled.connect(self._folded)
        self.shown.toggled.connect(self._draw)
        self.use.clicked.connect(self.use_split)
        self.all.clicked.connect(self.use_all)
        form.desk.labels_changed.connect(self._labels_changed)
        form.desk.masks_changed.connect(self.ask_preview)
        self._soon = QTimer(self)  # once the canvas has put the cube's own layers in
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._draw)
        form.canvas.looked.connect(self._cube_shown)
        self._suggest(self._window)
        self._edited(self.fields.value())
        self._tell_used()

    # -- what the next training learns from -------------------------------------------------------------------------------

    def files(self, role: str) -> dict[str, Path] | None:
        """Return the label files of the chosen split by cube, of ``train``, ``validation`` or ``test``; None where there are none."""
        return self._files.get(role) or None

    def project_opened(self) -> None:
        """Take over the split that the project notes."""
        project = self._form.project
        noted = self._form.noted("split")  # nothing where the notes cannot be read
        self._files, self._stale, self.seen = (chosen_split(project) if project is not None and noted else {}), False, None
        if self._files:
            self.fields.take(noted.get("settings", {}))
            self.number.setMaximum(max(1, self.fields.value().parts * self.fields.value().repeats))
            self.number.setValue(int(noted.get("number", 1)))
        self._tell_used()
        self.ask_preview()

    def set_window(self, window: int) -> None:
        """Take note of the window of the network: a guard that was suggested follows it."""
        if window != self._window:
            followed = self.fields.editors["guard"].value() == self._window - 1
            self._window = window
            if followed:
                self._suggest(window)
            self.ask_preview()

    def _suggest(self, window: int) -> None:
        self.fields.editors["guard"].setValue(window - 1)

    def _tell_used(self) -> None:
        train = self._files.get("train")
        if not train:
            words, colour = "Trains on all labels: none are held out to judge it. Divide them above.", QUIET
        else:
            folder = next(iter(train.values())).parent
            held = "judged on its validation part" if self._files.get("validation") else "no validation part"
            words, colour = f"Trains on fold {self.number.value()} of {folder.name}, {held}; the test part waits for the score.", GOOD
            if self._stale:
                words, colour = f"{words} The labels have changed since: use the split again to take them in.", CAREFUL
        self.used.set_colour(colour)
        self.used.setText(words)
        self.all.setVisible(bool(train))

    # -- looking ----------------------------------------------------------------------------------------------------------

    @property
    def looking(self) -> bool:
        """Whether the settings are unfolded and can be seen, so that what they give is shown."""
        return self.head.isChecked() and self.isVisible()

    def ask_preview(self, *_: object) -> None:
        """Preview shortly: a spin box that is held down asks many times."""
        if self.looking and self._form.project is not None and self._form.project.labelled:
            self._timer.start()

    def preview(self) -> None:
        """Divide the labels without writing anything; the latest request wins."""
        project = self._form.project
        if project is None or not self._form.desk.alive:
            return
        try:
            config = self.fields.value()
        except ConfigError as error:
            self._tell(str(error), BAD)
            return
        steps = preview_split(project, config, self.number.value(), self._window)
        self._form.jobs.start(steps, self._seen, label="dividing the labels", slot="split", on_error=self._no_split)

    def _seen(self, seen: SplitPreview) -> None:
        if not self._form.desk.alive:
            return
        self.seen = seen
        blocked = self.number.blockSignals(True)
        self.number.setMaximum(seen.folds)
        self.number.setSuffix(f" of {seen.folds}")
        self.number.blockSignals(blocked)
        for part, label in self.parts.items():
            label.setText(f"{part} {seen.counts[part]:,}")
        leak = seen.audit["overlap_share"]
        self._tell("\n".join((seen.audit["verdict"], *self._notes(seen))), CAREFUL if leak else GOOD)
        self.use.setToolTip("The next self-distillation learns from the training part; its files go to the project")
        self._draw()

    def _notes(self, seen: SplitPreview) -> list[str]:
        notes = []
        if seen.fold.not_scored:
            names = dict(zip(self._form.project.classes.numbers, self._form.project.classes.names, strict=True)) if self._form.project is not None else {}
            listed = ", ".join(names.get(number, f"class {number}") for number in seen.fold.not_scored)
            notes.append(f"Not scored, since none of their pixels is left to train on: {listed}.")
        if seen.config.kind in _OF_KIND["guard"] and seen.config.guard < self._window - 1:
            notes.append(f"A window of {self._window} pixels needs a guard of {self._window - 1}.")
        return notes

    def _no_split(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.seen = None
        for part, label in self.parts.items():
            label.setText(part)
        self._tell(sentence, BAD)
        self._draw()

    def _tell(self, words: str, colour: str) -> None:
        self.verdict.set_colour(colour)
        self.verdict.setText(in_window(words))

    def _draw(self, *_: object) -> None:
        desk = self._form.desk
        if not desk.alive or not desk.cube:
            return
        picture = self.seen.pictures.get(desk.cube) if self.seen is not None and self.looking and self.shown.isChecked() else None
        if picture is None:
            hide_split(desk.viewer, desk.cube)
        else:
            show_split(desk.viewer, desk.cube, picture)

    def _edited(self, config: SplitConfig) -> None:
        for name, kinds in _OF_KIND.items():
            self.fields.show_field(name, config.kind in kinds)
        self.ask_preview()

    def _folded(self, opened: bool) -> None:
        self.head.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.inside.setVisible(opened)
        self.ask_preview()
        self._draw()

    def showEvent(self, event: Any) -> None:  # noqa: ANN401 - Qt's own
        """Preview once the panel can be seen."""
        super().showEvent(event)
        self.ask_preview()

    def hideEvent(self, event: Any) -> None:  # noqa: ANN401 - Qt's own
        """Give the labels their place on the image back."""
        super().hideEvent(event)
        self._draw()

    def _labels_changed(self, *_: object) -> None:
        self._stale = bool(self._files)
        self._tell_used()
        self.ask_preview()

    def _cube_shown(self, _composite: object) -> None:
        self._soon.start()

    # -- acts -------------------------------------------------------------------------------------------------------------

    def use_split(self) -> None:
        """Write the split, and let its fold train from now on."""
        form = self._form
        if form.project is None:
            return
        try:
            config = self.fields.value()
        except ConfigError as error:
            form.say(str(error), "error")
            return
        form.done = recipe.split(form.project.folder, config)
        form.run(split_project(form.project, config, self.number.value()), self._written, "writing the split")

    def _written(self, report: dict[str, Any]) -> None:
        self._files = {
            role: {cube: Path(path) for cube, path in report["chosen"][role].items()} for role in ("train", "test", "validation") if role in report["chosen"]
        }
        self._stale = False
        self._tell_used()
        chosen = report["chosen"]
        self._form.say(f"{chosen['n_train']:,} pixels train, {chosen['n_test']:,} wait for the test; the files are in splits/{Path(report['folder']).name}.")
        self.changed.emit()

    def use_all(self) -> None:
        """Train on all labels again."""
        if self._form.project is not None:
            self._form.run(forget_split(self._form.project), self._forgotten, "taking the split back")

    def _forgotten(self, _report: object) -> None:
        self._files = {}
        self._tell_used()
        self.changed.emit()
