"""Prepare spectra: which bands are bad, and the chain of steps, each with a picture before anything is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QCheckBox, QComboBox, QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_hsi_ssl.config import ChainConfig
from napari_hsi_ssl.config.chain import STEP_KINDS, AnyStep, step_text
from napari_hsi_ssl.cubes.bad_bands import BandReport, band_text, parse_bands
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui.forms.copying import CopyButton
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import QUIET, heading, plain_button, row, words_label
from napari_hsi_ssl.gui.forms.saturated import SaturatedPanel
from napari_hsi_ssl.gui.palette import palette
from napari_hsi_ssl.gui.plots.bands import BandPlot, PreviewPlot, legend
from napari_hsi_ssl.steps import prepare, recipe

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form
    from napari_hsi_ssl.progress import Steps
    from napari_hsi_ssl.project import Project

_WORDS: Final = {
    "snv": "SNV",
    "savgol": "Savitzky-Golay",
    "continuum": "Continuum removal",
    "resample": "Resample",
    "mean": "Divide by mean",
    "absorbance": "Absorbance −log10 R",
}
_ROLE: Final = Qt.ItemDataRole.UserRole


class PreparePanel(QWidget):
    """Bad bands and the chain of the current project, embedded in a form."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form, self._filling = form, False
        self._report: BandReport | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(heading("Bad bands"))
        self.bands = BandPlot()
        self.legend = QLabel(legend())
        self.bad_words = words_label(QUIET)
        self.detect = form.needs_project(plain_button("Find", "Judge the bands of this cube within its mask; nothing is saved yet"))
        self.apply_bands = plain_button("Save", "These bands take no part in anything that is computed from now on")
        self.header = form.needs_project(plain_button("As in file", "Forget the choice: the bands that the file's header calls bad"))
        self.alike = QCheckBox("save for all cubes of this domain")
        self.alike.setToolTip("Save for every cube of the domain that has the same bands")
        self.alike.setChecked(True)
        self.bands_copy = CopyButton(self._copy_bands, lambda: "")
        layout.addLayout(row(self.detect, self.apply_bands, self.header, None, self.bands_copy))
        layout.addWidget(self.alike)
        for widget in (self.bands, self.legend, self.bad_words):
            layout.addWidget(widget)
        self.bands.hide()
        self.legend.hide()
        self.apply_bands.setEnabled(False)

        self.saturated = SaturatedPanel(form)
        layout.addWidget(self.saturated)

        layout.addWidget(heading("Steps, in this order"))
        self.kinds = QComboBox()
        self.kinds.setToolTip("The kind of step to add")
        for kind in STEP_KINDS:
            self.kinds.addItem(_WORDS[kind], kind)
        self.add = plain_button("Add", "Add this step at the end")
        self.remove = plain_button("Remove", "Take the chosen step out")
        self.up, self.down = plain_button("▲", "Move the chosen step up"), plain_button("▼", "Move the chosen step down")
        layout.addLayout(row(self.kinds, self.add, self.remove, self.up, self.down, None))
        self.list = QListWidget()
        self.list.setToolTip("What is done to every spectrum; drag to reorder, choose one to change it")
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setMaximumHeight(92)
        layout.addWidget(self.list)
        self.editors: dict[str, ConfigFields[Any]] = {}
        for kind, model in STEP_KINDS.items():
            names = [name for name in model.model_fields if name != "kind"]
            if names:
                editor: ConfigFields[Any] = ConfigFields(model, names, labels={"deriv": "Derivative", "fwhm": "FWHM"}, empty={"fwhm": "as the step"})
                self.editors[kind] = editor
                editor.edited.connect(self._edited)
                editor.hide()
                layout.addWidget(editor)
        self.preview = PreviewPlot()
        layout.addWidget(self.preview)
        self.words = words_label(QUIET)
        layout.addWidget(self.words)
        self.save = form.needs_project(
            plain_button("Save steps", "Prepare spectra so from now on: PCA, training on bands, baselines; applied when cubes are read")
        )
        self.chain_copy = CopyButton(self._copy_chain, lambda: "")
        layout.addLayout(row(self.save, None, self.chain_copy))

        palette.changed.connect(self._colour_legend)
        self.detect.clicked.connect(self.find_bad_bands)
        self.apply_bands.clicked.connect(lambda: self._save_bands(self.bands.bad))
        self.header.clicked.connect(lambda: self._save_bands(None))
        self.bands.toggled.connect(self._say_bands)
        self.add.clicked.connect(lambda: self.append(STEP_KINDS[self.kinds.currentData()]()))
        self.remove.clicked.connect(self._remove)
        self.up.clicked.connect(lambda: self._move(-1))
        self.down.clicked.connect(lambda: self._move(1))
        self.list.currentItemChanged.connect(self._chosen)
        self.list.model().rowsMoved.connect(self.show_preview)
        self.save.clicked.connect(self.save_chain)
        form.desk.project_changed.connect(self.take_project)
        form.desk.cube_changed.connect(self._other_cube)
        form.desk.pixel_pinned.connect(self.show_preview)
        form.desk.masks_changed.connect(self.show_preview)
        self.take_project()

    def _colour_legend(self) -> None:
        self.legend.setText(legend())

    # -- bad bands ----------------------------------------------------------------------------------------------------------

    def find_bad_bands(self) -> None:
        """Judge the bands of the current cube and show what is found."""
        project, cube = self._form.project, self._form.desk.cube
        if project is not None and cube:
            self._form.run(prepare.judge_bands(project, cube), self._judged, "judging the bands", writes=False)

    def _judged(self, report: BandReport) -> None:
        self._report = report
        self.bands.show_report(report)
        self.bands.show()
        self.legend.show()
        self.apply_bands.setEnabled(True)
        self._say_bands()

    def _say_bands(self) -> None:
        bad = self.bands.bad
        self.bad_words.setText(f"{len(bad)} of {len(self.bands.reasons)} bands are bad: {band_text(bad)}" if bad else "Every band is good.")

    def _save_bands(self, bands: tuple[int, ...] | None) -> None:
        project, cube = self._form.project, self._form.desk.cube
        if project is not None and cube:
            self._form.run(prepare.save_bad_bands(project, cube, bands, self.alike.isChecked()), self._bands_saved, "saving bad bands")

    def _bands_saved(self, report: dict[str, Any]) -> None:
        project = self._form.project
        if project is not None:
            bands = None if report["bad"] is None else parse_bands(report["bad"], project.entry(report["cubes"][0]).shape[2])
            self._form.done = recipe.bad_bands(project.folder, report["cubes"], bands)
        self._form.say(f"Bad bands of {', '.join(report['cubes'])}: {'as in the file' if report['bad'] is None else report['bad'] or 'none'}.")
        self.show_preview()

    def _meant(self, project: Project, cube: str) -> list[str]:
        return prepare.cubes_alike(project, cube) if self.alike.isChecked() else [cube]

    def _copy_bands(self, kind: str, _last: bool) -> bool:
        project, cube = self._form.project, self._form.desk.cube
        if project is None or not cube:
            return self._form.copy_recipe(kind, lambda: None)
        bands = self.bands.bad if self.bands.reasons and self._report is not None else project.entry(cube).bad_bands
        return self._form.copy_recipe(kind, lambda: recipe.bad_bands(project.folder, self._meant(project, cube), bands))

    # -- the chain ----------------------------------------------------------------------------------------------------------

    def chain(self) -> ChainConfig:
        """Return the steps as they stand in the list."""
        return ChainConfig(steps=tuple(self.list.item(index).data(_ROLE) for index in range(self.list.count())))

    @property
    def unsaved(self) -> bool:
        """Whether the list shows other steps than the project has."""
        return self._form.project is not None and self.chain() != self._noted()

    def saving(self, steps: Steps[dict[str, Any]]) -> Steps[dict[str, Any]]:
        """Return a step before which the list's own steps are saved: what is seen is what is used."""
        project = self._form.project
        if project is not None and self.unsaved:
            yield from prepare.set_chain(project, self.chain())
        return (yield from steps)

    def take_project(self, *_: object) -> None:
        """Show the steps of the project."""
        self._filling = True
        self.list.clear()
        for step in self._noted().steps:
            self.list.addItem(_item(step))
        self._filling = False
        self._other_cube()

    def _noted(self) -> ChainConfig:
        """Return the steps that the project notes; none when its notes cannot be read."""
        try:
            return self._form.project.chain if self._form.project is not None else ChainConfig()
        except ConfigError as error:
            self._form.warn(str(error))
            return ChainConfig()

    def append(self, step: AnyStep) -> None:
        """Add a step at the end and choose it."""
        self.list.addItem(_item(step))
        self.list.setCurrentRow(self.list.count() - 1)
        self.show_preview()

    def _remove(self) -> None:
        if self.list.currentRow() >= 0:
            self.list.takeItem(self.list.currentRow())
            self.show_preview()

    def _move(self, by: int) -> None:
        here = self.list.currentRow()
        if here >= 0 and 0 <= here + by < self.list.count():
            item = self.list.takeItem(here)
            self.list.insertItem(here + by, item)
            self.list.setCurrentRow(here + by)
            self.show_preview()

    def _chosen(self, *_: object) -> None:
        item = self.list.currentItem()
        editor = self.editors.get(item.data(_ROLE).kind) if item is not None else None
        for other in self.editors.values():
            other.setVisible(other is editor)
        if editor is not None:
            editor.setValue(item.data(_ROLE))

    def _edited(self, step: AnyStep) -> None:
        item = self.list.currentItem()
        if item is not None and item.data(_ROLE).kind == step.kind:
            item.setData(_ROLE, step)
            item.setText(_text(step))
            self.show_preview()

    def show_preview(self, *_: object) -> None:
        """Draw spectra of the current cube before and after the steps."""
        project, cube = self._form.project, self._form.desk.cube
        if project is None or not cube or self._filling or not self.isVisible():
            return
        self._form.jobs.start(
            prepare.preview_chain(project, cube, self.chain(), self._form.desk.pinned),
            self._previewed,
            slot="prepared spectra",
            on_error=self._cannot,
            label="previewing the steps",
        )

    def _previewed(self, preview: prepare.SpectraPreview) -> None:
        self.preview.show_preview(preview)
        told = f"{preview.where}; {preview.prepared.shape[1]} bands"
        doubts = [*self.chain().doubts(), *(["These steps are not saved yet; fitting saves them, too."] if self.unsaved else [])]
        self.words.setText("\n".join([told, *(doubt[:1].upper() + doubt[1:] for doubt in doubts)]))

    def _cannot(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.words.setText(sentence)

    def save_chain(self) -> None:
        """Save the steps in the project."""
        if self._form.project is not None:
            self._form.run(prepare.set_chain(self._form.project, self.chain()), self._saved, "saving the steps")

    def _copy_chain(self, kind: str, _last: bool) -> bool:
        project = self._form.project
        return self._form.copy_recipe(kind, lambda: recipe.chain(project.folder, self.chain()) if project is not None else None)

    def _saved(self, report: dict[str, Any]) -> None:
        self._form.say(f"Spectra are prepared by: {', then '.join(report['steps'])}." if report["steps"] else "Spectra are used as they are.")
        self._form.warn(*report.get("warnings", []))
        if self._form.project is not None:
            self._form.done = recipe.chain(self._form.project.folder, self._form.project.chain)

    def _other_cube(self, *_: object) -> None:
        self._report = None
        self.bands.hide()
        self.legend.hide()
        self.apply_bands.setEnabled(False)
        self.bad_words.setText("")
        self.show_preview()

    def showEvent(self, event: Any) -> None:  # noqa: ANN401 - Qt's name
        """Draw the preview once it can be seen."""
        super().showEvent(event)
        self.show_preview()


def _text(step: AnyStep) -> str:
    _, _, inside = step_text(step).partition(":")
    return f"{_WORDS[step.kind]}  {inside.replace(',', ', ')}".strip()


def _item(step: AnyStep) -> QListWidgetItem:
    item = QListWidgetItem(_text(step))
    item.setData(_ROLE, step)
    return item
