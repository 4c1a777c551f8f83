"""Make one environment a peer beside this file, from the exact versions in ``requirements/``.

    python benchmarks/peers/setup.py [PEER …]

Every list was written by ``pip freeze``, so nothing is resolved again; torch (for napari-sediment) is the processor's build where an index offers it.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Make what is asked for, all by default; what cannot be installed is told and does not stop the others."""
    peers = sys.argv[1:] or sorted(path.stem for path in (HERE / "requirements").glob("*.txt"))
    failed = []
    for peer in peers:
        folder = HERE / "environments" / peer
        venv.create(folder, with_pip=True)
        command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", HERE / "requirements" / f"{peer}.txt"]
        done = subprocess.run(command, check=False)
        print(f"{peer}: {'ready' if done.returncode == 0 else 'could not be installed'}")
        failed += [peer] * (done.returncode != 0)
    if failed:
        sys.exit(f"not installed: {', '.join(failed)}; run.py reports them as missing")


if __name__ == "__main__":
    main()
