"""Divide labels into training, validation and test, and audit what a division is worth.

scikit-learn is imported by the steps themselves, in whatever thread runs them: at the top it would cost every window 0.6 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import SplitConfig
from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.cubes.rasters import read_labels, read_raster
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

if TYPE_CHECKING:
    from napari_hsi_ssl.patches.folds import Fold

ROLES: Final = ("train", "test", "validation")
Images = Mapping[str, NDArray[np.int32]]


def split(labels: Path | Mapping[str, Path], out: Path, config: SplitConfig | None = None) -> Steps[dict[str, Any]]:
    """Divide labels into folds and write them as label files.

    Parameters
    ----------
    labels : path, or mapping of cube name to path
        One label file, or several to be divided together: by whole file with kind ``cubes``, else each by itself.
    out : Path
        Of one label file ``foldK_train.tif``, ``foldK_test.tif`` and, where asked for, ``foldK_validation.tif`` are written there, K from
        1, with ``repeatR_`` before where there are several repeats. Of several label files each of these is a folder of one file a cube.
    config : SplitConfig, optional

    Returns
    -------
    dict
        The settings; ``one_place``: classes that lie in a single block, field or cube; ``folds``, a row each: ``repeat``, ``fold``,
        ``train``, ``test`` and ``validation`` (a path, or paths by cube), ``n_train``, ``n_test``, ``n_validation``, ``only_in_train``,
        ``only_in_test`` and ``not_scored``: classes without a training pixel in the fold, with the pixels that were taken out of its
        test. The same is written to ``split.json``.
    """
    config = config or SplitConfig()
    given = {_stem(labels): labels} if isinstance(labels, Path) else dict(labels)
    images: dict[str, NDArray[np.int32]] = {}
    names: dict[int, str] = {}
    for cube, path in given.items():
        images[cube], found = read_labels(path, read_raster(path).shape)
        names |= found
    report = yield from write_folds(images, out, config, names)
    return {**report, "labels": {cube: str(path) for cube, path in given.items()}}


def write_folds(images: Images, out: Path, config: SplitConfig, names: Mapping[int, str]) -> Steps[dict[str, Any]]:
    """Divide labels (y, x) by cube and write the folds, as `split` does.

    Parameters
    ----------
    names : mapping of int to str
        Of the classes; they are kept beside the folds.
    """
    from napari_hsi_ssl.patches.folds import in_one_place, make_folds

    yield Progress(0, 1, f"splitting {', '.join(images)}")
    folds = make_folds(images, config)
    several = len(images) > 1 or config.kind == "cubes"
    rows = []
    for number, fold in enumerate(folds, start=1):
        rows.append(_write(fold, images, out, config, several, names))
        yield Progress(number, len(folds), f"fold {fold.number}")
    report = {**config.model_dump(mode="json"), "folds": rows, "one_place": in_one_place(images, config)}
    files.write_json(out / "split.json", {**report, "folds": [_relative(row, out) for row in rows]})  # a folder that is moved keeps its meaning
    return report


def audit(train: Path, test: Path, window: int = 32, *, cube: Path | None = None, map_path: Path | None = None) -> Steps[dict[str, Any]]:
    """Say how much of the test set a training window has seen, what position alone would score, and where accuracy falls with distance.

    Parameters
    ----------
    train, test : Path
        Label files of one image.
    window : int
        Side in pixels of what a model sees around a pixel.
    cube : Path, optional
        Of the image: kNN on its spectra is told by distance too.
    map_path : Path, optional
        A map of the image, told by distance too.
    """
    from napari_hsi_ssl.patches.audit import audit as compute
    from napari_hsi_ssl.patches.audit import check_split

    learned = read_labels(train, read_raster(train).shape)[0]
    asked = read_labels(test, read_raster(test).shape)[0]
    check_split(learned, asked)
    predictions: dict[str, NDArray[np.integer]] = {}
    if map_path is not None:
        predictions["map"] = read_labels(map_path, learned.shape)[0]
    if cube is not None:
        yield Progress(message=f"reading {cube.name}")
        found = _spectra({"": read_cube(cube)}, {"": learned}, {"": asked})
        predictions["spectra"] = found[""]
    yield Progress(0, 1, "auditing the split")
    return compute(learned, asked, window, predictions)


def audit_project(project: Project, train: Mapping[str, Path], test: Mapping[str, Path], window: int = 32) -> Steps[dict[str, Any]]:
    """Audit a split of the labels of a project's cubes, with kNN on their spectra by distance; cubes whose labels only train or only test share nothing."""
    from napari_hsi_ssl.patches.audit import audit_cubes

    if not train or not test:
        raise LabelError("an audit needs training and test labels; give --train CUBE=LABELS and --test CUBE=LABELS.")
    learned, asked = ({name: read_labels(path, project.entry(name).shape[:2])[0] for name, path in side.items()} for side in (train, test))
    yield Progress(0, 2, "auditing the split")
    audit_cubes(learned, asked, window)  # says what is wrong before cubes are read
    yield Progress(1, 2, "reading spectra")
    spectra = _spectra({name: project.prepared(name) for name in {**learned, **asked}}, learned, asked)
    return audit_cubes(learned, asked, window, {"spectra": spectra})


def judged_by(train: Images, validation: Images, window: int) -> Steps[tuple[dict[str, NDArray[np.int32]], dict[str, Any]]]:
    """Say, before a training starts, what the labels that are to judge it are worth.

    Parameters
    ----------
    train, validation : mapping of str to int array (y, x)
        By cube.
    window : int
        Of the model, in pixels; one that is larger than a cube sees all of it.

    Returns
    -------
    dict of str to int32 array (y, x)
        The validation labels of classes that are trained; a warning names the others.
    dict
        The audit, with ``summary``: a sentence.

    Raises
    ------
    LabelError
        When pixels are in both, or no class of the validation labels is trained.
    """
    from napari_hsi_ssl.patches.audit import audit_cubes, in_short

    known = np.unique(np.concatenate([np.unique(image) for image in train.values()]))
    kept = {cube: np.where(np.isin(image, known), image, 0).astype(np.int32) for cube, image in validation.items()}
    unknown = sorted({int(number) for image in validation.values() for number in np.unique(image)} - set(known.tolist()) - {0})
    if unknown and not any(image.any() for image in kept.values()):
        raise LabelError(f"none of the classes {', '.join(map(str, unknown))} of the validation labels is trained; give validation labels of the same classes.")
    if unknown:
        yield Progress(message=f"classes {', '.join(map(str, unknown))} of the validation labels are not trained, so they are left out of it", warning=True)
    found = audit_cubes(train, kept, min([window, *(min(image.shape) for image in kept.values())]), role="validation")
    found["summary"] = in_short(found, "validation")
    yield Progress(message=found["summary"], warning=found["overlap_share"] > 0, data={"type": "audit", **found})
    return kept, found


def _stem(path: Path) -> str:
    """Return what a label file is called; of ``FILE#NAME`` the array."""
    name = path.name.rpartition("#")[2] if not path.exists() else path.name
    return Path(name).stem


def _write(fold: Fold, images: Images, out: Path, config: SplitConfig, several: bool, names: Mapping[int, str]) -> dict[str, Any]:
    stem = f"repeat{fold.repeat}_fold{fold.number}" if config.repeats > 1 else f"fold{fold.number}"
    row: dict[str, Any] = {"repeat": fold.repeat, "fold": fold.number}
    for role in ROLES[: 3 if config.validation else 2]:
        part: Images = getattr(fold, role)
        if several:
            paths = {cube: out / f"{stem}_{role}" / f"{cube}.tif" for cube in part}
            row[role] = {cube: str(path) for cube, path in paths.items()}
        else:
            paths = dict.fromkeys(images, out / f"{stem}_{role}.tif")
            row[role] = str(next(iter(paths.values())))
        for cube, path in paths.items():
            files.write_tiff(path, part[cube])
        for folder in {path.parent for path in paths.values()} if names else ():
            files.write_json(folder / "classes.json", Classes.of(sorted(names), dict(names)).to_json())
        row[f"n_{role}"] = sum(int((image != 0).sum()) for image in part.values())
    learned, asked = ({int(number) for image in part.values() for number in np.unique(image)} - {0} for part in (fold.train, fold.test))
    return {**row, "only_in_train": sorted(learned - asked), "only_in_test": sorted(fold.not_scored), "not_scored": fold.not_scored}


def _relative(row: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Return a row with its paths from the folder of the split on."""

    def short(paths: str | dict[str, str]) -> str | dict[str, str]:
        return {cube: str(short(path)) for cube, path in paths.items()} if isinstance(paths, dict) else Path(paths).relative_to(out).as_posix()

    return {key: short(value) if key in ROLES else value for key, value in row.items()}


def _spectra(cubes: Mapping[str, xr.DataArray], train: Images, test: Images) -> dict[str, NDArray[np.int64]]:
    from napari_hsi_ssl.mapping.by_spectra import vote_by_spectra
    from napari_hsi_ssl.mapping.raw import Spectra

    found = {name: Spectra(cube) for name, cube in cubes.items()}
    for name, spectra in found.items():
        for side in (train, test):
            if name in side and side[name].shape != spectra.shape[:2]:
                of_cube = f" '{name}'" if name else ""
                raise LabelError(
                    f"the labels have shape {side[name].shape} and the cube{of_cube} {spectra.shape[:2]}, expected the same (y, x); check the files."
                )
    if len({spectra.shape[2] for spectra in found.values()}) > 1:
        listed = ", ".join(f"'{name}' {spectra.shape[2]}" for name, spectra in found.items())
        raise LabelError(f"the cubes have different numbers of good bands ({listed}), so their spectra cannot be compared; audit cubes of one camera.")
    return vote_by_spectra(found, train, test)
