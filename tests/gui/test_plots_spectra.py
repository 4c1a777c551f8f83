"""Spectra: what is drawn, pinned, hidden and exported."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from qtpy.QtCore import Qt

from napari_hsi_ssl.cubes.library import SpectralLibrary, read_library
from napari_hsi_ssl.explore.spectra_files import spectra_csv
from napari_hsi_ssl.gui.plots.spectra import SpectraPlot
from napari_hsi_ssl.gui.plots.spectrum import BandAxis, Spectrum, measured, runs_of
from napari_hsi_ssl.gui.plots.theme import Theme, contrast

NM = BandAxis(5, np.array([400.0, 500.0, 600.0, 700.0, 800.0]), "reflectance", np.array([False, True, True, False, True]))
COUNTED = BandAxis(5)
WHOLE = BandAxis(6, np.linspace(400.0, 900.0, 6), "reflectance", np.arange(6) == 2)


@pytest.fixture(params=["dark", "light"])
def plot(request, qtbot):
    widget = SpectraPlot(Theme.named(request.param))
    qtbot.addWidget(widget)
    widget.set_axis(NM)
    return widget


def axis_text(plot, side):
    return plot.plot.getAxis(side).labelText


def test_axes_name_what_they_show(plot):
    # A spectrum without units cannot be read; one over bands must not pretend to be over nm.
    assert axis_text(plot, "bottom") == "Wavelength (nm)"
    assert axis_text(plot, "left") == "Reflectance"
    plot.set_axis(COUNTED)
    assert axis_text(plot, "bottom").startswith("Band")
    assert axis_text(plot, "left") == "Value"


def test_numbers_on_the_axis_are_not_rescaled(plot):
    # pyqtgraph would turn 0.6 into "600 (x0.001)".
    plot.pin(Spectrum("a", np.linspace(0.1, 0.6, 5), NM))
    assert all(plot.plot.getAxis(side).autoSIPrefixScale == 1.0 for side in ("left", "bottom"))


def test_every_run_of_bad_bands_is_shaded(plot):
    spans = sorted(shade.getRegion() for shade in plot._shades)
    assert spans == [(450.0, 650.0), (750.0, 800.0)]


@given(arrays(np.bool_, st.integers(1, 60)))
def test_runs_cover_the_flags_and_nothing_else(flags):
    covered = np.zeros_like(flags)
    for start, stop in runs_of(flags):
        assert not covered[start:stop].any()
        covered[start:stop] = True
    np.testing.assert_array_equal(covered, flags)


def test_dragging_the_cursor_moves_the_band_and_moving_the_band_does_not_answer(plot, qtbot):
    # An answer to the slider's own move would make slider and cursor chase each other.
    heard = []
    plot.band_moved.connect(heard.append)
    plot.set_band(1)
    assert plot._cursor.value() == 500.0
    assert heard == []
    plot._cursor.setValue(690.0)
    plot._cursor.sigDragged.emit(plot._cursor)
    assert heard == [3]
    assert plot._cursor.value() == 700.0


def test_pins_of_another_kind_of_axis_are_hidden_not_lost(plot):
    plot.pin(Spectrum("first", np.arange(5.0), NM))
    plot.set_axis(COUNTED)
    assert plot.legend.texts() == []
    assert "1 pinned" in plot.note.text()
    plot.set_axis(NM)
    assert plot.legend.texts() == ["first"]


def test_a_pin_of_the_same_name_replaces_the_older_and_keeps_its_colour(plot):
    plot.pin(Spectrum("a", np.zeros(5), NM), Spectrum("b", np.zeros(5), NM))
    before = plot.pinned[0].colour
    plot.pin(Spectrum("a", np.ones(5), NM))
    assert [s.name for s in plot.pinned] == ["a", "b"]
    assert plot.pinned[0].values[0] == 1
    assert plot.pinned[0].colour == before
    assert plot.pinned[0].colour != plot.pinned[1].colour


def test_unticking_hides_and_delete_removes(plot, qtbot):
    plot.pin(Spectrum("a", np.zeros(5), NM), Spectrum("b", np.zeros(5), NM, spread=np.ones(5)))
    drawn = len(plot._drawn)
    plot.legend.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert len(plot._drawn) == drawn - 1
    plot.legend.item(0).setSelected(True)
    plot.legend.item(1).setSelected(True)
    qtbot.keyClick(plot.legend, Qt.Key.Key_Delete)
    assert plot.pinned == ()
    assert not plot.save_button.isEnabled()


def test_spread_is_drawn_one_standard_deviation_to_each_side_and_not_over_bad_bands(plot):
    plot.set_axis(WHOLE)
    plot.pin(Spectrum("mean", np.full(6, 2.0), WHOLE, spread=np.full(6, 0.5)))
    low, high = (item.getData() for item in plot._drawn[:2])
    np.testing.assert_array_equal(low, [[400, 500], [1.5, 1.5]])
    np.testing.assert_array_equal(high, [[400, 500], [2.5, 2.5]])
    np.testing.assert_array_equal(plot._drawn[3].getData()[0], [700, 800, 900])
    values = plot._drawn[-1].getData()[1]
    np.testing.assert_array_equal(np.isnan(values), [False, False, True, False, False, False])


def test_pointer_of_a_cube_with_other_bands_is_not_drawn(plot):
    # A spectrum that was read before the cube was changed arrives after it.
    plot.show_pointer(np.ones(5, dtype=np.float32))
    assert len(plot._pointer.getData()[0]) == 5
    plot.show_pointer(np.ones(7, dtype=np.float32))
    assert plot._pointer.getData()[0] is None or len(plot._pointer.getData()[0]) == 0


def test_the_pointer_lies_below_the_pinned_curves_and_is_thinner(plot):
    # Drawn over it, the white line hid which colour the pixel under it was pinned in.
    plot.pin(Spectrum("a", np.arange(5.0), NM))
    plot.show_pointer(np.arange(5.0))
    pinned = plot._drawn[-1]
    assert plot._pointer.zValue() < pinned.zValue()
    assert plot._pointer.opts["pen"].width() < pinned.opts["pen"].width()


def test_pinned_curves_stay_in_reach_while_a_library_is_open(plot, qtbot):
    plot.resize(480, 250)
    plot.show()
    plot.pin(Spectrum("a", np.arange(5.0) + 1, NM), Spectrum("b", np.arange(5.0) + 2, NM))
    before = plot.minimumSizeHint().width()
    library = SpectralLibrary("known", ("rise", "fall"), NM.wavelengths, np.array([[1.0, 2, 3, 4, 5], [5, 4, 3, 2, 1]]), "reflectance")
    plot.library.open(library, plot.target)
    assert plot.library.isVisible()
    assert plot.aside.tabBar().isVisible()
    assert plot.minimumSizeHint().width() <= max(before, 480), "the window must not grow"
    plot.aside.setCurrentWidget(plot.legend)
    assert plot.legend.isVisible()
    plot.legend.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert [one.name for one in plot.shown] == ["b"]
    plot.library.close_button.click()
    assert plot.legend.isVisible()
    assert not plot.aside.tabBar().isVisible()
    assert plot.minimumSizeHint().width() == before


def test_entries_of_a_library_are_drawn_anew_in_another_theme(plot):
    entries = [Spectrum(name, np.arange(5.0), NM, pixels=0) for name in ("x", "y", "z", "w")]
    plot._draw_entries(entries)
    for name in ("light", "dark"):
        theme = Theme.named(name)
        plot.set_theme(theme)
        assert len(plot._compared) == 4
        assert all(contrast(line.opts["pen"].color().name(), theme.background) >= 4.4 for line in plot._compared)


def test_a_note_has_the_width_below_the_plot_and_wraps(plot, qtbot):
    plot.pin(Spectrum("first", np.arange(5.0), NM))
    plot.set_axis(COUNTED)
    plot.resize(480, 250)
    plot.show()
    qtbot.waitExposed(plot)
    assert plot.note.wordWrap()
    assert plot.note.width() == plot.split.width()
    assert plot.note.height() >= plot.note.heightForWidth(plot.note.width())


def test_it_is_seen_that_clicks_pin(plot):
    plot.pin_button.click()
    assert plot.pin_button.text() == "Pin on click ✓"
    assert plot.note.text().startswith("A click on the image keeps")
    plot.pin_button.click()
    assert plot.pin_button.text() == "Pin on click"


def test_every_colour_is_legible_on_the_background(plot):
    plot.pin(*(Spectrum(f"s{index}", np.zeros(5), NM) for index in range(12)))
    for spectrum in plot.pinned:
        assert contrast(plot._theme.legible(spectrum.colour), plot._theme.background) >= 3


def test_csv_holds_every_value_of_cubes_with_other_bands_and_of_wavelengths_measured_twice():
    twice = BandAxis(4, np.array([400.0, 500.0, 500.0, 600.0]))
    other = BandAxis(2, np.array([500.0, 650.0]))
    curves = (Spectrum("a", np.array([1.0, 2.0, 3.0, 4.0]), twice, spread=np.full(4, 0.5)), Spectrum("b", np.array([7.0, 8.0]), other))
    text = spectra_csv([measured(one) for one in curves])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["wavelength_nm", "a", "a std", "b"]
    assert rows[1:] == [["400", "1", "0.5", ""], ["500", "2", "0.5", "7"], ["500", "3", "0.5", ""], ["600", "4", "0.5", ""], ["650", "", "", "8"]]


def test_export_writes_the_pins(plot, tmp_path, monkeypatch):
    plot.pin(Spectrum("a", np.arange(5.0), NM))
    monkeypatch.setattr("napari_hsi_ssl.gui.plots.spectra.QFileDialog.getSaveFileName", lambda *_: (str(tmp_path / "s.csv"), ""))
    plot.save_button.menu().actions()[0].trigger()
    assert (tmp_path / "s.csv").read_text().splitlines()[1] == "400,0"


def test_pins_are_saved_as_a_library_and_the_plot_as_a_picture(plot, tmp_path):
    plot.pin(Spectrum("a", np.arange(5.0), NM), Spectrum("b", np.ones(5), NM))
    plot.save(tmp_path / "own.sli")
    found = read_library(tmp_path / "own.sli")
    assert found.names == ("a", "b")
    np.testing.assert_allclose(found.spectra[0], np.arange(5.0))
    np.testing.assert_allclose(found.wavelengths, NM.wavelengths)
    plot.save(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_pins_of_other_bands_make_no_library_and_the_user_is_told(plot, qtbot, tmp_path):
    other = BandAxis(4, np.array([400.0, 500.0, 550.0, 600.0]), "reflectance")
    plot.pin(Spectrum("a", np.arange(5.0), NM), Spectrum("b", np.ones(4), other))
    with qtbot.waitSignal(plot.said) as heard:
        plot.save(tmp_path / "own.sli")
    assert "one set of bands" in heard.args[0]
    assert not (tmp_path / "own.sli").exists()


def test_without_brightness_curves_of_other_units_are_seen_together(plot):
    radiance = BandAxis(5, NM.wavelengths, "radiance")
    plot.pin(Spectrum("a", np.arange(1.0, 6.0), NM), Spectrum("b", 1000 * np.arange(1.0, 6.0), radiance))
    assert [one.name for one in plot.shown] == ["a"]
    plot.views.choose("snv")
    assert [one.name for one in plot.shown] == ["a", "b"]
    assert axis_text(plot, "left") == "SNV"
    plot.views.choose("raw")
    assert axis_text(plot, "left") == "Reflectance"


def test_the_bar_is_seen_while_something_is_measured_and_can_stop_it(plot, qtbot):
    assert plot.bar.isHidden()
    plot.set_progress(0.5)
    assert plot.bar.value() == 50
    with qtbot.waitSignal(plot.cancelled):
        plot.stop_button.click()
    plot.set_progress(None)
    assert plot.bar.isHidden()
