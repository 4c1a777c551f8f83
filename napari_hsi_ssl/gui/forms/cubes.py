"""1 Cubes: open or make a project, bring cubes in, name their domains, crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QLineEdit,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from napari_hsi_ssl.cubes.readers import FILTERS
from napari_hsi_ssl.errors import ChoiceError, ConfigError, UntrustedError
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.copying import MENU_STYLE
from napari_hsi_ssl.gui.forms.cube_table import CubeTable
from napari_hsi_ssl.gui.forms.fields import fold
from napari_hsi_ssl.gui.forms.pieces import Elided, boxed, heading, listen, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.forms.references import ReferencesPanel
from napari_hsi_ssl.gui.pictures import box_of
from napari_hsi_ssl.gui.projects import Beside, add_paths, add_sample, look_beside, open_project, project_folder
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes as steps
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.confirm import trust_files, unconfirmed
from napari_hsi_ssl.steps.export import export

FILTER = f"Cubes ({' '.join(FILTERS)});;All files (*)"
_LISTED = 5
"""Files that are listed by name."""
_EXPORTS = {"ENVI (*.hdr)": ".hdr", "GeoTIFF (*.tif)": ".tif", "Zarr (*.zarr)": ".zarr"}
_FILES_TIP = "ENVI (.hdr), GeoTIFF, NetCDF, HDF5, .hspy, .mat or NumPy cubes; you can also drop files and folders on the table"
_FOLDER_TIP = "Every cube in a folder and below it, also a Zarr store or a folder of one image a band; a cube's domain is its folder's name"


class CubesForm(Form):
    """The first form: which cubes the work is about."""

    number = 1
    title = "Cubes"
    of_a_cube = False

    def build(self) -> None:
        """Lay the form out."""
        self._waiting: list[Path] = []
        self._asking = Path()
        self.new = plain_button("New…", "Make a new project in an empty folder")
        self.open = plain_button("Open…", "Open the folder of an existing project; runs that are still training show up again")
        self.recent = plain_button("Recent ▾", "Open one of the projects that were open last")
        self.recent.setStyleSheet(MENU_STYLE)
        self.recent_menu = QMenu(self.recent)
        self.recent_menu.setToolTipsVisible(True)
        self.recent_menu.aboutToShow.connect(self._list_recent)
        self.recent.setMenu(self.recent_menu)
        self.folder = Elided("no project", Qt.TextElideMode.ElideMiddle)
        self.folder.setToolTip("The open project's folder")
        line = row(self.folder, self.new, self.open, self.recent)
        line.setStretch(0, 1)
        self.body.addLayout(line)

        self.files = primary("Add cube files…", _FILES_TIP)
        self.add_folder = plain_button("Add folder…", _FOLDER_TIP)
        self.body.addLayout(row(self.files, self.add_folder))
        self.opened = plain_button("Add what is open in napari", "Add the files of the cubes that were dropped on napari to the project")
        self.opened.clicked.connect(lambda: self.bring(self.files_on_canvas()))
        self.opened.hide()
        self.body.addWidget(self.opened)
        listen(self.desk.viewer.layers.events.inserted, self, "offer_opened")
        listen(self.desk.viewer.layers.events.removed, self, "offer_opened")
        self.body.addWidget(self._choice())
        self.body.addWidget(self._offer())
        self.body.addWidget(self._question())

        self.table = CubeTable()
        self.table.setMinimumHeight(150)
        self.table.setAcceptDrops(True)
        self.table.setToolTip("Choose a cube to see it; double-click its domain to change it; drop files or folders here")
        self.table.viewport().installEventFilter(self)
        self.body.addWidget(self.table)

        self.remove = self.needs_project(plain_button("Remove", "Take the chosen cube out of the project; its file, masks and maps stay where they are"))
        self.rectangle = self.needs_project(plain_button("Draw rectangle", "Draw the part of the cube that is used"))
        self.crop = self.needs_project(plain_button("Crop", "Use only the drawn rectangle of this cube; the file is not touched"))
        self.whole = self.needs_project(plain_button("Whole frame", "Use the whole cube again"))
        self.export = self.needs_project(plain_button("Export…", "Write the chosen cube as ENVI, GeoTIFF or Zarr, as its file holds it"))
        self.export.clicked.connect(self._ask_export)
        self.body.addLayout(row(self.rectangle, self.crop, self.whole, None))
        self.body.addLayout(row(self.export, None, self.remove))
        self.body.addWidget(self._calibration())

        self.pines = plain_button("Indian Pines", "A real AVIRIS scene, 145×145 pixels, 200 bands, 16 classes; makes a project of its own")
        self.laboratory = plain_button(
            "Seven-domain laboratory", "Synthetic cubes of seven cameras and subjects, with ground truth; makes a project of its own"
        )
        self.body.addLayout(row(heading("Samples"), self.pines, self.laboratory, None))

        self.new.clicked.connect(self.ask_new)
        self.open.clicked.connect(self.ask_open)
        self.files.clicked.connect(self.ask_files)
        self.add_folder.clicked.connect(self.ask_folder)
        self.table.chosen.connect(self.desk.set_cube)
        self.table.rows.domain_given.connect(self._give_domain)
        self.remove.clicked.connect(self._remove)
        self.rectangle.clicked.connect(lambda: layers.draw(self.desk.viewer, "add_rectangle"))
        self.crop.clicked.connect(self.crop_to_drawing)
        self.whole.clicked.connect(lambda: self._crop(None))
        self.pines.clicked.connect(lambda: self.add_sample("indian_pines"))
        self.laboratory.clicked.connect(lambda: self.add_sample("laboratory"))

    def _choice(self) -> QWidget:
        self.choice_words = words_label("#f0c24f")
        self.choice = QComboBox()
        self.choice.setToolTip("The array that is the cube")
        self.choose = plain_button("Add this one", "Add the chosen array as the cube")
        self.choose.clicked.connect(self._choose)
        self.choice_box = boxed(row(self.choice_words, self.choice, self.choose))
        self.choice_box.hide()
        return self.choice_box

    def _calibration(self) -> QWidget:
        self.references = ReferencesPanel(self._browse)
        self.references_fold = fold("White and dark reference", self.references)
        return self.references_fold

    def _offer(self) -> QWidget:
        self.beside_words = words_label("#f0c24f")
        self.calibrated = plain_button("Add as reflectance", "Calibrate each cube with the references beside it; panel and exposures can be set below first")
        self.recorded = plain_button("Add as recorded", "Add the cubes as their files hold them, without references")
        self.calibrated.clicked.connect(lambda: self.add(self._waiting))
        self.recorded.clicked.connect(self._add_as_recorded)
        inside = QVBoxLayout()
        inside.addWidget(self.beside_words)
        inside.addLayout(row(self.calibrated, self.recorded, None))
        self.beside_box = boxed(inside)
        self.beside_box.hide()
        return self.beside_box

    def _question(self) -> QWidget:
        self.outside_words = words_label("#f0c24f")
        self.trust = plain_button("Trust these files", "Let this project read them, on this computer, from now on")
        self.leave = plain_button("Not now", "Work with what lies in the project's folder alone")
        self.trust.clicked.connect(self._trust)
        inside = QVBoxLayout()
        inside.addWidget(self.outside_words)
        inside.addLayout(row(self.trust, self.leave, None))
        self.outside_box = boxed(inside)
        self.leave.clicked.connect(self.outside_box.hide)
        self.outside_box.hide()
        return self.outside_box

    # -- state ------------------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Say which project is open and what it holds."""
        if self.project is None:
            return Standing("ready", "No project yet: add cubes, take a sample, or open a project.")
        count, domains = len(self.project.entries), len(self.project.domains)
        if count == 0:
            return Standing("ready", "The project has no cubes yet.")
        return Standing("done", f"{count} cube{'s' * (count != 1)} · {domains} domain{'s' * (domains != 1)}")

    def project_opened(self) -> None:
        """Remember the project for the next start."""
        self.done = None
        self.outside_box.hide()
        if self.project is not None:
            self.memory.opened(self.project.folder)
            self.jobs.call(_named_outside, self.project, on_result=self._outside)

    def recipe(self) -> recipe.Recipe | None:
        """Return the making of the project from the files of its cubes."""
        return recipe.new(self.project.folder, [entry.path for entry in self.project.entries.values()]) if self.project is not None else None

    def update_widgets(self) -> None:
        """Fill the table."""
        project = self.project
        self.folder.setText(project.folder.name if project else "no project")
        self.folder.setToolTip(str(project.folder) if project else "")
        self.recent.setEnabled(not self.desk.busy and bool(self.memory.get("projects", "recent")))
        for button in (self.new, self.open, self.files, self.add_folder, self.pines, self.laboratory):
            button.setEnabled(not self.desk.busy)
        self.table.show_entries(list(project.entries.values()) if project else [], self.desk.cube)
        self.offer_opened()

    def files_on_canvas(self) -> list[Path]:
        """Return the files of cubes that were opened in napari itself and are not in the project yet."""
        found = dict.fromkeys(Path(layer.metadata["hsi_file"]).absolute() for layer in self.desk.viewer.layers if "hsi_file" in layer.metadata)
        known = {entry.path for entry in self.project.entries.values()} if self.project and found else set()
        return [path for path in found if path not in known]

    def offer_opened(self) -> None:
        """Offer to add cubes that were dropped on napari."""
        self.opened.setVisible(bool(self.files_on_canvas()))

    # -- acts -------------------------------------------------------------------------------------------------------------

    def ask_new(self) -> None:
        """Ask for a folder and make a project there."""
        kept = self.memory.folder("projects")
        suggested = Path(kept) / "project" if kept else project_folder("project")
        path, _ = QFileDialog.getSaveFileName(self, "New project: name of its folder", str(suggested))
        if path:
            self.memory.used("projects", Path(path))
            self.make(Path(path))

    def make(self, folder: Path) -> None:
        """Make a project."""
        self.run(steps.new(folder), lambda report: self.load(Path(report["project"])), f"making project {folder.name}")

    def ask_open(self) -> None:
        """Ask for a project's folder and open it."""
        path = QFileDialog.getExistingDirectory(self, "Open project: its folder", self.memory.folder("projects"))
        if path:
            self.memory.used("projects", Path(path))
            self.load(Path(path))

    def load(self, folder: Path) -> None:
        """Open a project."""
        self.run(open_project(folder), self._opened, f"opening {folder.name}", writes=False, on_error=self._cannot_open)

    def _cannot_open(self, error: BaseException, _sentence: str) -> bool:
        if not isinstance(error, UntrustedError):
            return False
        self.ask_trust(error.project, error.paths)
        return True

    def _outside(self, found: tuple[Project, list[Path]]) -> None:
        project, paths = found
        if project is self.project and paths:
            self.ask_trust(project.folder, paths)

    def ask_trust(self, folder: Path, paths: Sequence[Path]) -> None:
        """Ask whether a project may read files outside its folder, in the form itself."""
        self._asking = folder
        listed = "\n".join(map(str, paths[:_LISTED])) + (f"\nand {len(paths) - _LISTED} more" if len(paths) > _LISTED else "")
        self.outside_words.setText(
            f"Project {folder.name} names files outside its folder that were not added on this computer. They are not read unless you trust them:\n{listed}"
        )
        self.outside_words.setToolTip("\n".join(map(str, paths[: 10 * _LISTED])))
        self.outside_box.show()

    def _trust(self) -> None:
        self.outside_box.hide()
        self.run(trust_files(self._asking), lambda _: self.load(self._asking), f"opening {self._asking.name}", writes=False)

    def _list_recent(self) -> None:
        self.recent_menu.clear()
        for folder in self.memory.recent:
            act = self.recent_menu.addAction(f"{folder.name}  ({folder.parent})")
            act.setToolTip(str(folder))
            act.triggered.connect(lambda _=False, folder=folder: self.load(folder))

    def _opened(self, project: Project) -> None:
        self.desk.open_project(project)
        self.say(f"Project {project.folder} is open.")

    def ask_files(self) -> None:
        """Ask for files and add them."""
        paths, _ = QFileDialog.getOpenFileNames(self, "Add cubes", self.memory.folder("cubes"), FILTER)
        if paths:
            self.memory.used("cubes", Path(paths[0]))
        self.bring([Path(path) for path in paths])

    def ask_folder(self) -> None:
        """Ask for a folder and add what is in it."""
        path = QFileDialog.getExistingDirectory(self, "Add every cube of a folder", self.memory.folder("cubes"))
        if path:
            self.memory.used("cubes", Path(path) / "cube")
            self.bring([Path(path)])

    def bring(self, paths: Sequence[Path]) -> None:
        """Add files and folders; references that lie beside the first cube are offered before."""
        if not paths:
            return
        self.beside_box.hide()
        self.references.forget()
        if self.references.empty:
            self.run(look_beside(paths), partial(self._looked, list(paths)), "looking for references", writes=False)
        else:
            self.add(paths)

    def _looked(self, paths: list[Path], found: Beside | None) -> None:
        if found is None:
            self.add(paths)
            return
        self._waiting = paths
        self.references.offer(found)
        self.references_fold.expand(animate=False)
        names = " and ".join(path.name for path in found.references.values())
        self.beside_words.setText(f"{names} {'lie' if len(found.references) > 1 else 'lies'} beside {found.cube.name}; every cube gets its own.")
        self.beside_box.show()

    def _add_as_recorded(self) -> None:
        self.references.forget()
        self.add(self._waiting)

    def add(self, paths: Sequence[Path], key: str | None = None) -> None:
        """Add files and folders with the references that are given; without a project one is made for them."""
        if not paths:
            return
        try:
            how: dict[str, Any] = {"key": key, **self.references.value()}
        except ConfigError as error:
            self.say(str(error), "error")
            return
        self.choice_box.hide()
        self.beside_box.hide()
        self.run(add_paths(self.project, paths, **how), partial(self._added, list(paths), how), "adding cubes", on_error=self._cannot_add)

    def _added(self, paths: list[Path], how: dict[str, Any], found: tuple[Project, dict[str, Any]]) -> None:
        project, report = found
        self.references.forget()
        given = {name: value for name, value in how.items() if value is not None}
        if project is not self.project:
            self.desk.open_project(project)
        else:
            self.desk.cubes_changed()
        self.done = recipe.add(project.folder, paths[0], **given) if len(paths) == 1 else None
        added = [cube["name"] for cube in report["cubes"]]
        if added:
            self.desk.set_cube(added[0])
        plain = [name for name in added if project.entry(name).wavelengths is None]
        note = f" No wavelengths are known of {_listed(plain)}, so its colours are not natural ones." if plain else ""
        self.say(f"Added {', '.join(added)} to {project.folder}.{note}" if added else "Nothing was added.")
        reasons: dict[str, list[str]] = {}
        for skipped in report.get("skipped", []):
            reasons.setdefault(skipped["reason"], []).append(Path(skipped["path"]).name)
        self.warn(*(f"Left out: {_listed(names)}: {reason}" for reason, names in reasons.items()))

    def _cannot_add(self, error: BaseException, _sentence: str) -> bool:
        if self.project is not None:
            self.desk.cubes_changed()  # those before the bad one are in
        if not isinstance(error, ChoiceError):
            return False
        self.offer_choice(error.path, error.candidates)
        return True

    def offer_choice(self, path: Path, names: Sequence[str]) -> None:
        """Let the user say which array of a file is the cube, in the form itself."""
        self._undecided = path
        self.choice_words.setText(f"{path.name} holds several arrays; which one is the cube?")
        self.choice.clear()
        self.choice.addItems(list(names))
        self.choice_box.show()

    def _choose(self) -> None:
        self.add([self._undecided], key=self.choice.currentText())

    def add_sample(self, which: str) -> None:
        """Make a project of a sample and open it."""
        self.run(add_sample(which), self._opened, "making the sample's project")

    def _remove(self) -> None:
        if self.project is not None and self.desk.cube:
            self.run(steps.remove(self.project, self.desk.cube), lambda _: self.desk.cubes_changed(), "removing the cube")

    def _ask_export(self) -> None:
        if self.project is None or not self.desk.cube:
            return
        name = str(Path(self.memory.folder("exports")) / f"{self.desk.cube}.hdr")
        path, kind = QFileDialog.getSaveFileName(self, f"Export {self.desk.cube}", name, ";;".join(_EXPORTS))
        if path:
            to = Path(path)
            # A name typed without an ending, or with the proposed one, means the kind chosen below it.
            ending = _EXPORTS.get(kind, ".hdr")
            if to.suffix.lower() not in {*_EXPORTS.values(), ".tiff"}:
                to = to.with_name(to.name + ending)
            elif str(to) == name:
                to = to.with_suffix(ending)
            self.memory.used("exports", to)
            self.export_cube(to)

    def export_cube(self, to: Path) -> None:
        """Write the current cube for other programs; the ending of the name says how."""
        if self.project is None or not self.desk.cube:
            return
        entry = self.project.entry(self.desk.cube)
        if entry.raw:
            self.say(f"{entry.name} is a file of plain numbers, whose shape the export cannot know.", "warning")
            return
        self.done = recipe.export(entry.path, to, entry.key)
        self.run(export(entry.path, to, entry.key), lambda report: self.say(f"{report['to']} is written."), f"exporting {to.name}", writes=False)

    def crop_to_drawing(self) -> None:
        """Crop the current cube to the rectangle drawn last."""
        if self.project is None or not self.desk.cube:
            return
        shapes = layers.drawn(self.desk.viewer)
        box = box_of(shapes[-1][1], self.project.entry(self.desk.cube).shape[:2]) if shapes else None
        if box is None:
            self.say("Draw a rectangle on the image first.", "warning")
            return
        self._crop(box)

    def _crop(self, box: tuple[int, int, int, int] | None) -> None:
        if self.project is not None and self.desk.cube:
            self.run(steps.crop(self.project, self.desk.cube, box), self._cropped, "cropping")

    def _cropped(self, report: dict[str, Any]) -> None:
        layers.clear_drawing(self.desk.viewer)
        self.desk.cubes_changed()
        box = report["crop"]
        if self.project is not None:
            self.done = recipe.crop(self.project.folder, report["cube"], tuple(box) if box else None)
        self.say(
            f"{report['cube']}: rows {box[0]}–{box[2] - 1}, columns {box[1]}–{box[3] - 1} are used." if box else f"{report['cube']}: the whole frame is used."
        )

    def _browse(self, field: QLineEdit) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Reference", self.memory.folder("references") or self.memory.folder("cubes"), FILTER)
        if path:
            self.memory.used("references", Path(path))
            field.setText(path)

    def _give_domain(self, name: str, domain: str) -> None:
        project = self.project
        if project is not None and domain and not self.desk.busy and domain != project.entry(name).domain:
            self.run(_set_domain(project, name, domain), lambda _: self.desk.cubes_changed(), f"{name} goes to {domain}")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take files and folders that are dropped on the table."""
        if isinstance(event, QDragEnterEvent) and event.mimeData().hasUrls():
            event.acceptProposedAction()
            return True
        if event.type() == QEvent.Type.DragMove:
            event.accept()
            return True
        if isinstance(event, QDropEvent) and event.mimeData().hasUrls():
            event.acceptProposedAction()
            self.bring([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])
            return True
        return super().eventFilter(watched, event)


def _listed(names: Sequence[str], most: int = 2) -> str:
    """Return names in a row, those beyond ``most`` as a number."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _named_outside(project: Project) -> tuple[Project, list[Path]]:
    return project, unconfirmed(project)


def _set_domain(project: Project, name: str, domain: str) -> Steps[None]:
    yield Progress(0, 1)
    project.put(replace(project.entry(name), domain=domain))
