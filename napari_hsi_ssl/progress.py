"""What a long computation says while it works.

Everything that takes long is a generator that yields `Progress` and returns its result. A terminal draws the progress,
a window runs the generator in a thread, a notebook calls `run`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """How far a computation is.

    Attributes
    ----------
    done, total : float
        Work done and work in all, in any unit; ``total`` 0 when unknown.
    message : str
        What is being done now, or a warning, in words for the user.
    warning : bool
        True when the message must be read: it stays on screen.
    data : dict
        Live figures of a training run (an event of its log).
    """

    done: float = 0.0
    total: float = 0.0
    message: str = ""
    warning: bool = False
    data: dict[str, Any] = field(default_factory=dict)


Steps = Generator[Progress, None, Result]
"""A computation that yields progress and returns a result."""


def run(steps: Steps[Result], watch: Callable[[Progress], None] | None = None) -> Result:
    """Run a step to its end and return its result, as a notebook or a test would.

    Parameters
    ----------
    steps : generator
        What one of the functions of `napari_hsi_ssl.steps` returned.
    watch : callable, optional
        Called with every `Progress`.
    """
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        if watch is not None:
            watch(progress)
