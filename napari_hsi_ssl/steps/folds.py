"""Read the folds that a table is made on: labels of both sides, by cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import digest, read_json
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.files import digest_bytes
from napari_hsi_ssl.project import Project

Labels = dict[str, NDArray[np.int32]]
Given = TypeVar("Given")


@dataclass(frozen=True, eq=False)
class Fold:
    """One split.

    Attributes
    ----------
    name : str
    train, test : dict of str to int32 array (y, x)
        Class numbers by cube, 0 = unlabelled; both hold every cube.
    """

    name: str
    train: Labels
    test: Labels

    @property
    def digest(self) -> str:
        """What names the labels of both sides."""
        return digest({side: {name: digest_bytes(image.tobytes()) for name, image in labels.items()} for side, labels in vars(self).items() if side != "name"})


def fold_of(project: Project, train: Mapping[str, Path], test: Mapping[str, Path], name: str = "split") -> Fold:
    """Return the split that label files make, of one cube or several; a cube may be on one side alone.

    Raises
    ------
    LabelError
        When a side names no file.
    """
    for option, side in (("--train", train), ("--test", test)):
        if not side:
            raise LabelError(f"baselines need labels on both sides, but {option} names none; give {option} CUBE=LABELS, or a folder of folds with --folds.")
    sides: list[Labels] = []
    for side in (train, test):
        labels: Labels = {}
        for cube in dict.fromkeys([*train, *test]):
            shape = project.entry(cube).shape[:2]
            labels[cube] = read_labels(side[cube], shape)[0] if cube in side else np.zeros(shape, dtype=np.int32)
        sides.append(labels)
    return Fold(name, *sides)


def read_folds(project: Project, folder: Path, cube: str | None = None, only: Sequence[str] | None = None) -> list[Fold]:
    """Return the folds of a folder.

    They are files ``NAME_train.tif`` and ``NAME_test.tif`` of one cube or folders ``NAME_train`` and ``NAME_test`` of one file a cube, as `split` writes
    them; or a JSON file of the test cubes by fold, whose labels are those of the project.

    Parameters
    ----------
    cube : str, optional
        Whose the label files are; the project's only cube by default.
    only : sequence of str, optional
        Names of the folds to read; all by default.

    Raises
    ------
    LabelError
        When there are none, one side of a fold is missing, or it is not known whose they are.
    """
    names = sorted(path.name.removesuffix("_train.tif") for path in folder.glob("*_train.tif"))
    many = sorted(path.name.removesuffix("_train") for path in folder.glob("*_train") if path.is_dir())
    lists = sorted(path for path in folder.glob("*.json") if path.name != "split.json")
    if many and not names:
        sides = [(name, [{path.stem: path for path in sorted((folder / f"{name}_{role}").glob("*.tif"))} for role in ("train", "test")]) for name in many]
        return [fold_of(project, pair[0], pair[1], name) for name, pair in _chosen(sides, folder, only)]
    if names:
        if cube is None and len(project.entries) > 1:
            raise LabelError(f"{folder} holds folds of one cube, but the project has {len(project.entries)}; say whose they are with --cube NAME.")
        owner = cube or next(iter(project.entries), "")
        found = {name: (folder / f"{name}_train.tif", folder / f"{name}_test.tif") for name in names}
        for train, test in found.values():
            if not test.exists():
                raise LabelError(f"{test} is missing beside {train.name}; write both files of every fold, as `split` does.")
        folds = [(name, ({owner: train}, {owner: test})) for name, (train, test) in found.items()]
        return [fold_of(project, train, test, name) for name, (train, test) in _chosen(folds, folder, only)]
    if len(lists) != 1:
        raise LabelError(f"{folder} holds no fold, expected what `split` writes, or one JSON file of test cubes by fold; give another folder.")
    labels = {name: image for name in project.entries if (image := project.labels(name)) is not None and image.any()}
    chosen = _chosen([(name, [str(cube) for cube in cubes]) for name, cubes in read_json(lists[0]).items()], folder, only)
    return [_whole_cubes(name, cubes, labels, lists[0]) for name, cubes in chosen]


def _whole_cubes(name: str, cubes: list[str], labels: Labels, path: Path) -> Fold:
    strange = [cube for cube in cubes if cube not in labels]
    if strange:
        raise LabelError(f"{path}, fold {name}, tests on cube '{strange[0]}', which is not in the project or has no labels; add both.")
    return Fold(name, *({cube: np.where((cube in cubes) == tested, image, 0) for cube, image in labels.items()} for tested in (False, True)))


def _chosen(folds: list[tuple[str, Given]], folder: Path, only: Sequence[str] | None) -> list[tuple[str, Given]]:
    if only is None:
        return folds
    known = [name for name, _ in folds]
    strange = [name for name in only if name not in known]
    if strange:
        raise LabelError(f"{folder} has no fold '{strange[0]}', only {', '.join(known)}; check the name.")
    return [fold for fold in folds if fold[0] in only]
