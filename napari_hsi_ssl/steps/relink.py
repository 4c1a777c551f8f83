"""Find cubes that have moved: by name and size first, by what they hold last, so that none is taken for another."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import HsiError, ProjectError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import CubeEntry, Project
from napari_hsi_ssl.steps.cubes import fingerprint


def relink(project: Project, folder: Path) -> Steps[dict[str, Any]]:
    """Look below a folder for the cubes of a project that are no longer where they were.

    A file is taken when it holds what the lost one held (size and sampled blocks, as noted when it was added); a file of the same
    name with other content is reported, and left alone.

    Returns
    -------
    dict
        ``found`` (name → new path), ``other`` (name → file of that name with other content), ``missing`` (names).

    Raises
    ------
    ProjectError
        When the folder is none.
    """
    if not folder.is_dir():
        raise ProjectError(f"{folder} is no folder; give the folder into which the cubes were moved.")
    unasked = set(project.outside())  # where nobody allowed to look, it is not asked whether a file is there
    lost = [entry for entry in project.entries.values() if entry.path in unasked or not entry.path.exists()]
    places: dict[str, list[Path]] = defaultdict(list)
    wanted = {entry.path.name for entry in lost}
    for number, path in enumerate(_below(folder)):
        if number % 1000 == 0:
            yield Progress(message=f"looking in {path.parent}")
        if path.name in wanted:
            places[path.name].append(path)
    found: dict[str, str] = {}
    other: dict[str, str] = {}
    for number, entry in enumerate(lost):
        yield Progress(number, len(lost), f"looking for {entry.name}")
        # Of several of that name the one whose folders agree with the old ones furthest up comes first.
        for path in sorted(places[entry.path.name], key=lambda path: -_shared(path, entry.path)):
            if _same(path, entry):
                project.put(replace(entry, path=path.absolute()))
                found[entry.name] = str(path.absolute())
                other.pop(entry.name, None)
                break
            other.setdefault(entry.name, str(path))
    missing = [entry.name for entry in lost if entry.name not in found]
    return {"found": found, "other": other, "missing": missing}


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (*names, *folders):  # some cubes are folders
            yield Path(parent) / name


def _shared(path: Path, old: Path) -> int:
    """Return how many folder names, from the file upwards, two paths share."""
    count = 0
    for ours, theirs in zip(reversed(path.parent.parts), reversed(old.parent.parts), strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def _same(path: Path, entry: CubeEntry) -> bool:
    raw = entry.raw or {}
    try:
        cube = read_cube(path, key=entry.key, shape=raw.get("shape"), order=raw.get("order", "C"))
        held = fingerprint(path, cube)["hash"]
    except (HsiError, OSError):
        return False
    return tuple(cube.shape) == entry.shape and held == (entry.fingerprint or {}).get("hash")
