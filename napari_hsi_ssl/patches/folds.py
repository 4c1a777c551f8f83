"""Folds of the labels of one or several images: train, test and, where asked for, validation, drawn as often as wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.config import SplitConfig
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.scores import class_numbers
from napari_hsi_ssl.patches.splits import Kind, at_most, deal, deal_pixels, distance_to, group_numbers, split_labels

Labels = dict[str, NDArray[np.int32]]
VALIDATION_PARTS: Final = 4
"""The validation labels are one part in so many of those that were left to train on."""
_KINDS: Final[dict[str, Kind]] = {"random": "random", "blocks": "blocks", "fields": "fields"}


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of the labels.

    Attributes
    ----------
    repeat, number : int
        Both from 1.
    train, test, validation : dict of str to int32 array (y, x)
        By image, in the class numbers of the labels; images without a labelled pixel in a part are left out of it. ``validation`` is
        empty where none was asked for.
    not_scored : dict of int to int
        Classes that the fold cannot score, since no pixel of theirs was left to train on, and how many of their pixels were taken
        out of the test.
    """

    repeat: int
    number: int
    train: Labels
    test: Labels
    validation: Labels = field(default_factory=dict)
    not_scored: dict[int, int] = field(default_factory=dict)

    def parts(self, image: str, shape: tuple[int, ...]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Return train, test and validation labels (y, x) of one image, zeros where a part has none."""
        nothing = np.zeros(shape, dtype=np.int32)
        return self.train.get(image, nothing), self.test.get(image, nothing), self.validation.get(image, nothing)


def make_folds(labels: Mapping[str, ArrayLike], config: SplitConfig) -> list[Fold]:
    """Divide labels as often as asked for.

    Without counts, a validation part or classes that cannot be scored, every labelled pixel is a test pixel once a repeat. Repeat r is
    drawn with seed ``config.seed + r - 1``. Blocks, fields and single pixels are dealt in each image by itself; counts a class go over all images.

    Parameters
    ----------
    labels : mapping of str to integer array (y, x)
        By image; 0 = unlabelled.
    config : SplitConfig

    Returns
    -------
    list of Fold
        Repeat by repeat.

    Raises
    ------
    LabelError
        With fewer than two classes or labelled pixels, too few blocks, fields or cubes, or a guard that leaves nothing to train,
        validate or test on.
    """
    truth = {name: class_numbers(image).astype(np.int32) for name, image in labels.items()}
    _check(truth)
    found = []
    for repeat in range(config.repeats):
        seed = config.seed + repeat
        for number, fold in enumerate(_whole(truth, config, seed) if config.kind == "cubes" else _within(truth, config, seed)):
            found.append(_finished(fold, config, (seed, number), _words(config, repeat, number)))
    return found


def in_one_place(labels: Mapping[str, ArrayLike], config: SplitConfig) -> list[int]:
    """Return the classes whose labelled pixels lie in a single block, field or cube, so that no fold can both train and test them."""
    if config.kind == "random":
        return []
    places: dict[int, int] = {}
    for image in labels.values():
        truth = class_numbers(image)
        groups = np.zeros(truth.shape, dtype=np.int64) if config.kind == "cubes" else group_numbers(truth, config.kind, config.block)
        for number in np.unique(truth[truth != 0]).tolist():
            places[number] = places.get(number, 0) + np.unique(groups[truth == number]).size
    return sorted(number for number, count in places.items() if count == 1)


def _check(truth: Mapping[str, NDArray[np.int32]]) -> None:
    for name, image in truth.items():
        if image.ndim != 2:
            raise LabelError(f"the labels {_called(name)}have shape {image.shape}, expected (y, x); use one label image.")
    flat = np.concatenate([image[image != 0] for image in truth.values()])
    if flat.size < 2:
        raise LabelError(f"the labels hold {flat.size} labelled pixel(s), expected at least one to train and one to test; label more.")
    classes = np.unique(flat)
    if classes.size < 2:
        raise LabelError(f"the labels hold one class ({classes[0]}), expected at least two to tell apart; label another class.")


def _called(name: str) -> str:
    return f"of '{name}' " if name else ""


def _words(config: SplitConfig, repeat: int, number: int) -> str:
    of_repeat = f" of repeat {repeat + 1}" if config.repeats > 1 else ""
    return f"fold {number + 1}{of_repeat}"


# -- parts of single images -------------------------------------------------------------------------------------------

_Parts = tuple[Labels, Labels, Labels]
"""Train, test and validation by image."""


def _within(truth: Labels, config: SplitConfig, seed: int) -> list[_Parts]:
    if config.drawn and config.share is None:
        return [_counted(truth, config, np.random.default_rng(seed))]
    folds: list[_Parts] = [({}, {}, {}) for _ in range(config.parts)]
    for name, image in truth.items():
        try:
            splits = split_labels(image, _KINDS[config.kind], block=config.block, guard=config.guard, folds=config.parts, share=config.share, seed=seed)
        except LabelError as error:
            raise LabelError(f"'{name}': {error}" if len(truth) > 1 else str(error)) from error
        for number, (fold, (learned, test)) in enumerate(zip(folds, splits, strict=True)):
            train, held = learned, np.zeros_like(learned)
            if config.validation:
                train, held = _held_out(learned, config, np.random.default_rng((seed, number)), f"fold {number + 1}")
            fold[0][name], fold[1][name], fold[2][name] = train, test, held
    return folds


def _counted(truth: Labels, config: SplitConfig, generator: np.random.Generator) -> _Parts:
    """Draw so many pixels a class over all images to train on, as many again to validate where asked for; the rest is the test."""
    flat = np.concatenate([image.ravel() for image in truth.values()])
    train, held = np.zeros_like(flat), np.zeros_like(flat)
    for number in np.unique(flat[flat != 0]):
        pixels = generator.permutation(np.flatnonzero(flat == number))
        # A class of two pixels or more has at least one on each side.
        learned = min(config.per_class or 1, max(1, pixels.size - 1 - (config.validation and pixels.size > 2)))
        train[pixels[:learned]] = number
        if config.validation:
            held[pixels[learned : learned + min(config.per_class or 1, max(0, pixels.size - learned - 1))]] = number
    test = np.where((train == 0) & (held == 0), flat, 0)
    ends = np.cumsum([image.size for image in truth.values()])[:-1]

    def by_image(part: NDArray[np.int32]) -> Labels:
        return {name: piece.reshape(image.shape) for (name, image), piece in zip(truth.items(), np.split(part, ends), strict=True)}

    return by_image(train), by_image(test), by_image(held)


def _held_out(train: NDArray[np.int32], config: SplitConfig, generator: np.random.Generator, words: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Take a validation part out of training labels (y, x); of the parts they fall into, the one that shares most classes with the rest."""
    if config.kind == "random":
        held = np.zeros_like(train)
        for number in np.unique(train[train != 0]):
            pixels = generator.permutation(np.flatnonzero(train == number))
            held.ravel()[pixels[: pixels.size // VALIDATION_PARTS or int(pixels.size > 1)]] = number
        return np.where(held == 0, train, 0).astype(np.int32), held
    groups = group_numbers(train, config.kind, config.block)
    count = min(VALIDATION_PARTS, np.unique(groups[train != 0]).size)
    none_left = LabelError(
        f"a guard of {config.guard} pixels leaves nothing to train on beside the validation part in {words}; use a smaller guard, smaller blocks or more folds."
    )
    if count < 2:
        raise none_left
    part = deal_pixels(train, groups, count, config.kind, generator)

    def divided(number: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        inside = part == number
        rest = np.where(~inside & (distance_to(inside) > config.guard), train, 0)
        return rest.astype(np.int32), np.where(inside, train, 0).astype(np.int32)

    best = max(map(divided, range(count)), key=_worth)
    if not best[0].any():
        raise none_left
    return best


def _worth(sides: tuple[NDArray[np.int32], NDArray[np.int32]]) -> tuple[int, int]:
    """Return how many classes both sides have, and how many pixels the smaller one counts for."""
    train, held = sides
    both = np.intersect1d(train[train != 0], held[held != 0]).size
    return both, int(min((train != 0).sum(), (VALIDATION_PARTS - 1) * (held != 0).sum()))


# -- whole images -----------------------------------------------------------------------------------------------------


def _whole(truth: Labels, config: SplitConfig, seed: int) -> list[_Parts]:
    names = [name for name, image in truth.items() if image.any()]
    if len(names) < config.parts:
        raise LabelError(f"{len(names)} label file(s) hold labels, expected at least one cube for each of {config.parts} folds; use fewer folds or more cubes.")
    dealt = deal(_table(truth, names), config.parts, np.random.default_rng(seed))
    folds: list[_Parts] = []
    for number in range(config.parts):
        test = [name for name, fold in zip(names, dealt, strict=True) if fold == number]
        train = [name for name in names if name not in test]
        held: list[str] = []
        if config.validation:
            if len(train) < 2:
                raise LabelError(f"fold {number + 1} has one cube to train on, so none can be held out for validation; use fewer folds or more cubes.")
            count = min(VALIDATION_PARTS, len(train))
            part = deal(_table(truth, train), count, np.random.default_rng((seed, number)))
            sides = [[name for name, where in zip(train, part, strict=True) if where == one] for one in range(count)]
            held = max(sides, key=partial(_shared_classes, truth, train))
            train = [name for name in train if name not in held]
        folds.append(({name: truth[name] for name in train}, {name: truth[name] for name in test}, {name: truth[name] for name in held}))
    return folds


def _table(truth: Labels, names: list[str]) -> NDArray[np.float64]:
    """Return the pixels of every cube and class."""
    numbers = np.unique(np.concatenate([np.unique(truth[name]) for name in names]))
    numbers = numbers[numbers != 0]
    return np.array([[(truth[name] == number).sum() for number in numbers] for name in names], dtype=np.float64)


def _shared_classes(truth: Labels, train: list[str], held: list[str]) -> int:
    sides = [{int(number) for name in names for number in np.unique(truth[name])} - {0} for names in (held, [name for name in train if name not in held])]
    return len(sides[0] & sides[1])


# -- what all kinds have in common --------------------------------------------------------------------------------------


def _finished(parts: _Parts, config: SplitConfig, key: tuple[int, int], words: str) -> Fold:
    """Draw the counts that were asked for, and take out of validation and test what was not trained on."""
    generator = np.random.default_rng((*key, 1))
    train, test, held = parts
    train = _drawn(train, config.per_class, generator)
    known = _classes(train)
    if not known:
        raise LabelError(f"{words} has no training pixel; use a smaller guard, larger blocks or fewer folds.")
    unknown = _classes(test) - known
    counts = {number: sum(int((image == number).sum()) for image in test.values()) for number in sorted(unknown)}
    only_known: Callable[[Labels], Labels] = partial(_only, known)
    test = _drawn(only_known(test), config.test_per_class, generator)
    held = _drawn(only_known(held), config.per_class, generator)
    remedy = "use a smaller guard, larger blocks or fewer folds"
    if not _classes(test):
        raise LabelError(f"no class of the test part of {words} has a training pixel, so nothing can be scored; {remedy}.")
    if config.validation and not _classes(held):
        raise LabelError(f"no class of the validation part of {words} has a training pixel, so nothing can be chosen by it; {remedy}.")
    return Fold(key[0] - config.seed + 1, key[1] + 1, _labelled(train), _labelled(test), _labelled(held), counts)


def _drawn(part: Labels, count: int | None, generator: np.random.Generator) -> Labels:
    if count is None or not part:
        return part
    kept = at_most(np.concatenate([image.ravel() for image in part.values()]), count, generator)
    pieces = np.split(kept, np.cumsum([image.size for image in part.values()])[:-1])
    return {name: piece.reshape(image.shape) for (name, image), piece in zip(part.items(), pieces, strict=True)}


def _only(known: set[int], part: Labels) -> Labels:
    return {name: np.where(np.isin(image, list(known)), image, 0).astype(np.int32) for name, image in part.items()}


def _classes(part: Labels) -> set[int]:
    return {int(number) for image in part.values() for number in np.unique(image)} - {0}


def _labelled(part: Labels) -> Labels:
    return {name: image for name, image in part.items() if image.any()}
