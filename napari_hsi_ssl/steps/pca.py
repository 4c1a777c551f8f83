"""Bring every domain to one band grid and fit one projection over all used pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ChainConfig, PcaConfig, digest
from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.explore.bilateral import denoise
from napari_hsi_ssl.explore.loadings import Components, components_of
from napari_hsi_ssl.explore.pca import Projection, Source, fit_projection, project_cube
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import CubeEntry, Project
from napari_hsi_ssl.steps.cubes import fingerprint


def fit_pca(project: Project, config: PcaConfig, *, current: bool = True) -> Steps[dict[str, Any]]:
    """Fit the projection, project every cube, and make it the project's current inlet.

    The inlet's folder is named by what it was made from, so a new PCA never spoils an older run. One that is not to be the ``current``
    inlet is made beside it, unless it is there already.
    """
    if not project.entries:
        raise ProjectError(f"project {project.folder.name} has no cubes yet; add some with `napari-hsi-ssl add`.")
    warnings: list[str] = []
    sources: list[Source] = []
    changed: list[CubeEntry] = []
    chain = project.chain
    for entry in project.entries.values():
        area = project.area(entry.name)
        if area.any():
            cube = project.prepared(entry.name, chain)
            now = fingerprint(entry.path, cube)
            if now["hash"] != (entry.fingerprint or {}).get("hash"):
                warnings.append(f"the file of cube '{entry.name}' has changed since it was added: what was made from it before is not used")
                yield Progress(message=warnings[-1], warning=True)
                changed.append(replace(entry, fingerprint=now))
            sources.append(Source(entry.name, entry.domain, cube, area))
        else:
            warnings.append(f"cube '{entry.name}' has an empty mask and is left out of the PCA")
            yield Progress(message=warnings[-1], warning=True)
    if changed:
        project.put(*changed)
    if not sources:
        raise ProjectError(f"project {project.folder.name}: every mask is empty, so no pixel is left for the PCA; make other masks first.")
    name = digest({"settings": config.model_dump(mode="json"), "cubes": [_made_from(project, source, chain) for source in sources]})
    folder = project.folder / "inlets" / name
    if not current and (folder / "pca.npz").exists() and all(files.is_whole_npy(folder / f"{source.name}.npy") for source in sources):
        return {"inlet": name, "warnings": warnings}
    for other in folder.parent.glob("*/"):
        files.sweep(other)  # nobody else may ever write there again
    fitting = fit_projection(sources, config)
    while True:
        try:
            progress = next(fitting)
        except StopIteration as stop:
            projection = stop.value
            break
        if progress.warning:
            warnings.append(progress.message)
        yield progress
    kept = True
    try:  # runs know it by its hash, and another fit may differ in the last bit
        projection = Projection.load(folder / "pca.npz")
    except ProjectError:
        kept = False
    for number, source in enumerate(sources):
        target = folder / f"{source.name}.npy"
        shape = (*source.cube.shape[:2], len(projection.components))
        if files.is_whole_npy(target, shape):
            continue
        with files.atomic_path(target) as temporary:
            scores = files.empty_npy(temporary, shape)
            for progress in project_cube(projection, source, out=scores):
                yield Progress(number + progress.done / max(progress.total, 1), len(sources), f"projecting {source.name}")
            if config.denoise:
                yield from _denoised(scores, projection, config.denoise, source.name)
            scores.flush()
            del scores
    if not kept:
        projection.save(folder / "pca.npz")
    if not current:
        return {"inlet": name, "warnings": warnings}
    explained = projection.explained
    report = {
        "inlet": name,
        "bands": len(projection.mean),
        "components": len(projection.components),
        "explained": explained.tolist(),
        "variance": projection.variance.tolist(),
        "pixels": int(sum(source.area.sum() for source in sources)),
        "cubes": [source.name for source in sources],
        "warnings": warnings,
    }
    project.note("pca", {"settings": config.model_dump(mode="json"), "chain": chain.model_dump(mode="json"), **report})
    project.inlet = name  # after its note, which would else be missing where this is interrupted (`Project.settled`)
    return report


def components(project: Project, cube: str | None = None) -> Components:
    """Return the scree of the current projection and its loadings on the bands of a cube, the first one by default."""
    projection = project.projection()
    name = cube or next(iter(project.entries))
    chain = ChainConfig.parse(project.settled("pca").get("chain", {}), "preprocessing.json")
    if chain.steps:  # its bands are those that the projection has seen
        prepared = project.prepared(name, chain)
        return components_of(projection, int(prepared.shape[2]), wavelengths(prepared))
    entry = project.entry(name)
    return components_of(projection, entry.shape[2], None if entry.wavelengths is None else np.asarray(entry.wavelengths, dtype=np.float64))


def component_images(project: Project, cube: str) -> tuple[NDArray[np.float32], str]:
    """Return the component images (k, y, x) of a cube in real units, NaN where not measured, and what they are called: "PC" or "MNF"."""
    projection = project.projection()
    images = np.moveaxis(np.asarray(project.scores(cube), dtype=np.float32) * projection.scale.astype(np.float32), -1, 0)
    return images, projection.word


def _made_from(project: Project, source: Source, chain: ChainConfig) -> dict[str, Any]:
    entry = project.entry(source.name)
    content = (entry.fingerprint or {}).get("hash")
    area = files.digest_bytes(np.packbits(source.area).tobytes())
    # What is not set is not named, so that the projections of older projects keep their names.
    prepared = {key: value for key, value in {"bad_bands": entry.bad_bands, "chain": chain.texts() or None}.items() if value is not None}
    return {"name": entry.name, "domain": entry.domain, "content": content, "calibration": entry.calibration, "area": area, **prepared}


def _denoised(scores: NDArray[np.float16], projection: Projection, radius: int, name: str) -> Steps[None]:
    """Filter stored scores (y, x, k) in place; rows are written once nobody above or below needs them as they were."""
    height = len(scores)
    waiting: tuple[slice, NDArray[np.float16]] | None = None
    for rows, values in denoise(scores, radius, projection.scale):
        if waiting is not None:
            scores[waiting[0]] = waiting[1]
        waiting = (rows, values.astype(np.float16))
        yield Progress(rows.stop, height, f"denoising {name}")
    if waiting is not None:
        scores[waiting[0]] = waiting[1]
