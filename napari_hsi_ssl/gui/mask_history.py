"""What was done to the masks on the canvas, step by step, to be taken back: rules, regions, strokes of the brush alike.

A step is the set of pixels that it turned over, at one bit a pixel and compressed: the same bits take it back and do it again.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.viewer import Viewer

MOST_STEPS = 100
MOST_BYTES = 64 * 2**20
"""Of all steps of a window; the oldest go first, but never the last twenty of a cube."""
FEWEST_STEPS = 20


@dataclass
class _Stack:
    """The steps of one cube's mask: the first ``done`` of them are in it, the others were taken back."""

    steps: list[bytes] = field(default_factory=list)
    done: int = 0
    merge: str = ""
    state: int = 0
    """Checksum of the mask as it stands after the steps that are in it."""


class MaskHistory:
    """Steps that can be taken back and done again, of every cube's mask. One a viewer: use `history_for`."""

    def __init__(self) -> None:
        self._stacks: dict[str, _Stack] = {}

    def record(self, cube: str, before: NDArray[np.bool_], after: NDArray[np.bool_], merge: str = "") -> bool:
        """Remember a change of a mask (y, x); returns whether anything changed.

        Parameters
        ----------
        merge : str
            Changes that follow one another under the same name are one step, as while a slider is dragged.
        """
        turned = np.packbits(before != after)
        if not turned.any():
            return False
        stack = self._stacks.setdefault(cube, _Stack())
        if stack.steps and stack.state != _checksum(before):  # the mask was changed past this history
            stack.steps, stack.done, stack.merge = [], 0, ""
        del stack.steps[stack.done :]
        if merge and merge == stack.merge and stack.steps:
            turned ^= _unpack(stack.steps.pop())
        stack.merge = merge
        if turned.any():
            stack.steps.append(zlib.compress(turned.tobytes(), 1))
        del stack.steps[: max(0, len(stack.steps) - MOST_STEPS)]
        self._thin_out(stack)
        stack.done, stack.state = len(stack.steps), _checksum(after)
        return True

    def _thin_out(self, stack: _Stack) -> None:
        spare = sum(len(step) for other in self._stacks.values() for step in other.steps) - MOST_BYTES
        while spare > 0 and len(stack.steps) > FEWEST_STEPS:
            spare -= len(stack.steps.pop(0))

    def undo(self, cube: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Return a mask (y, x) as it was one step before; None when there is no step to take back."""
        stack = self._fitting(cube, mask)
        if stack is None or stack.done == 0:
            return None
        stack.done -= 1
        return self._turn(stack, stack.steps[stack.done], mask)

    def redo(self, cube: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Return a mask (y, x) with the step done again that was taken back last; None when there is none."""
        stack = self._fitting(cube, mask)
        if stack is None or stack.done == len(stack.steps):
            return None
        stack.done += 1
        return self._turn(stack, stack.steps[stack.done - 1], mask)

    def able(self, cube: str) -> tuple[int, int]:
        """Return how many steps of a cube can be taken back, and how many done again."""
        stack = self._stacks.get(cube, _Stack())
        return stack.done, len(stack.steps) - stack.done

    def part(self, cube: str) -> None:
        """Let the next change be a step of its own, whatever its name."""
        if cube in self._stacks:
            self._stacks[cube].merge = ""

    def clear(self) -> None:
        """Forget every step: the cubes that come next may have the same names."""
        self._stacks.clear()

    def _fitting(self, cube: str, mask: NDArray[np.bool_]) -> _Stack | None:
        stack = self._stacks.get(cube)
        if stack is not None and stack.state != _checksum(mask):
            del self._stacks[cube]  # the bits of another mask would make a third one
            return None
        return stack

    def _turn(self, stack: _Stack, step: bytes, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        turned = np.unpackbits(_unpack(step), count=mask.size).reshape(mask.shape).astype(bool)
        changed: NDArray[np.bool_] = mask ^ turned
        stack.merge, stack.state = "", _checksum(changed)
        return changed


def _unpack(step: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.decompress(step), dtype=np.uint8).copy()


def _checksum(mask: NDArray[np.bool_]) -> int:
    return zlib.crc32(np.packbits(mask).tobytes())


_histories: WeakKeyDictionary[Viewer, MaskHistory] = WeakKeyDictionary()


def history_for(viewer: Viewer) -> MaskHistory:
    """Return the history of a viewer, the same one at every call."""
    bare = getattr(viewer, "__wrapped__", viewer)  # napari hands plugins a proxy
    if bare not in _histories:
        _histories[bare] = MaskHistory()
    return _histories[bare]
