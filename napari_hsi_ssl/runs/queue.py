"""What a cluster's queue says of a run that was submitted to it."""

from __future__ import annotations

import time
from typing import Final

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.runs import slurm
from napari_hsi_ssl.runs.folder import RunFolder

_QUEUE_SECONDS: Final = 3.0
_PATIENCE_SECONDS: Final = 300.0


class Queue:
    """Whether Slurm still has a run's job, asked every few seconds.

    Attributes
    ----------
    news : str
        What has changed since it was last emptied.
    silent : bool
        Whether Slurm does not answer.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._asked = self._heard = float("-inf")
        self._has = False
        self._told = ""
        self.news = ""
        self.silent = False

    def has_it(self) -> bool:
        """Return whether the job waits or is at work, as Slurm said last."""
        now = time.monotonic()
        if now - self._asked < _QUEUE_SECONDS:
            return self._has
        self._asked = now
        job = slurm.job_of(self._folder)
        if job is None:
            self._has = False
            return False
        try:
            state = slurm.state(job)
            words = f"job {job}: {state.lower().replace('_', ' ')}" + (f" ({reason})" if state in slurm.WAITING and (reason := slurm.reason(job)) else "")
            self._has, self._heard, self.silent = state in slurm.WAITING | slurm.AT_WORK, now, False
        except RunError as error:
            if not self.silent:
                self._heard = now
            elif now - self._heard >= _PATIENCE_SECONDS:
                raise
            words, self.silent, self._has = f"{error} The run is still being watched.", True, True
        if words != self._told and self._has:
            self._told = self.news = words
        return self._has
