"""Run steps in worker threads of napari: progress, time left, cancel, errors in words, and the latest request wins."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from napari.qt.threading import GeneratorWorker
from qtpy.QtCore import QObject, QThreadPool, Signal

from napari_hsi_ssl.errors import CancelledError, HsiError
from napari_hsi_ssl.gui.activity import Work, activity
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.progress import Progress, Steps

_log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
"""The window hears of a job at most this often: every update costs it a redraw."""
_THREADS = 8
_SETTLING_SECONDS = 1.0

_SLOTS = {
    "mask": "reading the mask", "labels": "reading the labels", "grid": "outlines of the patches", "pcs": "reading the components",
    "components": "reading the components", "results": "reading the results", "range": "range of values", "limits": "contrast of the image",
    "drawing": "pixels inside the outline", "region": "pixels inside the outline", "change": "changing the mask", "combine": "combining masks",
    "ordering": "a copy that reads bands at once",
}  # fmt: skip
"""What a job without a label of its own is at, by its slot."""


@dataclass(frozen=True)
class Update:
    """What a job has to tell since the last update.

    Attributes
    ----------
    progress : Progress
        The latest.
    seconds_left : float or None
        As the step says, or extrapolated once it has run for a second.
    warnings : tuple of str
    events : tuple of dict
        Events of a training run, in order, none left out.
    """

    progress: Progress
    seconds_left: float | None = None
    warnings: tuple[str, ...] = ()
    events: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class _Outcome:
    result: Any = None
    error: BaseException | None = None
    details: str = ""
    cancelled: bool = False


@dataclass
class _Clock:
    """Extrapolates the time left; starts anew when a step begins another count."""

    start: float = field(default_factory=time.monotonic)
    first: float = 0.0
    last: Progress = field(default_factory=Progress)

    def seconds_left(self, progress: Progress) -> float | None:
        now = time.monotonic()
        told = progress.data.get("seconds_left")
        if told is not None:
            return float(told)
        if progress.total != self.last.total or progress.done < self.last.done:
            self.start, self.first = now, progress.done
        self.last = progress
        done, elapsed = progress.done - self.first, now - self.start
        if progress.total <= 0 or done <= 0 or elapsed < _SETTLING_SECONDS:
            return None
        return elapsed * (progress.total - progress.done) / done


class Job(QObject):
    """One step on its way. All signals arrive on the GUI thread."""

    updated = Signal(object)
    """Update."""
    succeeded = Signal(object)
    """The step's result."""
    failed = Signal(object, str, str)
    """The exception, one sentence, and details (a traceback, or "")."""
    cancelled = Signal(str)
    """Words, or ""."""
    ended = Signal()
    """After any of the others."""

    def __init__(self, steps: Steps[Any], label: str, parent: QObject, every: float = TICK_SECONDS) -> None:
        super().__init__(parent)
        self.label = label
        self.running = True
        self.work: Work | None = None
        """What the shared row shows of it; None when it is none of the user's business."""
        self.stop = threading.Event()
        self._worker = _Worker(steps, self.stop, every)
        self._worker.yielded.connect(self._update)
        self._worker.returned.connect(self._end)

    def start(self) -> None:
        """Begin, in a thread of napari's pool."""
        self._worker.start()

    def cancel(self) -> None:
        """Ask the step to end; it hears of it at its next word."""
        self.stop.set()

    def forget(self) -> None:
        """Cancel, and say nothing more: a newer request has taken its place."""
        self.blockSignals(True)
        activity.end(self.work)
        self.cancel()

    def _update(self, update: Update) -> None:
        if self.work is not None:
            self.work.progress, self.work.seconds_left = update.progress, update.seconds_left
        if self.running:
            self.updated.emit(update)

    def _end(self, outcome: _Outcome) -> None:
        self.running = False
        activity.end(self.work)
        if outcome.error is not None:
            sentence = in_window(str(outcome.error)) if isinstance(outcome.error, HsiError) else _unexpected(self.label, outcome.error)
            self.failed.emit(outcome.error, sentence, outcome.details)
        elif outcome.cancelled:
            self.cancelled.emit(str(outcome.result or ""))
        else:
            self.succeeded.emit(outcome.result)
        self.blockSignals(False)
        self.ended.emit()


class _Worker(GeneratorWorker):
    def __init__(self, steps: Steps[Any], stop: threading.Event, every: float) -> None:
        self._stop = stop
        super().__init__(_drive, steps, stop, every)

    def run(self) -> None:
        """Run the step in this thread and tell its outcome, whatever happens.

        Not as superqt does it: that sets the warning filters, which are the whole program's, and two threads that set them at once leave them
        wrong; and where the step cannot be closed, or a signal cannot be sent, it says nothing of the end.
        """
        with suppress(RuntimeError):  # the window has gone, and the signals with it
            self.started.emit()
            self._running = True
            try:
                found = self.work()
            except Exception as error:  # noqa: BLE001 - around the step, not in it
                found = error
            if not isinstance(found, _Outcome):
                _log.error("a job of the window failed around its step", exc_info=found)
                found = _Outcome(error=found)
            self._running = False
            self.returned.emit(found)
            self.finished.emit()
            self._finished.emit(self)

    def quit(self) -> None:
        """End through the step's own `close`, so that it can tidy up in its thread."""
        self._stop.set()


def _drive(steps: Steps[Any], stop: threading.Event, every: float) -> Any:  # noqa: ANN401 - a generator of updates that returns an outcome
    """Iterate a step in the worker's thread; yields at most one `Update` a tick and returns an `_Outcome`."""
    clock, last = _Clock(), 0.0
    warnings: list[str] = []
    events: list[dict[str, Any]] = []
    told: dict[str, Any] | None = None
    try:
        while not stop.is_set():
            try:
                progress = next(steps)
            except StopIteration as finished:
                if warnings or events:
                    yield Update(clock.last, None, tuple(warnings), tuple(events))
                return _Outcome(finished.value)
            if progress.warning:
                warnings.append(in_window(progress.message))
            if progress.data and progress.data is not told:  # a step repeats its last word while nothing is new
                told = progress.data
                events.append(told)
            left = clock.seconds_left(progress)
            if time.monotonic() - last >= every:
                last = time.monotonic()
                yield Update(progress, left, tuple(warnings), tuple(events))
                warnings, events = [], []
        steps.close()
        return _Outcome(cancelled=True)
    except CancelledError as error:
        if warnings or events:
            yield Update(clock.last, None, tuple(warnings), tuple(events))
        return _Outcome(str(error), cancelled=True)
    except HsiError as error:
        if warnings or events:
            yield Update(clock.last, None, tuple(warnings), tuple(events))
        return _Outcome(error=error)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the window stays and says so
        _log.exception("a job of the window failed")
        return _Outcome(error=error, details=traceback.format_exc())
    finally:
        steps.close()


class Jobs(QObject):
    """The running jobs of one form, plot or watcher; all end with it.

    Parameters
    ----------
    parent : QObject
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        # Watching a run holds a thread for hours, so the two of a small machine would not be enough.
        pool = QThreadPool.globalInstance()
        pool.setMaxThreadCount(max(_THREADS, pool.maxThreadCount()))
        self._stops: set[threading.Event] = set()
        self._slots: dict[str, Job] = {}
        self._work: dict[threading.Event, Work] = {}
        when_destroyed(self, partial(_leave, self._stops, self._work))

    def start(
        self,
        steps: Steps[Any],
        on_result: Callable[[Any], None] | None = None,
        *,
        label: str = "",
        slot: str | None = None,
        on_update: Callable[[Update], None] | None = None,
        on_error: Callable[[BaseException, str, str], None] | None = None,
        on_cancelled: Callable[[str], None] | None = None,
        shown: Callable[[], bool] | None = None,
        quiet: bool = False,
        every: float = TICK_SECONDS,
    ) -> Job:
        """Run a step.

        Parameters
        ----------
        steps : generator
            What a function of `napari_hsi_ssl.steps` returned.
        on_result, on_update, on_error, on_cancelled : callable, optional
            Called on the GUI thread.
        label : str
            What is being done, in words.
        slot : str, optional
            Of the jobs in one slot only the latest counts: the older is cancelled and what it gives is dropped.
        shown : callable, optional
            Says whether the job has a progress bar of its own on the screen; the shared one shows it otherwise.
        quiet : bool
            Never shown by the shared bar: it waits rather than works.
        every : float
            Seconds between updates.
        """
        job = Job(steps, label, self, every)
        for signal, slot_function in ((job.updated, on_update), (job.succeeded, on_result), (job.failed, on_error), (job.cancelled, on_cancelled)):
            if slot_function is not None:
                signal.connect(slot_function)
        if slot is not None:
            older = self._slots.get(slot)
            if older is not None:
                older.forget()
            self._slots[slot] = job
        self._stops.add(job.stop)
        words = label or _SLOTS.get(slot or "", slot or "")
        if words and not quiet:
            job.work = self._work[job.stop] = Work(words, job.stop.set, shown)
            activity.begin(job.work)
        job.ended.connect(partial(self._ended, job, slot))
        job.start()
        return job

    def call(self, function: Callable[..., Any], *args: Any, on_result: Callable[[Any], None] | None = None, **options: Any) -> Job:  # noqa: ANN401
        """Run a plain function in a thread; ``options`` as of `start`."""
        return self.start(_one_step(function, *args), on_result, **options)

    @property
    def running(self) -> bool:
        """Whether any job is on its way."""
        return bool(self._stops)

    def stop(self) -> None:
        """Ask all jobs to end, without waiting for them."""
        _stop_all(self._stops)

    def forget(self) -> None:
        """Cancel all jobs, and drop what they give: nobody wants it any more."""
        for job in self.findChildren(Job):
            job.forget()

    def _ended(self, job: Job, slot: str | None) -> None:
        self._stops.discard(job.stop)
        self._work.pop(job.stop, None)
        if slot is not None and self._slots.get(slot) is job:
            del self._slots[slot]
        job.deleteLater()


def _stop_all(stops: set[threading.Event]) -> None:
    for stop in list(stops):
        stop.set()


def _leave(stops: set[threading.Event], work: dict[threading.Event, Work]) -> None:
    _stop_all(stops)
    for one in work.values():
        activity.end(one)


def _one_step(function: Callable[..., Any], *args: Any) -> Steps[Any]:  # noqa: ANN401
    yield Progress()
    return function(*args)


def _unexpected(label: str, error: BaseException) -> str:
    doing = f"{label}: " if label else ""
    return f"{doing}something unforeseen went wrong ({type(error).__name__}: {error}); nothing on disk is lost. The details are in the log."


def time_words(seconds: float | None) -> str:
    """Return a time span in words, ``40 s``, ``3 min``, ``2 h 5 min``; "" when unknown."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
