"""Cut the patch index: where the windows are, how they are split, and what was left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_hsi_ssl.config import PatchConfig, digest
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.patches.index import PatchSource, build_index
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project


def cut_patches(project: Project, config: PatchConfig) -> Steps[dict[str, Any]]:
    """Cut patches from the used pixels of every cube and make them the project's current ones."""
    if not project.entries:
        raise ProjectError(f"project {project.folder.name} has no cubes yet; add some with `napari-hsi-ssl add`.")
    sources = []
    for number, entry in enumerate(project.entries.values()):
        yield Progress(number, len(project.entries), f"patches of {entry.name}")
        foreground = project.area(entry.name)
        if project.inlet is not None and (project.inlet_folder() / f"{entry.name}.npy").exists():
            foreground &= np.isfinite(project.scores(entry.name)[..., 0])
        sources.append(PatchSource(entry.name, entry.domain, foreground))
    index, left_out = build_index(sources, config)
    for cube, reason in left_out.items():
        yield Progress(len(sources), len(sources), f"cube '{cube}' is left out: {reason}", warning=True)
    for note in index.notes:
        yield Progress(len(sources), len(sources), note, warning=True)
    name = digest({"settings": config.model_dump(mode="json"), "index": index.digest})
    index.save(project.folder / "patches" / f"{name}.npz")
    report = {
        "patches": name,
        "count": len(index),
        "size": index.size,
        "per_domain": index.counts(),
        "left_out": left_out,
        "notes": list(index.notes),
        "settings": config.model_dump(mode="json"),
    }
    project.note("patches", report)
    project.patches = name
    return report
