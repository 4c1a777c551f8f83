"""Say what a project from elsewhere may read on this computer: the files outside its folder that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_hsi_ssl import trust
from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.errors import HsiError, UntrustedError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.slurm import script_path


def unconfirmed(project: Project) -> list[Path]:
    """Return every file outside a project's folder that the project, its runs or its maps name and that it may not read yet."""
    named: list[Path] = []
    for run in project.runs():
        try:
            named += run.inputs()
        except HsiError:
            continue  # a run that cannot be read names nothing
    for card in sorted((project.folder / "maps").glob("*.json")):
        try:
            told = read_json(card).get("provenance")
        except HsiError:
            continue
        train = told.get("train") if isinstance(told, dict) else None
        named += [Path(path) for path in train.values() if isinstance(path, str)] if isinstance(train, dict) else []
    return list(dict.fromkeys([*project.outside(), *trust.refused(project.folder, named)]))


def trust_files(folder: Path, *, scripts: bool = False, only_list: bool = False) -> Steps[dict[str, Any]]:
    """Remember that a project may read the files outside its folder that it names now, and follow its links that lead out of it.

    Parameters
    ----------
    folder : Path
        Of the project.
    scripts : bool
        Also that the job scripts of its runs may be run.
    only_list : bool
        Say what it names, and remember nothing.

    Returns
    -------
    dict
        ``files`` and, where asked for, ``scripts``; ``trusted``: whether they are from now on.
    """
    yield Progress(message=f"looking through {folder.name}")
    files: list[Path] = []
    try:
        project = Project.open(folder)
    except UntrustedError as error:  # its links; what it names is told once they may be followed
        files += error.paths
        if only_list:
            return {"project": str(error.project), "files": [str(path) for path in files], "trusted": False}
        trust.confirm(error.project, files)
        project = Project.open(folder)
    files += unconfirmed(project)
    report: dict[str, Any] = {"project": str(project.folder), "files": [str(path) for path in files], "trusted": not only_list}
    found = [script_path(run) for run in project.runs() if scripts and script_path(run).exists()]
    if scripts:
        report["scripts"] = [str(path) for path in found]
    if not only_list:
        trust.confirm(project.folder, files)
        for path in found:
            trust.confirm_script(project.folder, path)
    return report
