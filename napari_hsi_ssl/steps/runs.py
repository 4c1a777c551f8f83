"""What is running, how far it is, and how to stop or delete it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs import launch, parcel, slurm
from napari_hsi_ssl.runs.folder import RunFolder


def list_runs(project: Project) -> list[dict[str, Any]]:
    """Return one row a run: name, kind, state, how far, and the command that picks it up again."""
    return [_row(project, folder) for folder in project.runs()]


def latest_run(project: Project, kind: str) -> str:
    """Return the name of the newest run of a kind that has a model.

    Raises
    ------
    RunError
        When there is none yet.
    """
    names = [folder.name for folder in project.runs() if folder.model_path.exists() and folder.config.kind == kind]
    if not names:
        raise RunError(f"project {project.folder.name} has no finished {kind} run yet; train one with `napari-hsi-ssl {kind} {project.folder}`.")
    return names[-1]


def cancel_run(project: Project, run: str) -> Steps[dict[str, Any]]:
    """Ask a live run to save and leave; after ten seconds it is forced."""
    folder = project.run_folder(run)
    if not folder.alive and folder.state != "queued":
        raise RunError(f"run '{run}' is not running (it is {folder.state}), so there is nothing to cancel.")
    yield Progress(message=f"cancelling run '{run}'")
    launch.stop(folder)
    return {"run": run, "state": folder.state}


def delete_run(project: Project, run: str) -> Steps[dict[str, Any]]:
    """Delete a run's folder; maps made from it stay."""
    folder = project.run_folder(run)
    if folder.alive or (folder.state == "queued" and slurm.queued(folder) is not None):
        raise RunError(f"run '{run}' is being trained or waits on the cluster; cancel it before deleting it.")
    shutil.rmtree(folder.path)
    yield Progress(1, 1, f"run '{run}' deleted")
    return {"run": run, "state": "deleted"}


def pack_run(project: Project, run: str, to: Path) -> Steps[dict[str, Any]]:
    """Write a run with everything it needs into one tar file, for a computer that does not share this folder."""
    return (yield from parcel.pack(project.run_folder(run), to))


def unpack_run(project: Project, archive: Path) -> Steps[dict[str, Any]]:
    """Put a packed run among the project's runs; one that was packed here and trained elsewhere comes back with its model."""
    return (yield from parcel.unpack(archive, project.folder / "runs"))


def _row(project: Project, folder: RunFolder) -> dict[str, Any]:
    # A log may be long, and of a run that has not been put back the last words are enough.
    last = folder.last("step", "epoch", "resumed") or {}
    if last.get("type") == "resumed":
        last = next((event for event in reversed(folder.history()) if event["type"] in {"step", "epoch"}), {})
    total = (folder.last("started", "resumed") or {}).get("total_steps")
    state, kind = folder.state, folder.config.kind
    picks_up = {
        "running": f"napari-hsi-ssl runs {project.folder} --follow {folder.name}",
        "queued": f"napari-hsi-ssl runs {project.folder} --follow {folder.name}",
        "finished": None,
    }.get(state, f"napari-hsi-ssl {kind} {project.folder} --run {folder.name} --resume")
    return {
        "run": folder.name,
        "kind": kind,
        "state": state,
        "epoch": last.get("epoch"),
        "epochs": folder.config.trainer.epochs,
        "step": last.get("step"),
        "total_steps": total,
        "loss": last.get("loss"),
        "reattach": picks_up,
    }
