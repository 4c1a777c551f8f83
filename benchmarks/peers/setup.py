"""Make one environment a peer beside this file, from the exact versions in ``requirements/``.

    python benchmarks/peers/setup.py [PEER …]

Every list was written by ``pip freeze``, so nothing is resolved again; torch (for napari-sediment) is the processor's build where an index offers it.
An environment that is there and made from the list as it is now stays.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / "environments"


def ready(peer: str) -> bool:
    """Make a peer's environment unless it is there; a failure is kept in words beside it for the suite's report."""
    folder, wanted = ENVIRONMENTS / peer, HERE / "requirements" / f"{peer}.txt"
    made_from, failed = folder / "made-from.txt", ENVIRONMENTS / f"{peer}.failed"
    if made_from.exists() and made_from.read_text() == wanted.read_text():
        return True
    failed.unlink(missing_ok=True)
    venv.create(folder, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", wanted]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no word"]
        failed.write_text(errors[-1][:300] + "\n")
        (folder / "bin" / "python").unlink(missing_ok=True)  # half an environment would fail in stranger words
        return False
    made_from.write_text(wanted.read_text())
    return True


def main() -> None:
    """Make what is asked for, all by default; what cannot be installed is told and does not stop the others."""
    peers = sys.argv[1:] or sorted(path.stem for path in (HERE / "requirements").glob("*.txt"))
    for peer in peers:
        print(f"{peer}: {'ready' if ready(peer) else 'could not be installed; the suite reports it as missing'}", flush=True)


if __name__ == "__main__":
    main()
