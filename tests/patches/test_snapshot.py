"""The picture of an embedding on disk: round trip, and files that are something else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.patches.snapshot import Snapshot


@pytest.fixture
def index():
    cube = np.array([0, 1, 1], dtype=np.int32)
    return PatchIndex(("a", "b"), ("left", "right"), cube, cube + 3, cube + 5, 1 - cube, np.ones(3, np.uint8), np.ones(3, np.float32), 8)


def test_round_trip(tmp_path, index):
    path = tmp_path / "embedding.npz"
    assert Snapshot.load(path) is None
    places = np.arange(6, dtype=np.float32).reshape(3, 2)
    Snapshot.of(index, places, 0.75, 12).save(path)
    found = Snapshot.load(path)
    np.testing.assert_array_equal(found.places, places)
    assert (found.explained, found.epoch, found.size, found.cubes, found.domains) == (0.75, 12, 8, ("a", "b"), ("left", "right"))
    assert found.fits(index)
    assert not found.fits(index.subset(np.array([2, 1, 0])))


@pytest.mark.parametrize("change", [{"places": np.zeros((2, 2))}, {"places": np.zeros((3, 3))}, {"domain": np.array([0, 1, 9])}, {"cubes": np.array(["a"])}])
def test_a_picture_that_does_not_fit_itself_is_refused(tmp_path, index, change):
    path = tmp_path / "embedding.npz"
    Snapshot.of(index, np.zeros((3, 2), np.float32), 0.5, 1).save(path)
    with np.load(path) as content:
        files.write_npz(path, **{**dict(content), **change})
    with pytest.raises(RunError, match="does not fit"):
        Snapshot.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"\x80\x04."])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "embedding.npz"
    path.write_bytes(content)
    with pytest.raises(RunError, match="no picture of an embedding"):
        Snapshot.load(path)
