"""What napari and what it stands on keep of layers that are gone, let go: else every project that is opened costs memory until napari ends.

All three are theirs to mend (seen with napari 0.9 and 0.10, app-model 0.4, psygnal 0.16): napari's settings call sliders that are deleted, a context of
app-model calls the contexts of layer lists that are deleted, and psygnal remembers a signature for each signal it ever saw. Where one of these names
is no longer there, nothing is done.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import psygnal
from app_model.expressions import _context
from napari.settings import get_settings
from psygnal import SignalInstance


def let_go() -> None:
    """Forget sliders, contexts and signals that belong to nothing any more."""
    settings = get_settings().application.events
    for emitter in (settings.playback_fps, settings.playback_mode):
        for callback in emitter.callbacks:
            if _of_the_dead(callback):
                emitter.disconnect(callback)
    contexts = [getattr(_context, "_ROOT_CONTEXT", None), *getattr(_context, "_OBJ_TO_CONTEXT", {}).values()]
    for context in contexts:
        for slot in list(getattr(getattr(context, "changed", None), "_slots", ())):
            called = slot.dereference()
            owner = getattr(called, "__self__", None)
            if isinstance(owner, SignalInstance) and owner.instance is None:
                context.changed.disconnect(called, missing_ok=True)
    remembered = getattr(getattr(psygnal, "_signal", None), "_stub_sig", None)
    if remembered is not None and hasattr(remembered, "cache_clear"):
        remembered.cache_clear()


def _of_the_dead(callback: Callable[..., Any]) -> bool:
    """Return whether a callback is a closure over something that is deleted."""
    held = [cell.cell_contents for cell in getattr(callback, "__closure__", None) or ()]
    return any(isinstance(one, weakref.ref) and one() is None for one in held)
