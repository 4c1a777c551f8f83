"""Paint and see: how soon the map follows the brush, in a real window, beside bare napari's own painting; and which head is the best.

An embedding of random kinds, 610×340 and 2000×2000 pixels with 128 dimensions. First what a map costs without a window, at 500 and 5,000
painted pixels; then a hand paints through the Labels layer's own mouse callbacks at the pace of a mouse while a timer of 5 ms beats in the
event loop: from the last change of the strokes to the map computed and to the canvas drawn, maps a second while the brush moves, how
soon a stale map is given up, and the gaps beside those of a bare napari that is painted on in the same way with the same layers. They
take turns; gaps are those of the stroke and of the second after it, in which the places to paint next are shown. Of each the longest is
told, and the most that the window's own thread computed between two beats, which other programs do not change.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/paint.py [--sides 610x340 2000x2000] [--seconds 6] [--turns 3] [--json FILE]
    python benchmarks/paint.py --compute-only
    python benchmarks/paint.py --heads [--seeds 4]        strokes simulated on Indian Pines and three cubes of the laboratory
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from rows import Row, compared, in_turn, spread
from scipy import ndimage

from napari_hsi_ssl import run
from napari_hsi_ssl.config import PaintConfig
from napari_hsi_ssl.errors import CancelledError
from napari_hsi_ssl.mapping.heads import fit_head
from napari_hsi_ssl.mapping.painted import Basis, PaintedMap, Space, fill_map
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.steps.painting import Followed, Ground, follow

DIMENSIONS, KINDS = 128, 9
HEADS = ("logistic", "prototype", "knn")
PACE = 1 / 60
"""Seconds between two moves of the mouse."""
AFTER = 1.0
"""Seconds after a stroke that still belong to it."""


def ground_of(height: int, width: int, seed: int = 0, kinds: int = KINDS) -> tuple[Ground, np.ndarray, np.ndarray]:
    """Return a cube ready to be painted on, its embedding smooth fields of some kinds, their numbers (y, x), and the embedding (y, x, d)."""
    rng = np.random.default_rng(seed)
    fields = ndimage.zoom(rng.random((kinds, height // 40 + 2, width // 40 + 2)), (1, 40, 40), order=1)[:, :height, :width]
    truth = fields.argmax(axis=0) + 1
    means = rng.standard_normal((kinds + 1, DIMENSIONS)).astype(np.float32)
    embedding = np.empty((height, width, DIMENSIONS), dtype=np.float16)
    for top in range(0, height, 64):
        part = slice(top, top + 64)
        embedding[part] = means[truth[part]] + rng.standard_normal((*truth[part].shape, DIMENSIONS), dtype=np.float32)
    area = np.ones((height, width), dtype=bool)
    basis = Basis.of(embedding, area, standardised=False)
    space = run(Space.load(embedding, area, basis))
    nothing = np.zeros((0, basis.axes.shape[1]), np.float32), np.zeros(0, np.int64)
    return Ground("scene", "benchmark", space, nothing, {}), truth, embedding


def painted(truth: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return strokes (y, x) of about ``count`` pixels in all kinds, of a fifth of the image at most."""
    count = min(count, truth.size // 5)
    rng, strokes = np.random.default_rng(seed), np.zeros(truth.shape, np.uint8)
    while np.count_nonzero(strokes) < count:
        y, x = rng.integers(3, truth.shape[0] - 3), rng.integers(3, truth.shape[1] - 13)
        part = slice(y, y + 3), slice(x, x + 12)
        strokes[part] = truth[part]
    return strokes


def in_ms(values: list[float]) -> dict[str, float]:
    """Return median and extremes, in ms."""
    return {"median_ms": 1000 * float(np.median(values)), "best_ms": 1000 * min(values), "worst_ms": 1000 * max(values)}


# -- without a window -----------------------------------------------------------------------------------------------------


def computing(ground: Ground, truth: np.ndarray, repeats: int = 7) -> dict[str, Any]:
    """Time a new map from strokes to the last pixel, and to the first that are told; and how soon a stale one is given up."""
    found: dict[str, Any] = {}
    for head in HEADS:
        for count in (500, 5000):
            strokes, config, first, last = painted(truth, count), PaintConfig(head=head, suggestions=0), [], []
            before = PaintedMap.empty(truth.shape)
            for _ in range(repeats + 1):
                begun, told = time.perf_counter(), []
                run(follow(ground, strokes, config, before=before), lambda _, told=told: told.append(time.perf_counter()))
                last.append(time.perf_counter() - begun)
                first.append((told[0] - begun) if told else last[-1])
            found[f"{head}, {count} painted"] = {"first": in_ms(first[1:]), "all": in_ms(last[1:])}
    waits = []
    for number in range(repeats):
        stale, ended = threading.Event(), []

        def work(stale: threading.Event = stale, ended: list[float] = ended) -> None:
            try:
                run(follow(ground, painted(truth, 5000), PaintConfig(head="knn"), stale=stale.is_set))
            except CancelledError:
                ended.append(time.perf_counter())

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.12 + 0.005 * number)
        asked = time.perf_counter()
        stale.set()
        thread.join()
        waits += [ended[0] - asked] if ended else []
    found["a stale map is given up after"] = in_ms(waits) if waits else "it was done before it could be"
    return found


# -- in a window ----------------------------------------------------------------------------------------------------------


class Mouse:
    """What napari hands its mouse callbacks."""

    def __init__(self, layer: Any) -> None:
        self.view_direction = self.up_direction = None
        self.dims_displayed = list(range(layer.ndim))
        self.button, self.modifiers, self.handled = 1, (), False
        self.type, self.position = "mouse_press", (0.0, 0.0)


def brush(layer: Any, places: Iterator[tuple[float, float]], seconds: float) -> int:
    """Paint one long stroke through the layer's own callbacks at the pace of a mouse; returns its moves."""
    from heartbeat import rest

    event, moves = Mouse(layer), 0
    drawing = layer._drag_modes[layer.mode](layer, event)
    end = time.perf_counter() + seconds
    event.position = next(places)
    next(drawing)
    event.type = "mouse_move"
    while time.perf_counter() < end:
        event.position = next(places)
        next(drawing)
        moves += 1
        rest(PACE)
    event.type = "mouse_release"
    next(drawing, None)
    return moves


def places(shape: tuple[int, ...], seed: int = 0) -> Iterator[tuple[float, float]]:
    """Wander over the image."""
    rng = np.random.default_rng(seed)
    y, x, angle = shape[0] / 2, shape[1] / 2, 0.0
    while True:
        angle += rng.normal(0, 0.3)
        y, x = y + 4 * np.sin(angle), x + 4 * np.cos(angle)
        if not (10 < y < shape[0] - 10 and 10 < x < shape[1] - 10):
            y, x, angle = float(np.clip(y, 11, shape[0] - 11)), float(np.clip(x, 11, shape[1] - 11)), angle + 2.0
        yield y, x


def bare(heart: Any, ground: Ground, truth: np.ndarray, seconds: float) -> dict[str, float]:
    """Gaps of a bare napari that is painted on in the same way, over the same layers."""
    from heartbeat import rest, window

    with window() as viewer:
        viewer.add_image(np.zeros((*truth.shape, 3), np.uint8), rgb=True)
        viewer.add_labels(truth.astype(np.uint8), opacity=0.55)
        layer = viewer.add_labels(painted(truth, 500))
        layer.mode, layer.selected_label, layer.brush_size = "paint", 3, 5
        rest(1.0)
        heart.gaps()
        brush(layer, places(truth.shape), seconds)
        rest(AFTER)
        return heart.gaps()


def timed(ready: list[float]) -> Callable[..., Steps[Followed]]:
    """Return what follows strokes, and notes when it has a map."""

    def steps(*given: Any, **how: Any) -> Steps[Followed]:
        making = follow(*given, **how)
        while True:
            try:
                progress = next(making)
            except StopIteration as end:
                ready.append(time.perf_counter())
                return end.value
            if "painted" in progress.data:
                ready.append(time.perf_counter())
            yield progress

    return steps


def following(heart: Any, ground: Ground, truth: np.ndarray, seconds: float) -> dict[str, Any]:
    """Paint with the map following; returns delays, maps a second and gaps."""
    from heartbeat import rest, wait, window

    from napari_hsi_ssl.cubes.cube import Classes
    from napari_hsi_ssl.gui import layers, painting
    from napari_hsi_ssl.gui.desk import desk_for
    from napari_hsi_ssl.gui.painting import Painter

    with window() as viewer:
        desk = desk_for(viewer)
        layers.show_composite(viewer, "scene", np.zeros((*truth.shape, 3), np.uint8), (0, 1, 2))
        painter = Painter(desk, desk)
        maps: list[tuple[float, float, bool]] = []
        ready: list[float] = []
        painting.follow = timed(ready)
        drawn: list[float] = []
        painter.followed.connect(lambda found: maps.append((time.perf_counter(), found.seconds, found.complete)))
        painter.begin(ground, painted(truth, 500), Classes.of(range(1, KINDS + 1)))
        wait(lambda: painter.latest is not None and painter.latest.complete and painter.suggestions is not None)
        painter.hold(3, "paint", 5)
        canvas = viewer.window._qt_viewer.canvas._scene_canvas
        canvas.events.draw.connect(lambda _event: drawn.append(time.perf_counter()), position="last")
        rest(1.0)
        maps.clear()
        heart.gaps()
        moves = brush(painter.layer, places(truth.shape), seconds)
        moving = len(maps)
        rest(AFTER)
        gaps = heart.gaps()
        wait(lambda: not painter.jobs.running and not painter._timer.isActive())
        delays, shows, waits, after = [], [], [], []
        for number in range(8):  # single dabs: from the mouse to the map computed and seen
            rest(0.4)
            maps.clear()
            ready.clear()
            painter.hold(1 + number % KINDS, "paint", 5)  # painting a class on itself changes nothing
            begun = time.perf_counter()
            brush(painter.layer, places(truth.shape, number), 0.001)
            wait(lambda: maps)
            at, computing, _ = maps[0]
            wait(lambda at=at: any(one > at for one in drawn))
            delays.append(computing)
            seen = next(one for one in drawn if one > at)
            shows.append(seen - begun)
            waits.append(ready[0] - begun)
            after.append(seen - ready[0])
            wait(lambda: not painter.jobs.running and not painter._timer.isActive())
        heart.gaps()
        rest(2.0)
        painter.stop()
        return {
            "moves": moves,
            "maps a second while the brush moves": moving / seconds,
            "first map of a dab computed after": in_ms(delays),
            "from the dab to the map computed": in_ms(waits),
            "from the map computed to the canvas": in_ms(after),
            "from the dab to the canvas": in_ms(shows),
            "gaps": gaps,
        }


def taking_turns(heart: Any, ground: Ground, truth: np.ndarray, seconds: float, turns: int) -> dict[str, Any]:
    """Paint on a bare napari and with the map following, in turn; returns the gaps of both, and medians of what else `following` returns."""
    floors, found = [], []
    for _ in range(turns):
        floors.append(bare(heart, ground, truth, seconds))
        found.append(following(heart, ground, truth, seconds))
    rows: dict[str, Any] = {"turns": turns, "bare napari's own painting": floors, "gaps": [one["gaps"] for one in found]}
    rows["maps a second while the brush moves"] = float(np.median([one["maps a second while the brush moves"] for one in found]))
    for name in (name for name in found[0] if isinstance(found[0][name], dict) and name != "gaps"):
        rows[name] = {figure: float(np.median([one[name][figure] for one in found])) for figure in found[0][name]}
    for figure in ("longest", "busiest"):
        beyond = np.median([one[figure] for one in rows["gaps"]]) - np.median([one[figure] for one in floors])
        rows[f"{figure} beyond bare, ms"] = float(beyond)
    return rows


# -- in the suite -----------------------------------------------------------------------------------------------------------


def against_scikit_learn(ground: Ground, embedding: np.ndarray, truth: np.ndarray, repeats: int = 5) -> list[Row]:
    """Make a whole map from strokes, here and by scikit-learn on all dimensions of the same embedding, confidence included in both."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    flat = np.ascontiguousarray(embedding.reshape(-1, embedding.shape[2]), dtype=np.float32)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    rows: list[Row] = []

    def share(one: np.ndarray, other: np.ndarray) -> float:
        return float((one == other).mean())

    for head, rival, maker in (
        ("logistic", "scikit-learn LogisticRegression", lambda: LogisticRegression(class_weight="balanced", max_iter=1000)),
        ("knn", "scikit-learn KNeighborsClassifier (k = 20)", lambda: KNeighborsClassifier(20, algorithm="brute", metric="cosine")),
    ):
        for count in (500, 5000):
            strokes, config = painted(truth, count), PaintConfig(head=head, suggestions=0)  # type: ignore[arg-type]
            at = strokes.ravel() > 0

            def theirs(maker: Any = maker, at: np.ndarray = at, strokes: np.ndarray = strokes) -> np.ndarray:
                model = maker().fit(flat[at], strokes.ravel()[at])
                sure = model.predict_proba(flat)
                return model.classes_[sure.argmax(axis=1)].reshape(truth.shape)

            taken = in_turn({"ours": lambda strokes=strokes, config=config: run(follow(ground, strokes, config)).map.labels, rival: theirs}, repeats)
            rows += compared(
                "painting", f"new map of {truth.shape[0]}×{truth.shape[1]} × {DIMENSIONS}, {count:,} painted pixels, {head}", taken.pop("ours"), taken,
                lambda ours, theirs: {"same labels": share(ours, theirs), "right: ours": share(ours, truth), "right: theirs": share(theirs, truth)},
            )  # fmt: skip
    return rows


def measure(_work: Path, *, side: tuple[int, int] = (610, 340), seconds: float = 4.0, repeats: int = 5, turns: int = 3) -> list[Row]:
    """Make maps without a window beside scikit-learn, then follow a brush in a window beside bare napari's own painting."""
    ground, truth, embedding = ground_of(*side)
    rows = against_scikit_learn(ground, embedding, truth, repeats)
    if seconds:
        del embedding
        with beating() as heart:
            found = taking_turns(heart, ground, truth, seconds, turns)
        where = f"{side[0]}×{side[1]}, 500 painted pixels, in a window"
        told = {
            "maps a second while the brush moves": found["maps a second while the brush moves"],
            "from a dab to the canvas, ms": found["from the dab to the canvas"]["median_ms"],
            "the window's thread computes beyond bare, ms": found["busiest beyond bare, ms"],
        }
        longest = ([one["longest"] for one in found[who]] for who in ("gaps", "bare napari's own painting"))
        rows.append(Row("painting", f"longest pause of the event loop, {where}", "bare napari", *map(spread, longest), "ms", agreement=told))
    return rows


@contextmanager
def beating() -> Iterator[Any]:
    """Let a heart beat in an event loop of napari's, which also tells what the window's thread computed between two beats ("busiest", ms)."""
    from heartbeat import Heart
    from napari.qt import get_qapp

    class Busy(Heart):
        def __init__(self) -> None:
            super().__init__()
            self.computed: list[float] = []
            self.timer.timeout.connect(lambda: self.computed.append(1000 * time.thread_time()))

        def gaps(self) -> dict[str, float]:
            busiest = float(np.diff(self.computed).max())
            self.computed = self.computed[-1:]
            return {**super().gaps(), "busiest": busiest}

    warnings.filterwarnings("ignore", module="napari")
    application = get_qapp()  # held, or Qt deletes it with all that lives in it
    heart = Busy()
    yield heart
    heart.timer.stop()
    application.processEvents()


# -- which head -----------------------------------------------------------------------------------------------------------


def walk(truth: np.ndarray, strokes_a_class: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Return strokes (y, x): random walks of a brush of 3 pixels that stay in their class."""
    found = np.zeros(truth.shape, np.uint8)
    for number in np.unique(truth[truth > 0]):
        pixels = np.argwhere(truth == number)
        for _ in range(strokes_a_class):
            place, angle = pixels[rng.integers(len(pixels))].astype(float), rng.uniform(0, 2 * np.pi)
            path = np.zeros(truth.shape, bool)
            for _ in range(length):
                path[tuple(np.round(place).astype(int))] = True
                angle += rng.normal(0, 0.3)
                there = place + np.array([np.sin(angle), np.cos(angle)])
                y, x = np.round(there).astype(int)
                if 0 <= y < truth.shape[0] and 0 <= x < truth.shape[1] and truth[y, x] == number:
                    place = there
                else:
                    angle += rng.uniform(1, 3)
            found[ndimage.binary_dilation(path, np.ones((3, 3))) & (truth == number)] = number
    return found


def scenes(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, training-free embedding (y, x, d) and truth (y, x) of four scenes."""
    import tifffile

    from napari_hsi_ssl import Project
    from napari_hsi_ssl.cubes.samples import indian_pines, laboratory
    from napari_hsi_ssl.steps.cubes import new
    from napari_hsi_ssl.steps.training_free import embeddings

    cube, labels, _ = indian_pines()
    np.save(folder / "pines.npy", np.asarray(cube.data))
    run(laboratory(folder / "lab", size=96, cubes_per_domain=1, seed=1))
    sources = {"pines": (folder / "pines.npy", labels)}
    for domain in ("coffee", "grapes", "paper"):
        header = next((folder / "lab").rglob(f"{domain}_1.hdr"))
        sources[domain] = header, tifffile.imread(next((folder / "lab").rglob(f"{domain}_1_labels.tif")))
    for name, (path, truth) in sources.items():
        run(new(folder / f"p_{name}", [path]))
        project = Project.open(folder / f"p_{name}")
        cube_name = next(iter(project.entries))
        made = run(embeddings(project, {cube_name: project.area(cube_name)}))
        yield name, np.load(made[cube_name]), truth


def heads(seeds: int) -> dict[str, Any]:
    """Average accuracy of the classes, on labelled pixels that were not painted, by head, directions and amount of paint."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _, embedding, truth in scenes(Path(folder)):
            area = np.isfinite(embedding[..., 0])
            for directions in (16, 32, 64, 128):
                basis = Basis.of(embedding, area, standardised=False, most=directions)
                space = run(Space.load(embedding, area, basis))
                for amount in ((1, 8), (3, 12)):
                    for seed in range(seeds):
                        strokes = walk(truth, *amount, np.random.default_rng(seed))
                        x, y, _ = space.at(strokes)
                        for kind in HEADS:
                            made = PaintedMap.empty(space.shape)
                            for _ in fill_map(space, fit_head(kind, x, y), made):
                                pass
                            held_out = (truth > 0) & (strokes == 0)
                            right = [(made.labels[held_out & (truth == one)] == one).mean() for one in np.unique(truth[held_out])]
                            found.setdefault(f"{kind}, {directions} directions, {amount[0]} strokes of {amount[1]}", []).append(float(np.mean(right)))
    return {name: {"average accuracy": float(np.mean(values)), "runs": len(values)} for name, values in found.items()}


def main() -> int:
    """Run it, and print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", default=["610x340", "2000x2000"])
    parser.add_argument("--seconds", type=float, default=6.0, help="of the long stroke")
    parser.add_argument("--turns", type=int, default=3, help="of painting on a bare napari and with the map following")
    parser.add_argument("--compute-only", action="store_true")
    parser.add_argument("--heads", action="store_true")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    if options.heads:
        found = heads(options.seeds)
    else:
        with nullcontext() if options.compute_only else beating() as heart:
            for side in options.sides:
                begun = time.perf_counter()
                ground, truth, _ = ground_of(*map(int, side.split("x")))
                rows: dict[str, Any] = {"prepared_s": time.perf_counter() - begun, "computing": computing(ground, truth)}
                if heart is not None:
                    rows["following"] = taking_turns(heart, ground, truth, options.seconds, options.turns)
                found[side] = rows
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
