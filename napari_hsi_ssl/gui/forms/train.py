"""5 Train: start SimCLR pretraining or self-distillation in a process of its own, watch it, stop it, go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_hsi_ssl.config import DistilConfig, PcaConfig, PretrainConfig, window_advice
from napari_hsi_ssl.errors import HsiError, RunError
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.branch_row import BranchRow
from napari_hsi_ssl.gui.forms.cluster import WherePanel
from napari_hsi_ssl.gui.forms.pieces import QUIET, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.forms.runs_panel import RunsPanel
from napari_hsi_ssl.gui.forms.split import SplitPanel
from napari_hsi_ssl.gui.forms.training_settings import TrainingSettings
from napari_hsi_ssl.gui.plots.view_pairs import ViewsPreview
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import branching, recipe
from napari_hsi_ssl.steps import train as steps
from napari_hsi_ssl.steps.views_preview import inlet_words


class TrainForm(Form):
    """The fifth form: training runs."""

    number = 5
    title = "Train"
    of_a_cube = False

    def build(self) -> None:
        """Lay the form out."""
        self.kinds = TrainingSettings(self)
        self.pretrain, self.distil = self.kinds.pretrain, self.kinds.distil
        self._settings_wanted = False
        self.kinds.recipe_changed.connect(self._advise)
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
        self.split = SplitPanel(self)
        self.split.changed.connect(self.refresh)
        self.kinds.distil.changed.connect(lambda config: self.split.set_window(config.window))
        self.body.addWidget(self.split)
        self.where = WherePanel()
        self.where.script_wanted.connect(lambda: self.start_training(submit=False))
        self.where.submit_wanted.connect(self.submit_run)
        self.where.changed.connect(self._where_changed)
        self._buttons += [self.where.look, *(machine.ask for machine in self.kinds.machines)]
        self.body.addWidget(self.where)
        self.branch = BranchRow()
        self.branch.changed.connect(self.refresh)
        self.body.addWidget(self.branch)
        self.start = self.needs_project(primary("Start training", "Train in a process of its own; napari stays usable, and may even be closed"))
        self.start.clicked.connect(self.start_training)
        self.body.addWidget(self.start)
        self.runs = RunsPanel(self)
        self.runs.resume_wanted.connect(self.resume_run)
        self.runs.branch_wanted.connect(self.branch_run)
        self.body.addWidget(self.runs)
        self.live, self.table, self.resume, self.branching, self.delete = (
            self.runs.live, self.runs.table, self.runs.resume, self.runs.branching, self.runs.delete
        )  # fmt: skip
        self.desk.patches_changed.connect(self.fit_batch)
        self.desk.project_changed.connect(self.fit_batch)

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
        if not self.kinds.pretraining:
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
        if runs and self._settings_wanted and self.project is not None:
            self._settings_wanted = False
            self.kinds.show_last(self.project, runs)
            self.fit_batch()
        if self.branch.run not in {run["run"] for run in runs}:
            self.branch.clear()
        self.kinds.offer_trunks([run["run"] for run in runs if run["kind"] == "pretrain" and run["state"] == "finished"])
        self.runs.refresh()

    def _where_changed(self) -> None:
        """Offer the comparison of this computer's devices only where it trains."""
        for machine in self.kinds.machines:
            machine.setVisible(self.where.slurm.isHidden())

    def _advise(self) -> None:
        """Say what pretraining starts from, and which patch size its recipe is made for."""
        pretraining = self.kinds.pretraining
        made, patches = (self.noted(step) if getattr(self.project, name, None) else {} for step, name in (("pca", "inlet"), ("patches", "patches")))
        settings = {**PcaConfig().model_dump(), **made.get("settings", {})}
        inlet = f"Inlet: {inlet_words(settings['method'], settings['components'], settings['scale'])}. " if made else ""
        self.advice.setText(inlet + window_advice(self.pretrain.value().recipe, patches.get("size")))
        self.advice.setVisible(pretraining)
        self.views.setVisible(pretraining)
        self.split.setVisible(not pretraining and not self.branch.run)

    def preview_views(self) -> None:
        """Show what a training with these settings would see of a patch."""
        if self._views is None:
            self._views = ViewsPreview(self.desk, self.pretrain, self)
        self._views.show()
        self._views.raise_()

    def project_opened(self) -> None:
        """Ask for the settings of the project's runs, once they are listed, and take over its split."""
        self._settings_wanted = True
        self.split.project_opened()

    # -- acts -------------------------------------------------------------------------------------------------------------

    def fit_batch(self) -> None:
        """Lower the batch size to what the patches fill: the defaults must work on a small cube too."""
        count = sum(split["train"] for split in self.noted("patches").get("per_domain", {}).values())
        lower = self.kinds.fit_batch(count)
        if lower is not None:
            self.say(f"There are {count} training patches, so a batch is of {lower}.", "warning")

    def config(self) -> PretrainConfig | DistilConfig:
        """Return the settings of the kind of training that is chosen."""
        return self.kinds.value()

    def recipe(self) -> recipe.Recipe | None:
        """Return the training as it stands."""
        if self.project is None:
            return None
        config = self.config()
        if self.branch.run:
            return recipe.branch(self.project.folder, self.branch.run, *self._branched(config), step=self.branch.step)
        if isinstance(config, PretrainConfig):
            return recipe.pretrain(self.project.folder, config, self.kinds.trunk())
        return recipe.distil(self.project.folder, config, self.kinds.trunk(), self.split.files("train"), self.split.files("validation"))

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
            started = steps.pretrain(self.project, config, init=self.kinds.trunk(), detach=True, background=cluster is None, cluster=cluster)
        else:
            train, validation, init = self.split.files("train"), self.split.files("validation"), self.kinds.trunk()
            here = cluster is None
            started = steps.distil(self.project, config, train=train, validation=validation, init=init, detach=True, background=here, cluster=cluster)
        self.run(started, self._started if submit else self._script_written, "starting the training" if submit else "writing the job script")

    def _started(self, report: dict[str, Any]) -> None:
        job = report.get("job")
        worth = f" {report['audit']['summary']}" if "audit" in report else ""
        self.say((f"Run '{report['run']}' is job {job} of the cluster." if job else f"Run '{report['run']}' is training in the background.") + worth)
        self.runs.choose(report["run"])
        self.branch.clear()
        self.desk.inlet_changed.emit()  # self-distillation fits a PCA where there is none
        self.desk.plot_wanted.emit("training")
        self.watch.follow(report["run"])
        self.watch.refresh()

    def _script_written(self, report: dict[str, Any]) -> None:
        self.where.show_script(report["run"], Path(report["script"]), report["text"])
        self.say(f"Run '{report['run']}' is ready; nothing has been submitted yet.")
        self.runs.choose(report["run"])
        self.watch.refresh()

    def submit_run(self, run: str) -> None:
        """Hand a run that is ready to the cluster, by the job script in its folder."""
        if self.project is not None and run:
            self.run(_resume(self.project, run, steps.Cluster()), self._started, f"submitting {run}")

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
        self.kinds.setValue(folder.config.trainer)
        self.branch.choose(run, kept)
        self.say(f"Change what is to differ from {run}, more epochs for instance, then press {self.start.text()}.")

    def _branched(self, config: PretrainConfig | DistilConfig) -> tuple[str, dict[str, Any]]:
        """Return the kind of the run that is branched, and the settings that differ from its own."""
        parent = self.project.run_folder(self.branch.run).config if self.project is not None else None
        if parent is None or type(parent.trainer) is not type(config):
            raise RunError(f"run '{self.branch.run}' is of another kind than this page; turn to its page, or press No branch.")
        return parent.kind, recipe.changes(config, parent.trainer)


def _resume(project: Project, run: str, cluster: steps.Cluster | None = None) -> Steps[dict[str, Any]]:
    yield Progress(message=f"resuming {run}")
    settings = project.run_folder(run).config.trainer
    here = cluster is None
    if isinstance(settings, PretrainConfig):
        return (yield from steps.pretrain(project, settings, run=run, resume=True, detach=True, background=here, cluster=cluster))
    return (yield from steps.distil(project, settings, run=run, resume=True, detach=True, background=here, cluster=cluster))
