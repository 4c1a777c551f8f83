"""The verb that shows what there is to train on."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import BatchSize, Epochs, ProjectFolder, options_given
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def devices(
    project: ProjectFolder,
    kind: Annotated[str, typer.Option(help="pretrain or distil: what would be trained")] = "pretrain",
    recipe: Annotated[str | None, typer.Option(help="of pretraining: poster or pixel")] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
) -> Steps[Report]:
    """List what there is to train on, and what a training would take of it: memory and time, from a short trial."""
    from napari_hsi_ssl.steps.devices import devices as step

    given = options_given(epochs=epochs, batch_size=batch_size)
    if kind not in {"pretrain", "distil"}:
        raise typer.BadParameter(f"'{kind}' is not pretrain or distil", param_hint="--kind")
    if kind == "distil":
        return step(Project.open(project), settings.DistilConfig.parse(given, "distil"))
    return step(Project.open(project), settings.PretrainConfig.from_recipe(recipe or "poster", **given))
