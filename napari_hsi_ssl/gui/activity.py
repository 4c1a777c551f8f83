"""What is being worked on now, whoever asked for it: nothing that takes longer than half a second happens unseen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_hsi_ssl.progress import Progress

UNSEEN_SECONDS = 0.5
"""A job that is over sooner is not worth a word."""


@dataclass(eq=False)
class Work:
    """A job on its way.

    Attributes
    ----------
    words : str
        What is being done.
    cancel : callable
        Asks it to end.
    shown : callable or None
        Says whether a bar of its own can be seen.
    since : float
        When it began (monotonic clock).
    progress, seconds_left : Progress, float or None
        As it said last.
    """

    words: str
    cancel: Callable[[], None]
    shown: Callable[[], bool] | None = None
    since: float = field(default_factory=time.monotonic)
    progress: Progress = field(default_factory=Progress)
    seconds_left: float | None = None

    @property
    def seen(self) -> bool:
        """Whether a bar of its own can be seen."""
        try:
            return self.shown is not None and self.shown()
        except RuntimeError:  # Qt has deleted the bar
            return False


class Activity(QObject):
    """The jobs on their way, of all owners.

    Attributes
    ----------
    begun : Signal()
    """

    begun = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._work: list[Work] = []

    def begin(self, work: Work) -> None:
        """Note a job."""
        self._work.append(work)
        self.begun.emit()

    def end(self, work: Work | None) -> None:
        """Forget a job."""
        if work in self._work:
            self._work.remove(work)

    @property
    def idle(self) -> bool:
        """Whether nothing is being done."""
        return not self._work

    def longest(self) -> Work | None:
        """Return the job that has run longest of those worth a word that have no bar of their own on the screen."""
        now = time.monotonic()
        return next((work for work in self._work if now - work.since >= UNSEEN_SECONDS and not work.seen), None)


activity = Activity()
"""The one of this process."""


def words_of(work: Work) -> str:
    """Return what a job is at."""
    said: Any = work.progress.message
    return said if said and work.words in said else f"{work.words}: {said}" if said else work.words
