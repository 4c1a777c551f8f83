"""Judge a pretrained backbone on held-out patches, beside a random one and the plain rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_hsi_ssl import files
from napari_hsi_ssl.config import CubeInput, EvaluateConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.runs.folder import RunFolder
from napari_hsi_ssl.steps.bands import inputs_of


def evaluate(project: Project, run: str, config: EvaluateConfig) -> Steps[dict[str, Any]]:
    """Score a run by kNN and linear probe on the test part of the patches it was trained with.

    Returns
    -------
    dict
        ``knn_accuracy``, ``linear_probe``, ``random_knn_accuracy``, ``random_linear_probe``, ``gain``, ``simple`` (the plain
        rows), ``n_train``, ``n_test``, ``split``, ``not_scored``; accuracies are fractions.
    """
    folder = need_model(project, run, "pretrain")
    pinned = folder.config
    cubes = []
    for cube in pinned.cubes:
        entry = project.entry(cube.name)
        project.require(*project.files_of(entry))
        labels = project.labels_path(cube.name)
        cubes.append(
            {
                "name": cube.name,
                "domain": cube.domain,
                "file": str(entry.path),
                "key": entry.key,
                "raw": entry.raw,
                "calibration": entry.calibration,
                "folder": str(project.folder),
                "bad_bands": entry.bad_bands,
                "chain": pinned.chain.model_dump(mode="json"),
                **((yield from inputs_of(project, folder, cube.name)) if pinned.domains else {}),
                "scores": str(_scores(project, folder, cube)),
                "mask": str(folder.resolve(cube.mask)) if cube.mask else None,
                "labels": str(labels) if labels.exists() else None,
            }
        )
    report = yield from shared_process().call(
        "evaluate",
        model=str(folder.model_path),
        inlet=str(folder.resolve(pinned.inlet or "")),
        patches=str(folder.resolve(pinned.patches or "")),
        cubes=cubes,
        settings=config.model_dump(mode="json"),
        class_names=dict(zip(map(str, project.classes.numbers), project.classes.names, strict=True)),
    )
    report = {"run": run, "labels": config.labels, "k": config.k, **report}
    files.write_json(folder.path / f"evaluation-{config.labels}.json", report)
    return report


def _scores(project: Project, folder: RunFolder, cube: CubeInput) -> Path:
    """Return the scores of the run's projection, which the plain rows take also where the run learned its inlets."""
    if not folder.config.domains:
        return folder.resolve(cube.path)
    inlet = folder.resolve(folder.config.inlet or "").parent
    project.scores(cube.name, inlet.name)  # says what to do when they are gone
    return inlet / f"{cube.name}.npy"


def need_model(project: Project, run: str, *kinds: str) -> RunFolder:
    """Return a finished run of one of the kinds.

    Raises
    ------
    RunError
        When the run is of another kind or has no model yet.
    """
    folder = project.run_folder(run)
    kind = folder.config.kind
    if kind not in kinds:
        raise RunError(f"run '{run}' is a {kind} run, expected {' or '.join(kinds)}; choose another run or another method.")
    if not folder.model_path.exists():
        raise RunError(f"run '{run}' has no model yet (it is {folder.state}); wait for it to finish, or resume it.")
    projection = folder.resolve(folder.config.inlet or "")
    if not projection.exists():
        raise RunError(f"run '{run}' needs the projection it was trained with, but {projection} is gone; put it back, or train again.")
    return folder
