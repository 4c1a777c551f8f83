"""What a training would cost on each device, in the Train form."""

from __future__ import annotations

from napari_hsi_ssl import run
from napari_hsi_ssl.config import PatchConfig, PcaConfig
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca

GIB = 2**30


def open_form(viewer, project):
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    bench.open("train")
    return bench, bench.forms["train"]


def row(panel, number):
    return [panel.table.item(number, column).text() for column in range(panel.table.columnCount())]


def test_a_real_trial_fills_the_table_and_a_changed_setting_empties_it(viewer, qtbot, project):
    run(fit_pca(project, PcaConfig(components=3)))
    run(cut_patches(project, PatchConfig(size=6, stride=3, coverage=0)))
    _, form = open_form(viewer, project)
    form.pretrain.setValue(form.pretrain.value().model_copy(update={"batch_size": 8, "epochs": 2}))
    panel = form.kinds.machines[0]
    assert not panel.table.isVisible()
    qtbot.waitUntil(panel.ask.isEnabled, timeout=10_000)
    panel.ask.click()
    qtbot.waitUntil(lambda: bool(panel.choices), timeout=120_000)
    assert panel.words.text().startswith("CPU with ")
    assert row(panel, 0)[:2] in (["CPU, 1 core", "float32"], ["CPU, 2 cores", "float32"], [panel.choices[0]["device"], "float32 (auto)"])
    assert row(panel, 0)[2].endswith("GiB")
    assert row(panel, 0)[3].endswith((" s", " min"))
    form.pretrain.setValue(form.pretrain.value().model_copy(update={"precision": "32"}))
    assert panel.choices, "the machine alone changes nothing of what was tried"
    form.pretrain.setValue(form.pretrain.value().model_copy(update={"batch_size": 4}))
    assert not panel.choices
    assert not panel.table.isVisibleTo(panel)


REPORT = {
    "cpu": {"cores": 8, "memory": 32 * GIB, "free": 20 * GIB, "precisions": ["32", "bf16"]},
    "gpus": [{"name": "Tesla V100", "memory": 16 * GIB, "free": 15 * GIB, "precisions": ["32", "16"]}] * 2,
    "choices": [
        {"accelerator": "cpu", "devices": 1, "precision": "32", "automatic": False, "device": "CPU, 8 cores", "memory": GIB, "seconds_per_step": 0.1,
         "patches_per_second": 640.0, "seconds": 7500.0},
        {"accelerator": "gpu", "devices": 1, "precision": "32", "automatic": False, "device": "Tesla V100", "problem": "batch_size 64 does not fit."},
        {"accelerator": "gpu", "devices": 2, "precision": "16", "automatic": True, "device": "2 × Tesla V100", "memory": 3 * GIB, "seconds_per_step": 0.01,
         "patches_per_second": 6400.0, "seconds": 750.0},
    ],
}  # fmt: skip


def test_a_chosen_row_sets_the_form(viewer, project):
    _, form = open_form(viewer, project)
    panel = form.kinds.machines[0]
    panel.show_report(REPORT)
    assert panel.words.text() == "CPU with 8 cores, 20.0 of 32.0 GiB free; 2 × Tesla V100, 15.0 of 16.0 GiB free each."
    assert [row(panel, number) for number in range(3)] == [
        ["CPU, 8 cores", "float32", "1 GiB", "2 h 5 min"],
        ["Tesla V100", "float32", "too little", "–"],
        ["2 × Tesla V100", "float16 (auto)", "3 GiB", "12 min"],
    ]
    assert panel.table.item(1, 2).toolTip() == "batch_size 64 does not fit."
    panel.table.selectRow(0)
    value = form.pretrain.value()
    assert (value.accelerator, value.devices, value.precision) == ("cpu", 1, "32")
    assert "--accelerator cpu" in form.recipe().command
    panel.table.selectRow(2)
    value = form.pretrain.value()
    assert (value.accelerator, value.devices, value.precision) == ("auto", "auto", "auto")
    form.where.where.setCurrentIndex(1)
    assert panel.isHidden(), "a cluster's devices are not this computer's"
    form.where.where.setCurrentIndex(0)
    assert panel.isVisibleTo(form)
    assert not form.pretrain.folds["Device and precision"].isExpanded(), "what is rarely used is folded away"


def test_a_chosen_row_is_remembered(viewer, project, qtbot):
    bench, form = open_form(viewer, project)
    panel = form.kinds.machines[1]
    panel.show_report(REPORT)
    panel.table.selectRow(0)
    assert bench.forms["train"].memory.get("forms", "Train: DistilConfig") == {"accelerator": "cpu", "devices": 1, "precision": "32"}
    assert form.pretrain.value().accelerator == "auto", "each kind of training has its own"
