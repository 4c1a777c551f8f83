"""ENVI headers as many hands write them: what we read of them is what the library `spectral` reads; where both differ, the test says who is right."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
import spectral.io.envi as spectral_envi
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.cubes import envi
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import CubeError

NM = {"Nanometers": 1.0, "Micrometers": 1e-3}
FILE_ORDER = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}
# Breaks within braces that both understand; `spectral` refuses blank and comment lines there, see below.
BREAKS = (", ", ",", " , ", ",\n", ",\n  ", "\n, ")


def written(draw) -> tuple[str, bytes, np.ndarray, np.ndarray, str]:
    """Draw a header, its data, the cube (y, x, band) and its wavelengths in nm with their unit."""
    shape = draw(st.tuples(*[st.integers(1, 4)] * 3))
    number, interleave, big = draw(st.sampled_from(sorted(envi.TYPES))), draw(st.sampled_from(sorted(FILE_ORDER))), draw(st.booleans())
    offset, unit = draw(st.sampled_from([0, 1, 7, 128])), draw(st.sampled_from(sorted(NM)))
    kind = np.dtype(envi.TYPES[number]).newbyteorder(">" if big else "<")
    cube = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 200, shape).astype(kind)
    centres = 400.0 + np.cumsum(draw(st.lists(st.integers(1, 300), min_size=shape[2], max_size=shape[2])))
    joint, gap = draw(st.sampled_from(BREAKS)), draw(st.sampled_from(["", " ", "\n"]))
    fields = {
        "description": "{a scene}",
        "samples": shape[1], "lines": shape[0], "bands": shape[2], "header offset": offset, "file type": "ENVI Standard", "data type": number,
        "interleave": draw(st.sampled_from([interleave, interleave.upper()])), "byte order": int(big),
        "wavelength units": unit,
        "wavelength": "{" + gap + joint.join(f"{value * NM[unit]:.9g}" for value in centres) + gap + "}",
        "band names": "{" + joint.join(f"band {value:g}" for value in centres) + "}",
    }  # fmt: skip
    lines = []
    for key, value in fields.items():
        name = draw(st.sampled_from([key, key.title(), key.upper(), f"  {key}", key.replace(" ", "  ")])) if key not in {"samples"} else key
        lines.append(f"{name} {draw(st.sampled_from(['=', ' = ', '=   ']))}{value}")
        if draw(st.integers(0, 5)) == 0:
            lines.append(draw(st.sampled_from(["", "; a remark = of its own", ";wavelength = {1, 2}"])))
    data = b"\xa5" * offset + cube.transpose(FILE_ORDER[interleave]).tobytes()
    return "ENVI\n" + draw(st.sampled_from(["\n", "\r\n"])).join(lines) + "\n", data, cube, centres, unit


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_headers_of_many_hands_read_as_spectral_reads_them(tmp_path_factory, data):
    """Else the same file would be another cube in another program."""
    text, content, cube, centres, unit = written(data.draw)
    folder = tmp_path_factory.mktemp("envi")
    (folder / "a.hdr").write_bytes(text.encode())
    (folder / "a.img").write_bytes(content)
    ours = read_cube(folder / "a.hdr")
    assert np.array_equal(ours.data, cube)
    assert np.allclose(ours.wavelength, centres, rtol=1e-6)
    if "  " in text.split("=")[0] or any("  " in line.split("=")[0].strip() for line in text.splitlines()):
        return  # two blanks within a field's name: `spectral` takes it for another field, ENVI itself does not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it lower-cases field names
        theirs = spectral_envi.open(str(folder / "a.hdr"))
    theirs.fid.close()
    assert np.array_equal(theirs.open_memmap(interleave="bip"), ours.data)
    assert np.allclose(np.array(theirs.bands.centers) / NM[unit], ours.wavelength, rtol=1e-6)


def both(folder, header: str) -> tuple[object, object]:
    """Read a header of a 1 × 2 × 3 cube of bytes with both; an exception stands for itself."""
    (folder / "a.hdr").write_text(header)
    (folder / "a.img").write_bytes(bytes(range(6)))
    found: list[object] = []
    for read in (lambda: np.array(read_cube(folder / "a.hdr").data), lambda: np.array(spectral_envi.open(str(folder / "a.hdr")).open_memmap(interleave="bip"))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the other library leaves its file open, which is told when it is swept away
            try:
                found.append(read())
            except Exception as error:  # noqa: BLE001 - whatever the other library raises
                found.append(error.with_traceback(None))
            gc.collect()
    return found[0], found[1]


PLAIN = "ENVI\nsamples = 2\nlines = 1\nbands = 3\nheader offset = 0\ndata type = 1\ninterleave = bsq\nbyte order = 0\n"
EXPECTED = np.arange(6, dtype=np.uint8).reshape(3, 1, 2).transpose(1, 2, 0)


def test_the_plain_header_reads_the_same(tmp_path):
    ours, theirs = both(tmp_path, PLAIN)
    assert np.array_equal(ours, EXPECTED)
    assert np.array_equal(theirs, EXPECTED)


@pytest.mark.parametrize(
    "header",
    [
        PLAIN + "wavelength = {500,\n\n600,\n700}\n",  # a blank line within braces, as ENVI's own writer leaves them
        PLAIN + "wavelength = {500,\n; the rest\n600, 700}\n",  # a remark within braces
        PLAIN.replace("header offset = 0\n", ""),  # the offset is 0 where it is not said
    ],
    ids=["blank line in braces", "remark in braces", "no offset"],
)
def test_where_spectral_gives_up_we_read_what_is_meant(tmp_path, header):
    """We are right: ENVI itself opens these."""
    ours, _ = both(tmp_path, header)
    assert np.array_equal(ours, EXPECTED)


def test_mixed_case_is_the_interleave_it_spells(tmp_path):
    """We are right: ``Bip`` is no less bip than ``BIP`` is; `spectral` takes it for bsq without a word."""
    ours, theirs = both(tmp_path, PLAIN.replace("bsq", "Bip"))
    assert np.array_equal(ours, np.arange(6).reshape(1, 2, 3))
    assert np.array_equal(theirs, EXPECTED)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (PLAIN.replace("bsq", "bsx"), "interleave"),
        (PLAIN.replace("bands = 3", "bands = 4"), "shorter than its header says"),
        (PLAIN.replace("bands = 3", "bands = 2"), "longer than its header says"),
        (PLAIN.replace("byte order = 0", "byte order = 7"), "byte order"),
        (PLAIN.replace("samples = 2", "samples = -2"), "samples"),
        (PLAIN + "wavelength = {500, 600}\n", "3 bands but 2 values"),
        (PLAIN + "wavelength = {500, 600, 700\n", "never closed"),
    ],
)
def test_what_contradicts_itself_we_refuse_where_spectral_may_go_on(tmp_path, header, words):
    """We are right: `spectral` opens some of these, with values of another shape or none."""
    ours, _ = both(tmp_path, header)
    assert isinstance(ours, CubeError)
    assert words in str(ours)
