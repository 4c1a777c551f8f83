"""A trainer without a network: takes the lock, says steps, obeys cancel. Its behaviour is the JSON file behave.json in the run folder."""

import json
import subprocess
import sys
import time
from pathlib import Path

from napari_hsi_ssl.runs.folder import RunFolder


def main() -> None:
    folder = RunFolder(Path(sys.argv[1]))
    behave = json.loads((folder.path / "behave.json").read_text())
    sys.stdout.write("fake trainer here\n")
    time.sleep(behave.get("before_lock", 0.0))
    if "complain" in behave:
        sys.stderr.write(behave["complain"] + "\n")
        raise SystemExit(3)
    steps = behave.get("steps", 5)
    start = 3 if "--resume" in sys.argv else 0
    with folder.locked() as cancelled:
        if behave.get("rank"):
            rank = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            (folder.path / "rank").write_text(str(rank.pid))
        folder.emit("started", total_steps=steps, epochs=2, device="cpu")
        if start:
            folder.emit("resumed", step=start)
        for step in range(start, steps):
            time.sleep(behave.get("pause", 0.01))
            if cancelled.is_set() and not behave.get("deaf"):
                folder.emit("cancelled", step=step)
                return
            folder.emit("step", epoch=1, step=step + 1, loss=4.2123, throughput=512.3, seconds_left=200)
        if "fail" in behave:
            folder.emit("failed", message=behave["fail"])
            raise SystemExit(1)
        folder.finish({"loss": 4.0})
        folder.emit("finished", seconds=1.0)


if __name__ == "__main__":
    main()
