"""Where the patches are: addresses into cubes, never copies of pixels."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files, limits
from napari_hsi_ssl.config import PatchConfig
from napari_hsi_ssl.errors import DAMAGE, ConfigError, ProjectError
from napari_hsi_ssl.patches.blocks import split_by_blocks

TRAIN, TEST = 0, 1
"""Codes of `PatchIndex.split`."""

_TYPES = {"cube": "<i4", "y": "<i4", "x": "<i4", "domain": "<i4", "split": "<u1", "coverage": "<f4"}


@dataclass(frozen=True)
class PatchSource:
    """A cube as the patches see it.

    Attributes
    ----------
    name, domain : str
    foreground : bool array (y, x)
        Whole frame; True where a pixel is used (mask and crop).
    """

    name: str
    domain: str
    foreground: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PatchIndex:
    """The addresses of all patches of a project.

    Attributes
    ----------
    cubes, domains : tuple of str
        Names that ``cube`` and ``domain`` point to.
    cube, y, x, domain : int32 array (n,)
        The patch covers rows ``y … y + size - 1`` and columns ``x … x + size - 1`` of its cube's whole frame.
    split : uint8 array (n,)
        0 = train, 1 = test (held out).
    coverage : float32 array (n,)
        Share of foreground in the window, in (0, 1].
    size : int
        Side of the window in pixels.
    notes : tuple of str
        What the user should know about the split, one sentence each.
    """

    cubes: tuple[str, ...]
    domains: tuple[str, ...]
    cube: NDArray[np.int32]
    y: NDArray[np.int32]
    x: NDArray[np.int32]
    domain: NDArray[np.int32]
    split: NDArray[np.uint8]
    coverage: NDArray[np.float32]
    size: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.cube.size

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of patches, ``{domain: {"train": n, "test": n}}``."""
        table = np.bincount(2 * self.domain + self.split, minlength=2 * len(self.domains)).reshape(-1, 2)
        return {name: {"train": int(train), "test": int(test)} for name, (train, test) in zip(self.domains, table, strict=True)}

    def subset(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> PatchIndex:
        """Return the index of the chosen patches only; names stay."""
        return replace(self, **{key: getattr(self, key)[rows] for key in _TYPES})

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that depend on names, size and addresses alone."""
        names = "\n".join((*self.cubes, "", *self.domains, "", str(self.size)))
        return files.digest_bytes(b"\0".join((names.encode(), *(getattr(self, key).astype(kind).tobytes() for key, kind in _TYPES.items()))))

    def save(self, path: Path) -> None:
        """Write the index as ``.npz``, atomically."""
        names = {key: np.array(getattr(self, key), dtype=np.str_) for key in ("cubes", "domains", "notes")}
        files.write_npz(path, size=np.array(self.size, dtype=np.int32), **names, **{key: getattr(self, key).astype(kind) for key, kind in _TYPES.items()})

    @classmethod
    def load(cls, path: Path) -> PatchIndex:
        """Read what `save` wrote.

        Raises
        ------
        ProjectError
            When the file is gone, is no patch index, or points outside its own names.
        """
        try:
            with limits.opened_npz(path) as content:
                names = {key: tuple(map(str, content[key])) for key in ("cubes", "domains", "notes")}
                arrays = {key: content[key].astype(kind) for key, kind in _TYPES.items()}
                size = int(content["size"])
        except DAMAGE as error:
            raise ProjectError(f"{path} is not a patch index ({error}); cut the patches again with `napari-hsi-ssl patches`.") from error
        index = cls(cubes=names["cubes"], domains=names["domains"], notes=names["notes"], size=size, **arrays)
        if not index._sound():
            raise ProjectError(f"{path} points outside its own cubes or domains, expected a whole patch index; cut the patches again.")
        return index

    def _sound(self) -> bool:
        """Say whether arrays fit each other and their names: a damaged file must not read other memory or other cubes."""
        arrays = [getattr(self, key) for key in _TYPES]
        if any(array.shape != (self.cube.size,) for array in arrays) or self.size < 1:
            return False
        limits = ((self.cube, len(self.cubes)), (self.domain, len(self.domains)), (self.split, 2))
        return all(not array.size or (array.min() >= 0 and array.max() < limit) for array, limit in limits) and bool((np.minimum(self.y, self.x) >= 0).all())


@dataclass(frozen=True)
class _Candidates:
    """The windows of one cube before the split."""

    source: PatchSource
    y: NDArray[np.int32]
    x: NDArray[np.int32]
    coverage: NDArray[np.float32]


def build_index(sources: Sequence[PatchSource], config: PatchConfig) -> tuple[PatchIndex, dict[str, str]]:
    """Cut windows on a regular grid over every cube, split them into train and test, and say what was left out.

    Parameters
    ----------
    sources : sequence of PatchSource
    config : PatchConfig
        ``background`` plays no part here: it says what training puts in place of background pixels.

    Returns
    -------
    index : PatchIndex
        In the order of ``sources``, then by row and column.
    left_out : dict of str
        Cube name → why it gave no patches.

    Raises
    ------
    ConfigError
        When no cube gives a patch, or a split by cube is asked of a domain with one usable cube.
    """
    left_out: dict[str, str] = {}
    usable: list[_Candidates] = []
    for source in sources:
        found = _windows(source, config)
        if isinstance(found, str):
            left_out[source.name] = found
        else:
            usable.append(found)
    members = Counter(found.source.domain for found in usable)
    usable = [found for found in usable if not _too_small_to_divide(found, members[found.source.domain], config, left_out)]
    if not usable:
        raise ConfigError(_nothing(sources, left_out))
    domains = tuple(dict.fromkeys(found.source.domain for found in usable))
    parts: list[dict[str, NDArray[np.generic]]] = []
    notes: list[str] = []
    for number, domain in enumerate(domains):
        inside = [(position, found) for position, found in enumerate(usable) if found.source.domain == domain]
        # A generator of its own for each domain: adding a domain does not shuffle the others.
        generator = np.random.default_rng([config.seed, zlib.crc32(domain.encode())])
        splits = _split_domain(domain, [found for _, found in inside], config, generator, notes)
        rows = []
        for (position, found), (kept, split) in zip(inside, splits, strict=True):
            same = np.full(kept.size, position, dtype=np.int32)
            rows.append({"cube": same, "y": found.y[kept], "x": found.x[kept], "split": split, "coverage": found.coverage[kept]})
        part: dict[str, NDArray[np.generic]] = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        part["domain"] = np.full(part["cube"].size, number, dtype=np.int32)
        if config.per_domain is not None and part["cube"].size > config.per_domain:
            chosen = _stratified(np.asarray(part["split"]), np.asarray(part["cube"]), config.per_domain, generator)
            part = {key: values[chosen] for key, values in part.items()}
        parts.append(part)
    merged = {key: np.concatenate([part[key] for part in parts]).astype(kind) for key, kind in _TYPES.items()}
    order = np.lexsort((merged["x"], merged["y"], merged["cube"]))
    arrays = {key: values[order] for key, values in merged.items()}
    index = PatchIndex(tuple(found.source.name for found in usable), domains, size=config.size, notes=tuple(notes), **arrays)
    return index, left_out


def foreground_in_windows(foreground: NDArray[np.bool_], size: int, step: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """Return the grid of windows over a frame: rows (a,) and columns (b,) of their corners, and the foreground pixels (a, b) in each."""
    height, width = foreground.shape
    sums = np.zeros((height + 1, width + 1), dtype=np.int64)
    sums[1:, 1:] = foreground.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    ys, xs = np.arange(0, height - size + 1, step), np.arange(0, width - size + 1, step)
    below, right = ys[:, None] + size, xs + size
    return ys, xs, sums[below, right] - sums[ys[:, None], right] - sums[below, xs] + sums[ys[:, None], xs]


def least_foreground(config: PatchConfig) -> float:
    """Return how many foreground pixels a window must hold.

    Compared as counts, so that a coverage of 0.3 does not hang on a rounding; a window of background alone is never a patch.
    """
    return max(1.0, config.coverage * config.size**2 - 1e-6)


def _windows(source: PatchSource, config: PatchConfig) -> _Candidates | str:
    """Return the windows with enough foreground, or why there are none."""
    size, (height, width) = config.size, source.foreground.shape
    if min(height, width) < size:
        return f"its frame of {height}×{width} pixels is smaller than the window of {size}×{size}; use a smaller --size"
    if not source.foreground.any():
        return "its mask is empty; draw or compute it again"
    ys, xs, inside = foreground_in_windows(source.foreground, size, config.step)
    enough = inside >= least_foreground(config)
    if not enough.any():
        best = inside.max() / size**2
        return f"no window of {size}×{size} has {config.coverage:.0%} foreground (the best has {best:.0%}); lower --coverage or --size"
    row, column = np.nonzero(enough)
    return _Candidates(source, ys[row].astype(np.int32), xs[column].astype(np.int32), (inside[enough] / size**2).astype(np.float32))


def _by_cube(members: int, config: PatchConfig) -> bool:
    """Whether a domain of so many usable cubes is split by whole cube."""
    return config.split == "cube" or (config.split == "auto" and members > 1)


def _too_small_to_divide(found: _Candidates, members: int, config: PatchConfig, left_out: dict[str, str]) -> bool:
    """Whether a cube that is split by blocks has no room for two windows beside each other; says so in ``left_out``."""
    height, width = found.source.foreground.shape
    if _by_cube(members, config) or min(height, width) >= 2 * config.size:
        return False
    side = config.size
    left_out[found.source.name] = (
        f"its frame of {height}×{width} pixels is too small to hold training and test windows of {side}×{side} beside each other; use a smaller --size"
    )
    return True


def _nothing(sources: Sequence[PatchSource], left_out: dict[str, str]) -> str:
    if not sources:
        return "there are no cubes to cut patches from; add some first."
    if all("mask is empty" in why for why in left_out.values()):
        cubes = "', '".join(left_out)
        return f"the mask of cube '{cubes}' is empty, expected foreground pixels to cut patches from; draw or compute it again."
    return f"no cube gives a patch: {'; '.join(f'{cube}: {why}' for cube, why in list(left_out.items())[:3])}."


_Split = tuple[NDArray[np.intp], NDArray[np.uint8]]


def _split_domain(domain: str, members: list[_Candidates], config: PatchConfig, generator: np.random.Generator, notes: list[str]) -> list[_Split]:
    """Return the windows of each cube of a domain that stay, and their splits."""
    whole = _by_cube(len(members), config)
    if whole and len(members) < 2:
        only = members[0].source.name
        raise ConfigError(f"domain '{domain}' has one usable cube ('{only}'), expected two or more to split by cube; use --split blocks, or auto.")
    if whole:
        count = min(max(1, round(config.test_share * len(members))), len(members) - 1)
        # Drawn over sorted names, so that the order in which cubes were added plays no part.
        held_out = set(generator.permutation(sorted(found.source.name for found in members))[:count].tolist())
        return [(np.arange(m.y.size), np.full(m.y.size, TEST if m.source.name in held_out else TRAIN, dtype=np.uint8)) for m in members]
    splits = []
    for found in sorted(members, key=lambda found: found.source.name):
        splits.append((found.source.name, split_by_blocks(found.source.foreground, found.y, found.x, config, generator)))
    by_name = dict(splits)
    alone = [name for name, split in splits if split is None]
    if alone:
        guard = f" with a guard of {config.guard}" if config.guard else ""
        listed, side = "', '".join(alone), config.size
        ending = "" if len(alone) < len(members) else f", and domain '{domain}' has no test patches"
        notes.append(f"cube '{listed}' has no room for train and test windows of {side}×{side} that share no pixel{guard}: all its patches are train{ending}.")
    return [by_name[m.source.name] or (np.arange(m.y.size), np.full(m.y.size, TRAIN, dtype=np.uint8)) for m in members]


def _stratified(split: NDArray[np.generic], cube: NDArray[np.generic], total: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Draw ``total`` rows at random so that splits and cubes keep their shares; both splits stay where there is room for both."""
    chosen = []
    codes, sizes = np.unique(split, return_counts=True)
    for code, quota in zip(codes, _shares(sizes, total, least=1 if total >= codes.size else 0), strict=True):
        rows = np.flatnonzero(split == code)
        _, members = np.unique(cube[rows], return_counts=True)
        by_cube = np.split(rows[np.argsort(cube[rows], kind="stable")], np.cumsum(members)[:-1])
        chosen += [generator.choice(each, int(part), replace=False) for each, part in zip(by_cube, _shares(members, int(quota)), strict=True)]
    return np.sort(np.concatenate(chosen))


def _shares(sizes: NDArray[np.integer], total: int, least: int = 0) -> NDArray[np.int64]:
    """Share ``total`` out in proportion to ``sizes`` by largest remainders, at least ``least`` each."""
    exact = total * sizes / sizes.sum()
    quota: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    quota[np.argsort(quota - exact, kind="stable")[: total - int(quota.sum())]] += 1
    while quota.min() < least:
        quota[quota.argmin()] += 1
        quota[quota.argmax()] -= 1
    return quota
