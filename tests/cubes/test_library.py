"""Spectral libraries: ENVI and CSV, theirs and ours, and what is wrong with one."""

from __future__ import annotations

import numpy as np
import pytest
import spectral.io.envi as spectral_envi

from napari_hsi_ssl.cubes.library import SpectralLibrary, is_library, read_library, write_library
from napari_hsi_ssl.errors import CubeError
from napari_hsi_ssl.explore.spectra import MeanSpectrum
from napari_hsi_ssl.explore.spectra_files import spectra_csv

SPECTRA = np.random.default_rng(7).random((3, 5))
CENTRES = np.array([400.0, 500.5, 650.0, 800.0, 2400.0])
LIBRARY = SpectralLibrary("lab", ("clay, red", "iron", "grass {dry}"), CENTRES, SPECTRA, "reflectance")


@pytest.mark.parametrize("name", ["a.sli", "a.csv"])
@pytest.mark.parametrize("centres", [CENTRES, None])
def test_a_library_survives_writing(tmp_path, name, centres):
    """Else saved spectra would come back changed."""
    write_library(tmp_path / name, SpectralLibrary("lab", LIBRARY.names, centres, SPECTRA, "reflectance"))
    again = read_library(tmp_path / name)
    assert again.name == "a"
    assert np.array_equal(again.spectra, SPECTRA)
    assert again.wavelengths is None if centres is None else np.array_equal(again.wavelengths, centres)
    assert again.names == (LIBRARY.names if name == "a.csv" else ("clay; red", "iron", "grass (dry)"))
    assert again.quantity == ("unknown" if name == "a.csv" else "reflectance")
    assert len(again) == 3


def test_spectral_reads_our_library(tmp_path):
    """Else ENVI users could not use it."""
    write_library(tmp_path / "a.sli", LIBRARY)
    theirs = spectral_envi.open(str(tmp_path / "a.hdr"))
    assert np.array_equal(theirs.spectra, SPECTRA)
    assert theirs.names == ["clay; red", "iron", "grass (dry)"]
    assert np.array_equal(theirs.bands.centers, CENTRES)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_we_read_spectrals_library(tmp_path, kind):
    """Else its users' libraries could not be compared with."""
    header = {"wavelength": CENTRES / 1000, "wavelength units": "Micrometers", "spectra names": ["a", "b", "c"]}
    spectral_envi.SpectralLibrary(SPECTRA.astype(kind), header).save(str(tmp_path / "theirs"))
    found = read_library(tmp_path / "theirs.hdr")
    assert np.array_equal(found.spectra, SPECTRA.astype("f4"))
    assert np.allclose(found.wavelengths, CENTRES)
    assert found.names == ("a", "b", "c")


@pytest.mark.parametrize("name", ["library_berlin.sli", "library_berlin.hdr"])
def test_the_berlin_library(shared_data, name):
    """Else micrometres, or reflectance times 10,000, would be taken for nm and reflectance."""
    found = read_library(shared_data / "berlin_library_sli" / name)
    theirs = spectral_envi.open(str(shared_data / "berlin_library_sli" / "library_berlin.hdr"))
    assert found.spectra.shape == (75, 177)
    assert np.allclose(found.spectra, theirs.spectra / 10000)
    assert np.allclose(found.wavelengths, np.array(theirs.bands.centers) * 1000)
    assert found.quantity == "reflectance"
    assert found.names[0] == "red clay tile 1"
    assert "grass (intensively manicured) 1" in found.names


@pytest.mark.parametrize("name", ["gamsberg_field_library", "gamsberg_field_library.hdr"])
def test_the_gamsberg_library_without_an_ending(shared_data, name):
    """Else a library whose data file has no ending would not be found."""
    found = read_library(shared_data / "gamsberg_envi" / name)
    assert found.spectra.shape == (27, 2151)
    assert (found.wavelengths[0], found.wavelengths[-1]) == (350, 2500)
    assert found.names[-1] == "05_03_12_1_C1_amphibolite"
    assert is_library(shared_data / "gamsberg_envi" / name)
    assert not is_library(shared_data / "gamsberg_envi" / "cubus_gamsberg_subset.hdr")


def test_the_spectra_export_is_a_library(tmp_path):
    """Else what was exported from one scene could not be compared with another."""
    first = MeanSpectrum("leaf", ("scene",), 9, SPECTRA[0], SPECTRA[1], CENTRES, None, "reflectance")
    second = MeanSpectrum("soil", ("scene",), 1, SPECTRA[2], None, CENTRES, None, "reflectance")
    (tmp_path / "a.csv").write_text(spectra_csv([first, second]))
    found = read_library(tmp_path / "a.csv")
    assert found.names == ("leaf", "soil")
    assert np.allclose(found.spectra, SPECTRA[[0, 2]], rtol=1e-6)
    assert np.array_equal(found.wavelengths, CENTRES)


def test_wavelengths_that_fall_are_sorted(tmp_path):
    """Else a library would be compared with the wrong bands."""
    (tmp_path / "a.csv").write_text("wavelength_um;a\n0.9;3\n0.5;1\n0.7;2\n")
    found = read_library(tmp_path / "a.csv")
    assert np.allclose(found.wavelengths, [500, 700, 900])
    assert found.spectra.tolist() == [[1, 2, 3]]


def _header(path, old, new):
    text = path.with_suffix(".hdr").read_text()
    assert old in text
    path.with_suffix(".hdr").write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:50]), r"a\.sli does not fit its header: 50 bytes found, 120 expected"),
        (lambda path: path.write_bytes(b""), "0 bytes found, 120 expected"),
        (lambda path: path.with_suffix(".hdr").unlink(), "has no ENVI header beside it"),
        (lambda path: path.with_suffix(".hdr").write_bytes(b""), "does not begin with the word ENVI"),
        (lambda path: _header(path, "ENVI Spectral Library", "ENVI Standard"), "'file type' is 'ENVI Standard', expected ENVI Spectral Library"),
        (lambda path: _header(path, "data type = 5", "data type = 6"), "complex numbers"),
        (lambda path: _header(path, "{400.0", "{nan"), "wavelengths that are not numbers"),
        (lambda path: _header(path, "400.0, ", ""), "has 5 bands but 4 wavelengths"),
        (lambda path: _header(path, "iron, ", ""), "has 3 spectra but 2 'spectra names'"),
        (lambda path: _header(path, "bands = 1", "bands = 2"), "'bands' is '2', expected 1"),
        (lambda path: _header(path, "scale factor = 1.0", "scale factor = 0"), "'reflectance scale factor' is 0"),
    ],
)
def test_a_damaged_library_is_one_sentence(tmp_path, spoil, words):
    """Else a comparison would be made with numbers that mean nothing."""
    write_library(tmp_path / "a.sli", LIBRARY)
    spoil(tmp_path / "a.sli")
    with pytest.raises(CubeError, match=words) as raised:
        read_library(tmp_path / "a.sli")
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no table of spectra"),
        (b"\xff\xfe\x00", "is no UTF-8 text"),
        (b"wavelength_nm,a\n400,x\n", "something that is no number"),
        (b"wavelength_nm,a\n400,1,2\n", "line 2 has 3 columns and the first 2"),
        (b"wavelength_nm,a,b\n400,1,2\n500,,3\n", "'a' has empty cells"),
        (b"wavelength_nm,a\n400,1\n\nband,b\n0,1\n", "holds several tables"),
        (b"wavelength_nm,a\nnan,1\n", "wavelengths that are not numbers"),
    ],
)
def test_a_damaged_table_is_one_sentence(tmp_path, content, words):
    """Else a spreadsheet of something else would be taken for spectra."""
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(CubeError, match=words) as raised:
        read_library(tmp_path / "a.csv")
    assert "\n" not in str(raised.value)


def test_other_places_are_one_sentence(tmp_path):
    """Else a wrong path would end in a traceback."""
    with pytest.raises(CubeError, match="does not exist"):
        read_library(tmp_path / "a.sli")
    with pytest.raises(CubeError, match="is a folder"):
        read_library(tmp_path)
    with pytest.raises(CubeError, match=r"ends in '\.xyz', but a library is written as \.sli or \.csv"):
        write_library(tmp_path / "a.xyz", LIBRARY)
