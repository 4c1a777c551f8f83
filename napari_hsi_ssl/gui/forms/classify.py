"""6 Classify: turn a run into maps over the image, and judge it; below, the maps of the cube and how they look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_hsi_ssl.config import BatchConfig, ClassifyConfig, EvaluateConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.believing import Believing
from napari_hsi_ssl.gui.forms.exits_choice import ExitChoice, told
from napari_hsi_ssl.gui.forms.fields import ConfigFields, tidy
from napari_hsi_ssl.gui.forms.map_look import MapLook
from napari_hsi_ssl.gui.forms.maps import MapList
from napari_hsi_ssl.gui.forms.paint import PaintPanel
from napari_hsi_ssl.gui.forms.pieces import Tabs, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.forms.rivals import Rivals
from napari_hsi_ssl.gui.map_sheet import open_map_sheet
from napari_hsi_ssl.mapping.pretrained import NAME as PRETRAINED
from napari_hsi_ssl.mapping.raw import NAME as SPECTRA
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.batch import classify_many
from napari_hsi_ssl.steps.classify import classify
from napari_hsi_ssl.steps.evaluate import evaluate
from napari_hsi_ssl.steps.features import beside, run_of
from napari_hsi_ssl.steps.recommend import recommend

_METHODS = {
    "knn": ("kNN", "Each pixel gets the class of the labelled pixels whose features are nearest: those of a pretrained run, or training-free ones"),
    "linear": ("Linear probe", "One linear layer learns the classes from the features of labelled pixels: those of a pretrained run, or training-free ones"),
    "distil": ("Self-distillation network", "The network of a self-distillation run, which has learnt its classes itself"),
}
_LABELS = {"references": "Reference pixels", "k": "Neighbours", "calibrate": "Calibrate confidence"}
_HOW = {"workers": "Cubes side by side", "memory": "Memory (MiB)"}
_HINTS = {"k": "Number of neighbours that vote", "seed": "Seed of the choice of reference pixels"}


class ClassifyForm(Form):
    """The sixth form: maps."""

    number = 6
    title = "Classify"

    def build(self) -> None:
        """Lay the form out."""
        self.tabs, outer, page = Tabs(), self.body, QWidget()
        self.body = QVBoxLayout(page)
        self.body.setContentsMargins(0, 6, 0, 0)
        outer.addWidget(self.tabs, 0, Qt.AlignmentFlag.AlignTop)
        self._train_file: Path | None = None
        self.method = QComboBox()
        for name, (words, hint) in _METHODS.items():
            self.method.addItem(words, name)
            self.method.setItemData(self.method.count() - 1, hint, Qt.ItemDataRole.ToolTipRole)
        self.method.setToolTip("How a pixel gets its class")
        self.method.currentIndexChanged.connect(self.refresh)
        self.run_box = QComboBox()
        self.run_box.setToolTip(
            "The finished run whose network is used; training-free: denoised MNF components beside the shape of the spectrum, which need no training; "
            "both side by side; the spectra as they are; or pretrained: the network that comes with the program, trained on other scenes"
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
        self.fields = ConfigFields(ClassifyConfig, (), ("k", "references", "calibrate", "seed"), labels=_LABELS, hints=_HINTS)
        self.body.addWidget(self.fields)
        self.exits = ExitChoice()
        self.body.addWidget(self.exits)
        self.believing = Believing()
        self.body.addWidget(self.believing)
        self.how = ConfigFields(BatchConfig, (), folds={"How it is computed": ("workers", "memory")}, labels=_HOW)
        self.body.addWidget(self.how)
        self.make = self.needs_project(primary("Make map", "Classify every used pixel; the map appears over the image and is saved in the project"))
        self.make.clicked.connect(self.make_maps)
        self.sheet = self.needs_project(plain_button("All maps…", "The maps of all cubes by this run and method side by side, and their areas as a table"))
        self.sheet.clicked.connect(self.show_sheet)
        self.body.addLayout(row(self.make, self.sheet))

        self.target = QComboBox()
        self.target.addItems(["domains", "classes"])
        self.target.setToolTip("What the held-out patches are told apart by")
        self.judge = self.needs_project(
            plain_button("Evaluate run", "How well the run's features tell held-out patches apart, beside a random network and plain spectra")
        )
        self.judge.clicked.connect(self.evaluate)
        self.body.addLayout(row(self.judge, QLabel("by"), self.target, None))
        self.rivals = Rivals(self)
        self.body.addWidget(self.rivals)
        self.verdict = words_label("#d0d6dc")
        self.verdict.hide()
        self.body.addWidget(self.verdict)

        self.maps = MapList(self)
        self.body.addWidget(self.maps)
        # Below the words of a step, which would be out of sight under a long legend.
        self.look = MapLook(self.desk, self.canvas, self.maps.comparison)
        below = self.layout()
        below.insertWidget(below.count() - 1, self.look)
        self.painting = PaintPanel(self)
        self.tabs.addTab(page, "Map")
        self.tabs.addTab(self.painting, "✎ Paint")
        self.tabs.setTabToolTip(1, "Paint a few strokes, and a map follows the brush: no labels and no training needed")
        self.tabs.currentChanged.connect(self._tab_shown)

    def _tab_shown(self, index: int) -> None:
        self.hush()
        for part in (self.look, self.status):  # they are about maps that labels make
            part.setVisible(index == 0)

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
        if kind == "distil":
            return names
        return [*(features for name in names for features in (beside(name), name)), TRAINING_FREE, SPECTRA, PRETRAINED, beside(PRETRAINED)]

    def update_widgets(self) -> None:
        """Offer the runs that go with the method, and the maps of the cube."""
        method, kept, names = self.method.currentData(), self.run_box.currentText(), self.usable_runs()
        self.run_box.clear()
        self.run_box.addItems(names)
        self.run_box.setCurrentIndex(max(0, self.run_box.findText(kept)) if names else -1)
        self.source.setEnabled(method != "distil")
        self.fields.show_field("k", method == "knn")
        self.exits.setVisible(method == "distil")
        self.make.setEnabled(self.make.isEnabled() and not self.missing())
        self.choose.setEnabled(self.choose.isEnabled() and method != "distil" and not self.missing())
        self.make.setToolTip(self.missing() or "Classify every used pixel; the map appears over the image and is saved in the project")
        self.judge.setEnabled(self.judge.isEnabled() and method != "distil" and bool(run_of(self.run_box.currentText())))
        self.rivals.refresh()
        self.maps.refresh()
        if self.project is not None and self.target.isEnabled() != (len(self.project.domains) > 1):
            # Where there is one domain there is nothing to tell apart by it.
            self.target.setEnabled(len(self.project.domains) > 1)
            self.target.setCurrentIndex(0 if self.target.isEnabled() else 1)
        self.look.refresh()
        self.painting.refresh()

    def hush(self) -> None:
        """Take words and warnings away."""
        self.maps.hushed()
        super().hush()

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
        method = self.method.currentData()
        return ClassifyConfig.parse({**self.fields.value().model_dump(), **self.believing.value(method), **self.exits.value(method), "method": method})

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
        how = self.how.value()
        if cubes:
            self.run(classify(project, run, config, cubes, train, memory=how.memory), self._made, "making the map")
        else:
            self.run(classify_many(project, run, config, None, train, batch=how), self._made, "making the maps")

    def show_sheet(self) -> None:
        """Show the maps of all cubes by the chosen run and method side by side."""
        if self.project is not None and self.run_box.currentText():
            open_map_sheet(self.desk).show_maps(self.run_box.currentText(), self.method.currentData())

    def _what(self, config: ClassifyConfig) -> tuple[list[str] | None, dict[str, Path] | None]:
        """Return the cubes to classify, None for all, and the label files to learn from, None for those of the project."""
        cube = self.desk.cube
        train = {cube: self._train_file} if self._train_file is not None and config.method != "distil" else None
        return ([cube] if self.cubes.currentIndex() == 0 else None), train

    def recipe(self) -> recipe.Recipe | None:
        """Return the map as it stands."""
        if self.tabs.currentWidget() is self.painting:
            return self.painting.recipe()
        project, run = self.project, self.run_box.currentText()
        if project is None or not self.desk.cube or not run:
            return None
        config = self.config()
        return recipe.classify(project.folder, run, config, *self._what(config), self.how.value())

    def _made(self, report: dict[str, Any]) -> None:
        seconds = report["seconds"]
        kept = report.get("kept", [])
        count = len(report["maps"]) - len(kept)
        for made in report["maps"]:
            if made["cube"] not in kept:
                self.desk.map_made.emit(made["path"])
        early = next((told(made["early"]) for made in report["maps"] if "early" in made), "")
        self.say(f"{count} map{'s' * (count != 1)} saved in {max(1.0, seconds):.0f} s.{early}")

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
