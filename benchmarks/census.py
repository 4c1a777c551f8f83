"""What one process with a napari window holds: memory, threads, files, widgets, OpenGL objects, callbacks, Python objects; and what grew."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import threading
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil

MOST_GROWTH_MB = 20.0
"""What may be added to the window's memory, resident or private, from the end of the warm-up to the end; a leak shows in both.

Pages of libraries become private when another program that uses them ends, 100 MB at once where that is a second napari, and resident when they are first read.
"""
COUNTED = (
    "threads", "children", "files", "mapped", "widgets", "top_widgets", "qt_objects", "gl_objects", "scene_nodes", "callbacks", "plot_items",
    "own_objects", "layer_objects", "alive",
)  # fmt: skip
"""Counts that must not grow. All Python objects are counted too, to say what it is that does; napari itself adds some in every cycle."""


def listeners(source: Any) -> int:
    """Count what listens to the events of one of napari's objects, which are of its own kind or of psygnal's."""
    group = getattr(source, "events", None)
    if group is None:
        return 0
    own = getattr(group, "emitters", None)
    return sum(len(one.callbacks) for one in own.values()) if own is not None else sum(len(one) for one in group.signals.values())


class Census:
    """Counts what one process holds.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.process = psutil.Process()
        self.watched: list[tuple[int, str, weakref.ref[Any]]] = []

    def watch(self, cycle: int, *objects: Any) -> None:
        """Remember, weakly, what must be gone once its project is closed."""
        self.watched += [(cycle, type(one).__name__, weakref.ref(one)) for one in objects if one is not None]

    def callbacks(self) -> int:
        """Count what listens to napari's events and its mouse."""
        viewer = self.viewer
        sources = [viewer, viewer.layers, viewer.layers.selection, viewer.dims, viewer.camera, viewer.cursor, viewer.tooltip, *viewer.layers]
        sources += [viewer.canvas, viewer.canvas.overlays.text, viewer.scene.camera]
        found = sum(map(listeners, sources))
        lists = (viewer.mouse_move_callbacks, viewer.mouse_drag_callbacks, viewer.mouse_wheel_callbacks, viewer.mouse_double_click_callbacks)
        return found + sum(len(one) for one in lists)

    def settings_callbacks(self) -> int:
        """Count what listens to napari's settings: every slider that napari itself makes for a layer's dimension does, and is never let go."""
        from napari.settings import get_settings

        settings = get_settings()
        return sum(map(listeners, [settings, *(getattr(settings, name) for name in type(settings).model_fields)]))

    def count(self, folder: Path) -> dict[str, Any]:
        """Return the counts; ``folder`` is where the projects lay."""
        from pyqtgraph import GraphicsView
        from qtpy.QtCore import QObject, QThreadPool
        from qtpy.QtWidgets import QApplication

        gc.collect()
        window = self.viewer.window._qt_window
        canvas = self.viewer.window._qt_viewer.canvas._scene_canvas
        kinds = Counter(map(type, gc.get_objects()))
        names = {kind: f"{kind.__module__}.{kind.__qualname__}" for kind in kinds}
        own = {names[kind]: number for kind, number in kinds.items()}
        widgets = QApplication.allWidgets()
        compute = [child for child in self.process.children() if "napari_hsi_ssl.runs.compute" in " ".join(_command(child))]
        alive = Counter(name for _, name, one in self.watched if one() is not None)
        self.watched = [entry for entry in self.watched if entry[2]() is not None]
        memory = self.process.memory_full_info()
        return {
            "uss_mb": memory.uss / 2**20, "malloc_mb": _allocated(), "rss_mb": memory.rss / 2**20,
            "compute_mb": sum(_private(child) for child in compute),
            "threads": sum(not isinstance(one, threading._DummyThread) for one in threading.enumerate()),
            "tasks": self.process.num_threads(),
            "pool": QThreadPool.globalInstance().activeThreadCount(), "children": len(self.process.children(recursive=True)),
            "zombies": sum(child.status() == psutil.STATUS_ZOMBIE for child in self.process.children()),
            "files": self.process.num_fds() if hasattr(self.process, "num_fds") else len(self.process.open_files()), "mapped": _mapped(folder),
            "widgets": len(widgets), "top_widgets": len(QApplication.topLevelWidgets()), "qt_objects": len(window.findChildren(QObject)),
            "gl_objects": len(canvas.context.shared.parser._objects), "scene_nodes": _nodes(canvas), "callbacks": self.callbacks(),
            "settings_callbacks": self.settings_callbacks(),
            "plot_items": sum(len(view.scene().items()) for view in widgets if isinstance(view, GraphicsView)), "layers": len(self.viewer.layers),
            "objects": sum(kinds.values()),
            "own_objects": sum(number for name, number in own.items() if name.startswith("napari_hsi_ssl.")),
            "layer_objects": sum(number for name, number in own.items() if name.startswith(("napari.layers.", "napari._vispy."))),
            "alive": sum(alive.values()), "alive_kinds": dict(alive), "kinds": own,
        }  # fmt: skip


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _private(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().uss) / 2**20
    except psutil.Error:
        return 0.0


class _Mallinfo(ctypes.Structure):
    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = tuple((name, ctypes.c_size_t) for name in _names)


def _allocated() -> float:
    """Return what was asked of malloc and not given back, in MB: private memory less what glibc keeps in reserve; 0 where it cannot be asked."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform.startswith("linux") else None
    if ask is None:
        return 0.0
    ask.restype = _Mallinfo
    told = ask()
    return float(told.uordblks + told.hblkhd) / 2**20


def _mapped(folder: Path) -> int:
    """Count the mappings of files that lay in a folder, deleted ones too."""
    maps = Path("/proc/self/maps")
    return sum(str(folder) in line for line in maps.read_text().splitlines()) if maps.exists() else 0


def _nodes(canvas: Any) -> int:
    """Count the nodes of the scene that vispy draws."""
    waiting, found = [canvas.central_widget], 0
    while waiting:
        node = waiting.pop()
        found += 1
        waiting += node.children
        scene = getattr(node, "scene", None)
        if scene is not None and scene not in node.children:
            waiting.append(scene)
    return found


# -- the verdict ----------------------------------------------------------------------------------------------------------


def slope(values: list[float]) -> float:
    """Return the growth a cycle of a straight line through the values."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0]) if len(values) > 1 else 0.0


def grown(values: list[float]) -> bool:
    """Whether a count grows: its least of the last third is above its most of the first third."""
    third = max(1, len(values) // 3)
    return min(values[-third:]) > max(values[:third])


def verdict(lines: list[dict[str, Any]], warm_up: int) -> dict[str, Any]:
    """Say what grew after the warm-up."""
    seen = lines[warm_up:]
    if len(seen) < 2:
        return {"cycles": len(lines), "passed": False, "words": "too few cycles after the warm-up"}
    counts = [line["counts"] for line in seen]
    memory = {name: [count[name] for count in counts] for name in ("rss_mb", "uss_mb", "malloc_mb", "compute_mb")}
    kinds = {kind for count in counts for kind in count["kinds"]}
    leaks = {name: [counts[0][name], counts[-1][name]] for name in COUNTED if grown([count[name] for count in counts])}
    types = {kind: [counts[0]["kinds"].get(kind, 0), counts[-1]["kinds"].get(kind, 0)] for kind in kinds if grown([c["kinds"].get(kind, 0) for c in counts])}
    growth = {name: slope(values) * (len(values) - 1) for name, values in memory.items()}
    return {
        "cycles": len(lines), "after_warm_up": len(seen), "minutes": sum(line["seconds"] for line in lines) / 60,
        "seconds_a_cycle": float(np.median([line["seconds"] for line in seen])), "trainings": sum(line["trained"] for line in lines),
        "memory_mb": {name: {"first": values[0], "last": values[-1], "least": min(values), "most": max(values), "kb_a_cycle": 1024 * slope(values),
                             "growth": growth[name]} for name, values in memory.items()},
        "counts": {name: [counts[0][name], counts[-1][name]] for name in COUNTED}, "grown": leaks, "grown_types": types,
        "passed": min(growth["rss_mb"], growth["uss_mb"]) <= MOST_GROWTH_MB and not leaks,
    }  # fmt: skip


def tell(found: dict[str, Any]) -> None:
    """Print a verdict."""
    print(json.dumps({key: value for key, value in found.items() if key != "grown_types"}, indent=1))
    for kind, (first, last) in sorted(found.get("grown_types", {}).items(), key=lambda item: item[1][0] - item[1][1])[:25]:
        print(f"  {kind}: {first} -> {last}")
    print("passed" if found["passed"] else "NOT passed")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a run, also of one that is on its way."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
