"""The choice of a learned inlet in the training form."""

from __future__ import annotations

from napari_hsi_ssl.gui.forms.train import TrainForm


def test_a_learned_inlet_is_chosen_for_both_kinds_and_copied_as_a_command(viewer, project, qtbot):
    form = TrainForm(viewer)
    viewer.window.add_dock_widget(form)
    form.desk.open_project(project)
    for page, fields in enumerate((form.pretrain, form.distil)):
        form.kinds.setCurrentIndex(page)
        box = fields.editors["inlet"].widget
        assert [box.itemText(row) for row in range(box.count())] == ["frozen projection", "learned per camera"]
        assert "trained with the trunk" in box.toolTip()
        assert form.config().inlet == "pca"
        box.setCurrentIndex(1)
        assert form.config().inlet == "learned"
        assert "--inlet learned" in form.recipe().command
    form.kinds.setCurrentIndex(0)
    form.pretrain.editors["recipe"].widget.setCurrentIndex(1)
    assert form.config().inlet == "learned", "another recipe is no other inlet"
