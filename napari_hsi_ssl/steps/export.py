"""Hand a map, a cube or a run to other programs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.cubes import places
from napari_hsi_ssl.cubes.cube import ClassMap
from napari_hsi_ssl.cubes.cube_writers import FORMATS, cube_steps
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.cubes.writers import load_map, write_areas_csv, write_envi_classification, write_geotiff, write_png
from napari_hsi_ssl.errors import ConfigError, CubeError, ProjectError, RunError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder

_MAP_FORMATS = {".hdr": "ENVI classification", ".tif": "GeoTIFF", ".tiff": "GeoTIFF", ".png": "PNG with legend", ".csv": "areas"}


def export(source: Path, to: Path, key: str | None = None) -> Steps[dict[str, Any]]:
    """Write a map, a cube or a run for other programs, by the ending of ``to``.

    A map becomes an ENVI classification (.hdr), GeoTIFF (.tif), PNG with legend or CSV of areas; a cube ENVI (.hdr), GeoTIFF (.tif)
    or Zarr (.zarr), block by block; a run .safetensors with its card.

    Raises
    ------
    ConfigError
        When there is no such source, or the ending of ``to`` does not go with it.
    """
    if not source.exists():
        raise ConfigError(f"{source} does not exist, expected a map (.tif), a cube or the folder of a run; check the path.")
    yield Progress(0, 1, f"exporting {source.name}")
    if (source / "config.json").exists():
        _export_run(RunFolder(source), to)
    elif source.suffix == ".tif" and source.with_suffix(".json").exists():
        _export_map(source, to)
    else:
        if to.suffix.lower() not in FORMATS:
            formats = ", ".join(f"{suffix} ({name})" for suffix, name in FORMATS.items() if suffix != ".tiff")
            raise ConfigError(f"--to is {to.name}, but a cube is exported as one of {formats}; choose one of these endings.")
        yield from cube_steps(to, read_cube(source, key=key))
    yield Progress(1, 1, f"{to.name} written")
    return {"source": str(source), "to": str(to)}


def place_of(source: Path, found: ClassMap) -> tuple[places.GeoTags | None, str | None]:
    """Return the place on the earth of the cube that a map of a project was made of, for GeoTIFF and for ENVI."""
    folder = source.absolute().parent.parent
    if not (folder / "project.json").exists():
        return None, None
    try:
        project = Project.open(folder)
        entry = project.entry(str(found.provenance.get("cube")))
        attrs = project.raw(entry.name).attrs if not entry.raw else {}
    except (CubeError, ProjectError):
        return None, None  # the map is whole without its cube
    tags, map_info = attrs.get("geotags"), attrs.get("map_info")
    return tags or places.geotags(map_info), map_info or places.map_info(tags)


def _export_map(source: Path, to: Path) -> None:
    found = load_map(source)
    tags, map_info = place_of(source, found)
    if to.suffix == ".hdr":
        write_envi_classification(to, found.labels, found.classes, map_info)
    elif to.suffix in {".tif", ".tiff"}:
        write_geotiff(to, found, tags)
    elif to.suffix == ".png":
        write_png(to, found.labels, found.classes)
    elif to.suffix == ".csv":
        write_areas_csv(to, found)
    else:
        formats = ", ".join(f"{suffix} ({name})" for suffix, name in _MAP_FORMATS.items())
        raise ConfigError(f"--to is {to.name}, but a map is exported as one of {formats}; choose one of these endings.")


def _export_run(run: RunFolder, to: Path) -> None:
    if not run.model_path.exists():
        raise RunError(f"run '{run.name}' has no model yet; wait for it to finish, or resume it.")
    if to.suffix != ".safetensors":
        raise ConfigError(f"--to is {to.name}, but a run is exported as weights; choose a name that ends in .safetensors.")
    card = run.path / "model.json"
    for part in (run.model_path, card):
        if not trust.lies_in(part, run.path):
            raise RunError(f"{part} is a link that leads out of the run's folder, so it is not exported; put the file itself there.")
    with files.atomic_paths(to, to.with_suffix(".json")) as (weights, beside):
        shutil.copyfile(run.model_path, weights)
        shutil.copyfile(card, beside)
