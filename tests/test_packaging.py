"""What users install holds the manifest: napari drops a plugin whose manifest is missing or wrong without a word."""

from __future__ import annotations

import email
import email.policy
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

npe2 = pytest.importorskip("npe2")


def _build(source: Path, to: Path, *what: str, **how: Any) -> dict[str, Path]:
    command = [sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", str(to), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.suffix: path for path in to.iterdir()}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict[str, Path]:
    """Sdist (.gz) and the wheel (.whl) made of it, as they would be published, built once."""
    return _build(REPOSITORY, tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def wheel(published) -> Path:
    return published[".whl"]


def test_a_wheel_built_out_of_the_tree_is_the_published_one_byte_by_byte(published, tmp_path):
    """Who builds a release again, elsewhere and out of another source, can tell that nothing was slipped in."""
    again = _build(REPOSITORY, tmp_path / "dist", "--wheel", umask=0o077, env={**os.environ, "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7"})
    assert again[".whl"].read_bytes() == published[".whl"].read_bytes()


def test_the_hub_gets_a_description_that_works_away_from_the_repository(wheel):
    """PyPI and the napari hub show README and metadata; a relative picture is a broken one there, an unknown classifier refuses the upload."""
    from trove_classifiers import classifiers

    with zipfile.ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith("dist-info/METADATA"))
        card = email.message_from_bytes(archive.read(name), policy=email.policy.default)
    assert card["Description-Content-Type"] == "text/markdown"
    assert set(card.get_all("Classifier")) <= classifiers
    assert "Framework :: napari" in card.get_all("Classifier")
    assert card["License-Expression"] == "BSD-3-Clause"
    assert 20 < len(card["Summary"]) < 200
    text = card.get_content()
    assert "## A first map" in text
    assert re.findall(r"\]\((?!https?://)[^)]*\)", text) == []


def test_the_wheel_holds_every_module_the_manifest_and_the_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "napari_hsi_ssl").rglob("*.py")}
    assert modules <= names
    assert "napari_hsi_ssl/napari.yaml" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"napari_hsi_ssl/py.typed", "napari_hsi_ssl/models/pretrained.safetensors", "napari_hsi_ssl/models/pretrained.json"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"napari_hsi_ssl"}, "the package and its metadata, nothing beside"


def test_npe2_finds_the_manifest_in_an_unpacked_wheel(wheel, tmp_path):
    """As after ``pip install``: only the wheel's own files and metadata are there."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from importlib.metadata import distribution; from npe2 import PluginManifest;"
        "manifest = PluginManifest.from_distribution('napari-hsi-ssl');"
        "print(len(manifest.contributions.commands), manifest.package_version, distribution('napari-hsi-ssl').locate_file('.'))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    commands, version, origin = done.stdout.split()
    assert int(commands) > 0
    assert version == distribution("napari-hsi-ssl").version
    assert Path(origin) == tmp_path, "the manifest came from the editable install"


def test_npe2_finds_the_manifest_in_the_editable_install():
    manifest = npe2.PluginManifest.from_distribution("napari-hsi-ssl")
    assert manifest.name == "napari-hsi-ssl"
    assert manifest.display_name == "Hyperspectral SSL"
    for kind in ("widgets", "readers", "writers", "sample_data"):
        assert getattr(manifest.contributions, kind), kind


def test_npe2_validate_passes():
    """``--imports`` also imports every command, so that no menu entry leads nowhere."""
    command = [str(Path(sys.executable).with_name("npe2")), "validate", "--imports", "napari-hsi-ssl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_file_at_the_top_is_the_manifest_in_the_package():
    """Two copies would drift apart."""
    top = REPOSITORY / "napari.yaml"
    inside = REPOSITORY / "napari_hsi_ssl" / "napari.yaml"
    assert top.resolve() == inside.resolve()
    assert yaml.safe_load(inside.read_text())["name"] == "napari-hsi-ssl"


def test_constraints_pin_every_dependency_once_and_leave_torch_its_build():
    """A dependency that is not pinned makes two installations differ; a torch pinned to +cpu is not on every index."""
    lines = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    assert len(pinned) == len(lines)
    assert "+" not in pinned["torch"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    names = {canonicalize_name(Requirement(item).name) for item in wanted} - {"napari-hsi-ssl"}
    assert names <= {canonicalize_name(name) for name in pinned}
