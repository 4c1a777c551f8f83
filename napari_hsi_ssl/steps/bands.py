"""The bands of every camera for inlets that are learned: one array a cube, memory-mapped by trainers and maps, shared by all runs.

They lie in the project as ``bands/HASH/NAME.npy``, (y, x, B) float32 of the used bands of the prepared cube, NaN where not measured, and are
named by what they were made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ChainConfig, DomainInput, digest
from napari_hsi_ssl.cubes.cube import row_blocks, valid_pixels, wavelengths
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import CubeEntry, Project
from napari_hsi_ssl.runs.folder import RunFolder

_SAME_NM = 1.0


def cameras(project: Project, names: Sequence[str], chain: ChainConfig) -> tuple[DomainInput, ...]:
    """Return the domains of some cubes with the bands that are good in all cubes of each.

    Raises
    ------
    ProjectError
        When cubes of one domain are of different cameras, or share no good band.
    """
    found: dict[str, tuple[str, DomainInput]] = {}
    for name in names:
        domain, cube = project.entry(name).domain, project.prepared(name, chain)
        centres = wavelengths(cube)
        here = DomainInput(
            name=domain,
            bands=int(cube.shape[2]),
            used=tuple(np.flatnonzero(band_use(cube)).tolist()),
            wavelengths=None if centres is None else tuple(centres.tolist()),
        )
        first, there = found.setdefault(domain, (name, here))
        if there.bands != here.bands or not _same_wavelengths(there, here):
            raise ProjectError(
                f"cubes '{first}' ({_words(there)}) and '{name}' ({_words(here)}) are of one domain, '{domain}', but of different cameras, "
                "and a domain learns one inlet; give them domains of their own."
            )
        used = tuple(sorted(set(there.used) & set(here.used)))
        if len(used) < 2:
            raise ProjectError(f"the cubes of domain '{domain}' share {len(used)} good band(s), expected at least 2; choose fewer bad bands.")
        found[domain] = (first, there.model_copy(update={"used": used}))
    return tuple(found[domain][1] for domain in sorted(found))


def _same_wavelengths(one: DomainInput, other: DomainInput) -> bool:
    if one.wavelengths is None or other.wavelengths is None:
        return one.wavelengths is other.wavelengths
    return bool(np.abs(np.subtract(one.wavelengths, other.wavelengths)).max() <= _SAME_NM)


def _words(domain: DomainInput) -> str:
    where = "no wavelengths" if domain.wavelengths is None else f"{min(domain.wavelengths):.0f}–{max(domain.wavelengths):.0f} nm"
    return f"{domain.bands} bands, {where}"


def band_file(project: Project, name: str, camera: DomainInput, chain: ChainConfig, entry: CubeEntry) -> Steps[Path]:
    """Return the file of a cube's bands, made now where it is not there yet.

    Raises
    ------
    ProjectError
        When the cube has other bands than its domain's camera.
    """
    cube = project.prepared(name, chain, entry)
    height, width, bands = cube.shape
    if bands != camera.bands:
        raise ProjectError(f"cube '{name}' has {bands} bands, but the inlet of its domain '{camera.name}' was trained on {camera.bands}; check its domain.")
    content = (entry.fingerprint or {}).get("hash")
    made_from = {"content": content, "calibration": entry.calibration, "bad_bands": entry.bad_bands, "chain": chain.texts(), "used": camera.used}
    path = project.folder / "bands" / digest(made_from) / f"{name}.npy"
    if not path.exists():
        used = list(camera.used)
        with files.atomic_path(path) as temporary:
            out = open_memmap(temporary, mode="w+", dtype=np.float32, shape=(height, width, len(used)))
            for rows, block in row_blocks(cube):
                values = np.asarray(block[..., used], dtype=np.float32)
                values[~valid_pixels(values, cube.attrs.get("nodata"))] = np.nan
                out[rows] = values
                yield Progress(rows.stop, height, f"bands of {name}")
            out.flush()
            del out
    return path


def inputs_of(project: Project, folder: RunFolder, name: str) -> Steps[dict[str, Any]]:
    """Return what a computation with a run must know of a cube: its ``scores``, or its ``bands`` and ``domain`` where the inlets are learned.

    Raises
    ------
    ProjectError
        When the cube came after the run's projection, or its domain has no inlet in the run.
    """
    config = folder.config
    if not config.domains:
        inlet = folder.resolve(config.inlet or "").parent
        project.scores(name, inlet.name)  # says what to do when the cube came after the PCA of this run
        return {"name": name, "scores": str(inlet / f"{name}.npy")}
    entry = as_learnt(project, folder, name)
    camera = next((camera for camera in config.domains if camera.name == entry.domain), None)
    if camera is None:
        known = ", ".join(camera.name for camera in config.domains)
        raise ProjectError(
            f"cube '{name}' is of domain '{entry.domain}', for which run '{folder.name}' has no inlet, only for {known}; train one that starts from it: "
            f"`pretrain --init {folder.name} --inlet learned`, or `distil` with the same options."
        )
    path = yield from band_file(project, name, camera, config.chain, entry)
    return {"name": name, "bands": str(path), "domain": camera.name}


def as_learnt(project: Project, folder: RunFolder, cube: str) -> CubeEntry:
    """Return a cube with the bad bands that a run learnt it with; with those of now where the run has not seen it."""
    entry = project.entry(cube)
    return next((replace(entry, bad_bands=seen.bad_bands) for seen in folder.config.cubes if seen.name == cube), entry)
