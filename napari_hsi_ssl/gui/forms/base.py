"""What the six forms have in common: status, one primary button, progress with time left and cancel, words, warnings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QApplication, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_hsi_ssl.config import Settings
from napari_hsi_ssl.errors import ConfigError, HsiError, ProjectChangedError
from napari_hsi_ssl.gui.canvas import Canvas, canvas_for
from napari_hsi_ssl.gui.desk import Desk, desk_for
from napari_hsi_ssl.gui.forms.copying import CopyButton, defaults_button, put_beside
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import BAD, CAREFUL, GOOD, QUIET, ProgressRow, words_label
from napari_hsi_ssl.gui.jobs import Job, Jobs, Update
from napari_hsi_ssl.gui.memory import memory_for
from napari_hsi_ssl.gui.palette import palette
from napari_hsi_ssl.gui.presence import claim_for
from napari_hsi_ssl.gui.watch import RunWatch, watch_for
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.recipe import Recipe, changes

if TYPE_CHECKING:
    import napari.viewer


@dataclass(frozen=True)
class Standing:
    """Where a step stands.

    Attributes
    ----------
    state : {"blocked", "ready", "done"}
        Whether something is missing first, it can be done now, or it has been done.
    words : str
        What it has or needs, in a few words.
    """

    state: Literal["blocked", "ready", "done"]
    words: str


class Form(QWidget):
    """Base of the forms of the workbench.

    Parameters
    ----------
    napari_viewer : Viewer
        Forms of one viewer share its desk.

    Attributes
    ----------
    number, title : int, str
        Place and name in the order of the work.
    standing_changed : Signal()
        What `standing` says may have changed.
    """

    number: ClassVar[int]
    title: ClassVar[str]
    hint: ClassVar[str] = ""
    passing: ClassVar[frozenset[str]] = frozenset({"at", "low", "high", "band", "wavelength"})
    """Settings that belong to one cube and are not remembered between starts."""
    of_a_cube: ClassVar[bool] = True
    """Whether the words of the form are about the current cube, so that they go when another one takes its place."""
    standing_changed = Signal()

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.desk: Desk = desk_for(napari_viewer)
        self.canvas: Canvas = canvas_for(self.desk)
        self.watch: RunWatch = watch_for(self.desk)
        claim_for(self.desk)
        self.memory = memory_for(self.desk)
        palette.follow(self.desk.viewer)
        self.jobs = Jobs(self)
        self._job: Job | None = None
        self._writing = False
        self._answering = False
        self._opened_folder: Path | None = None
        self.done: Recipe | None = None
        """The last step that was done here, where it is another one than that of the main button."""

        self.status = words_label(QUIET)
        self.body = QVBoxLayout()
        self.body.setSpacing(6)
        self.progress = ProgressRow()
        self.progress.cancel.clicked.connect(self.cancel)
        self.words = words_label(GOOD)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.warnings = words_label(CAREFUL)
        self._warned: list[str] = []

        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 8)
        layout.setSpacing(6)
        layout.addWidget(self.status)
        layout.addLayout(self.body)
        layout.addWidget(self.progress)
        layout.addWidget(self.words)
        layout.addWidget(self.warnings)
        layout.addStretch(1)
        for label in (self.words, self.warnings):
            label.hide()
        self.progress.hide()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self._buttons: list[QPushButton | QToolButton] = []

        self.build()
        self.copies: list[CopyButton] = []
        self._complete()
        desk = self.desk
        for signal in (
            desk.project_changed, desk.cube_changed, desk.masks_changed, desk.labels_changed, desk.inlet_changed, desk.patches_changed,
            desk.runs_changed, desk.map_made, desk.busy_changed,
        ):  # fmt: skip
            signal.connect(self.refresh)
        if self.of_a_cube:
            desk.cube_changed.connect(self.moved_on)
        self.refresh()

    # -- for the forms --------------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Put the form's own widgets into `body`."""
        raise NotImplementedError

    def standing(self) -> Standing:
        """Say where the step stands; must be quick."""
        raise NotImplementedError

    def update_widgets(self) -> None:
        """Bring the form's own widgets up to date."""

    def recipe(self) -> Recipe | None:
        """Return the step that the main button would do now, as a text that does it elsewhere; None when there is none.

        Raises
        ------
        HsiError
            When the settings contradict each other.
        """
        return None

    def project_opened(self) -> None:
        """Take over what the project that has just been opened says of this step."""

    def noted(self, step: str) -> dict[str, Any]:
        """Return what the open project notes of a step in ``preprocessing.json``; empty when it notes nothing that can be read."""
        try:
            return self.project.noted(step) if self.project is not None else {}
        except ConfigError:
            return {}

    def refresh(self, *_: object) -> None:
        """Bring the form up to date with the desk."""
        if not self.desk.alive:
            return
        folder = self.project.folder if self.project is not None else None
        if folder != self._opened_folder:
            self._opened_folder = folder
            self.moved_on()
            self.project_opened()
        standing = self.standing()
        self.status.setText(standing.words)
        free = self.desk.project is not None and not self.desk.busy and not self.progress.isVisibleTo(self)
        for button in self._buttons:
            button.setEnabled(free)
        self.update_widgets()
        self.standing_changed.emit()

    @property
    def project(self) -> Project | None:
        """The open project."""
        return self.desk.project

    def needs_project(self, button: Any) -> Any:  # noqa: ANN401 - a button of any kind
        """Keep a button off while there is no project or a step is at work."""
        self._buttons.append(button)
        return button

    def run(
        self,
        steps: Steps[Any],
        on_result: Callable[[Any], None] | None,
        label: str,
        *,
        writes: bool = True,
        on_error: Callable[[BaseException, str], bool] | None = None,
        on_update: Callable[[Update], None] | None = None,
    ) -> Job | None:
        """Run a step with the form's progress bar; None when another step is at work on the project.

        Parameters
        ----------
        writes : bool
            Whether it changes the project: only one such step runs at a time.
        on_error : callable, optional
            Called with the exception and its sentence; returns True when it has dealt with it.
        """
        if writes and self.desk.busy:
            self.say(f"Wait a moment: {self.desk.busy}.", "warning")
            return None
        self.hush()
        self.progress.begin(label)
        self._writing = writes
        if writes:
            self.desk.set_busy(label)
        job = self.jobs.start(
            steps,
            partial(self._succeeded, on_result),
            label=label,
            on_update=partial(self._updated, on_update),
            on_error=partial(self._failed, on_error),
            on_cancelled=self._cancelled,
            shown=self.progress.isVisible,
        )
        self._job = job
        self.refresh()
        return job

    def cancel(self) -> None:
        """Ask the running step to end."""
        if self._job is not None and self._job.running:
            self.progress.note("cancelling …")
            self._job.cancel()

    def say(self, words: str, level: str = "info") -> None:
        """Show words to the user under the button; "" takes them away."""
        colour = {"error": BAD, "warning": CAREFUL}.get(level, GOOD)
        self.words.set_colour(colour)
        self.words.setText(in_window(words))
        self.words.setToolTip("")
        self.words.setVisible(bool(words))

    def warn(self, *sentences: str) -> None:
        """Show warnings that stay until the next step is started."""
        said = [in_window(sentence) for sentence in sentences]
        self._warned += [sentence for sentence in dict.fromkeys(said) if sentence not in self._warned]
        self.warnings.setText("\n".join(f"⚠ {sentence}" for sentence in self._warned))
        self.warnings.setVisible(bool(self._warned))

    def hush(self) -> None:
        """Take words and warnings away: what they are about is no longer in sight."""
        self.say("")
        self._warned = []
        self.warnings.hide()

    def moved_on(self, *_: object) -> None:
        """Take words and warnings away when another cube, project or page is in sight, unless they are about a step on its way."""
        if not self.running and not self._answering:  # a step that ends by showing another cube says so itself
            self.hush()

    # -- copying, defaults, memory ----------------------------------------------------------------------------------------

    def _complete(self) -> None:
        """Put the small buttons beside the main ones, and take over what was set when the window was last open."""
        everything = self.findChildren(ConfigFields)
        buttons = self.findChildren(QPushButton, "primary")
        beside = next((button for button in buttons if button.parentWidget().findChildren(ConfigFields)), None)
        for button in buttons:
            copies = CopyButton(self.copy, self._last_verb)
            self.copies.append(copies)
            defaults = []
            if button is beside:
                defaults = [defaults_button()]
                defaults[0].clicked.connect(self.back_to_defaults)
            put_beside(button, copies, *defaults)
        taken: dict[str, int] = {}
        for fields in everything:
            name = f"{self.title}: {fields.model.__name__}"
            taken[name] = taken.get(name, 0) + 1
            key = name if taken[name] == 1 else f"{name} {taken[name]}"
            kept = self.memory.get("forms", key)
            if isinstance(kept, dict) and self.project is None:
                fields.take(kept)
            fields.edited.connect(partial(self._remember, key))

    def _remember(self, key: str, value: Settings) -> None:
        kept = {name: part for name, part in value.model_dump(mode="json").items() if name in changes(value) and name not in self.passing}
        self.memory.put("forms", key, kept or None)

    def back_to_defaults(self) -> None:
        """Take every setting of the form back to its default."""
        for fields in self.findChildren(ConfigFields):
            fields.reset()

    def _last_verb(self) -> str:
        return self.done.verb if self.done is not None else ""

    def copy(self, kind: str, last: bool = False) -> bool:
        """Put the form's step on the clipboard, as a "command" or as "python"; says why where it cannot."""
        return self.copy_recipe(kind, lambda: self.done if last else self.recipe())

    def copy_recipe(self, kind: str, make: Callable[[], Recipe | None]) -> bool:
        """Put the step that ``make`` returns on the clipboard; says why where it cannot."""
        try:
            recipe = make()
        except HsiError as error:
            self.say(str(error), "error")
            return False
        if recipe is None:
            self.say(f"There is nothing to copy yet. {self.standing().words}", "warning")
            return False
        QApplication.clipboard().setText(recipe.command if kind == "command" else recipe.python)
        return True

    def main_buttons(self) -> list[QPushButton]:
        """Return the main buttons that can be seen now."""
        return [button for button in self.findChildren(QPushButton, "primary") if button.isVisibleTo(self)]

    def run_main(self) -> None:
        """Press the main button; says what is missing where it is off."""
        buttons = self.main_buttons()
        if buttons and buttons[0].isEnabled():
            buttons[0].click()
        elif not self.running:
            self.say(self.standing().words, "warning")

    @property
    def running(self) -> bool:
        """Whether a step of this form is on its way."""
        return self._job is not None and self._job.running

    # -- how a step goes ------------------------------------------------------------------------------------------------

    def _updated(self, also: Callable[[Update], None] | None, update: Update) -> None:
        self.progress.show_update(update)
        self.warn(*update.warnings)
        if also is not None:
            also(update)

    def _succeeded(self, on_result: Callable[[Any], None] | None, result: Any) -> None:  # noqa: ANN401
        self._over()
        self.desk.step_done.emit()
        if on_result is not None:
            self._answering = True
            try:
                on_result(result)
            finally:
                self._answering = False

    def _failed(self, dealt_with: Callable[[BaseException, str], bool] | None, error: BaseException, sentence: str, details: str) -> None:
        self._over()
        if isinstance(error, ProjectChangedError):
            self.desk.cubes_changed()  # it has been read again
        if dealt_with is not None and dealt_with(error, sentence):
            return
        self.say(sentence, "error")
        self.words.setToolTip(details)

    def _cancelled(self, words: str) -> None:
        self._over()
        self.say(words or "Cancelled; what was finished is kept.", "warning")

    def _over(self) -> None:
        self._job = None
        self.progress.hide()
        if self._writing:
            self._writing = False
            self.desk.set_busy("")
        self.refresh()
