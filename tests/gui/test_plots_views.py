"""How spectra are looked at: brightness or the continuum taken out, gaps kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hsi_ssl.gui.plots.views import CONTINUUM, RAW, SNV, in_view

NM = np.linspace(400.0, 1000.0, 13)


@given(st.integers(0, 500), st.floats(0.1, 100), st.sampled_from([SNV, CONTINUUM]))
def test_a_view_is_blind_to_brightness_and_keeps_gaps(seed, gain, view):
    spectrum = np.random.default_rng(seed).uniform(1, 2, 13)
    spectrum[4:6] = np.nan
    shown = in_view(spectrum, NM, view)
    np.testing.assert_allclose(in_view(gain * spectrum, NM, view), shown, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(np.isnan(shown), np.isnan(spectrum))


def test_what_the_views_are():
    spectrum = 2 + np.sin(NM / 90)
    np.testing.assert_array_equal(in_view(spectrum, NM, RAW), spectrum)
    np.testing.assert_allclose(in_view(spectrum, NM, SNV), (spectrum - spectrum.mean()) / spectrum.std())
    removed = in_view(spectrum, NM, CONTINUUM)
    assert removed.max() == pytest.approx(1)
    assert removed[[0, -1]] == pytest.approx([1, 1])
    assert (removed < 0.99).any()


def test_spectra_with_other_gaps_are_each_seen_alone():
    spectra = np.random.default_rng(0).uniform(1, 2, (3, 13))
    spectra[1, 8:] = np.nan
    spectra[2] = np.nan
    together = in_view(spectra, NM, CONTINUUM)
    for row, alone in zip(together, spectra, strict=True):
        np.testing.assert_array_equal(row, in_view(alone, NM, CONTINUUM))
