"""How long the event loop waits while two maps are compared and unsure pixels are left out, beside bare napari that only draws.

xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/swiping.py [--shape 610 340] [--moves 60] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from heartbeat import Heart, rest, window
from napari.qt import get_qapp
from qtpy.QtCore import QObject

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui import result_layers
from napari_hsi_ssl.gui.swipe import Comparison

PAUSE = 0.06


def measure(shape: tuple[int, int], moves: int) -> dict[str, dict[str, float]]:
    """Return the gaps, in ms, of each act."""
    get_qapp()  # without it a timer does not run
    heart, rng, found = Heart(), np.random.default_rng(0), {}
    blocks = rng.integers(1, 17, (2, -(-shape[0] // 8), -(-shape[1] // 8)))
    maps = [np.kron(block, np.ones((8, 8), dtype=int))[: shape[0], : shape[1]] for block in blocks]
    sure, classes = rng.random(shape, dtype=np.float32), Classes.of(range(1, 17))
    with window() as viewer:
        first, second = (result_layers.show_map(viewer, "scene", image, classes, name) for image, name in zip(maps, ("one", "two"), strict=True))
        result_layers.show_confidence(viewer, "scene", sure, "two")
        viewer.reset_view()
        rest(1.0)
        owner = QObject()
        comparison = Comparison(viewer, owner)

        def act(name: str, do: object) -> None:
            rest(0.3)
            heart.gaps()
            for number in range(moves):
                do(number)  # type: ignore[operator]
                rest(PAUSE)
            found[name] = heart.gaps()

        native = viewer.window._qt_viewer.canvas.native
        act("bare: nothing", lambda _: None)
        act("bare: redraw", lambda _: native.update())
        act("threshold", lambda number: result_layers.show_sure(viewer, second, 0.1 + 0.8 * number / moves))
        comparison.swipe(first, second)
        width = native.width()
        act("swipe", lambda number: comparison.handle.put(width * (0.2 + 0.6 * number / moves)))
        comparison.blink(first, second)
        act("blink", lambda number: comparison.flip() if number % 5 == 0 else None)
        comparison.end()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=(610, 340))
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result = measure(tuple(given.shape), given.moves)
    for name, gaps in result.items():
        print(f"{name:16} longest {gaps['longest']:6.0f} ms, p99 {gaps['p99']:6.0f} ms")
    if given.json:
        given.json.write_text(json.dumps({"shape": given.shape, "gaps_ms": result}, indent=1))
