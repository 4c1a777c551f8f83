"""The project folder: finds and names things, nothing more.

Coordinates are always those of the cube's file: a crop is remembered as a box, and masks, labels, scores and maps keep
the whole frame, so that nothing shifts when the crop changes.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from napari_hsi_ssl import files, limits, trust
from napari_hsi_ssl.config import SCHEMA_VERSION, ChainConfig, in_words, read_json
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.tiff import with_pages
from napari_hsi_ssl.errors import DAMAGE, ProjectChangedError, ProjectError
from napari_hsi_ssl.project_lock import Stamp, stamp_of, warn_of_window, writing

if TYPE_CHECKING:
    import xarray as xr

    from napari_hsi_ssl.explore.pca import Projection
    from napari_hsi_ssl.patches.index import PatchIndex
    from napari_hsi_ssl.runs.folder import RunFolder

_SETTLED: Final = 2_000_000_000
"""Nanoseconds after which a folder's time of change tells it from a later state: file systems count in steps, the coarsest of 2 s."""


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
@dataclass(frozen=True)
class CubeEntry:
    """What the project knows of a cube without opening its file."""

    name: str
    domain: str
    path: Path
    shape: tuple[int, int, int]
    quantity: str = "unknown"
    key: str | None = None
    raw: dict[str, Any] | None = None
    """Shape and order given by the user for a file that does not tell them: ``{"shape": [y, x, band], "order": "C"}``."""
    wavelengths: tuple[float, ...] | None = None
    crop: tuple[int, int, int, int] | None = None
    """Box y0, x0, y1, x1 (ends excluded) in pixels of the file."""
    calibration: dict[str, Any] | None = None
    """Paths of the ``white`` and ``dark`` references, the ``panel``'s reflectance and the ``exposure`` times (`cubes.references`)."""
    bad_bands: tuple[int, ...] | None = None
    """Bands, counted from 0, that the user calls bad; they replace the header's list. None: as the header says."""
    fingerprint: dict[str, Any] | None = None


_ENTRIES: Final = TypeAdapter(CubeEntry)
"""What turns an entry of the file into a `CubeEntry`, every field of its type."""


class Project:
    """A project folder, opened for reading and writing.

    Parameters
    ----------
    folder : Path
        Use `Project.create` or `Project.open`.
    """

    def __init__(self, folder: Path, content: dict[str, Any], stamp: Stamp = None) -> None:
        self.folder = folder
        self._content, self._stamp = content, stamp
        self._entries = {entry.name: entry for entry in map(self._entry, content["cubes"])}
        self._listed: dict[Path, tuple[int, set[str]]] = {}
        self._readable: set[Path] = set()
        self._whole: set[Path] = set()
        self._warned = False

    # -- opening ------------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: str | Path) -> Project:
        """Make a new project folder.

        Raises
        ------
        ProjectError
            When there is a project already, or the folder cannot be written.
        """
        folder = Path(folder).absolute()
        if (folder / "project.json").exists():
            raise ProjectError(f"{folder} is a project already; open it, or choose another folder.")
        project = cls(folder, {"schema_version": SCHEMA_VERSION, "id": secrets.token_hex(8), "cubes": [], "inlet": None, "patches": None})
        project._save()
        return project

    @classmethod
    def open(cls, folder: str | Path) -> Project:
        """Open an existing project folder.

        Raises
        ------
        ProjectError
            When there is no project, or a newer program wrote it; `UntrustedError` when links in it lead out of it that nobody confirmed here.
        """
        folder = Path(folder).absolute()
        if not (folder / "project.json").exists():
            raise ProjectError(f"{folder} holds no project.json; make a project there with `napari-hsi-ssl new {folder}`.")
        files.sweep(folder / "maps")  # their cards say which there are
        stamp = stamp_of(folder / "project.json")
        content = read_json(folder / "project.json")
        if content.get("schema_version") != SCHEMA_VERSION:
            found = content.get("schema_version")
            raise ProjectError(f"{folder}/project.json has schema version {found}, expected {SCHEMA_VERSION}; use the program version that wrote it.")
        if not isinstance(content.get("cubes"), list):
            raise ProjectError(f"{folder}/project.json: field 'cubes' is {type(content.get('cubes')).__name__}, expected a list; restore it from a copy.")
        for field in ("inlet", "patches"):
            if content.get(field) is not None and not trust.is_plain_name(content[field]):
                found = str(content[field])[:60]
                raise ProjectError(f"{folder}/project.json: field '{field}' is {found!r}, expected a name that leads nowhere else; do not trust this project.")
        trust.require(folder, *trust.links_out(folder))
        return cls(folder, content, stamp)

    def _save(self) -> None:
        self._listed.clear()
        self._look_around()
        path = self.folder / "project.json"
        with writing(self.folder):
            if stamp_of(path) != self._stamp:
                self._read_again()
                raise ProjectChangedError(
                    f"{path} has been changed by another window or command since it was read here, so this was not saved; "
                    "the project has been read again: look at it, and repeat what you did."
                )
            self._content["cubes"] = [self._plain(entry) for entry in self._entries.values()]
            files.write_json(path, self._content)
            self._stamp = stamp_of(path)

    def _read_again(self) -> None:
        now = Project.open(self.folder)
        self._content, self._entries, self._stamp = now._content, now._entries, now._stamp

    def _look_around(self) -> None:
        """Warn once when a window of another process has the project open.

        Raises
        ------
        ProjectError
            When the project is gone, which a part of it must not bring back.
        """
        if self._stamp is not None and not (self.folder / "project.json").exists():
            raise ProjectError(f"{self.folder} is gone: it was moved or deleted, or its share is no longer there; bring it back, or open it where it is now.")
        self._warned = self._warned or warn_of_window(self.folder)

    def _entry(self, value: dict[str, Any]) -> CubeEntry:
        try:
            if not trust.is_plain_name(value["name"]):
                raise ProjectError(f"{self.folder}/project.json: a cube is called {str(value['name'])[:60]!r}, which is no name; do not trust this project.")
            path = Path(os.path.normpath(self.folder / value["path"]))
            entry = _ENTRIES.validate_python({**value, "path": path})
        except (KeyError, TypeError, ValueError) as error:
            reason = in_words(error) if isinstance(error, ValidationError) else error
            raise ProjectError(f"{self.folder}/project.json: a cube entry is incomplete or has unknown fields ({reason}); restore it from a copy.") from error
        y0, x0, y1, x1 = entry.crop or (0, 0, *entry.shape[:2])
        if min(entry.shape) < 1 or not (0 <= y0 < y1 <= entry.shape[0] and 0 <= x0 < x1 <= entry.shape[1]) or min(entry.bad_bands or (0,)) < 0:
            found = f"shape {entry.shape}, crop {entry.crop}, bad bands {entry.bad_bands}"
            raise ProjectError(f"{self.folder}/project.json: cube '{entry.name}' has {found}, which cannot be; restore it from a copy.")
        limits.require_frame(f"{self.folder}/project.json: cube '{entry.name}'", entry.shape)
        return entry

    def _plain(self, entry: CubeEntry) -> dict[str, Any]:
        return {**vars(entry), "path": self.relative(entry.path)}

    def relative(self, path: Path) -> str:
        """Return a path relative to the project where it lies beside or in it, absolute otherwise; always with ``/``."""
        try:
            relative = os.path.relpath(path, self.folder)
        except ValueError:  # another drive on Windows
            return path.as_posix()
        near = not relative.startswith(os.path.join("..", "..", ".."))
        return Path(relative).as_posix() if near else path.as_posix()

    # -- cubes --------------------------------------------------------------------------------------------------------

    @property
    def entries(self) -> dict[str, CubeEntry]:
        """The cubes by name, in the order they were added."""
        return dict(self._entries)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains, sorted by name."""
        return tuple(sorted({entry.domain for entry in self._entries.values()}))

    @property
    def masked(self) -> set[str]:
        """The cubes that have a saved mask; like `labelled` and `projected` it lists a folder once, however many cubes there are."""
        return self._with_file(self.folder / "masks", ".tif")

    @property
    def labelled(self) -> set[str]:
        """The cubes that have saved labels."""
        return self._with_file(self.folder / "labels", ".tif")

    @property
    def painted(self) -> set[str]:
        """The cubes that have saved strokes."""
        return self._with_file(self.folder / "strokes", ".tif")

    @property
    def projected(self) -> set[str]:
        """The cubes that the projection made last has scores of."""
        return self._with_file(self.inlet_folder(), ".npy") if self.inlet is not None else set()

    def _with_file(self, folder: Path, ending: str) -> set[str]:
        try:
            changed = folder.stat().st_mtime_ns
        except FileNotFoundError:
            return set()
        kept = self._listed.get(folder)
        if kept is not None and kept[0] == changed:
            return set(kept[1])
        found = self._entries.keys() & {name.removesuffix(ending) for name in os.listdir(folder) if name.endswith(ending)}
        if time.time_ns() - changed > _SETTLED:
            self._listed[folder] = changed, found
        return set(found)

    def entry(self, name: str) -> CubeEntry:
        """Return one cube's entry, or say which names there are."""
        if name not in self._entries:
            known = ", ".join(self._entries) or "none yet"
            raise ProjectError(f"project {self.folder.name} has no cube '{name}', only: {known}; check the name.")
        return self._entries[name]

    def put(self, *entries: CubeEntry) -> None:
        """Add or replace cubes and save; files that a cube did not name before are from now on trusted here (`trust`)."""
        given: list[Path] = []
        for entry in entries:
            if not trust.is_plain_name(entry.name):
                raise ProjectError(f"a cube cannot be called {entry.name[:60]!r}, as files are called after it; choose a name without '/' and '\\'.")
            known = self._entries.get(entry.name)
            before = self.files_of(known) if known is not None else []
            given += [path for path in self.files_of(entry) if path not in before]
            self._entries[entry.name] = entry
        trust.confirm(self.folder, given, self._content.get("id"))
        self._save()

    def files_of(self, entry: CubeEntry) -> list[Path]:
        """Return the files that a cube is read from: its own, and those of its calibration."""
        calibration = entry.calibration or {}
        named = [calibration.get(kind) for kind in ("white", "dark", "panel")]
        return [entry.path, *(Path(os.path.normpath(self.folder / name)) for name in named if isinstance(name, str))]

    def require(self, *paths: Path) -> None:
        """Raise `UntrustedError` when this project may not read some files: those outside its folder that nobody gave it here, nor confirmed."""
        if not self._readable.issuperset(paths):
            trust.recognise(self.folder, trust.refused(self.folder, paths), self._content.get("id"))
            trust.require(self.folder, *paths)
            self._readable.update(paths)

    def outside(self) -> list[Path]:
        """Return the files of cubes, calibrations and split that this project may not read yet, as nobody gave them to it on this computer."""
        split = [part for role, part in self.noted("split").items() if role in {"train", "test", "validation"} and isinstance(part, dict)]
        labels = [self.folder / path for part in split for path in part.values() if isinstance(path, str)]
        named = [*(path for entry in self._entries.values() for path in self.files_of(entry)), *labels]
        trust.recognise(self.folder, trust.refused(self.folder, named), self._content.get("id"))
        return trust.refused(self.folder, named)

    def remove(self, name: str) -> None:
        """Forget a cube; its own file is never touched."""
        self.entry(name)
        del self._entries[name]
        self._save()

    def set_crop(self, name: str, box: tuple[int, int, int, int] | None) -> None:
        """Remember the box y0, x0, y1, x1 (ends excluded) that is used of a cube."""
        self.put(replace(self.entry(name), crop=box))

    def raw(self, name: str) -> xr.DataArray:
        """Open a cube lazily as its file has it, whole frame.

        Raises
        ------
        ProjectError
            When the file is gone or is no longer the one that was added.
        """
        from napari_hsi_ssl.cubes.readers import read_cube

        entry = self.entry(name)
        self.require(*self.files_of(entry))
        if not entry.path.exists():
            raise ProjectError(f"cube '{name}': {entry.path} is gone; put it back, or add it again from where it is now.")
        raw = entry.raw or {}
        cube = read_cube(entry.path, key=entry.key, shape=raw.get("shape"), order=raw.get("order", "C"), name=name)
        if tuple(cube.shape) != entry.shape:
            raise ProjectError(f"cube '{name}': {entry.path} has shape {tuple(cube.shape)}, the project knows {entry.shape}; add the file again.")
        if entry.path not in self._whole and trust.lies_in(entry.path, self.folder):
            # What came with the project may not read elsewhere through links; what lies elsewhere is the user's, and so are its links.
            self.require(*map(Path, filter(None, [cube.attrs.get("data_file")])), *trust.links_below(entry.path))
            self._whole.add(entry.path)
        return cube

    def cube(self, name: str, entry: CubeEntry | None = None) -> xr.DataArray:
        """Open a cube lazily, whole frame, calibrated where references were given, with the bad bands that the user chose.

        Parameters
        ----------
        name : str
        entry : CubeEntry, optional
            What the project noted of the cube at another time; by default what it notes now.

        Raises
        ------
        ProjectError
            When the file is gone or is no longer the one that was added.
        """
        from napari_hsi_ssl.cubes.references import calibrated

        entry = entry or self.entry(name)
        self.require(*self.files_of(entry))
        cube = self.raw(name)
        if entry.bad_bands is not None:
            flags = np.zeros(entry.shape[2], dtype=bool)
            flags[[band for band in entry.bad_bands if band < flags.size]] = True
            cube = cube.assign_attrs(bad_bands=flags)
        return calibrated(cube, entry.calibration, self.folder)

    @property
    def chain(self) -> ChainConfig:
        """How spectra are prepared; empty until the user chooses steps."""
        return ChainConfig.parse(self.noted("chain"), f"{self.folder}/preprocessing.json, field 'chain'")

    @chain.setter
    def chain(self, chain: ChainConfig) -> None:
        self.note("chain", chain.model_dump(mode="json"))

    def prepared(self, name: str, chain: ChainConfig | None = None, entry: CubeEntry | None = None) -> xr.DataArray:
        """Open a cube lazily as `cube` does, with its spectra prepared by the project's chain, or by another one.

        Raises
        ------
        ProjectError
            When the file is gone or is no longer the one that was added.
        CubeError
            When the chain cannot be applied to this cube, such as a resampling to wavelengths that it does not have.
        """
        from napari_hsi_ssl.cubes.preprocess import preprocess

        return preprocess(self.cube(name, entry), self.chain if chain is None else chain)

    # -- masks and labels -----------------------------------------------------------------------------------------------

    def mask_path(self, name: str) -> Path:
        """Return where the mask of a cube is or would be."""
        return self.folder / "masks" / f"{name}.tif"

    def mask(self, name: str) -> NDArray[np.bool_] | None:
        """Return the saved mask (y, x), or None when there is none."""
        path = self.mask_path(name)
        return self._raster(path, name) != 0 if path.exists() else None

    def area(self, name: str) -> NDArray[np.bool_]:
        """Return which pixels (y, x) are used: the mask, or every pixel when there is none, within the crop."""
        entry = self.entry(name)
        mask = self.mask(name)
        area = np.ones(entry.shape[:2], dtype=bool) if mask is None else mask
        if entry.crop is None:
            return area
        y0, x0, y1, x1 = entry.crop
        inside = np.zeros_like(area)
        inside[y0:y1, x0:x1] = True
        return area & inside

    def save_mask(self, name: str, mask: NDArray[np.bool_]) -> None:
        """Save a mask (y, x), True = foreground."""
        self._same_frame(name, mask, "the mask")
        self._look_around()
        files.write_tiff(self.mask_path(name), mask.astype(np.uint8) * 255)

    def labels_path(self, name: str) -> Path:
        """Return where the labels of a cube are or would be."""
        return self.folder / "labels" / f"{name}.tif"

    def labels(self, name: str) -> NDArray[np.int32] | None:
        """Return the saved labels (y, x), 0 = unlabelled, or None when there are none."""
        path = self.labels_path(name)
        return self._raster(path, name).astype(np.int32) if path.exists() else None

    def save_labels(self, name: str, labels: NDArray[np.integer], names: dict[int, str] | None = None) -> None:
        """Save labels (y, x) in their own class numbers, and the names of classes that are new or renamed."""
        self._same_frame(name, labels, "the labels")
        self._look_around()
        known = self.classes
        found = [int(number) for number in np.unique(labels) if number != 0]
        # Before the labels: a class without pixels is harmless, pixels without a class are not.
        self.save_classes(Classes.of([*known.numbers, *found, *(names or {})], {**known.named, **(names or {})}, known.coloured))
        files.write_tiff(self.labels_path(name), labels.astype(np.int32))

    def save_classes(self, classes: Classes) -> None:
        """Save the classes of the project's labels and strokes."""
        files.write_json(self.folder / "labels" / "classes.json", classes.to_json())

    def strokes_path(self, name: str) -> Path:
        """Return where the strokes painted on a cube are or would be."""
        return self.folder / "strokes" / f"{name}.tif"

    def strokes(self, name: str) -> NDArray[np.int32] | None:
        """Return the saved strokes (y, x) in class numbers, 0 = not painted, or None when there are none."""
        path = self.strokes_path(name)
        return self._raster(path, name).astype(np.int32) if path.exists() else None

    def save_strokes(self, name: str, strokes: NDArray[np.integer]) -> None:
        """Save strokes (y, x) in class numbers, 0 = not painted."""
        self._same_frame(name, strokes, "the strokes")
        self._look_around()
        files.write_tiff(self.strokes_path(name), strokes.astype(np.uint8 if strokes.max(initial=0) < 256 else np.int32))

    @property
    def classes(self) -> Classes:
        """All classes of the project's labels."""
        path = self.folder / "labels" / "classes.json"
        return Classes.from_json(read_json(path)) if path.exists() else Classes((), (), ())

    def _raster(self, path: Path, name: str) -> NDArray[np.generic]:
        try:
            with with_pages(path) as file:
                self._same_frame(name, file.series[0], str(path))  # before anything is unpacked
                return np.asarray(file.series[0].asarray())
        except DAMAGE as error:
            raise ProjectError(f"{path} cannot be read as a TIFF ({error}); delete it and make it again.") from error

    def _same_frame(self, name: str, image: NDArray[np.generic] | tifffile.TiffPageSeries, what: str) -> None:
        expected = self.entry(name).shape[:2]
        if image.shape != expected:
            raise ProjectError(f"{what} of cube '{name}': shape is {image.shape}, expected {expected} (y, x); use a raster made for this cube.")

    # -- what was made from the cubes ------------------------------------------------------------------------------------

    @property
    def inlet(self) -> str | None:
        """The name (hash) of the projection made last."""
        return self._content.get("inlet")

    @inlet.setter
    def inlet(self, name: str) -> None:
        self._content["inlet"] = name
        self._save()

    def inlet_folder(self, name: str | None = None) -> Path:
        """Return the folder of a projection, the last one by default."""
        name = name or self.inlet
        if name is None:
            raise ProjectError(f"project {self.folder.name} has no PCA yet; make it with `napari-hsi-ssl pca {self.folder}`.")
        return self.folder / "inlets" / name

    def projection(self, name: str | None = None) -> Projection:
        """Load a projection, the last one by default."""
        from napari_hsi_ssl.explore.pca import Projection

        return Projection.load(self.inlet_folder(name) / "pca.npz")

    def scores(self, cube: str, inlet: str | None = None) -> NDArray[np.float16]:
        """Open the projected scores (y, x, k) of a cube as a memory map; NaN where the pixel was not measured."""
        folder = self.inlet_folder(inlet)
        if not (folder / "pca.npz").exists():
            raise ProjectError(f"projection '{folder.name}' is gone from {folder.parent}; put it back, or make another and train again on it.")
        path = folder / f"{cube}.npy"
        if not path.exists():
            raise ProjectError(f"cube '{cube}' was added after the PCA; run `napari-hsi-ssl pca {self.folder}` again.")
        try:
            scores: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
        except DAMAGE as error:
            raise ProjectError(f"{path} holds no scores ({error}); run `napari-hsi-ssl pca {self.folder}` again.") from error
        frame = self.entry(cube).shape[:2]
        if scores.ndim != 3 or scores.shape[:2] != frame:
            raise ProjectError(f"{path} has shape {scores.shape}, expected {frame} and components; run `napari-hsi-ssl pca {self.folder}` again.")
        return scores

    @property
    def patches(self) -> str | None:
        """The name (hash) of the patch index made last."""
        return self._content.get("patches")

    @patches.setter
    def patches(self, name: str) -> None:
        self._content["patches"] = name
        self._save()

    def patches_path(self, name: str | None = None) -> Path:
        """Return the file of a patch index, the last one by default."""
        name = name or self.patches
        if name is None:
            raise ProjectError(f"project {self.folder.name} has no patches yet; cut them with `napari-hsi-ssl patches {self.folder}`.")
        return self.folder / "patches" / f"{name}.npz"

    def patch_index(self, name: str | None = None) -> PatchIndex:
        """Load a patch index, the last one by default."""
        from napari_hsi_ssl.patches.index import PatchIndex

        return PatchIndex.load(self.patches_path(name))

    # -- runs and maps -----------------------------------------------------------------------------------------------------

    def runs(self) -> list[RunFolder]:
        """Return the run folders, oldest first; hidden ones are passed over."""
        from napari_hsi_ssl.runs.folder import RunFolder

        folders = [path.parent for path in (self.folder / "runs").glob("*/config.json")]
        folders = [path for path in folders if not path.name.startswith(".") and trust.is_plain_name(path.name)]
        return [RunFolder(path) for path in sorted(folders, key=lambda path: (path / "config.json").stat().st_mtime)]

    def run_folder(self, name: str) -> RunFolder:
        """Return an existing run by name, or say which there are."""
        from napari_hsi_ssl.runs.folder import RunFolder

        if not trust.is_plain_name(name) or not (self.folder / "runs" / name / "config.json").exists():
            known = ", ".join(run.name for run in self.runs()) or "none yet"
            raise ProjectError(f"project {self.folder.name} has no run '{name}', only: {known}; check the name or train one.")
        return RunFolder(self.folder / "runs" / name)

    def new_run_path(self, kind: str, name: str | None = None) -> Path:
        """Return the folder of a run to be made: the given name, or the kind with the next free number."""
        if name is not None:
            if not trust.is_plain_name(name) or any(sign in name for sign in '/\\:*?"<>|'):
                raise ProjectError(f"run name '{name}' cannot be a folder's name; use letters, digits, '-' and '_'.")
            return self.folder / "runs" / name
        number = 1
        while (self.folder / "runs" / f"{kind}-{number}").exists():
            number += 1
        return self.folder / "runs" / f"{kind}-{number}"

    def map_path(self, cube: str, run: str, method: str) -> Path:
        """Return where the map of a cube by a run and a method is or would be."""
        return self.folder / "maps" / f"{cube}--{run}--{method}.tif"

    def maps(self) -> list[Path]:
        """Return the finished maps: those whose .json is there."""
        return sorted(path.with_suffix(".tif") for path in (self.folder / "maps").glob("*--*--*.json") if not path.name.startswith("."))

    @property
    def _notes(self) -> dict[str, Any]:
        path = self.folder / "preprocessing.json"
        return read_json(path) if path.exists() else {}

    def note(self, step: str, value: dict[str, Any]) -> None:
        """Remember what a step did and with which settings, in ``preprocessing.json``."""
        self._look_around()
        with writing(self.folder):
            files.write_json(self.folder / "preprocessing.json", {**self._notes, step: value})

    def noted(self, step: str) -> dict[str, Any]:
        """Return what a step noted last; empty when it has not run."""
        value = self._notes.get(step)
        return value if isinstance(value, dict) else {}

    def settled(self, step: Literal["pca", "patches"]) -> dict[str, Any]:
        """Return what was noted of the current projection or patches; empty when nothing was.

        Raises
        ------
        ProjectError
            When the note is of others, because the step that made these was interrupted between its last two files.
        """
        noted = self.noted(step)
        field, current, what = ("inlet", self.inlet, "projection") if step == "pca" else ("patches", self.patches, "patches")
        if current is not None and noted.get(field, current) != current:
            raise ProjectError(
                f"{self.folder}/preprocessing.json, field '{step}', tells of the {what} '{noted[field]}' and project.json of '{current}': making them was "
                f"interrupted; run `napari-hsi-ssl {step} {self.folder}` again."
            )
        return noted


def unique_name(stem: str, folder: str, taken: Container[str]) -> str:
    """Return a cube's name: its file's stem, with its folder's name where that is taken, with a number where both are."""
    stem, folder = trust.made_plain(stem), trust.made_plain(folder)
    for candidate in (stem, f"{folder}_{stem}"):
        if candidate not in taken:
            return candidate
    number = 2
    while f"{folder}_{stem}_{number}" in taken:
        number += 1
    return f"{folder}_{stem}_{number}"
