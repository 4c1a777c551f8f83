"""6 Classify: turn a run into maps over the image, judge it, show, score and export maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QLabel, QListWidget, QListWidgetItem, QSlider

from napari_hsi_ssl.config import ClassifyConfig, EvaluateConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui import result_layers
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.fields import ConfigFields, tidy
from napari_hsi_ssl.gui.forms.labels import swatch
from napari_hsi_ssl.gui.forms.pieces import heading, listen, plain_button, primary, row, words_label
from napari_hsi_ssl.mapping.raw import NAME as SPECTRA
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.evaluate import evaluate
from napari_hsi_ssl.steps.export import export
from napari_hsi_ssl.steps.features import beside, run_of
from napari_hsi_ssl.steps.judge import compare, score
from napari_hsi_ssl.steps.recommend import recommend

_METHODS = {
    "knn": ("kNN", "Each pixel gets the class of the labelled pixels whose features are nearest: those of a pretrained run, or training-free ones"),
    "linear": ("Linear probe", "One linear layer learns the classes from the features of labelled pixels: those of a pretrained run, or training-free ones"),
    "distil": ("Self-distillation network", "The network of a self-distillation run, which has learnt its classes itself"),
}
_EXPORTS = "ENVI classification (*.hdr);;GeoTIFF (*.tif);;PNG with legend (*.png);;Areas (*.csv)"
_HINTS = {"k": "Number of neighbours that vote", "seed": "Seed of the choice of reference pixels"}


class ClassifyForm(Form):
    """The sixth form: maps."""

    number = 6
    title = "Classify"

    def build(self) -> None:
        """Lay the form out."""
        self._train_file: Path | None = None
        self._told_of: frozenset[Path] | None = None
        self._listing = False
        self.method = QComboBox()
        for name, (words, hint) in _METHODS.items():
            self.method.addItem(words, name)
            self.method.setItemData(self.method.count() - 1, hint, Qt.ItemDataRole.ToolTipRole)
        self.method.setToolTip("How a pixel gets its class")
        self.method.currentIndexChanged.connect(self.refresh)
        self.run_box = QComboBox()
        self.run_box.setToolTip(
            "The finished run whose network is used; training-free: denoised MNF components beside the shape of the spectrum, which need no training; "
            "both side by side; or the spectra as they are"
        )
        self.run_box.activated.connect(self.refresh)
        self.cubes = QComboBox()
        self.cubes.addItems(["this cube", "all cubes"])
        self.cubes.setToolTip("What is classified")
        self.source = QComboBox()
        self.source.addItems(["labels of the project", "a label file for this cube…"])
        self.source.setToolTip("What kNN and the linear probe learn from; a self-distillation run brings its own")
        self.source.activated.connect(self._source_chosen)
        form = tidy(QFormLayout())
        for words, widget in (("Method", self.method), ("Run", self.run_box), ("Learns from", self.source), ("Classify", self.cubes)):
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            widget.setMinimumContentsLength(12)
            form.addRow(words, widget)
        self.body.addLayout(form)
        self.choose = self.needs_project(
            plain_button("Which suits best?", "Try features and classifiers on parts of the labels that the others were not learned from, and choose the best")
        )
        self.choose.clicked.connect(self.recommend)
        self.body.addLayout(row(self.choose, None))
        self.fields = ConfigFields(ClassifyConfig, (), ("k", "references", "seed"), labels={"references": "Reference pixels", "k": "Neighbours"}, hints=_HINTS)
        self.body.addWidget(self.fields)
        self.make = self.needs_project(primary("Make map", "Classify every used pixel; the map appears over the image and is saved in the project"))
        self.make.clicked.connect(self.make_maps)
        self.body.addWidget(self.make)

        self.target = QComboBox()
        self.target.addItems(["domains", "classes"])
        self.target.setToolTip("What the held-out patches are told apart by")
        self.judge = self.needs_project(
            plain_button("Evaluate run", "How well the run's features tell held-out patches apart, beside a random network and plain spectra")
        )
        self.judge.clicked.connect(self.evaluate)
        self.body.addLayout(row(self.judge, QLabel("by"), self.target, None))
        self.verdict = words_label("#d0d6dc")
        self.verdict.hide()
        self.body.addWidget(self.verdict)

        self.body.addWidget(heading("Maps of this cube"))
        self.maps = QListWidget()
        self.maps.setMaximumHeight(90)
        self.maps.setToolTip("Double-click a map to see it over the image; choose two to compare them")
        self.maps.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.maps.itemDoubleClicked.connect(lambda item: self.desk.map_made.emit(item.data(Qt.ItemDataRole.UserRole)))
        self.maps.itemSelectionChanged.connect(self._maps_chosen)
        self.body.addWidget(self.maps)
        self.show_map = plain_button("Show", "Lay the chosen map over the image")
        self.score = plain_button("Score", "Overall and average accuracy, kappa and confusion against this cube's labels")
        self.compare = plain_button("Compare", "Agreement of two chosen maps, and whether one is better (McNemar)")
        self.export = plain_button("Export…", "ENVI classification, GeoTIFF, PNG with legend, or a CSV of areas")
        self.show_map.clicked.connect(lambda: [self.desk.map_made.emit(str(path)) for path in self.chosen_maps()])
        self.score.clicked.connect(self.score_map)
        self.compare.clicked.connect(self.compare_maps)
        self.export.clicked.connect(self._ask_export)
        self.body.addLayout(row(self.show_map, self.score, self.compare, self.export))

        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(70)
        self.opacity.setToolTip("Opacity of the maps over the image")
        self.opacity.valueChanged.connect(self._set_opacity)
        self.confidence = QCheckBox("Confidence")
        self.confidence.setToolTip("Show how sure the classifier is of every pixel, from 0 to 1, instead of the classes")
        self.confidence.toggled.connect(self._set_confidence)
        # Below the words of a step, which would be out of sight under a long legend.
        below = self.layout()
        below.insertLayout(below.count() - 1, row(QLabel("Opacity"), self.opacity, self.confidence))
        self.legend = QListWidget()
        self.legend.setMaximumHeight(150)
        self.legend.setToolTip("Classes of the map over the image, and the share of the classified pixels that each covers")
        below.insertWidget(below.count() - 1, self.legend)
        self.canvas.map_shown.connect(self._map_shown)
        listen(self.desk.viewer.layers.events.removed, self, "show_legend")

    # -- state ------------------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Say how many maps there are, or what is missing."""
        project = self.project
        if project is None or not project.entries:
            return Standing("blocked", "Needs cubes: form 1.")
        maps = len(project.maps())
        if maps:
            return Standing("done", f"{maps} map{'s' * (maps != 1)}")
        missing = self.missing()
        if any(run["state"] == "finished" for run in self.desk.runs):
            return Standing("ready", missing or "No map yet.")
        return Standing("blocked", missing) if missing else Standing("ready", "No map yet; without a trained network the training-free embedding serves.")

    def missing(self) -> str:
        """Say what the chosen method lacks; "" when a map can be made."""
        project = self.project
        if project is None or not self.desk.cube:
            return "Needs cubes: form 1."
        if not self.usable_runs():
            return "Needs a finished self-distillation run: form 5."
        if self.method.currentData() != "distil" and self._train_file is None and not project.labelled:
            return "Needs labels to learn from: form 2, tab Labels."
        return ""

    def usable_runs(self) -> list[str]:
        """Return the finished runs that go with the method, the newest first, and what needs no run."""
        kind = "distil" if self.method.currentData() == "distil" else "pretrain"
        names = [run["run"] for run in reversed(self.desk.runs) if run["kind"] == kind and run["state"] == "finished"]
        return names if kind == "distil" else [*(features for name in names for features in (beside(name), name)), TRAINING_FREE, SPECTRA]

    def update_widgets(self) -> None:
        """Offer the runs that go with the method, and the maps of the cube."""
        method, kept, names = self.method.currentData(), self.run_box.currentText(), self.usable_runs()
        self.run_box.clear()
        self.run_box.addItems(names)
        self.run_box.setCurrentIndex(max(0, self.run_box.findText(kept)) if names else -1)
        self.source.setEnabled(method != "distil")
        self.fields.show_field("k", method == "knn")
        self.make.setEnabled(self.make.isEnabled() and not self.missing())
        self.choose.setEnabled(self.choose.isEnabled() and method != "distil" and not self.missing())
        self.make.setToolTip(self.missing() or "Classify every used pixel; the map appears over the image and is saved in the project")
        self.judge.setEnabled(self.judge.isEnabled() and method != "distil" and bool(run_of(self.run_box.currentText())))
        chosen = {str(path) for path in self.chosen_maps()}
        self._listing = True
        self.maps.clear()
        for path in self.project.maps() if self.project else []:
            cube, run, how = path.stem.split("--")
            if cube == self.desk.cube:
                item = QListWidgetItem(f"{run} · {how}")
                item.setData(Qt.ItemDataRole.UserRole, str(path))
                item.setToolTip(str(path))
                self.maps.addItem(item)
                item.setSelected(str(path) in chosen)
        if self.maps.count() and not self.maps.selectedItems():
            self.maps.item(self.maps.count() - 1).setSelected(True)
        self._listing = False
        if self.project is not None and self.target.isEnabled() != (len(self.project.domains) > 1):
            # Where there is one domain there is nothing to tell apart by it.
            self.target.setEnabled(len(self.project.domains) > 1)
            self.target.setCurrentIndex(0 if self.target.isEnabled() else 1)
        self._maps_chosen()
        self.show_legend()

    def chosen_maps(self) -> list[Path]:
        """Return the paths of the maps chosen in the list."""
        return [Path(item.data(Qt.ItemDataRole.UserRole)) for item in self.maps.selectedItems()]

    def _maps_chosen(self) -> None:
        count = len(self.maps.selectedItems())
        for button, on in ((self.show_map, count > 0), (self.score, count == 1), (self.compare, count == 2), (self.export, count == 1)):
            button.setEnabled(on)
        if self._told_of is not None and not self._listing and frozenset(self.chosen_maps()) != self._told_of:
            self.hush()  # figures of one map must not stand above another

    def hush(self) -> None:
        """Take words and warnings away."""
        self._told_of = None
        super().hush()

    def _tell(self, words: str) -> None:
        """Say what belongs to the chosen maps, until others are chosen."""
        self.say(words)
        self._told_of = frozenset(self.chosen_maps())

    def _source_chosen(self, index: int) -> None:
        self._train_file = None
        if index == 1:
            path, _ = QFileDialog.getOpenFileName(self, "Training labels of this cube", self.memory.folder("labels"))
            if path:
                self.memory.used("labels", Path(path))
            self.use_labels_of(Path(path) if path else None)
        self.refresh()

    def use_labels_of(self, path: Path | None) -> None:
        """Learn from a label file of the current cube, or from the project's labels."""
        self._train_file = path
        self.source.setCurrentIndex(0 if path is None else 1)
        self.source.setItemText(1, "a label file for this cube…" if path is None else path.name)

    # -- acts -------------------------------------------------------------------------------------------------------------

    def config(self) -> ClassifyConfig:
        """Return the settings as they stand."""
        return ClassifyConfig.parse({**self.fields.value().model_dump(), "method": self.method.currentData()})

    def make_maps(self) -> None:
        """Classify the current cube, or all."""
        project, cube, run = self.project, self.desk.cube, self.run_box.currentText()
        if project is None or not cube or not run:
            return
        try:
            config = self.config()
        except ConfigError as error:
            self.say(str(error), "error")
            return
        cubes, train = self._what(config)
        self.run(classify(project, run, config, cubes, train), self._made, "making the map" if cubes else "making the maps")

    def _what(self, config: ClassifyConfig) -> tuple[list[str] | None, dict[str, Path] | None]:
        """Return the cubes to classify, None for all, and the label files to learn from, None for those of the project."""
        cube = self.desk.cube
        train = {cube: self._train_file} if self._train_file is not None and config.method != "distil" else None
        return ([cube] if self.cubes.currentIndex() == 0 else None), train

    def recipe(self) -> recipe.Recipe | None:
        """Return the map as it stands."""
        project, run = self.project, self.run_box.currentText()
        if project is None or not self.desk.cube or not run:
            return None
        config = self.config()
        return recipe.classify(project.folder, run, config, *self._what(config))

    def _made(self, report: dict[str, Any]) -> None:
        seconds = report["seconds"]
        count = len(report["maps"])
        for made in report["maps"]:
            self.desk.map_made.emit(made["path"])
        self.say(f"{count} map{'s' * (count != 1)} saved in {max(1.0, seconds):.0f} s.")

    def evaluate(self) -> None:
        """Judge the chosen pretrained run."""
        run = run_of(self.run_box.currentText())
        if self.project is not None and run:
            config = EvaluateConfig(k=self.fields.value().k, labels="domain" if self.target.currentIndex() == 0 else "class")
            self.done = recipe.evaluate(self.project.folder, run, config)
            self.run(evaluate(self.project, run, config), self._evaluated, f"evaluating {run}")

    def recommend(self) -> None:
        """Let the labels choose run and method."""
        project = self.project
        if project is not None:
            train = {self.desk.cube: self._train_file} if self._train_file is not None else None
            self.done = recipe.recommend(project.folder, train, self.fields.value().k)
            self.run(recommend(project, train, k=self.fields.value().k), self._recommended, "trying features")  # it may fit the training-free inlet

    def _recommended(self, report: dict[str, Any]) -> None:
        self.method.setCurrentIndex(self.method.findData(report["method"]))
        self.refresh()
        self.run_box.setCurrentText(report["run"])
        lines = [f"{found['run']} · {_METHODS[found['method']][0]}: {found['accuracy']:.1%}" for found in report["rows"]]
        words = f"On {report['parts']} parts of the labels, each at least {report['guard']} pixels from what it was told by:"
        self.verdict.setText("\n".join([words, *lines]))
        self.verdict.show()
        self.say(f"{report['run']} with {_METHODS[report['method']][0]} is chosen: {report['accuracy']:.1%} of labelled pixels it had not seen.")

    def _evaluated(self, report: dict[str, Any]) -> None:
        def share(value: float | None) -> str:
            return "–" if value is None else f"{value:.1%}"

        self.verdict.setText(
            f"Held-out patches, told apart by {report['labels']}:\n"
            f"kNN {share(report.get('knn_accuracy'))} (random network {share(report.get('random_knn_accuracy'))})\n"
            f"linear probe {share(report.get('linear_probe'))} (random network {share(report.get('random_linear_probe'))})"
        )
        self.verdict.show()
        self.desk.evaluated.emit(report["run"], report)
        self.desk.plot_wanted.emit("results")

    def score_map(self) -> None:
        """Score the chosen map against the labels of its cube."""
        project, chosen = self.project, self.chosen_maps()
        if project is None or len(chosen) != 1:
            return
        labels = project.labels_path(self.desk.cube)
        if not labels.exists():
            path, _ = QFileDialog.getOpenFileName(self, "Labels to score against", self.memory.folder("labels"))
            if not path:
                return
            self.memory.used("labels", Path(path))
            labels = Path(path)
        self.done = recipe.score(chosen[0], labels)
        self.run(score(chosen[0], labels), self._scored, "scoring the map", writes=False)

    def _scored(self, report: dict[str, Any]) -> None:
        self._tell(f"OA {report['oa']:.1%} · AA {report['aa']:.1%} · kappa {report['kappa']:.3f} on {report['n']:,} labelled pixels.")
        self.warn("Pixels it learned from count here too: for an honest figure, score against labels that were held out.")
        self.desk.result_made.emit("score", report)
        self.desk.plot_wanted.emit("results")

    def compare_maps(self) -> None:
        """Compare the two chosen maps."""
        chosen = self.chosen_maps()
        if self.project is not None and len(chosen) == 2:
            labels = self.project.labels_path(self.desk.cube)
            self.done = recipe.compare(chosen[0], chosen[1], labels if labels.exists() else None)
            self.run(compare(chosen[0], chosen[1], labels if labels.exists() else None), self._compared, "comparing the maps", writes=False)

    def _compared(self, report: dict[str, Any]) -> None:
        test = report.get("mcnemar")
        words = f" · McNemar p = {test['p']:.2g}" if test else ""
        self._tell(f"The maps agree on {report['agreement']:.1%} of the pixels{words}.")
        self.desk.result_made.emit("compare", report)
        self.desk.plot_wanted.emit("results")

    def _ask_export(self) -> None:
        chosen = self.chosen_maps()
        if chosen:
            name = str(Path(self.memory.folder("exports")) / f"{chosen[0].stem}.hdr")
            path, _ = QFileDialog.getSaveFileName(self, "Export the map", name, _EXPORTS)
            if path:
                self.memory.used("exports", Path(path))
                self.export_map(chosen[0], Path(path))

    def export_map(self, source: Path, to: Path) -> None:
        """Write a map for other programs; the ending of the name says how."""
        self.done = recipe.export(source, to)
        self.run(export(source, to), lambda report: self.say(f"{report['to']} is written."), f"exporting {to.name}", writes=False)

    # -- display ----------------------------------------------------------------------------------------------------------

    def _set_opacity(self, value: int) -> None:
        for layer in result_layers.map_layers(self.desk.viewer):
            layer.opacity = value / 100

    def _set_confidence(self, on: bool) -> None:
        layer = result_layers.shown_map(self.desk.viewer, self.desk.cube)
        sure = result_layers.confidence_of(self.desk.viewer, layer) if layer is not None else None
        if layer is not None and sure is not None:
            sure.visible, layer.visible = on, not on

    def _map_shown(self, path: str) -> None:
        """Choose the map that has come over the image, so that Score and Export mean what is seen."""
        blocked = self.confidence.blockSignals(True)
        self.confidence.setChecked(False)
        self.confidence.blockSignals(blocked)
        for index in range(self.maps.count()):
            item = self.maps.item(index)
            item.setSelected(item.data(Qt.ItemDataRole.UserRole) == path)
        self.show_legend()

    def show_legend(self) -> None:
        """Show the classes that the map over the image holds, and their shares."""
        self.legend.clear()
        shown = result_layers.shown_map(self.desk.viewer, self.desk.cube)
        self.legend.setVisible(shown is not None)
        if shown is None:
            return
        classes: Classes = shown.metadata["hsi"].get("classes", Classes((), (), ()))
        counts = np.bincount(np.asarray(shown.data).ravel(), minlength=max(classes.numbers, default=0) + 1)
        total = max(1, int(counts[1:].sum()))
        for number, name, colour in zip(classes.numbers, classes.names, classes.colours, strict=True):
            if not counts[number]:
                continue
            self.legend.addItem(QListWidgetItem(swatch(colour), f"{name}  ·  {counts[number] / total:.1%}"))
