"""5 Train: start SimCLR pretraining or self-distillation in a process of its own, watch it, stop it, go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget

from napari_hsi_ssl.config import DistilConfig, PcaConfig, PretrainConfig, window_advice
from napari_hsi_ssl.errors import HsiError, RunError
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.branch_row import BranchRow
from napari_hsi_ssl.gui.forms.cluster import WherePanel
from napari_hsi_ssl.gui.forms.devices import DevicePanel
from napari_hsi_ssl.gui.forms.fields import ConfigFields, tidy
from napari_hsi_ssl.gui.forms.pieces import QUIET, ProgressRow, Tabs, heading, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.forms.runs_table import RunsTable, TwiceButton
from napari_hsi_ssl.gui.plots.view_pairs import ViewsPreview
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import branching, recipe
from napari_hsi_ssl.steps import train as steps
from napari_hsi_ssl.steps.runs import cancel_run, delete_run
from napari_hsi_ssl.steps.views_preview import inlet_words

_KEPT = ("inlet", "epochs", "batch_size", "seed", "accelerator", "devices", "precision", "compiled", "max_steps")
"""Settings that a change of recipe leaves alone."""
_HINTS = {
    "recipe": "poster: wide windows, both views of one window; pixel: small windows and neighbours as positives, made for maps of single pixels",
    "epochs": "How often every patch is seen",
    "learning_rate": "Step size of the optimiser at its peak",
    "weight_decay": "How strongly weights are drawn towards zero",
    "seed": "The same seed, data and settings train the same network",
    "accelerator": "auto takes a GPU where there is one",
    "devices": "Number of GPUs or CPU ranks; auto takes what there is",
    "precision": "Of the arithmetic; auto takes what the device does well",
    "temperature": "Of the contrastive loss (pretraining) or of the soft targets (self-distillation)",
    "label_smoothing": "Share of every label that is spread over the other classes, against overconfidence",
    "input": "What the network sees of a pixel: the principal components or all bands",
}


class TrainForm(Form):
    """The fifth form: training runs."""

    number = 5
    title = "Train"
    of_a_cube = False

    def build(self) -> None:
        """Lay the form out."""
        self.kinds = Tabs()
        machine = ("learning_rate", "weight_decay", "accelerator", "devices", "precision", "compiled", "seed", "temperature")
        inlets = {"pca": "frozen projection", "learned": "learned per camera"}
        self.pretrain = ConfigFields(
            PretrainConfig, ("recipe", "inlet", "epochs", "batch_size"), (*machine, "projection", "neighbour"), hints=_HINTS, words=inlets
        )
        self.distil = ConfigFields(
            DistilConfig,
            ("epochs", "batch_size", "window", "direction", "input"),
            ("inlet", *machine, "blocks", "distil_weight", "feature_weight", "label_smoothing", "freeze"),
            labels={"direction": "Who teaches", "freeze": "Train only the exits"},
            hints=_HINTS,
            words={
                **inlets,
                "both": "both ways",
                "deep": "the deepest exit",
                "early": "the earlier exits",
                "none": "nobody",
                "pcs": "components",
                "bands": "all bands",
            },
        )
        self._started_run = ""
        self._stopping: set[str] = set()
        self._settings_wanted = False
        self._recipe = self.pretrain.value().recipe
        self.pretrain.changed.connect(self._recipe_changed)
        self.kinds.addTab(_tab(self.pretrain), "SimCLR pretraining")
        self.init = QComboBox()
        self.init.setToolTip("A pretrained run whose trunk is carried over; with a learned inlet also to cubes of a camera that it never saw")
        start_from = tidy(QFormLayout())
        start_from.addRow("Start from", self.init)
        self.kinds.addTab(_tab(self.distil, start_from), "Self-distillation")
        self.kinds.setTabToolTip(0, "Learns from the patches alone, without labels")
        self.kinds.setTabToolTip(1, "Learns from the labels of the project's cubes")
        self.kinds.currentChanged.connect(self.refresh)
        self.kinds.currentChanged.connect(self.moved_on)
        self.body.addWidget(self.kinds)
        self.advice = words_label(QUIET)
        self.advice.setToolTip("What pretraining would see")
        self.body.addWidget(self.advice)
        self._views: ViewsPreview | None = None
        self.views = self.needs_project(plain_button("Preview views", "See pairs of views of a patch and set how strong they are"))
        self.views.clicked.connect(self.preview_views)
        self.body.addLayout(row(self.views, None))
        self.where = WherePanel()
        self.where.script_wanted.connect(lambda: self.start_training(submit=False))
        self.where.submit_wanted.connect(self.submit_run)
        self._buttons.append(self.where.look)
        self.body.addWidget(self.where)
        self.machine = DevicePanel(self, self.kinds, self.pretrain, self.distil)
        self.where.changed.connect(lambda: self.machine.setVisible(self.where.slurm.isHidden()))
        self._buttons.append(self.machine.ask)
        self.body.addWidget(self.machine)
        self.branch = BranchRow()
        self.branch.changed.connect(self.refresh)
        self.body.addWidget(self.branch)
        self.start = self.needs_project(primary("Start training", "Train in a process of its own; napari stays usable, and may even be closed"))
        self.start.clicked.connect(self.start_training)
        self.body.addWidget(self.start)

        self.live = ProgressRow()
        self.live.cancel.setText("Stop")
        self.live.cancel.setToolTip("Save and stop; the run can be resumed later")
        self.live.cancel.clicked.connect(self._stop_live)
        self.live.hide()
        self.body.addWidget(self.live)
        self.desk.run_events.connect(self._heard)
        self.desk.patches_changed.connect(self.fit_batch)
        self.desk.project_changed.connect(self.fit_batch)

        self.body.addWidget(heading("Runs"))
        self.table = RunsTable()
        self.table.itemSelectionChanged.connect(self._chosen)
        self.body.addWidget(self.table)
        self.resume = plain_button("Resume", "Go on with the chosen run from its last checkpoint")
        self.curves = plain_button("Curves", "Bring the training curves to the front, below the image")
        self.branching = plain_button("Branch", "Go on from a checkpoint of the chosen run in a new run, with more epochs or other settings")
        self.delete = TwiceButton("Delete", "Delete the chosen run's folder; maps made from it stay")
        self.resume.clicked.connect(lambda: self.resume_run(self.selected()))
        self.curves.clicked.connect(lambda: self.desk.plot_wanted.emit("training"))
        self.branching.clicked.connect(lambda: self.branch_run(self.selected()))
        self.delete.confirmed.connect(lambda: self.delete_run(self.selected()))
        self.body.addLayout(row(self.resume, self.branching, self.curves, None, self.delete))

    # -- state ------------------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Say what is being trained, or what is missing."""
        project = self.project
        if self.watch.live:
            return Standing("done", f"Training {', '.join(self.watch.live)}")
        if project is None or not project.entries:
            return Standing("blocked", "Needs cubes: form 1.")
        finished = [run["run"] for run in self.desk.runs if run["state"] == "finished"]
        if finished:
            return Standing("done", f"{len(finished)} finished run{'s' * (len(finished) != 1)}, last {finished[-1]}")
        missing = self.missing()
        words = "No run has finished yet." if self.desk.runs else "Nothing trained yet."
        return Standing("blocked", missing) if missing else Standing("ready", words)

    def missing(self) -> str:
        """Say what the chosen kind of training lacks; "" when it can start."""
        project = self.project
        if project is None or not project.entries:
            return "Needs cubes: form 1."
        if self.branch.run:
            return ""
        if self.kinds.currentIndex() == 1:
            labelled = any(project.labels_path(name).exists() for name in project.entries)
            return "" if labelled else "Self-distillation needs labels: form 2, tab Labels."
        if project.inlet is None:
            return "Needs the PCA: form 3."
        return "" if project.patches is not None else "Needs patches: form 4."

    def update_widgets(self) -> None:
        """Bring the list of runs up to date."""
        self._advise()
        self.start.setEnabled(self.start.isEnabled() and not self.missing())
        runs = self.desk.runs
        started = self._started_run if any(run["run"] == self._started_run for run in runs) else ""
        chosen = started or self.selected()
        if started:
            self._started_run = ""
        if runs and self._settings_wanted:
            self._settings_wanted = False
            self._show_settings()
        self.table.show_runs(runs, chosen)
        if self.branch.run not in {run["run"] for run in runs}:
            self.branch.clear()
        kept = self.init.currentText()
        names = [run["run"] for run in runs if run["kind"] == "pretrain" and run["state"] == "finished"]
        self.init.clear()
        self.init.addItems(["random weights", *names])
        self.init.setCurrentIndex(max(0, self.init.findText(kept)))
        self._buttons_of_runs()
        self._show_live()

    def _buttons_of_runs(self) -> None:
        run = next((run for run in self.desk.runs if run["run"] == self.selected()), None)
        over = run is not None and run["run"] not in self.watch.live
        self.resume.setEnabled(over and run is not None and run["state"] != "finished" and not self.desk.busy)
        self.branching.setEnabled(run is not None and run["epoch"] is not None and not self.desk.busy)
        self.delete.setEnabled(over and not self.desk.busy)

    def selected(self) -> str:
        """Return the name of the run chosen in the table; "" when none is."""
        return self.table.chosen()

    def shown_live(self) -> str:
        """Return the live run that the bar shows; "" when none is."""
        live = self.watch.live
        return self.selected() if self.selected() in live else (live[-1] if live else "")

    def _chosen(self) -> None:
        self.delete.disarm()
        self._buttons_of_runs()
        if self.selected():
            self.watch.load(self.selected())
        self._show_live()

    def _heard(self, run: str, events: list[dict[str, Any]]) -> None:
        step = next((event for event in reversed(events) if event.get("loss") is not None), None)
        if step is not None and run in self.watch.live:
            self.table.tell(run, step)
        if run == self.shown_live():
            self._show_live()

    def _show_live(self) -> None:
        run = self.shown_live()
        self.live.setVisible(bool(run))
        if not run and "in the background" in self.words.text():
            self.say("")  # how it ended stands above the forms
        if run:
            self._stopping &= set(self.watch.live)
            self.live.show_update(self.watch.latest[run])
            self.live.cancel.setEnabled(run not in self._stopping)
            self.live.setToolTip(run)
            if run in self._stopping:
                self.live.note(f"{run} saves and stops …")
            elif len(self.watch.live) > 1:
                self.live.note(f"{run}: {self.live.text.text()}")

    def _advise(self) -> None:
        """Say what pretraining starts from, and which patch size its recipe is made for."""
        pretraining = self.kinds.currentIndex() == 0
        made, patches = (self.noted(step) if getattr(self.project, name, None) else {} for step, name in (("pca", "inlet"), ("patches", "patches")))
        settings = {**PcaConfig().model_dump(), **made.get("settings", {})}
        inlet = f"Inlet: {inlet_words(settings['method'], settings['components'], settings['scale'])}. " if made else ""
        self.advice.setText(inlet + window_advice(self.pretrain.value().recipe, patches.get("size")))
        self.advice.setVisible(pretraining)
        self.views.setVisible(pretraining)

    def preview_views(self) -> None:
        """Show what a training with these settings would see of a patch."""
        if self._views is None:
            self._views = ViewsPreview(self.desk, self.pretrain, self)
        self._views.show()
        self._views.raise_()

    def _recipe_changed(self, config: PretrainConfig) -> None:
        if config.recipe != self._recipe:
            self._recipe = config.recipe
            self.pretrain.setValue(PretrainConfig.from_recipe(config.recipe, **{name: getattr(config, name) for name in _KEPT}))
            self._advise()

    def project_opened(self) -> None:
        """Ask for the settings of the project's runs, once they are listed."""
        self._settings_wanted = True

    def _show_settings(self) -> None:
        """Show what the last run of each kind was trained with; settings that are not on the form stay as their recipe has them."""
        forms: dict[str, ConfigFields[Any]] = {"pretrain": self.pretrain, "distil": self.distil}
        for kind, fields in forms.items():
            last = next((run["run"] for run in reversed(self.desk.runs) if run["kind"] == kind), None)
            if last is None or self.project is None:
                continue
            try:
                config = self.project.run_folder(last).config.trainer
                shown = {name: getattr(config, name) for name in (*fields.editors, "augment")}
                recipe = shown.pop("recipe", None)
                value = DistilConfig.parse(shown) if recipe is None else PretrainConfig.from_recipe(recipe, **shown)
            except (HsiError, OSError):
                continue  # the list of runs says what is wrong with it
            self._recipe = recipe or self._recipe
            fields.setValue(value)
        self.fit_batch()

    # -- acts -------------------------------------------------------------------------------------------------------------

    def fit_batch(self) -> None:
        """Lower the batch size to what the patches fill: the defaults must work on a small cube too."""
        count = sum(split["train"] for split in self.noted("patches").get("per_domain", {}).values())
        config = self.pretrain.value()
        if 2 <= count < config.batch_size:
            lower = 2 ** int(np.log2(count))
            self.pretrain.setValue(config.model_copy(update={"batch_size": lower}))
            self.say(f"There are {count} training patches, so a batch is of {lower}.", "warning")

    def config(self) -> PretrainConfig | DistilConfig:
        """Return the settings of the kind of training that is chosen."""
        return self.distil.value() if self.kinds.currentIndex() == 1 else self.pretrain.value()

    def recipe(self) -> recipe.Recipe | None:
        """Return the training as it stands."""
        if self.project is None:
            return None
        config = self.config()
        if self.branch.run:
            return recipe.branch(self.project.folder, self.branch.run, *self._branched(config), step=self.branch.step)
        if isinstance(config, PretrainConfig):
            return recipe.pretrain(self.project.folder, config)
        return recipe.distil(self.project.folder, config, self.init.currentText() if self.init.currentIndex() > 0 else None)

    def start_training(self, *, submit: bool = True) -> None:
        """Start the chosen kind of training, here or on the cluster; without ``submit`` the job script is only shown."""
        if self.project is None:
            return
        try:
            config, cluster = self.config(), self.where.cluster(submit=submit)
            kind, changed = self._branched(config) if self.branch.run else ("", {})
        except HsiError as error:
            self.say(str(error), "error")
            return
        if kind:
            started = branching.branch(
                self.project, self.branch.run, kind, step=self.branch.step, changes=changed, detach=True, background=cluster is None, cluster=cluster
            )
        elif isinstance(config, PretrainConfig):
            started = steps.pretrain(self.project, config, detach=True, background=cluster is None, cluster=cluster)
        else:
            init = self.init.currentText() if self.init.currentIndex() > 0 else None
            started = steps.distil(self.project, config, init=init, detach=True, background=cluster is None, cluster=cluster)
        self.run(started, self._started if submit else self._script_written, "starting the training" if submit else "writing the job script")

    def _started(self, report: dict[str, Any]) -> None:
        job = report.get("job")
        self.say(f"Run '{report['run']}' is job {job} of the cluster." if job else f"Run '{report['run']}' is training in the background.")
        self._started_run = report["run"]
        self.branch.clear()
        self.desk.inlet_changed.emit()  # self-distillation fits a PCA where there is none
        self.desk.plot_wanted.emit("training")
        self.watch.follow(report["run"])
        self.watch.refresh()

    def _script_written(self, report: dict[str, Any]) -> None:
        self.where.show_script(report["run"], Path(report["script"]), report["text"])
        self.say(f"Run '{report['run']}' is ready; nothing has been submitted yet.")
        self._started_run = report["run"]
        self.watch.refresh()

    def submit_run(self, run: str) -> None:
        """Hand a run that is ready to the cluster, by the job script in its folder."""
        if self.project is not None and run:
            self.run(_resume(self.project, run, steps.Cluster()), self._started, f"submitting {run}")

    def _stop_live(self) -> None:
        self.stop()

    def stop(self, run: str | None = None) -> None:
        """Ask a live run to save and leave; after ten seconds it is forced."""
        run = run or self.shown_live()
        if self.project is not None and run:
            self._stopping.add(run)
            self._show_live()
            self.jobs.start(cancel_run(self.project, run), lambda _: self.watch.refresh(), label=f"stopping {run}", on_error=self._cannot)

    def resume_run(self, run: str) -> None:
        """Go on with a run from its last checkpoint."""
        if self.project is not None and run:
            self.run(_resume(self.project, run), self._started, f"resuming {run}")

    def branch_run(self, run: str) -> None:
        """Take over the settings of a run, and start the next training from one of its checkpoints."""
        if self.project is None or not run:
            return
        folder = self.project.run_folder(run)
        kept = branching.checkpoint_steps(folder)
        if not kept:
            self.say(f"Run '{run}' has no checkpoint yet, so nothing can go on from it.", "warning")
            return
        config = folder.config.trainer
        if isinstance(config, PretrainConfig):
            self._recipe = config.recipe
        self.kinds.setCurrentIndex(0 if isinstance(config, PretrainConfig) else 1)
        fields: ConfigFields[Any] = self.pretrain if isinstance(config, PretrainConfig) else self.distil
        fields.setValue(config)
        self.branch.choose(run, kept)
        self.say(f"Change what is to differ from {run}, more epochs for instance, then press {self.start.text()}.")

    def _branched(self, config: PretrainConfig | DistilConfig) -> tuple[str, dict[str, Any]]:
        """Return the kind of the run that is branched, and the settings that differ from its own."""
        parent = self.project.run_folder(self.branch.run).config if self.project is not None else None
        if parent is None or type(parent.trainer) is not type(config):
            raise RunError(f"run '{self.branch.run}' is of another kind than this page; turn to its page, or press Start anew.")
        return parent.kind, recipe.changes(config, parent.trainer)

    def delete_run(self, run: str) -> None:
        """Delete a run."""
        if self.project is not None and run:
            self.run(delete_run(self.project, run), lambda _: self.watch.refresh(), f"deleting {run}")

    def _cannot(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.say(sentence, "error")
        self.watch.refresh()


def _tab(fields: QWidget, above: QFormLayout | None = None) -> QWidget:
    tab = QWidget()
    layout = QVBoxLayout(tab)
    layout.setContentsMargins(0, 6, 0, 0)
    if above is not None:
        layout.addLayout(above)
    layout.addWidget(fields)
    layout.addStretch(1)
    return tab


def _resume(project: Project, run: str, cluster: steps.Cluster | None = None) -> Steps[dict[str, Any]]:
    yield Progress(message=f"resuming {run}")
    settings = project.run_folder(run).config.trainer
    here = cluster is None
    if isinstance(settings, PretrainConfig):
        return (yield from steps.pretrain(project, settings, run=run, resume=True, detach=True, background=here, cluster=cluster))
    return (yield from steps.distil(project, settings, run=run, resume=True, detach=True, background=here, cluster=cluster))
