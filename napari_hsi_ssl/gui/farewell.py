"""Do something when Qt deletes an object, also while Python collects it.

``destroyed.connect`` of a partial or a closure is a trap: when object and slot become garbage together, Python empties the
partial first, the object's deletion then calls it, and the process ends with a segmentation fault (PyQt5 5.15). Slots made
here are kept by this module until they have been called.
"""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject

_waiting: set[_Farewell] = set()


class _Farewell:
    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        _waiting.add(self)

    def say(self, *_: object) -> None:
        if self in _waiting:
            _waiting.discard(self)
            self._act()


def when_destroyed(what: QObject, act: Callable[[], None]) -> None:
    """Call ``act`` once Qt deletes an object; ``act`` must not hold the object, or it is never deleted."""
    what.destroyed.connect(_Farewell(act).say)
