"""Importing the package is light: torch, napari and Qt come in only where and when they are needed."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "lightning_fabric", "napari", "qtpy", "PyQt5", "PyQt6", "PySide6", "sklearn", "skimage")
NEVER = HEAVY[:7]

CODE = """
import importlib, json, pkgutil, sys
for name in {modules!r}:
    importlib.import_module(name)
if {members!r}:
    package = importlib.import_module({members!r})
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def loaded(*modules: str, members: str = "") -> set[str]:
    """Return the top-level modules a fresh process has after importing the given ones, and every module inside ``members``."""
    done = subprocess.run([sys.executable, "-c", CODE.format(modules=modules, members=members)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_package_itself_loads_nothing_heavy():
    start = time.perf_counter()
    assert loaded("napari_hsi_ssl").isdisjoint(HEAVY)
    assert time.perf_counter() - start < 5, "importing the bare package takes as long as importing torch"


@pytest.mark.parametrize("module", ["napari_hsi_ssl.project", "napari_hsi_ssl.runs.folder", "napari_hsi_ssl.runs.launch", "napari_hsi_ssl.cli"])
def test_projects_runs_and_the_command_line_load_no_torch_and_no_window(module):
    assert loaded(module).isdisjoint(NEVER)


@pytest.mark.parametrize("package", ["steps", "cubes", "metrics", "explore", "patches"])
def test_no_module_of_the_lower_floors_loads_torch_or_a_window(package):
    """A module-level import anywhere below these would pull torch into napari's process."""
    assert loaded(members=f"napari_hsi_ssl.{package}").isdisjoint(NEVER)


def test_public_names_are_all_there():
    """A name promised in ``__all__`` and not found would break ``from napari_hsi_ssl import *``."""
    import napari_hsi_ssl

    for name in napari_hsi_ssl.__all__:
        assert getattr(napari_hsi_ssl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = napari_hsi_ssl.nonsense
