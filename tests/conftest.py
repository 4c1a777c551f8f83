"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings

REPOSITORY = Path(__file__).parents[1]

# A deadline tells how busy the machine is, not whether the code is right.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
# For scripts/mutants.sh: a mutant is noticed or not, the same in every run, and nobody asks for the simplest example.
settings.register_profile("mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real cubes; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("HSI_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "README.md").exists():
        pytest.skip(f"real cubes are not here ({folder}); set HSI_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_memory_of_trust(tmp_path_factory):
    """What projects may read is remembered for this run of the tests alone, not in the user's own state folder."""
    if "HSI_TRUST" not in os.environ:
        os.environ["HSI_TRUST"] = str(tmp_path_factory.mktemp("trusted"))
