"""The table of cubes asks for what is in view alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from qtpy.QtCore import Qt

from napari_hsi_ssl.gui.forms.cube_table import CubeTable
from napari_hsi_ssl.project import CubeEntry

ENTRIES = [CubeEntry(f"cube{n}", "field", Path(f"/data/cube{n}.hdr"), (40, 30, 12), crop=(0, 0, 10, 20) if n == 1 else None) for n in range(10_000)]


@pytest.fixture
def table(qtbot):
    made = CubeTable()
    qtbot.addWidget(made)
    return made


def test_ten_thousand_cubes_are_asked_for_as_far_as_they_are_seen(table, monkeypatch):
    asked = set()
    original = type(table.rows).data
    monkeypatch.setattr(type(table.rows), "data", lambda rows, index, role: asked.add(index.row()) or original(rows, index, role))
    table.show_entries(ENTRIES, "cube9000")
    table.show()
    table.grab()
    assert table.rows.rowCount() == 10_000
    assert 0 < len(asked) < 500


def test_the_current_cube_is_marked_and_a_chosen_one_is_told(table):
    told = []
    table.show_entries(ENTRIES[:3], "cube1")
    table.chosen.connect(told.append)
    assert [index.row() for index in table.selectionModel().selectedRows()] == [1]
    table.selectRow(2)
    assert told == ["cube2"]
    table.show_entries(ENTRIES[:3], "")
    assert not table.selectionModel().selectedRows()
    assert told == ["cube2"]


def test_cells_show_crop_and_path_and_only_the_domain_can_be_typed(table):
    told = []
    table.show_entries(ENTRIES[:2], "cube0")
    rows = table.rows
    rows.domain_given.connect(lambda *names: told.append(names))
    assert [rows.index(1, column).data() for column in range(5)] == ["cube1", "field", "10×20 of 40×30", "12", "unknown"]
    assert rows.index(1, 0).data(Qt.ItemDataRole.ToolTipRole) == str(ENTRIES[1].path)
    assert [bool(rows.index(0, column).flags() & Qt.ItemFlag.ItemIsEditable) for column in range(5)] == [False, True, False, False, False]
    rows.setData(rows.index(1, 1), " beet ")
    assert told == [("cube1", "beet")]
    assert rows.index(1, 1).data() == "field"  # until the project notes it


def test_an_unchanged_list_leaves_an_open_editor_alone(table, qtbot):
    table.show_entries(ENTRIES[:2], "cube0")
    with qtbot.assertNotEmitted(table.rows.modelReset):
        table.show_entries(list(ENTRIES[:2]), "cube0")
    with qtbot.waitSignal(table.rows.modelReset):
        table.show_entries(ENTRIES[:3], "cube0")
