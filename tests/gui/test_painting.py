"""How strokes are followed and kept, without a window: what is cancelled, what waits, and what is on disk in the end."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt.threading import GeneratorWorker

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import CancelledError
from napari_hsi_ssl.gui import layers, painted_layers, painting
from napari_hsi_ssl.gui.desk import Desk, desk_for
from napari_hsi_ssl.gui.painting import Painter, StrokeKeeper
from napari_hsi_ssl.mapping.painted import Basis, PaintedMap, Space
from napari_hsi_ssl.mapping.suggest import Suggestion
from napari_hsi_ssl.progress import Progress, run
from napari_hsi_ssl.steps.painting import Followed, Ground, follow

SHAPE = (24, 20)


class Studio:
    """A painter on a viewer without a window, whose maps are made when they are let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
        self.viewer, self.qtbot = ViewerModel(), qtbot
        self.desk: Desk = desk_for(self.viewer)
        self.painter = Painter(self.desk, self.desk)
        embedding = np.random.default_rng(0).standard_normal((*SHAPE, 8)).astype(np.float32)
        basis = Basis.of(embedding, np.ones(SHAPE, bool), standardised=False)
        nothing = np.zeros((0, 8), np.float32), np.zeros(0, np.int64)
        self.ground = Ground("beans", "training-free", run(Space.load(embedding, np.ones(SHAPE, bool), basis)), nothing, {})
        self.asked: list[dict[str, Any]] = []
        self.let = threading.Semaphore(0)
        self.given_up = 0
        monkeypatch.setattr(painting, "follow", self.follow)
        self.shown: list[Followed] = []
        self.painter.followed.connect(self.shown.append)

    def follow(self, _ground: Ground, strokes: np.ndarray, config: Any, *, before: Any, view: Any, stale: Any, classes: Any) -> Any:
        me = {"strokes": strokes, "suggestions": config.suggestions, "stale": stale}
        self.asked.append(me)

        def steps() -> Any:
            while not self.let.acquire(timeout=0.005):
                if stale():
                    self.given_up += 1
                    raise CancelledError("")
            yield Progress()
            found = PaintedMap(np.full(SHAPE, strokes.max(), np.uint8), np.full(SHAPE, 0.9, np.float32))
            told = [Suggestion(1, 5, 5, 9, 0.4, np.array([[3.0, 3], [3, 7], [7, 7]]))] if config.suggestions else None
            return Followed(found, True, *found.counts(), np.bincount(strokes[strokes > 0]), 0, 0.01, told)

        return steps()

    def begin(self, strokes: np.ndarray | None = None) -> None:
        self.painter.begin(self.ground, strokes, Classes.of([1, 2, 3]))

    def brush(self, number: int, *rows: int) -> None:
        """Move the brush; the stroke is not ended."""
        layer = self.painter.layer
        layer._block_history = True
        for row in rows:
            layer.data_setitem((np.full(3, row), np.arange(3)), number)

    def release(self) -> None:
        self.painter.layer._block_history = False
        self.painter.layer._commit_staged_history()

    def wait(self, until: Any) -> None:
        self.qtbot.waitUntil(lambda: bool(until()), timeout=10_000)


@pytest.fixture
def studio(monkeypatch, qtbot):
    made = Studio(monkeypatch, qtbot)
    yield made
    made.painter.stop()
    for _ in range(20):
        made.let.release()
    GeneratorWorker.await_workers(30_000)


def test_many_moves_are_one_request(studio):
    studio.begin()
    studio.brush(1, 1, 2, 3)
    studio.brush(1, 4, 5)
    studio.wait(lambda: studio.asked)
    assert len(studio.asked) == 1
    assert np.count_nonzero(studio.asked[0]["strokes"]) == 15
    assert studio.asked[0]["suggestions"] == 0, "what to paint next is for a brush at rest"


def test_the_first_change_after_a_rest_is_followed_at_once(studio):
    """A dab that waits a tenth of a second before anything is computed is seen a tenth of a second later."""
    studio.begin()
    studio.brush(1, 1)
    assert studio.painter._timer.interval() < painting.FOLLOW_MS / 2
    studio.wait(lambda: studio.asked)
    studio.painter._followed = time.monotonic()
    studio.brush(1, 2)
    assert painting.FOLLOW_MS / 2 < studio.painter._timer.interval() <= painting.FOLLOW_MS


def test_the_map_does_not_wait_for_places_to_paint_and_is_drawn_once(studio, monkeypatch):
    drawn = []
    show = painted_layers.show_painted
    monkeypatch.setattr(painting, "follow", follow)
    monkeypatch.setattr(painted_layers, "show_painted", lambda *given: drawn.append(1) or show(*given))
    studio.begin()
    studio.brush(1, 1)
    studio.brush(2, 20)
    studio.release()
    studio.wait(lambda: studio.painter.latest is not None and studio.painter.latest.suggestions is not None)
    assert [found.suggestions is None for found in studio.shown] == [True, False]
    assert studio.shown[0].complete
    assert len(drawn) == 1


def test_a_new_stroke_cancels_what_is_on_its_way_at_once(studio):
    """Else the window shows a map of strokes that are history, later."""
    studio.begin()
    studio.brush(1, 1)
    studio.release()
    studio.wait(lambda: len(studio.asked) == 1)
    begun = time.monotonic()
    studio.brush(2, 5)
    assert studio.asked[0]["stale"](), "before anything is computed anew"
    studio.wait(lambda: studio.given_up == 1)
    assert time.monotonic() - begun < 5
    studio.wait(lambda: len(studio.asked) == 2)
    studio.let.release()
    studio.wait(lambda: studio.shown)
    assert studio.shown[0].map.labels.max() == 2


def test_a_brush_that_never_rests_still_sees_maps(studio):
    """A map that takes longer than the pause between two requests must not be cancelled for ever."""
    studio.begin()
    studio.brush(1, 1)
    studio.wait(lambda: len(studio.asked) == 1)
    for row in range(2, 9):
        studio.brush(1, row)
        studio.qtbot.wait(40)
    assert len(studio.asked) == 1
    assert not studio.asked[0]["stale"]()
    studio.let.release()
    studio.wait(lambda: len(studio.shown) == 1 and len(studio.asked) == 2)
    assert np.count_nonzero(studio.asked[1]["strokes"]) == 24, "the latest strokes are next"


def test_a_map_comes_with_places_to_paint_once_the_brush_rests(studio):
    studio.begin()
    studio.brush(1, 1)
    studio.release()
    studio.wait(lambda: studio.asked)
    assert studio.asked[-1]["suggestions"] > 0
    studio.let.release()
    studio.wait(lambda: studio.shown)
    outlines = layers.find(studio.viewer, "next", "beans")
    assert len(outlines.data) == 1
    one = studio.painter.go_next()
    assert (one.y, one.x) == tuple(studio.viewer.scene.camera.center[-2:])
    assert studio.painter.go_next() is one, "from the last to the first again"


def test_nothing_of_a_map_reaches_the_canvas_after_painting_has_ended(studio):
    studio.begin()
    studio.brush(1, 1)
    studio.release()
    studio.wait(lambda: studio.asked)
    studio.painter.stop()
    studio.let.release()
    studio.qtbot.wait(150)
    assert not studio.shown
    assert layers.find(studio.viewer, "painted", "beans") is None
    assert not layers.find(studio.viewer, "strokes", "beans").visible


def test_the_map_is_changed_in_place(studio):
    """Each layer that is added costs the window a tenth of a second."""
    studio.begin()
    for number in (1, 2):
        studio.brush(number, number)
        studio.release()
        studio.let.release()
        studio.wait(lambda number=number: len(studio.shown) == number)
        if number == 1:
            first = layers.find(studio.viewer, "painted", "beans")
    assert layers.find(studio.viewer, "painted", "beans") is first
    assert (first.data == 2).all()
    assert first.data.dtype == np.uint8, "other types are translated by napari, pixel by pixel"


def test_more_than_255_classes_are_painted_in_a_wider_type(studio):
    studio.begin(np.full(SHAPE, 300, np.int32))
    assert studio.painter.layer.data.dtype == np.uint16


class _Slow:
    """A project whose first save takes long."""

    def __init__(self) -> None:
        self.saved: list[int] = []
        self.first = threading.Event()

    def save_strokes(self, _cube: str, strokes: np.ndarray) -> None:
        if not self.saved:
            self.first.wait(5)
        self.saved.append(int(strokes.max()))


def test_the_last_strokes_are_the_ones_on_disk():
    """Two threads that save at once must not leave the older strokes behind."""
    keeper, project = StrokeKeeper(), _Slow()
    threads = []
    for number in (1, 2, 3):
        keeper.put(project, "beans", np.full((2, 2), number))
        threads.append(threading.Thread(target=keeper.write))
        threads[-1].start()
    time.sleep(0.05)
    project.first.set()
    for thread in threads:
        thread.join()
    assert project.saved[-1] == 3
    saved = len(project.saved)
    keeper.write()
    assert len(project.saved) == saved, "what is saved does not wait any more"


def test_what_is_looked_at_is_cut_to_the_image(studio):
    layer = studio.viewer.add_labels(np.zeros(SHAPE, np.uint8))
    layer.corner_pixels = np.array([[-5, 3], [12, 90]])
    assert painted_layers.looked_at(layer) == (slice(0, 13), slice(3, 20))
    layer.corner_pixels = np.array([[0, 0], [-1, -1]])
    assert painted_layers.looked_at(layer) == (slice(0, 24), slice(0, 20))
