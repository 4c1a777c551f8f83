"""Find the foreground of cubes: by a rule, or as drawn in the window. A mask never touches the cube."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_hsi_ssl import files
from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.errors import ConfigError, HsiError, ProjectError
from napari_hsi_ssl.explore.clusters import Clusters, fit_clusters
from napari_hsi_ssl.explore.masks import Mask, combine, find_mask, verdict
from napari_hsi_ssl.explore.match import on_bands
from napari_hsi_ssl.explore.regions import pixel_spectra
from napari_hsi_ssl.explore.thumbnails import CheckedMask, doubts, packed, sheet_picture, thumbnail, with_mask
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project


def preview_mask(project: Project, cube: str, config: MaskConfig, clusters: Clusters | None = None) -> Steps[Mask]:
    """Return the mask (y, x) that a rule gives, without saving it or looking at the one that is there."""
    yield Progress(0, 1, f"mask of {cube}")
    references = given = pc1 = None
    if config.method == "angle":
        references = reference_spectra(project, cube, config)
    elif config.method == "kmeans" and clusters is None and config.reference is not None:
        clusters = yield from cluster_centres(project, config.reference, config)
    elif config.method in {"labels", "saved", "file"}:
        given = _given(project, cube, config)
    elif config.method in {"otsu", "threshold"} and config.source == "pc1":
        pc1 = np.asarray(project.scores(cube)[..., 0], dtype=np.float32)
    opened, area = project.cube(cube), frame(project, cube)
    return (yield from find_mask(opened, config, area, pc1, references=references, clusters=clusters, given=given))


def frame(project: Project, cube: str) -> Mask:
    """Return which pixels (y, x) of a cube lie in its crop."""
    entry = project.entry(cube)
    height, width, _ = entry.shape
    y0, x0, y1, x1 = entry.crop or (0, 0, height, width)
    inside = np.zeros((height, width), dtype=bool)
    inside[y0:y1, x0:x1] = True
    return inside


def reference_spectra(project: Project, cube: str, config: MaskConfig) -> NDArray[np.float64]:
    """Return the spectra (n, band) that pixels of a cube are compared with, on the cube's bands.

    They are those of the pixels ``at`` of the cube itself, or of ``reference``; there they are brought to the cube's wavelengths.

    Raises
    ------
    ConfigError
        When a pixel is not there, or the two cubes have other bands and no wavelengths to match them by.
    """
    source = config.reference or cube
    measured = project.cube(source)
    spectra = pixel_spectra(measured, config.at)
    if source == cube:
        return spectra
    own, other = wavelengths(project.cube(cube)), wavelengths(measured)
    bands = project.entry(cube).shape[2]
    if own is not None and other is not None and not (len(own) == len(other) and np.allclose(own, other, atol=0.5)):
        matched = on_bands(spectra, other, own)
        if np.isfinite(matched).all(axis=0).sum() < 3:
            raise ConfigError(
                f"mask of {cube}: the reference cube '{source}' covers {other.min():.0f}–{other.max():.0f} nm and '{cube}' {own.min():.0f}–{own.max():.0f} nm, "
                "expected at least 3 bands in common; pick a pixel of a cube of these wavelengths."
            )
        return matched
    if spectra.shape[1] != bands:
        raise ConfigError(
            f"mask of {cube}: it has {bands} bands and the reference cube '{source}' {spectra.shape[1]}, and not both have wavelengths; "
            "pick a pixel of a cube with the same bands."
        )
    return spectra


def cluster_centres(project: Project, cube: str, config: MaskConfig) -> Steps[Clusters]:
    """Return the clusters of a cube within its crop."""
    return (yield from fit_clusters(project.cube(cube), config.clusters, features=config.features, area=frame(project, cube), seed=config.seed))


def _given(project: Project, cube: str, config: MaskConfig) -> Mask:
    """Return the mask (y, x) that a rule points at: labels, the saved mask, or a file."""
    shape = project.entry(cube).shape[:2]
    if config.method == "saved":
        mask = project.mask(cube)
        if mask is None:
            raise ProjectError(f"cube '{cube}' has no saved mask, expected one for method 'saved'; make it with `napari-hsi-ssl mask {project.folder}`.")
        return mask
    if config.method == "labels":
        labels = project.labels(cube)
        if labels is None:
            raise ProjectError(f"cube '{cube}' has no labels, expected some for method 'labels'; give them with `napari-hsi-ssl labels {project.folder}`.")
        missing = sorted(set(config.classes) - set(np.unique(labels).tolist()))
        if missing:
            found = ", ".join(str(number) for number in np.unique(labels) if number) or "none"
            raise ConfigError(f"mask of {cube}: its labels hold no class {missing[0]}, only {found}; give one of these.")
        return np.asarray(np.isin(labels, config.classes) if config.classes else labels != 0)
    if config.file is None:
        raise ConfigError(f"mask of {cube}: method 'file' has no file, expected a mask or polygons; give --from FILE.")
    path = Path(config.file)
    if path.is_dir():
        found_files = sorted(found for found in path.iterdir() if found.stem == cube and found.suffix.lower() != ".hdr")
        if not found_files:
            raise ConfigError(f"mask of {cube}: folder {path} holds no file named '{cube}' with an ending, expected one a cube; rename it or give --cube.")
        path = found_files[0]
    return np.asarray(read_labels(path, shape)[0] != 0)


def combined_mask(project: Project, cube: str, config: MaskConfig, clusters: Clusters | None = None) -> Steps[Mask]:
    """Return what becomes of a cube's saved mask (y, x) by a rule, without saving it."""
    new = yield from preview_mask(project, cube, config, clusters)
    old = None if config.combine == "replace" else project.mask(cube)  # a damaged one can be replaced
    return combine(old, new, config.combine, frame(project, cube))


def make_masks(project: Project, config: MaskConfig, cubes: Sequence[str] | None = None, sheet: Path | None = None) -> Steps[dict[str, Any]]:
    """Find and save the masks of some cubes, or of all.

    A mask that would be lost to an empty one or to one of everything is kept beside, in ``masks/before``.

    Parameters
    ----------
    sheet : Path, optional
        A PNG with thumbnails of all of them to look through.
    """
    names = _names(project, cubes)
    report: dict[str, Any] = {}
    seen: list[CheckedMask] = []
    clusters = yield from _shared_clusters(project, config)
    for number, name in enumerate(names):
        yield Progress(number, len(names), f"mask of {name}")
        mask = yield from _part(combined_mask(project, name, config, clusters), number, len(names))
        wrong = verdict(mask, frame(project, name), f"cube '{name}'")
        if wrong and not (config.method == "all" and mask.any()):
            kept = _keep(project, name, mask)
            yield Progress(number, len(names), wrong + (f"; the mask before it is kept in {kept}" if kept else ""), warning=True)
        report[name] = save_mask(project, name, mask)
        if sheet is not None:
            seen.append(_checked(project, name, mask))
    project.note("mask", {"settings": config.model_dump(mode="json"), "cubes": names})
    result: dict[str, Any] = {"cubes": report, "settings": config.model_dump(mode="json")}
    if sheet is not None:
        judged = judge(seen)
        write_sheet(sheet, judged)
        result["sheet"] = str(sheet)
        result["doubtful"] = {one.cube: one.doubt for one in judged if one.doubt}
    return result


def check_masks(project: Project, config: MaskConfig, cubes: Sequence[str] | None = None) -> Steps[list[CheckedMask]]:
    """Find the masks of some cubes, or of all, without saving any, as thumbnails to look through.

    Each finished one travels as ``data["checked"]`` of a `Progress`; a cube whose mask cannot be found travels as ``data["failed"]``,
    a pair of its name and the sentence why, and the others go on.
    """
    names = _names(project, cubes)
    seen: list[CheckedMask] = []
    clusters = yield from _shared_clusters(project, config)
    for number, name in enumerate(names):
        yield Progress(number, len(names), f"mask of {name}")
        try:
            mask = yield from _part(combined_mask(project, name, config, clusters), number, len(names))
            seen.append(_checked(project, name, mask))
        except HsiError as error:
            yield Progress(number + 1, len(names), f"mask of {name}", data={"failed": (name, str(error))})
            continue
        yield Progress(number + 1, len(names), f"mask of {name}", data={"checked": seen[-1]})
    return judge(seen)


def save_checked(project: Project, config: MaskConfig, chosen: Sequence[CheckedMask]) -> Steps[dict[str, Any]]:
    """Save masks that were looked through."""
    report: dict[str, Any] = {}
    for number, one in enumerate(chosen):
        yield Progress(number, len(chosen), f"mask of {one.cube}")
        mask = one.mask
        if one.share in {0.0, 1.0}:
            _keep(project, one.cube, mask)
        report[one.cube] = save_mask(project, one.cube, mask)
    project.note("mask", {"settings": config.model_dump(mode="json"), "cubes": [one.cube for one in chosen]})
    return {"cubes": report, "settings": config.model_dump(mode="json")}


def judge(seen: Sequence[CheckedMask]) -> list[CheckedMask]:
    """Return masks with what looks wrong about each beside the others."""
    return [replace(one, doubt=doubt) for one, doubt in zip(seen, doubts([one.share for one in seen]), strict=True)]


def write_sheet(path: Path, checked: Sequence[CheckedMask]) -> None:
    """Write thumbnails on one PNG."""
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--sheet is {path}, expected a file ending in .png; rename it.")
    stream = io.BytesIO()
    Image.fromarray(sheet_picture(checked)).save(stream, format="PNG")
    files.write_bytes(path, stream.getvalue())


def _part(steps: Steps[Mask], number: int, count: int) -> Steps[Mask]:
    """Run one of several computations, so that the bar goes once from left to right."""
    try:
        while True:
            progress = next(steps)
            share = min(1.0, progress.done / progress.total) if progress.total else 0.0
            yield replace(progress, done=number + share, total=count)
    except StopIteration as stop:
        mask: Mask = stop.value
        return mask
    finally:
        steps.close()


def _names(project: Project, cubes: Sequence[str] | None) -> list[str]:
    names = list(cubes or project.entries)
    if not names:
        raise ProjectError(f"project {project.folder.name} has no cubes yet; add some with `napari-hsi-ssl add`.")
    for name in names:
        project.entry(name)
    return names


def _shared_clusters(project: Project, config: MaskConfig) -> Steps[Clusters | None]:
    """Return the clusters of the reference cube, found once for all cubes."""
    if config.method == "kmeans" and config.reference is not None:
        return (yield from cluster_centres(project, config.reference, config))
    return None


def _checked(project: Project, name: str, mask: Mask) -> CheckedMask:
    area = frame(project, name)
    height, width = mask.shape
    return CheckedMask(name, with_mask(thumbnail(project.cube(name)), mask), float(mask[area].mean()), packed(mask), (height, width))


def _keep(project: Project, name: str, mask: Mask) -> str:
    """Keep the saved mask beside the new one when it differs; return where, or ""."""
    old = project.mask(name)
    if old is None or np.array_equal(old, mask) or not old.any():
        return ""
    path = project.mask_path(name).parent / "before" / f"{name}.tif"
    files.write_tiff(path, old.astype(np.uint8) * 255)
    return project.relative(path)


def save_mask(project: Project, cube: str, mask: Mask) -> dict[str, Any]:
    """Save a drawn or computed mask (y, x) and say how much it covers."""
    project.save_mask(cube, mask)
    return {"pixels": int(mask.sum()), "share": float(mask.mean())}
