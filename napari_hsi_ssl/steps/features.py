"""What pixels are classified by, under one name.

``spectra``; ``training-free``; ``pretrained``, the trunk that comes with the program; a pretraining run's name; or ``RUN+training-free``, both side by
side, where ``pretrained`` may take the place of a run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.sources import band_use
from napari_hsi_ssl.mapping.pretrained import NAME as PRETRAINED
from napari_hsi_ssl.mapping.pretrained import stand_behind
from napari_hsi_ssl.mapping.raw import NAME as SPECTRA
from napari_hsi_ssl.mapping.raw import Spectra
from napari_hsi_ssl.mapping.training_free import NAME as TRAINING_FREE
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.steps.bands import inputs_of
from napari_hsi_ssl.steps.evaluate import need_model
from napari_hsi_ssl.steps.training_free import embeddings, training_free_inlet

if TYPE_CHECKING:
    from napari_hsi_ssl.mapping.maps import Embedding

Areas = Mapping[str, NDArray[np.bool_]]


def beside(run: str) -> str:
    """Return the name of a run's features beside the training-free ones."""
    return f"{run}+{TRAINING_FREE}"


RESERVED = frozenset({SPECTRA, TRAINING_FREE, PRETRAINED})
"""What no run can be called."""


def run_of(name: str) -> str:
    """Return the run of the project whose network a name asks for; "" when none is needed."""
    run = name.removesuffix(f"+{TRAINING_FREE}")
    return "" if run in RESERVED else run


def is_run(name: str) -> bool:
    """Whether a name is that of a run alone."""
    return run_of(name) == name


def as_they_are(name: str) -> bool:
    """Whether kNN compares these features as they are; spectra and those of a network alone are standardised first."""
    return name.endswith(TRAINING_FREE)


def features(project: Project, name: str, areas: Areas, memory: int | None = None) -> Steps[tuple[dict[str, Embedding], dict[str, Any]]]:
    """Return the features of some cubes, and what tells where they come from.

    Parameters
    ----------
    name : str
    areas : mapping of str to bool array (y, x)
        By cube: the pixels that are needed.
    memory : int, optional
        Bytes that a tile may take on its way through a network.

    Returns
    -------
    dict of str to Embedding
        (y, x, d), NaN outside the areas and where a pixel is not measured.
    dict
        ``embedding`` (the training-free one's hash) and ``model_sha256``, each where it plays a part.

    Raises
    ------
    ProjectError, RunError
        When the run is missing, of another kind or not finished.
    ConfigError
        When spectra of cubes with different bands would be compared.
    """
    if name == SPECTRA:
        yield Progress(message="reading spectra")
        return dict(_spectra(project, areas)), {"chain": project.chain.model_dump(mode="json")}
    from napari_hsi_ssl.mapping.joined import join

    run = run_of(name)
    parts: list[dict[str, Embedding]] = []
    told: dict[str, Any] = {}
    if run:
        folder = need_model(project, run, "pretrain")
        told["model_sha256"] = files.file_hash(folder.model_path)
        inlet = folder.resolve(folder.config.inlet or "")
        parts.append((yield from _embedded(project, folder.model_path, inlet, areas, lambda cube: inputs_of(project, folder, cube), memory)))
    elif name in {PRETRAINED, beside(PRETRAINED)}:
        made = yield from training_free_inlet(project)
        inlet = project.inlet_folder(made["inlet"])
        model = stand_behind(inlet)
        told["model_sha256"] = files.file_hash(model)
        parts.append((yield from _embedded(project, model, inlet / "pca.npz", areas, lambda cube: _scores(project, cube, inlet.name), memory)))
    if as_they_are(name):
        found = yield from embeddings(project, areas)
        told["embedding"] = next(iter(found.values())).parent.name
        parts.append({cube: np.load(path, mmap_mode="r") for cube, path in found.items()})
    return (parts[0] if len(parts) == 1 else dict(join(parts, areas))), told


def same_bands(project: Project, cubes: Iterable[str]) -> bool:
    """Whether cubes have as many good bands each, so that their spectra can be compared."""
    return len({int(band_use(project.prepared(cube)).sum()) for cube in cubes}) == 1


def _spectra(project: Project, areas: Areas) -> dict[str, Spectra]:
    found = {cube: Spectra(project.prepared(cube)) for cube in areas}
    if not same_bands(project, areas):
        listed = ", ".join(f"'{cube}' {spectra.shape[2]}" for cube, spectra in found.items())
        raise ConfigError(f"the cubes have different numbers of good bands ({listed}), so spectra cannot be compared; use --run training-free.")
    return found


def _scores(project: Project, cube: str, inlet: str) -> Steps[dict[str, Any]]:
    yield Progress(message=f"scores of {cube}")
    project.scores(cube, inlet)  # says what to do when there are none, as of a cube with an empty mask
    return {"name": cube, "scores": str(project.inlet_folder(inlet) / f"{cube}.npy")}


def _embedded(
    project: Project, model: Path, inlet: Path, areas: Areas, inputs: Callable[[str], Steps[dict[str, Any]]], memory: int | None
) -> Steps[dict[str, Embedding]]:
    """Embed some cubes by a model; ``inputs`` gives what it must know of one."""
    found: dict[str, Embedding] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for cube, area in areas.items():
            path = Path(scratch) / f"{cube}.tif"
            files.write_tiff(path, area.astype(np.uint8) * 255)
            known = yield from inputs(cube)
            report = yield from shared_process().call(
                "embed",
                model=str(model),
                inlet=str(inlet),
                cube={**known, "area": str(path)},
                cache=str(project.folder / "embeddings"),
                memory=memory,
            )
            found[cube] = np.load(report["path"], mmap_mode="r")
    return found
