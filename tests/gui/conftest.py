"""Real windows for the tests of the window, and one small project to look at."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import cubes, run

NO_DISPLAY = sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

# Deprecations inside napari and its libraries that are not ours to mend; everything else stays an error.
THIRD_PARTY = (
    "ignore:napari support for the PyQt5 backend is deprecated",
    "ignore:System theme detection requires a Qt6 backend:UserWarning",
    "ignore:Public access to Window.qt_viewer is deprecated",
    "ignore::DeprecationWarning:napari.*",
    "ignore::DeprecationWarning:vispy.*",
    "ignore::DeprecationWarning:superqt.*",
    "ignore::DeprecationWarning:pyqtgraph.*",
    "ignore::DeprecationWarning:app_model.*",
    "ignore:Failed to disconnect:RuntimeWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for warning in THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(warning))
            if NO_DISPLAY:
                item.add_marker(pytest.mark.skip(reason="no display: run with xvfb-run, OpenGL is needed"))


@pytest.fixture(autouse=True)
def _projects_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projects that the window makes by itself go to the test's own folder."""
    monkeypatch.setenv("HSI_PROJECTS", str(tmp_path / "projects"))
    monkeypatch.setenv("HSI_SETTINGS", str(tmp_path / "window.json"))


@pytest.fixture(autouse=True)
def _collect_on_this_thread() -> Iterator[None]:
    """Closed windows are collected here, once they are closed: a collection in a worker's thread would delete widgets there."""
    yield
    gc.unfreeze()  # what the workbench left out of it
    gc.collect()


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Iterator[Any]:
    """A real napari viewer; no worker may outlive it."""
    from napari.qt.threading import GeneratorWorker

    yield make_napari_viewer()
    GeneratorWorker.await_workers(30_000)


def add_busy(qtbot: Any, widget: Any, idle: Callable[[], bool]) -> None:
    """Have a widget closed after the test, but not before it is idle.

    qtbot deletes widgets before any fixture ends: what still runs then tells its end to nobody, and whoever waits for it waits in vain.
    """
    qtbot.addWidget(widget, before_close_func=lambda _widget: qtbot.waitUntil(idle, timeout=20_000))


def activate(window: Any) -> None:
    """Give a window the keyboard, as a window manager would."""
    from qtpy.QtWidgets import QApplication

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Qt 6 would have the window ask its manager; a virtual display has none
        QApplication.setActiveWindow(window)


def write_cube(path: Path, shape: tuple[int, int, int] = (24, 20, 12), seed: int = 0, wavelength: bool = True) -> Path:
    """Write an ENVI cube with a bright disc on a dark ground."""
    from napari_hsi_ssl.cubes.writers import write_envi_cube

    generator = np.random.default_rng(seed)
    height, width, bands = shape
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 3) ** 2
    values = np.where(disc[..., None], 600 + 40 * np.arange(bands), 100) + generator.integers(0, 40, shape)
    centres = np.linspace(450, 900, bands) if wavelength else None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_envi_cube(path, as_cube(values.astype(np.uint16), centres, "dn", path.stem))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two cubes of two domains with 12 and 9 bands."""
    first = write_cube(tmp_path / "raw" / "coffee" / "beans.hdr")
    second = write_cube(tmp_path / "raw" / "sugar" / "cubes.hdr", (24, 22, 9), seed=1)
    run(cubes.new(tmp_path / "project", [first, second]))
    return Project.open(tmp_path / "project")
