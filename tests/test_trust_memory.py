"""Where it is remembered which files a project may read."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from napari_hsi_ssl import trust

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes are those of POSIX")


@pytest.fixture
def places(monkeypatch, tmp_path):
    """No folder is named; the user's state folder and the temporary one lie in ``tmp_path``."""
    monkeypatch.delenv(trust.PLACE)
    monkeypatch.setattr(platformdirs, "user_state_dir", lambda _: str(tmp_path / "state"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path


def test_it_is_the_users_own_folder(places):
    assert trust.remembered_in() == places / "state" / "trusted"
    assert (places / "state" / "trusted").stat().st_mode & 0o077 == 0


def test_without_a_home_what_is_given_is_remembered_all_the_same(places):
    (places / "state").write_text("no folder")
    outside, project = places / "cube.npy", places / "project"
    outside.write_bytes(b"")
    trust.confirm(project, [outside])
    assert trust.remembered_in().parent == places / "tmp"
    assert trust.refused(project, [outside]) == []


@pytest.mark.parametrize("kind", ["link", "open to others"])
def test_a_temporary_folder_that_others_could_fill_is_not_believed(places, kind):
    (places / "state").write_text("no folder")
    planted = places / "tmp" / f"napari-hsi-ssl-{os.getuid()}"
    if kind == "link":
        (places / "elsewhere").mkdir(mode=0o700)
        planted.symlink_to(places / "elsewhere")
    else:
        planted.mkdir()
        planted.chmod(0o777)
    assert trust.remembered_in() == Path(places / "state" / "trusted")
