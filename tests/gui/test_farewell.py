"""What is done when Qt deletes an object is done also in a garbage collection, where a plain partial ends the process."""

from __future__ import annotations

import gc
from functools import partial

from qtpy.QtCore import QObject

from napari_hsi_ssl.gui import farewell


def test_called_once_when_owner_and_slot_are_garbage_together(qapp):
    told: list[str] = []
    before = set(farewell._waiting)
    for number in range(5):
        owner = QObject()
        child = QObject(owner)
        child.what = owner.what = {"told": told}  # a cycle, so that only the collector can free them
        owner.child = child
        owner.what["owner"] = owner
        farewell.when_destroyed(child, partial(told.append, str(number)))
        del owner, child
        gc.collect()
    assert told == [str(number) for number in range(5)]
    assert farewell._waiting <= before, "nothing of it waits any longer; what earlier windows left may go meanwhile"
