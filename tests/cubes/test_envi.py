"""ENVI cubes: every layout and type gives the numbers that were written, and every fault is named."""

from __future__ import annotations

import itertools
import pickle
import re

import dask.array as da
import numpy as np
import pytest
import spectral.io.envi as spectral_envi
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.cubes import envi
from napari_hsi_ssl.cubes.cube import valid_pixels
from napari_hsi_ssl.cubes.lazy import MappedFile
from napari_hsi_ssl.cubes.readers import candidates, read_cube
from napari_hsi_ssl.errors import CubeError, HsiWarning
from tests.cubes.envi_files import braces, write

SHAPE = (3, 4, 5)
CUBE = np.arange(60).reshape(SHAPE)


@pytest.mark.parametrize(("interleave", "number", "big"), list(itertools.product(["bsq", "bil", "bip"], envi.TYPES, [False, True])))
def test_every_layout_type_and_byte_order_reads_as_spectral_reads_it(tmp_path, interleave, number, big):
    """Else a transposed axis, a wrong type or swapped bytes would pass."""
    cube = CUBE * 3 + 1
    header = write(tmp_path, cube, interleave=interleave, number=number, big=big, offset=7)
    found = read_cube(header)
    assert np.array_equal(found.data, cube)
    assert found.dtype.newbyteorder("=") == np.dtype(envi.TYPES[number])
    assert isinstance(found.data, np.memmap)
    assert found.attrs["layout"] == interleave
    assert np.array_equal(spectral_envi.open(str(header)).open_memmap(interleave="bip"), cube)


@settings(max_examples=40, deadline=None)
@given(
    sides=st.tuples(*[st.integers(1, 5)] * 3),
    interleave=st.sampled_from(["bsq", "bil", "bip"]),
    number=st.sampled_from(list(envi.TYPES)),
    big=st.booleans(),
    factor=st.sampled_from([None, 1, 10000, 2.5]),
    seed=st.integers(0, 99),
)
def test_sorting_and_scaling_equal_doing_it_by_hand(tmp_path_factory, sides, interleave, number, big, factor, seed):
    """Else lazily reordered or divided bands would differ from the plain definition."""
    random = np.random.default_rng(seed)
    cube = random.integers(0, 100, sides)
    wavelength = random.permutation(np.arange(sides[2]) * 10.0 + 400)
    extra = {"wavelength": braces(wavelength), "wavelength_units": "nm", "reflectance_scale_factor": factor}
    header = write(tmp_path_factory.mktemp("envi"), cube, interleave=interleave, number=number, big=big, **extra)
    found = read_cube(header)
    order = np.argsort(wavelength)
    expected = cube[:, :, order] / (factor or 1)
    assert np.allclose(np.asarray(found.data), expected, rtol=1e-6)
    assert np.array_equal(found.wavelength, wavelength[order])
    assert found.attrs["quantity"] == ("reflectance" if factor else "unknown")
    assert ("source_band" in found.coords) == bool((np.diff(wavelength) < 0).any())


@pytest.mark.parametrize("name", ["scene", "scene.v2", "a b"])
@pytest.mark.parametrize(
    ("ending", "long"), [("", False), (".dat", False), (".dat", True), (".img", False), (".raw", False), (".BSQ", False), (".bin", True), (".flt", False)]
)
def test_header_and_data_find_each_other(tmp_path, name, ending, long):
    """Else a user would have to rename files of other programs."""
    header = write(tmp_path, CUBE, name=name, ending=ending, header_name=f"{name}{ending}.hdr" if long else f"{name}.hdr")
    data = tmp_path / f"{name}{ending}"
    for path in (header, data):
        found = read_cube(path)
        assert np.array_equal(found.data, CUBE)
        assert found.attrs["data_file"] == str(data)
        assert found.attrs["source"] == str(path)
    assert read_cube(header).name == name
    assert candidates(header) == (name,)


def test_of_two_data_files_the_one_of_the_right_size_is_taken(tmp_path):
    """Else a thumbnail `image` beside `image.dat` would be read as the cube."""
    header = write(tmp_path, CUBE)
    (tmp_path / "image").write_bytes(b"thumbnail")
    (tmp_path / "image.tif").write_bytes(b"no data of this header")
    assert np.array_equal(read_cube(header).data, CUBE)


def test_header_of_many_hands_is_understood(tmp_path):
    """Else comments, capitals, blank lines, spread braces or another encoding would break reading."""
    write(tmp_path, CUBE)
    text = """ENVI
; a comment with = sign
Samples=4
LINES    =  3
bands = 5
data type = 12

description = {made by = hand,
 in µm}
interleave = BSQ
 ; indented comment
Byte  Order = 0
wavelength units = \xb5m
wavelength = {
0.4, 0.5,

; between
0.6,
 0.7, 0.8,
} ; done
"""
    (tmp_path / "image.hdr").write_bytes(text.encode("latin-1"))
    found = read_cube(tmp_path / "image.hdr")
    assert np.array_equal(found.data, CUBE)
    assert np.allclose(found.wavelength, [400, 500, 600, 700, 800])
    assert found.attrs["description"] == "made by = hand,\nin µm"


@pytest.mark.parametrize(
    ("units", "values", "first"),
    [
        ("nm", [400, 500, 600, 700, 800], 400),
        ("Nanometers", [400, 500, 600, 700, 800], 400),
        ("Micrometers", [0.4, 0.5, 0.6, 0.7, 0.8], 400),
        ("µm", [0.4, 0.5, 0.6, 0.7, 0.8], 400),
        ("um", [8, 9, 10, 11, 12], 8000),
        ("Unknown", [0.4, 0.5, 0.6, 0.7, 0.8], 400),
        ("Unknown", [400, 500, 600, 700, 800], 400),
        (None, [7.5, 8, 9, 10, 12], 7500),
        ("Angstroms", [4000, 5000, 6000, 7000, 8000], 400),
        ("Wavenumber", [25000, 20000, 16000, 12500, 10000], 400),
    ],
)
def test_wavelengths_are_in_nm(tmp_path, units, values, first):
    """Else cubes of two cameras could not be compared."""
    header = write(tmp_path, CUBE, wavelength=braces(values), wavelength_units=units)
    assert read_cube(header).wavelength.values[0] == pytest.approx(first)


def test_band_names_settle_the_unit_or_give_the_wavelengths(tmp_path):
    """Else values below 100 would be guessed as µm although the band names say nm."""
    values = [10.0, 20.0, 30.0, 40.0, 50.0]
    names = braces(f"Band {number} ({value:.6f})" for number, value in enumerate(values, 1))
    header = write(tmp_path, CUBE, wavelength=braces(values), wavelength_units="Unknown", band_names=names)
    assert np.allclose(read_cube(header).wavelength, values)
    header = write(tmp_path, CUBE, band_names=braces(f"{value / 100} Micrometers" for value in values))
    assert np.allclose(read_cube(header).wavelength, np.array(values) * 10)
    header = write(tmp_path, CUBE, band_names=braces(f"Band {number}" for number in range(5)))
    assert "wavelength" not in read_cube(header).coords
    header = write(tmp_path, CUBE, wavelength=braces(range(5)), wavelength_units="Index")
    assert "wavelength" not in read_cube(header).coords


def test_overlapping_sensors_are_sorted_with_everything_that_belongs_to_a_band(tmp_path):
    """Else widths, bad bands or default bands would describe other bands after sorting."""
    header = write(
        tmp_path,
        CUBE,
        wavelength=braces([400, 500, 600, 450, 700]),
        wavelength_units="nm",
        fwhm=braces([1, 2, 3, 4, 5]),
        bbl=braces([1, 0, 1, 1, 1]),
        default_bands=braces([5, 2, 4]),
        sensor_type="Two eyes",
    )
    found = read_cube(header)
    assert found.source_band.values.tolist() == [0, 3, 1, 2, 4]
    assert found.attrs["fwhm"].tolist() == [1, 4, 2, 3, 5]
    assert found.attrs["bad_bands"].tolist() == [False, False, True, False, False]
    assert found.attrs["default_bands"] == (4, 2, 1)
    assert found.attrs["sensor"] == "Two eyes"
    assert np.array_equal(np.asarray(found.data), CUBE[:, :, [0, 3, 1, 2, 4]])


def test_widths_follow_the_unit_of_the_wavelengths(tmp_path):
    """Else a width in µm would be read as nm, a thousandth of itself."""
    header = write(tmp_path, CUBE, wavelength=braces([0.4, 0.5, 0.6, 0.7, 0.8]), wavelength_units="Micrometers", fwhm=braces([0.01] * 5))
    assert read_cube(header).attrs["fwhm"] == pytest.approx([10.0] * 5)


def test_duplicate_wavelengths_are_kept_with_a_warning(tmp_path):
    """Else bands would vanish, or the user would not know of the fault."""
    header = write(tmp_path, CUBE, wavelength=braces([500, 400, 500, 600, 500]), wavelength_units="nm")
    with pytest.warns(HsiWarning, match="image.hdr has several bands at the same wavelength.*500 nm"):
        found = read_cube(header)
    assert found.source_band.values.tolist() == [1, 0, 2, 4, 3]


def test_scaled_ignore_value_still_finds_its_pixels(tmp_path):
    """Else division would hide unmeasured pixels from the comparison with the ignore value."""
    cube = CUBE.copy()
    cube[1, 2] = 55537
    header = write(tmp_path, cube, data_ignore_value=55537, reflectance_scale_factor=9999)
    found = read_cube(header)
    valid = valid_pixels(np.asarray(found.data), found.attrs["nodata"])
    assert np.array_equal(~valid, np.all(cube == 55537, axis=2))


@pytest.mark.parametrize(
    ("number", "stated", "expected"), [(4, "-1.7976931348623157e+308", None), (4, "nan", None), (4, "0.1", float(np.float32(0.1))), (12, "-9999", -9999.0)]
)
def test_ignore_values_are_those_the_type_can_hold(tmp_path, number, stated, expected):
    """Else comparing would overflow, or 0.1 would miss the float32 nearest to it."""
    assert read_cube(write(tmp_path, CUBE, number=number, data_ignore_value=stated)).attrs.get("nodata") == expected


@pytest.mark.parametrize(
    ("fields", "quantity"),
    [
        ({"data_units": "Radiance (W/m2/sr/nm)"}, "radiance"),
        ({"description": "{surface reflectance}"}, "reflectance"),
        ({"description": "{irradiance corrected}"}, "unknown"),
        ({"description": "{radiance to reflectance}"}, "unknown"),
        ({"data_units": "DN"}, "dn"),
        ({"reflectance_scale_factor": "1.0"}, "reflectance"),
        ({}, "unknown"),
    ],
)
def test_quantity_is_what_the_file_says(tmp_path, fields, quantity):
    """Else digital numbers, radiance and reflectance could be mixed in one PCA."""
    found = read_cube(write(tmp_path, CUBE, **fields))
    assert found.attrs["quantity"] == quantity
    assert isinstance(found.data, np.memmap)


def test_missing_byte_order_is_little_endian_with_a_warning(tmp_path):
    """Else files of PlantCV could not be read, or would be read on faith in silence."""
    header = write(tmp_path, CUBE, byte_order=None)
    with pytest.warns(HsiWarning, match="image.hdr has no field 'byte order'.*little-endian"):
        found = read_cube(header)
    assert np.array_equal(found.data, CUBE)


@pytest.mark.parametrize("values", ["nan", "inf", "one band", "dead bands"])
def test_unusual_values_read_as_they_are(tmp_path, values):
    """Else a cube with NaN, infinities, one band or dead bands would be refused at the door."""
    cube = CUBE[:, :, :1].astype(float) if values == "one band" else CUBE.astype(float)
    cube[0] = {"nan": np.nan, "inf": np.inf}.get(values, 0)
    found = read_cube(write(tmp_path, cube, number=5))
    assert np.array_equal(found.data, cube, equal_nan=True)


BAD = {
    "zero bands": ({"bands": 0}, r"image\.hdr: 'bands' is '0', expected a whole number of at least 1"),
    "non-integer samples": ({"samples": "4.5"}, r"image\.hdr: 'samples' is '4\.5', expected a whole number"),
    "missing lines": ({"lines": None}, r"image\.hdr has no field 'lines'"),
    "missing interleave": ({"interleave": None}, r"image\.hdr has no field 'interleave'"),
    "missing data type": ({"data_type": None}, r"image\.hdr has no field 'data type'"),
    "wrong interleave": ({"interleave": "bqs"}, r"image\.hdr: 'interleave' is 'bqs', expected bsq, bil or bip"),
    "complex": ({"data_type": 6}, r"image\.hdr: 'data type' is 6 \(complex numbers\), expected real numbers"),
    "double complex": ({"data_type": 9}, r"'data type' is 9 \(complex"),
    "unknown type": ({"data_type": 7}, r"image\.hdr: 'data type' is 7, expected one of 1, 2"),
    "byte order": ({"byte_order": 2}, r"'byte order' is '2', expected 0 .* or 1"),
    "library": ({"file_type": "ENVI Spectral Library"}, r"image\.hdr is an ENVI spectral library, expected a cube"),
    "classification": ({"file_type": "ENVI Classification"}, r"image\.hdr is an ENVI classification, expected a cube"),
    "too many lines": ({"lines": 4}, r"image\.dat is shorter than its header says: 120 bytes found, 160 expected"),
    "too few lines": ({"lines": 2}, r"image\.dat is longer than its header says: 120 bytes found, 80 expected"),
    "offset": ({"header_offset": 8}, r"shorter .* 120 bytes found, 128 expected .*offset 8"),
    "compressed": ({"file_compression": 1}, r"image\.hdr: the data are compressed"),
    "frames": ({"major_frame_offsets": "{16, 0}"}, r"'major frame offsets' is"),
    "scale": ({"reflectance_scale_factor": 0}, r"'reflectance scale factor' is 0, expected a number above 0"),
    "scale word": ({"reflectance_scale_factor": "ten"}, r"'reflectance scale factor' is 'ten', expected a number"),
    "wavelengths": ({"wavelength": "{400, 500}"}, r"image\.hdr has 5 bands but 2 values of 'wavelength'"),
    "wavelength words": ({"wavelength": "{a, b, c, d, e}"}, r"image\.hdr: 'wavelength' holds something that is no number"),
    "wavelength nan": ({"wavelength": "{400, nan, 500, 600, 700}"}, r"image\.hdr has wavelengths that are not numbers"),
    "bad bands": ({"bbl": "{1, 1}"}, r"5 bands but 2 values of 'bad_bands'"),
    "open brace": ({"wavelength": "{400, 500"}, r"the brace of field 'wavelength' is never closed"),
}


@pytest.mark.parametrize("fault", BAD)
def test_every_fault_of_a_header_is_one_sentence_with_file_found_and_expected(tmp_path, fault):
    """Else the user would see a traceback, or wrong numbers."""
    fields, message = BAD[fault]
    header = write(tmp_path, CUBE)
    text = header.read_text()
    for key, value in fields.items():
        field = key.replace("_", " ")
        text = re.sub(rf"^{field} = .*\n", "", text, flags=re.MULTILINE)
        text += "" if value is None else f"{field} = {value}\n"
    header.write_text(text)
    with pytest.raises(CubeError, match=message) as caught:
        read_cube(header)
    assert str(tmp_path) in str(caught.value)
    assert re.search(r"; [^;]+\.$", str(caught.value)), "the sentence ends with what to do"


def test_missing_partners_and_strange_files_are_named(tmp_path):
    """Else a lone header or a lone data file would fail with a path that does not exist."""
    header = write(tmp_path, CUBE)
    (tmp_path / "image.dat").rename(tmp_path / "moved.dat")
    with pytest.raises(CubeError, match=r"image\.hdr has no data file beside it, expected image, image\.dat"):
        read_cube(header)
    with pytest.raises(CubeError, match=r"moved\.dat has no ENVI header beside it, expected moved\.dat\.hdr or moved\.hdr"):
        read_cube(tmp_path / "moved.dat")
    header.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(CubeError, match=r"image\.hdr does not begin with the word ENVI"):
        read_cube(header)
    with pytest.raises(CubeError, match=r"none\.hdr does not exist"):
        read_cube(tmp_path / "none.hdr")
    with pytest.raises(CubeError, match="is a folder with no images of one band, expected a file, a Zarr store or a folder of band images"):
        read_cube(tmp_path)
    with pytest.raises(CubeError, match="the key 'other' is given"):
        read_cube(write(tmp_path, CUBE), key="other")


def test_a_cube_larger_than_memory_opens_and_gives_a_spectrum(tmp_path):
    """Else opening would copy the file: 40 GB here, of which nothing is on disk."""
    header = write(tmp_path, CUBE)
    text = header.read_text().replace("samples = 4", "samples = 20000").replace("lines = 3", "lines = 10000").replace("bands = 5", "bands = 100")
    header.write_text(text.replace("bsq", "bil") + "reflectance scale factor = 2\nwavelength = " + braces([*range(51, 101), *range(1, 51)]) + "\n")
    with (tmp_path / "image.dat").open("r+b") as stream:
        stream.truncate(20000 * 10000 * 100 * 2)
        stream.seek(2 * (7000 * 100 * 20000 + 3 * 20000 + 15000))
        stream.write(np.uint16(8).tobytes())
    found = read_cube(header)
    assert isinstance(found.data, da.Array)
    assert max(np.prod(part) for part in itertools.product(*map(set, found.data.chunks))) * 4 <= 32 * 2**20
    spectrum = np.asarray(found.data[7000, 15000])
    assert np.flatnonzero(spectrum).tolist() == [53]
    assert spectrum[53] == 4


def test_a_lazy_read_takes_only_what_is_asked_for(tmp_path, monkeypatch):
    """Else the spectrum of one pixel would read the whole chunk from disk."""
    header = write(tmp_path, np.zeros((50, 60, 7)), reflectance_scale_factor=2, wavelength=braces([1, 2, 4, 3, 5, 6, 7]), wavelength_units="nm")
    asked = []

    def watch(self, key):
        asked.append(np.empty(self.shape, dtype="u1")[key].size)
        return self.open()[key]

    monkeypatch.setattr(MappedFile, "__getitem__", watch)
    data = read_cube(header).data
    for part, most in (((10, 20), 7), ((slice(10, 12), 20, 2), 2), ((slice(None), slice(None), 2), 3000)):
        asked.clear()
        assert np.array_equal(np.asarray(data[part]), np.zeros(data.shape)[part])
        assert sum(asked) == most


def test_a_lazy_cube_travels_to_another_process_without_its_values(tmp_path):
    """Else dask on a cluster would send whole files through pickle."""
    cube = np.zeros((200, 100, 5))
    header = write(tmp_path, cube, reflectance_scale_factor=2)
    content = pickle.dumps(read_cube(header).data)
    assert len(content) < cube.size
    assert np.array_equal(np.asarray(pickle.loads(content)), cube)
