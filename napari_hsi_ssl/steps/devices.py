"""What there is to train on, and what a training would cost there in memory and time, from a short trial."""

from __future__ import annotations

import shutil
from typing import Any

from napari_hsi_ssl.config import DistilConfig, PretrainConfig
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.steps.train import Cluster, distil, pretrain

_TRIAL = ".trial"


def devices(project: Project, config: PretrainConfig | DistilConfig | None = None) -> Steps[dict[str, Any]]:
    """List the devices of this computer; with settings, train a few steps on each in the compute process and extrapolate.

    Parameters
    ----------
    project : Project
    config : PretrainConfig or DistilConfig, optional
        What would be trained.

    Returns
    -------
    dict
        As `runs.choices.devices` says; ``note`` says why there is no estimate where the training could not start.
    """
    if config is None:
        return (yield from shared_process().call("devices"))
    path = project.folder / "runs" / _TRIAL
    shutil.rmtree(path, ignore_errors=True)
    try:
        yield Progress(message="preparing a trial")
        # The run is made as it would be, only never started, and taken away again: lists of runs pass it over.
        written = Cluster(submit=False)
        if isinstance(config, PretrainConfig):
            yield from pretrain(project, config, run=_TRIAL, cluster=written)
        else:
            project.inlet_folder()  # or says that a PCA is needed: a trial must not make one
            yield from distil(project, config, run=_TRIAL, cluster=written)
        return (yield from shared_process().call("devices", run=str(path.absolute())))
    except HsiError as error:
        report = yield from shared_process().call("devices")
        return {**report, "note": str(error)}
    finally:
        shutil.rmtree(path, ignore_errors=True)
