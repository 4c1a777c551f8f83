"""From raw hyperspectral cubes to trusted classification maps, training the model on the way.

Public names are imported on first use, so that importing the package loads no torch, no Qt and no napari.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_hsi_ssl.cubes.cube import ClassMap as ClassMap
    from napari_hsi_ssl.cubes.cube import as_cube as as_cube
    from napari_hsi_ssl.cubes.readers import read_cube as read_cube
    from napari_hsi_ssl.errors import HsiError as HsiError
    from napari_hsi_ssl.project import Project as Project
    from napari_hsi_ssl.steps import run as run

__version__ = "0.1.0"

_PUBLIC = {
    "ClassMap": "napari_hsi_ssl.cubes.cube",
    "HsiError": "napari_hsi_ssl.errors",
    "Project": "napari_hsi_ssl.project",
    "as_cube": "napari_hsi_ssl.cubes.cube",
    "read_cube": "napari_hsi_ssl.cubes.readers",
    "run": "napari_hsi_ssl.steps",
}

__all__ = ["ClassMap", "HsiError", "Project", "__version__", "as_cube", "read_cube", "run"]


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    msg = f"module 'napari_hsi_ssl' has no attribute '{name}'"
    raise AttributeError(msg)
