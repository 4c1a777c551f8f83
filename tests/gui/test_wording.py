"""Sentences of the steps in the window: nobody there has a command line."""

from __future__ import annotations

import doctest

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QLabel

from napari_hsi_ssl.gui import wording
from napari_hsi_ssl.gui.wording import FIELDS, in_window
from napari_hsi_ssl.gui.workbench import Workbench


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("cut them with `napari-hsi-ssl patches /a b/c --size 8`.", "cut them with the form “4 Patches”."),
        ("start with `napari-hsi-ssl frobnicate x --at 1,2`.", "start with `napari-hsi-ssl frobnicate x --at 1,2`."),
        ("no command here.", "no command here."),
    ],
)
def test_commands_become_forms(sentence, expected):
    assert in_window(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("would rule the components; use --scale standardise", "would rule the components; use “Scale: standardise”"),
        ("use --scale standardise or --scale snv, or a project", "use “Scale: standardise” or “Scale: SNV”, or a project"),
        ("of over 60 nm; use --kind false or --kind bands.", "of over 60 nm; use “Look: false colour” or “Look: three bands”."),
        ("expected one or three; use --kind true, false or bands.", "expected one or three; use “Look: true colour, false colour or three bands”."),
        ("than the window of 9×9; use a smaller --size", "than the window of 9×9; use a smaller “Size”"),
        ("lower --coverage or --size.", "lower “Least foreground” or “Size”."),
        ("lower --k or label more.", "lower “Neighbours” or label more."),
        ("choose another --source or --method threshold.", "choose another “Image” or “Method: between two values”."),
        ("choose --method knn or linear, or a", "choose “Method: kNN or linear probe”, or a"),
        ("--low 5 is above --high 3, expected", "“Low” 5 is above “High” 3, expected"),
        ("give --at Y,X within them; or give --band N or --wavelength NM.", "give “At” within them; or give “Band” or “Wavelength”."),
        ("lower --batch-size.", "lower “Batch size”."),
        ("maps/beans--run-1--knn.hdr is written -- all of it", "maps/beans--run-1--knn.hdr is written -- all of it"),
        ("run `pip install umap-learn --user`.", "run `pip install umap-learn --user`."),
    ],
)
def test_options_become_fields(sentence, expected):
    """Else a message of the window asks for what can be typed in a terminal only."""
    assert in_window(sentence) == expected
    assert in_window(in_window(sentence)) == expected


def test_the_fields_are_called_as_in_the_forms(qtbot):
    """Else the message names a field that nobody finds."""
    bench = Workbench(ViewerModel())
    qtbot.addWidget(bench)
    there = {label.text() for label in bench.findChildren(QLabel)}
    assert set(FIELDS.values()) <= there, set(FIELDS.values()) - there


def test_the_examples():
    assert doctest.testmod(wording).failed == 0
