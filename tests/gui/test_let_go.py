"""Layers that came and went leave nothing behind in napari's settings, in app-model's contexts and in psygnal."""

from __future__ import annotations

import gc
from collections import Counter

import numpy as np
from napari.settings import get_settings

from napari_hsi_ssl.gui.let_go import let_go


def kept() -> Counter[str]:
    """Return the objects of three kinds that are alive."""
    gc.collect()
    let_go()
    gc.collect()
    kinds = Counter(type(one).__name__ for one in gc.get_objects())
    events = get_settings().application.events
    return Counter(signals=kinds["SignalInstance"], slots=kinds["StrongFunction"], sliders=len(events.playback_fps.callbacks))


def come_and_go(viewer, qtbot) -> None:
    for number in range(3):
        viewer.add_image(np.random.default_rng(number).random((4, 20, 20)))
        viewer.add_labels(np.ones((20, 20), int))
        qtbot.wait(10)
        assert len(viewer.layers[:]) == 2  # a list of its own, as napari makes of a viewer that is shown
        viewer.layers.clear()
        qtbot.wait(20)


def test_layers_that_are_gone_leave_nothing_behind(viewer, qtbot):
    come_and_go(viewer, qtbot)
    before = kept()
    come_and_go(viewer, qtbot)
    gc.collect()
    alive = sum(type(one).__name__ == "SignalInstance" for one in gc.get_objects())
    assert alive >= before["signals"] + 3, "napari lets go by itself: this module is not needed any more"
    after = kept()
    assert all(after[kind] <= before[kind] + 1 for kind in before), (before, after)


def test_a_living_slider_still_follows_the_settings(viewer, qtbot):
    layer = viewer.add_image(np.zeros((4, 20, 20)))
    qtbot.wait(10)
    let_go()
    slider = viewer.window._qt_viewer.dims.slider_widgets[0]
    application = get_settings().application
    found = application.playback_fps
    application.playback_fps = found + 7
    assert slider.fps == found + 7
    application.playback_fps = found
    assert layer in viewer.layers
