"""Workers: nothing is lost, the latest wins, cancel tidies up, errors become sentences."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from qtpy.QtCore import QObject

from napari_hsi_ssl.errors import CancelledError, ProjectError
from napari_hsi_ssl.gui.jobs import Jobs, Update, time_words
from napari_hsi_ssl.progress import Progress


@pytest.fixture
def jobs(qtbot: Any) -> Any:
    parent = QObject()
    made = Jobs(parent)
    yield made
    made.stop()
    qtbot.waitUntil(lambda: not made.running)
    parent.deleteLater()


def count(to: int, *, pause: float = 0.0, events: bool = False) -> Any:
    for number in range(to):
        time.sleep(pause)
        yield Progress(number + 1, to, f"{number}", data={"type": "step", "step": number} if events else {})
    return to


def test_result_arrives_on_the_gui_thread(qtbot, jobs):
    found: list[Any] = []
    jobs.start(count(3), lambda result: found.append((result, threading.current_thread() is threading.main_thread())))
    qtbot.waitUntil(lambda: bool(found))
    assert found == [(3, True)]


def test_no_event_and_no_warning_is_lost_to_the_throttle(qtbot, jobs):
    """A run that is opened again sends thousands of events at once: all arrive, in few updates."""

    def steps() -> Any:
        yield from count(5000, events=True)
        yield Progress(message="beware", warning=True)
        return "end"

    updates: list[Update] = []
    ended: list[str] = []
    jobs.start(steps(), ended.append, on_update=updates.append)
    qtbot.waitUntil(lambda: bool(ended))
    assert [event["step"] for update in updates for event in update.events] == list(range(5000))
    assert [words for update in updates for words in update.warnings] == ["beware"]
    assert len(updates) < 50


def test_the_same_event_told_twice_counts_once(qtbot, jobs):
    """`follow` repeats its last progress while nothing is new."""
    event = {"type": "step", "step": 1}

    def steps() -> Any:
        for _ in range(4):
            yield Progress(data=event)
            time.sleep(0.15)

    updates: list[Update] = []
    ended: list[Any] = []
    jobs.start(steps(), ended.append, on_update=updates.append)
    qtbot.waitUntil(lambda: bool(ended))
    assert sum(len(update.events) for update in updates) == 1


def test_latest_of_a_slot_wins(qtbot, jobs):
    found: list[str] = []

    def slow(name: str) -> Any:
        for _ in range(20):
            time.sleep(0.02)
            yield Progress()
        return name

    jobs.start(slow("old"), found.append, slot="preview")
    jobs.start(slow("new"), found.append, slot="preview")
    qtbot.waitUntil(lambda: not jobs.running)
    assert found == ["new"]


def test_cancel_closes_the_step_in_its_own_thread(qtbot, jobs):
    closed: list[bool] = []
    told: list[str] = []

    def steps() -> Any:
        try:
            while True:
                time.sleep(0.01)
                yield Progress()
        finally:
            closed.append(threading.current_thread() is not threading.main_thread())

    job = jobs.start(steps(), on_cancelled=told.append)
    qtbot.wait(50)
    job.cancel()
    qtbot.waitUntil(lambda: not jobs.running)
    assert closed == [True]
    assert told == [""]


def test_step_that_says_it_was_cancelled_is_no_failure(qtbot, jobs):
    def steps() -> Any:
        yield Progress()
        raise CancelledError("cancelled at step 40")

    told: list[str] = []
    failed: list[Any] = []
    jobs.start(steps(), on_cancelled=told.append, on_error=lambda *what: failed.append(what))
    qtbot.waitUntil(lambda: bool(told))
    assert told == ["cancelled at step 40"]
    assert failed == []


def test_known_error_is_one_sentence_without_a_traceback(qtbot, jobs):
    def steps() -> Any:
        yield Progress()
        raise ProjectError("there is no PCA yet; make it with `napari-hsi-ssl pca PROJECT`.")

    found: list[Any] = []
    jobs.start(steps(), on_error=lambda error, sentence, details: found.append((type(error), sentence, details)))
    qtbot.waitUntil(lambda: bool(found))
    assert found == [(ProjectError, "there is no PCA yet; make it with the form “3 Explore”.", "")]


def test_unforeseen_error_names_itself_and_keeps_the_traceback(qtbot, jobs):
    def steps() -> Any:
        yield Progress()
        raise ZeroDivisionError("by nought")

    found: list[Any] = []
    jobs.start(steps(), label="dividing", on_error=lambda _error, sentence, details: found.append((sentence, details)))
    qtbot.waitUntil(lambda: bool(found))
    sentence, details = found[0]
    assert sentence.startswith("dividing:")
    assert "ZeroDivisionError" in sentence
    assert "Traceback" in details


def test_time_left_is_extrapolated(qtbot, jobs):
    """Forty steps of 50 ms: after a second about one second is left."""
    updates: list[Update] = []
    ended: list[Any] = []
    jobs.start(count(40, pause=0.05), ended.append, on_update=updates.append)
    qtbot.waitUntil(lambda: bool(ended), timeout=10000)
    told = [(update.progress, update.seconds_left) for update in updates if update.seconds_left is not None]
    progress, left = told[0]
    remaining = (progress.total - progress.done) * 0.05
    assert 0.5 * remaining < left < 3 * remaining


def test_watching_runs_leaves_threads_for_others(qtbot, jobs):
    """On two cores Qt's pool has two threads; two watched runs must not block a preview."""
    watching = [jobs.start(count(10_000, pause=0.01)) for _ in range(3)]
    found: list[int] = []
    jobs.start(count(1), found.append)
    qtbot.waitUntil(lambda: bool(found), timeout=2000)
    for job in watching:
        job.cancel()
    assert found == [1]


def test_jobs_end_with_their_owner(qtbot):
    parent = QObject()
    closed = threading.Event()

    def steps() -> Any:
        try:
            while True:
                time.sleep(0.01)
                yield Progress()
        finally:
            closed.set()

    Jobs(parent).start(steps())
    qtbot.wait(30)
    parent.deleteLater()
    qtbot.waitUntil(closed.is_set, timeout=3000)


@pytest.mark.parametrize(("seconds", "words"), [(None, ""), (-3, "0 s"), (40.4, "40 s"), (200, "3 min"), (7500, "2 h 5 min")])
def test_time_in_words(seconds, words):
    assert time_words(seconds) == words


def test_a_worker_that_fails_around_its_step_ends(qtbot, jobs):
    class Broken:
        def __next__(self) -> Progress:
            raise StopIteration(1)

        def close(self) -> None:
            raise ValueError("the step cannot be closed")

    said: list[str] = []
    jobs.start(Broken(), label="breaking", on_error=lambda _error, sentence, _details: said.append(sentence))
    qtbot.waitUntil(lambda: bool(said), timeout=10_000)
    assert "cannot be closed" in said[0]
    assert not jobs.running
