"""The verb that looks after training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl.cli.options import CubeName, ProjectFolder
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def runs(
    project: ProjectFolder,
    names: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="with --compare")] = None,
    cancel: Annotated[str | None, typer.Option(metavar="RUN", help="save and stop a live run")] = None,
    delete: Annotated[str | None, typer.Option(metavar="RUN", help="delete a run's folder")] = None,
    follow: Annotated[str | None, typer.Option(metavar="RUN", help="watch a live run to its end")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="lay runs side by side: settings that differ, and figures")] = False,
    embedding: Annotated[str | None, typer.Option(metavar="RUN", help="write where held-out patches lie in the plane of the embedding")] = None,
    glance: Annotated[str | None, typer.Option(metavar="RUN", help="a rough map of a cube by a run as it stands at its newest checkpoint")] = None,
    cube: CubeName = None,
    pack: Annotated[str | None, typer.Option(metavar="RUN", help="write a run with its inputs into one file, for another computer")] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="with --pack (.tar) or --embedding (.csv)")] = None,
    unpack: Annotated[Path | None, typer.Option(metavar="FILE.tar", help="take a packed run in, or bring one that came back up to date")] = None,
) -> Report | Steps[Report]:
    """List the runs: what is running, how far, how to reattach."""
    from napari_hsi_ssl.steps import comparison, snapshots
    from napari_hsi_ssl.steps import runs as verbs
    from napari_hsi_ssl.steps.live_map import live_map
    from napari_hsi_ssl.steps.train import follow_run

    if names and not compare:
        raise typer.BadParameter(f"'{names[0]}' is named without saying what to do with it: give --compare, or --follow {names[0]}")
    opened = Project.open(project)
    if cancel is not None:
        return verbs.cancel_run(opened, cancel)
    if delete is not None:
        return verbs.delete_run(opened, delete)
    if follow is not None:
        return follow_run(opened, follow)
    if compare:
        return comparison.compare_runs(opened, names or [])
    if embedding is not None:
        return snapshots.save_embedding(opened, embedding, to or Path(f"{embedding}.csv"))
    if glance is not None:
        return live_map(opened, glance, cube or next(iter(opened.entries), ""))
    if pack is not None:
        return verbs.pack_run(opened, pack, to or Path(f"{pack}.tar"))
    if unpack is not None:
        return verbs.unpack_run(opened, unpack)
    return {"runs": verbs.list_runs(opened)}
