"""Divide the labels of a project: seen before it is done, kept in the project, and found again when a map is scored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.config import SplitConfig, digest, read_json
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import ConfigError, HsiError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.judge import score
from napari_hsi_ssl.steps.learned_from import in_words, learned_from
from napari_hsi_ssl.steps.splits import ROLES, write_folds
from napari_hsi_ssl.steps.train import read_training_labels

if TYPE_CHECKING:
    from napari_hsi_ssl.patches.folds import Fold

CODES: Final = {"train": 1, "test": 2, "validation": 3, "left out": 4}
"""Of the pixels in the pictures of a preview."""


@dataclass(frozen=True, eq=False)
class SplitPreview:
    """One fold of a split that is not made yet.

    Attributes
    ----------
    config : SplitConfig
    fold : Fold
    folds : int
        How many there are in all.
    pictures : dict of str to uint8 array (y, x)
        By cube: `CODES` of the labelled pixels, 0 elsewhere.
    counts : dict of str to int
        Pixels of every code, over all cubes.
    audit : dict
        Of train against test (`patches.audit`).
    one_place : list of int
        Classes that lie in a single block, field or cube.
    """

    config: SplitConfig
    fold: Fold
    folds: int
    pictures: dict[str, NDArray[np.uint8]]
    counts: dict[str, int]
    audit: dict[str, Any]
    one_place: list[int]


def preview_split(project: Project, config: SplitConfig, number: int = 1, window: int = 15) -> Steps[SplitPreview]:
    """Divide the project's labels without writing anything, and audit one fold.

    Parameters
    ----------
    number : int
        Of the fold, from 1, repeat by repeat; the last one where there are fewer.
    window : int
        Of the network that is to be trained; one that is larger than a cube sees all of it.
    """
    from napari_hsi_ssl.patches.audit import audit_cubes
    from napari_hsi_ssl.patches.folds import in_one_place, make_folds

    labels = read_training_labels(project, None)
    yield Progress(message="dividing the labels")
    folds = make_folds(labels, config)
    fold = folds[min(number, len(folds)) - 1]
    yield Progress(message="auditing the split")
    found = audit_cubes(fold.train, fold.test, min([window, *(min(image.shape) for image in fold.test.values())]))
    pictures = {}
    for cube, image in labels.items():
        picture = np.where(image != 0, CODES["left out"], 0).astype(np.uint8)
        for role, part in zip(ROLES, fold.parts(cube, image.shape), strict=True):
            picture[part != 0] = CODES[role]
        pictures[cube] = picture
    counts = {role: sum(int((picture == code).sum()) for picture in pictures.values()) for role, code in CODES.items()}
    return SplitPreview(config, fold, len(folds), pictures, counts, found, in_one_place(labels, config))


def split_project(project: Project, config: SplitConfig, number: int | None = None, out: Path | None = None) -> Steps[dict[str, Any]]:
    """Divide the project's labels within mask and crop, and write the folds.

    Parameters
    ----------
    number : int, optional
        Of the fold, from 1, repeat by repeat, that is to train from now on: it is noted in the project.
    out : Path, optional
        ``PROJECT/splits/KIND-HASH`` by default; the hash is of settings and labels.

    Returns
    -------
    dict
        As `steps.splits.split`, with ``folder`` and, where a fold was chosen, ``chosen``: its row.

    Raises
    ------
    ConfigError
        When there is no such fold.
    """
    labels = read_training_labels(project, None)
    known = project.classes
    content = {cube: files.digest_bytes(image.tobytes()) for cube, image in labels.items()}
    folder = out or project.folder / "splits" / f"{config.kind}-{digest([config.model_dump(mode='json'), content])}"
    several = config.parts * config.repeats
    if number is not None and not 1 <= number <= several:
        raise ConfigError(f"fold {number} is asked for, expected one of the {several} that these settings give; choose another.")
    report = yield from write_folds(labels, folder, config, dict(zip(known.numbers, known.names, strict=True)))
    report = {**report, "folder": str(folder)}
    if number is None:
        return report
    row = report["folds"][number - 1]
    chosen = {**row, **{role: _by_cube(row[role], labels) for role in ROLES if role in row}}
    noted = {role: {cube: project.relative(Path(path)) for cube, path in chosen[role].items()} for role in ROLES if role in chosen}
    trust.confirm(project.folder, [Path(path) for role in noted for path in chosen[role].values()])
    project.note("split", {"settings": config.model_dump(mode="json"), "number": number, **noted})
    return {**report, "chosen": chosen}


def chosen_split(project: Project) -> dict[str, dict[str, Path]]:
    """Return the label files of the fold that was chosen last, by role and cube; empty where none was, it was taken back, or files of it are gone."""
    noted = project.noted("split")
    found = {
        role: {str(cube): project.folder / path for cube, path in noted[role].items() if isinstance(path, str)}
        for role in ROLES
        if isinstance(noted.get(role), dict)
    }
    allowed = not trust.refused(project.folder, [path for part in found.values() for path in part.values()])  # the window asks about others
    whole = allowed and "train" in found and all(path.exists() and cube in project.entries for part in found.values() for cube, path in part.items())
    return found if whole else {}


def forget_split(project: Project) -> Steps[dict[str, Any]]:
    """Train on all labels again; the files of the split stay."""
    yield Progress(1, 1, "all labels")
    project.note("split", {})
    return {"split": None}


def held_out_labels(project: Project, map_path: Path, cube: str) -> Path | None:
    """Return the test labels of the split in the project whose training labels a map was learned from; None where there is none."""
    try:
        own = {name: image for name, image in learned_from(map_path).labels.items() if image.any()}
    except HsiError:
        return None
    for card in sorted((project.folder / "splits").glob("*/split.json")):
        for row in _rows(card):
            train, test = (_by_cube(row.get(role) or {}, [cube]) for role in ("train", "test"))
            if trust.refused(project.folder, [card.parent / path for path in (*train.values(), *test.values())]):
                continue
            if cube in test and train.keys() == own.keys() and all(_same(card.parent / path, own[name]) for name, path in train.items()):
                return card.parent / test[cube]
    return None


def score_held_out(project: Project, map_path: Path, cube: str, labels: Path) -> Steps[dict[str, Any]]:
    """Score a map of the project with the test labels of its split, or with others where it learned from no split.

    Returns
    -------
    dict
        As `steps.judge.score`, with ``path`` (of the map), ``labels`` (those it was scored with), ``of_split`` and ``worth``: what the
        accuracy is worth, in words.
    """
    yield Progress(message="looking for the labels it learned from")
    own = held_out_labels(project, map_path, cube)
    report = yield from score(map_path, own or labels)
    return {**report, "path": str(map_path), "labels": str(own or labels), "of_split": own is not None, "worth": in_words(report)}


def _rows(card: Path) -> list[dict[str, Any]]:
    """Return the folds that a split lists, those that name label files by text."""
    rows = read_json(card).get("folds")
    return [row for row in rows if isinstance(row, dict) and all(map(_are_names, map(row.get, ROLES)))] if isinstance(rows, list) else []


def _are_names(value: object) -> bool:
    return isinstance(value, str | None) or (isinstance(value, dict) and all(isinstance(name, str) for name in value.values()))


def _same(path: Path, labels: NDArray[np.int32]) -> bool:
    try:
        return bool(np.array_equal(read_labels(path, labels.shape)[0], labels))
    except HsiError:  # gone, or of a cube of another size
        return False


def _by_cube(given: str | dict[str, str], cubes: Iterable[str]) -> dict[str, str]:
    return given if isinstance(given, dict) else {next(iter(cubes)): given}
