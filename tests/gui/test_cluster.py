"""A run that goes to a cluster from the window: its script shown, edited and submitted, its queue followed, cancelled."""

from __future__ import annotations

import stat

from napari_hsi_ssl import run
from napari_hsi_ssl.config import MaskConfig, PatchConfig, PcaConfig
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.runs import queue, slurm
from napari_hsi_ssl.steps.mask import make_masks
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca

COMMANDS = {
    # Slurm's commands as far as they are asked: a job that waits for its turn until it is cancelled.
    "sbatch": 'echo "17;test" ; cp "${@: -1}" "$HERE/submitted.sh"; touch "$HERE/waiting"',
    "squeue": '[ -e "$HERE/waiting" ] || exit 0; case "$*" in *%r*) echo Priority;; *) echo PENDING;; esac',
    "scancel": 'rm "$HERE/waiting"',
}


def test_the_script_is_shown_edited_submitted_followed_and_cancelled(viewer, qtbot, project, tmp_path, monkeypatch):
    for name, text in COMMANDS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.setattr(queue, "_QUEUE_SECONDS", 0.2)
    run(make_masks(project, MaskConfig(method="all")))
    run(fit_pca(project, PcaConfig(bands=12, components=4)))
    run(cut_patches(project, PatchConfig(size=8, stride=4)))
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    bench.open("train")
    form = bench.forms["train"]
    panel = form.where
    assert panel.slurm.isHidden()
    panel.where.setCurrentIndex(1)
    assert not panel.slurm.isHidden()
    panel.fields.setValue(panel.fields.value().model_copy(update={"partition": "long", "gpus": 2}))
    qtbot.waitUntil(form.start.isEnabled, timeout=10_000)

    panel.look.click()
    qtbot.waitUntil(lambda: not panel.script.isHidden(), timeout=15_000)
    text = panel.editor.toPlainText()
    assert "#SBATCH --partition=long" in text
    assert "#SBATCH --gpus-per-node=2" in text
    assert not (tmp_path / "submitted.sh").exists()
    panel.editor.setPlainText(text + "# written by hand\n")
    panel.submit.click()
    qtbot.waitUntil(lambda: "is job 17 of the cluster" in form.words.text(), timeout=15_000)
    assert (tmp_path / "submitted.sh").read_text().endswith("# written by hand\n")
    qtbot.waitUntil(lambda: "job 17: pending (Priority)" in form.live.text.text(), timeout=15_000)
    folder = project.run_folder("pretrain-1")
    assert folder.state == "queued"

    form.live.cancel.click()
    qtbot.waitUntil(lambda: folder.state == "cancelled", timeout=15_000)
    qtbot.waitUntil(lambda: not form.watch.live, timeout=15_000)
    assert slurm.queued(folder) is None


def test_a_refusal_is_told_in_the_form(viewer, qtbot, project, tmp_path, monkeypatch):
    run(make_masks(project, MaskConfig(method="all")))
    run(fit_pca(project, PcaConfig(bands=12, components=4)))
    run(cut_patches(project, PatchConfig(size=8, stride=4)))
    monkeypatch.setenv("PATH", str(tmp_path))
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    bench.open("train")
    form = bench.forms["train"]
    form.where.where.setCurrentIndex(1)
    qtbot.waitUntil(form.start.isEnabled, timeout=10_000)
    form.start.click()
    qtbot.waitUntil(lambda: "Slurm's command 'sbatch' is not on this computer" in form.words.text(), timeout=15_000)
