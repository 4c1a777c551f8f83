"""Pin what a run is trained on: every input named by its path from the run folder and by its hash."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.config import ChainConfig, CubeInput, LabelInput, PcaConfig, TrunkConfig, read_json
from napari_hsi_ssl.errors import ConfigError, RunError
from napari_hsi_ssl.learning.carry import carried_trunk
from napari_hsi_ssl.mapping.pretrained import NAME as PRETRAINED
from napari_hsi_ssl.mapping.pretrained import stand_behind
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.bands import band_file, cameras
from napari_hsi_ssl.steps.pca import fit_pca


def relative(path: Path, start: Path) -> str:
    """Return a path from a folder on; an absolute one where there is none."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_posix()


def pin(field: str, path: Path, run: Path) -> dict[str, Any]:
    """Return the fields of `RunConfig` that name one file."""
    return {field: relative(path, run), f"{field}_sha256": files.file_hash(path)}


def need_scores(project: Project, names: list[str]) -> Steps[None]:
    """Fit a PCA where some cubes have no scores yet."""
    missing = project.inlet is None or any(not (project.inlet_folder() / f"{name}.npy").exists() for name in names)
    if missing:
        settings = project.noted("pca").get("settings", {})
        how = "with the settings of the last one" if settings else "with the defaults"
        yield Progress(message=f"no PCA of these cubes yet: fitting one {how}", warning=True)
        yield from fit_pca(project, PcaConfig.parse(settings, "preprocessing.json"))


def pin_scores(project: Project, names: list[str], run: Path) -> tuple[CubeInput, ...]:
    """Name the scores of some cubes, and keep their foreground in the run."""
    pinned = []
    for name in names:
        project.scores(name)  # says what to do when the cube came after the PCA
        scores = project.inlet_folder() / f"{name}.npy"
        mask = run / "inputs" / f"{name}.mask.tif"
        files.write_tiff(mask, project.area(name).astype(np.uint8) * 255)
        pinned.append(
            CubeInput(name=name, domain=project.entry(name).domain, path=relative(scores, run), sha256=files.file_hash(scores), mask=relative(mask, run))
        )
    return tuple(pinned)


def pin_bands(project: Project, cube: CubeInput, run: Path) -> CubeInput:
    """Keep all bands of a cube in the run, in place of its scores."""
    # The trainer reads its run folder alone, so a calibrated or hand-shaped cube reaches it as a plain array.
    path = run / "inputs" / f"{cube.name}.bands.npy"
    files.write_npy(path, np.asarray(project.prepared(cube.name).data, dtype=np.float32))
    entry = project.entry(cube.name)
    return cube.model_copy(
        update={"path": relative(path, run), "sha256": files.file_hash(path), "calibration": entry.calibration, "bad_bands": entry.bad_bands}
    )


def chain_of_scores(project: Project) -> ChainConfig:
    """Return how the spectra were prepared that the current projection was fitted on."""
    return ChainConfig.parse(project.settled("pca").get("chain", {}), f"{project.folder}/preprocessing.json")


def pin_labels(labels: Mapping[str, NDArray[np.int32]], role: str, run: Path) -> tuple[LabelInput, ...]:
    """Keep labels in the run."""
    pinned = []
    for cube, image in labels.items():
        path = run / "inputs" / f"{cube}.{role}.tif"
        files.write_tiff(path, image.astype(np.int32))
        pinned.append(LabelInput.parse({"cube": cube, "path": relative(path, run), "sha256": files.file_hash(path), "role": role}))
    return tuple(pinned)


def pin_learned(project: Project, cubes: tuple[CubeInput, ...], run: Path) -> Steps[dict[str, Any]]:
    """Return the fields of `RunConfig` for learned inlets: the cubes by their bands in place of their scores, and their cameras."""
    chain = chain_of_scores(project)
    found = cameras(project, [cube.name for cube in cubes], chain)
    by_name = {camera.name: camera for camera in found}
    pinned = []
    for cube in cubes:
        entry = project.entry(cube.name)
        path = yield from band_file(project, cube.name, by_name[entry.domain], chain, entry)
        changed = {"path": relative(path, run), "sha256": files.file_hash(path), "calibration": entry.calibration, "bad_bands": entry.bad_bands}
        pinned.append(cube.model_copy(update=changed))
    return {"cubes": tuple(pinned), "domains": found}


def check_learned(project: Project, names: list[str], background: str = "mean") -> None:
    """Say in one sentence why the inlets of some cubes cannot be learned, before anything is made.

    Raises
    ------
    ProjectError, ConfigError
    """
    if background == "zero":
        raise ConfigError("the patches have background 'zero', which no spectrum stands for; cut them with background 'mean' or 'keep' to learn the inlet.")
    if project.projection().scaling == "snv":
        raise ConfigError("a learned inlet cannot start as a PCA with scale 'snv', which is not linear; fit the PCA with scale 'standardise' or 'none'.")
    cameras(project, names, chain_of_scores(project))


def initial_model(project: Project, init: str | None) -> Path | None:
    """Return the finished model of a run that another one starts from.

    Parameters
    ----------
    init : str, optional
        A run of the project, the folder of one elsewhere, or ``pretrained``: the trunk in the box behind the project's own projection.

    Raises
    ------
    ProjectError, RunError
        When there is no such run, or it has no model yet.
    """
    if init is None:
        return None
    if init == PRETRAINED:
        return stand_behind(project.inlet_folder())
    elsewhere = RunFolder(Path(init).absolute())
    folder = elsewhere if ("/" in init or os.sep in init) and elsewhere.config_path.exists() else project.run_folder(init)
    if not folder.model_path.exists():
        raise RunError(f"run '{init}' has no model yet ({folder.model_path.name} is missing); wait for it to finish, or resume it.")
    trust.confirm(project.folder, [folder.model_path, folder.model_path.with_suffix(".json")])
    return folder.model_path


def check_initial(project: Project, model: Path, *, bands: int | None, learned: bool) -> TrunkConfig:
    """Return the trunk that a run starts with, or say why it does not fit, before anything is made.

    Parameters
    ----------
    bands : int, optional
        Of the cubes, where they are the input and not the components.
    learned : bool
        Whether the run learns its inlets.

    Raises
    ------
    RunError
        When the trunk was trained on something else.
    """
    path = project.inlet_folder() / "pca.npz"
    channels = len(project.projection().components) if bands is None else bands
    source = "pcs" if bands is None else "bands"
    where = f"run '{model.parent.name}'"
    theirs = read_json(model.with_suffix(".json"))
    return carried_trunk(theirs, channels=channels, source=source, inlet_sha256=files.file_hash(path), learned=learned, where=where)
