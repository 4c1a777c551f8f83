"""2 Mask and labels: find or draw the foreground; say which pixels are of which class."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.events import Event
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent, QKeySequence, QShowEvent
from qtpy.QtWidgets import QButtonGroup, QShortcut, QVBoxLayout, QWidget

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui import layers, mask_layers
from napari_hsi_ssl.gui.contact_sheet import open_sheet
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.labels import LabelsPanel
from napari_hsi_ssl.gui.forms.mask_rules import RulePage
from napari_hsi_ssl.gui.forms.mask_tools import CheckPage, CombinePage, GrowPage, HandPage
from napari_hsi_ssl.gui.forms.pieces import Tabs, listen, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.mask_history import history_for
from napari_hsi_ssl.gui.masking import NewMask, changed_mask, save_drawn
from napari_hsi_ssl.gui.picking import PixelPicker
from napari_hsi_ssl.gui.selection import selection_for
from napari_hsi_ssl.steps import mask as steps
from napari_hsi_ssl.steps import recipe as recipes
from napari_hsi_ssl.steps.recipe import Recipe

PAGES = {
    "rule": ("Rule", "By a rule: thresholds, spectral angle, clusters (Shift+1)"),
    "click": ("Click", "By clicking: regions of like pixels grow from where you click (Shift+2)"),
    "hand": ("Hand", "By hand: polygon, lasso, brush (Shift+3)"),
    "combine": ("Combine", "The mask with another one: OR, AND, AND NOT (Shift+4)"),
    "check": ("Check all", "The rule on all cubes, looked through before it is saved (Shift+5)"),
}
_POINT = "Click on the image, or move the cursor with the arrow keys and press Enter; Escape ends it."
_UNSAID = frozenset({"reference", "background", "foreground", "file", "classes", "combine"})


class MaskForm(Form):
    """The second form: which pixels count, and what they are.

    Keys work in the whole window while the tab Foreground can be seen: Shift and a letter, none of which napari uses.
    """

    number = 2
    title = "Mask and labels"
    passing = Form.passing | _UNSAID

    def build(self) -> None:
        """Lay the form out."""
        self.picker = PixelPicker(self.desk, self)
        self.picker.picked.connect(self._picked)
        self.picker.left.connect(self._left)
        self._pointing = ""
        self.page = "rule"
        self._base: NDArray[np.bool_] | None = None
        self._region_recipe: Recipe | None = None
        self._by_hand: set[str] = set()
        """Cubes whose mask is no longer what a rule gives."""
        self.tabs = Tabs()
        self.labels = LabelsPanel(self)
        self.tabs.addTab(self._foreground(), "Foreground")
        self.tabs.addTab(self.labels, "Labels")
        self.tabs.currentChanged.connect(self._look)
        self.tabs.currentChanged.connect(self._turned)
        self.body.addWidget(self.tabs, 0, Qt.AlignmentFlag.AlignTop)
        self.desk.cube_changed.connect(self._cube_changed)
        self.canvas.mask_read.connect(self._tell_share)
        selection_for(self.desk).mask_made.connect(self._selected_by_hand)
        listen(self.desk.viewer.layers.events.inserted, self, "_mask_came")
        self._keys()
        self.open_page("rule")

    def _foreground(self) -> QWidget:
        self.front = QWidget()
        layout = QVBoxLayout(self.front)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(5)
        self.rules, self.growing, self.hand, self.combining, self.checking = RulePage(self), GrowPage(self), HandPage(self), CombinePage(self), CheckPage(self)
        self.pages: dict[str, QWidget] = dict(zip(PAGES, (self.rules, self.growing, self.hand, self.combining, self.checking), strict=True))
        self.choice = QButtonGroup(self)
        self.page_buttons = {}
        for name, (words, tooltip) in PAGES.items():
            button = plain_button(words, tooltip)
            button.setCheckable(True)
            button.clicked.connect(lambda _=False, name=name: self.open_page(name))
            self.choice.addButton(button)
            self.page_buttons[name] = button
        layout.addLayout(row(*self.page_buttons.values()))
        for page in self.pages.values():
            layout.addWidget(page)
        changes = []
        for text, what, tooltip in (
            ("Invert", "invert", "Swap foreground and background (Shift+I)"),
            ("Fill holes", "fill", "Count holes inside objects as foreground (Shift+F)"),
            ("Drop specks", "specks", "Drop objects smaller than the number of pixels under More settings of the rule (Shift+D)"),
        ):
            button = self.needs_project(plain_button(text, tooltip))
            button.clicked.connect(lambda _=False, what=what: self.change(what))
            changes.append(button)
        self.undo_button = plain_button("↶", "Take the last change of the mask back (Ctrl+Z)")
        self.undo_button.clicked.connect(lambda: self.step(False))
        self.redo_button = plain_button("↷", "Do it again (Ctrl+Shift+Z)")
        self.redo_button.clicked.connect(lambda: self.step(True))
        for button in (self.undo_button, self.redo_button):
            button.setFixedWidth(32)
        layout.addLayout(row(*changes, self.undo_button, self.redo_button))
        self.share = words_label("#9aa4b0")
        layout.addWidget(self.share)
        self.save = self.needs_project(primary("Save mask", "Save the mask on the canvas; without one, the rule makes it (Shift+S)"))
        self.save.clicked.connect(self.save_mask)
        self.whole = self.needs_project(plain_button("Whole image", "Every pixel of this cube is used"))
        self.whole.clicked.connect(self.use_whole)
        layout.addLayout(row(self.save, self.whole))
        layout.addStretch(1)
        # What the parts are called from outside.
        self.fields, self.range, self.pick, self.live, self.all = self.rules.fields, self.rules.range, self.rules.pick, self.rules.live, self.checking.all
        return self.front

    def _keys(self) -> None:
        """Give the keyboard all that the mouse can do from a cube to its saved mask."""
        self.shortcuts: dict[str, QShortcut] = {}
        done: dict[str, Callable[[], object]] = {
            "Shift+O": partial(self.by_key, "otsu"),
            "Shift+T": partial(self.by_key, "threshold"),
            "Shift+R": partial(self.by_key, "angle"),
            "Shift+K": partial(self.by_key, "kmeans"),
            "Shift+G": self._grow_by_key,
            "Shift+I": partial(self.change, "invert"),
            "Shift+F": partial(self.change, "fill"),
            "Shift+D": partial(self.change, "specks"),
            "Shift+C": self.check_all,
            "Shift+S": self.save_mask,
            "Shift+N": self.next_cube,
            "Ctrl+Z": partial(self.step, False),
            "Ctrl+Shift+Z": partial(self.step, True),
        }
        for number, name in enumerate(PAGES, start=1):
            done[f"Shift+{number}"] = partial(self.open_page, name)
        for keys, action in done.items():
            # A child of the tab: Qt lets a shortcut rest while its parent cannot be seen.
            shortcut = QShortcut(QKeySequence(keys), self.front)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.activated.connect(action)
            self.shortcuts[keys] = shortcut

    # -- state ------------------------------------------------------------------------------------------------------------

    def standing(self) -> Standing:
        """Say how many cubes have masks and labels."""
        project = self.project
        if project is None or not project.entries:
            return Standing("blocked", "Needs cubes: form 1.")
        count, masks, labels = len(project.entries), len(project.masked), len(project.labelled)
        told = f"masks of {masks} of {count} cubes" if masks else "No mask yet: the whole image is used"
        return Standing("done" if masks else "ready", f"{told} · " + (f"labels of {labels} of {count}" if labels else "no labels yet"))

    def project_opened(self) -> None:
        """Forget how the masks of another project were made."""
        self._by_hand.clear()
        self._region_recipe = None

    def _selected_by_hand(self, cube: str) -> None:
        self._by_hand.add(cube)

    def update_widgets(self) -> None:
        """Show how much is covered, and offer the first component once there is one."""
        self.labels.refresh()
        self.combining.refresh()
        self._tell_share()
        self.rules.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Bring what the open tab is about to the canvas."""
        super().showEvent(event)
        if not event.spontaneous():
            self._look()

    def hideEvent(self, event: QHideEvent) -> None:
        """Let clicks on the image be clicks again."""
        super().hideEvent(event)
        if not event.spontaneous():
            self.point("")

    def open_page(self, name: str) -> None:
        """Show one of the pages: ``rule``, ``click``, ``hand``, ``combine`` or ``check``."""
        for other, page in self.pages.items():
            page.setVisible(other == name)
        self.page_buttons[name].setChecked(True)
        if name != self.page:
            self.hush()
        self.page = name
        if (name == "rule") != (self._pointing in {"angle", "clusters"}) and self._pointing:
            self.point("")
        self.tabs.updateGeometry()

    def _cube_changed(self, _cube: str) -> None:
        self._base = None
        self.growing.forget()
        self.rules.cube_changed()

    def hush(self, *_: object) -> None:
        """Take words and warnings away, but not what a click on the image does now."""
        super().hush()
        if self._pointing:
            self.say(_POINT)

    def _turned(self, *_: object) -> None:
        if self.tabs.currentWidget() is self.labels:
            self.point("")  # a click there paints or does nothing: it must not change the mask, which cannot be seen
        self.hush()

    def _look(self, *_: object) -> None:
        self.canvas.look_at("labels" if self.tabs.currentWidget() is self.labels else "mask")

    def _mask_came(self) -> None:
        layer = layers.find(self.desk.viewer, "mask", self.desk.cube)
        if layer is not None and self._painted not in layer.events.paint.callbacks:
            layer.events.paint.connect(self._painted)
        self._tell_share()

    def _tell_share(self, *_: object) -> None:
        back, forth = history_for(self.desk.viewer).able(self.desk.cube)
        layer = layers.find(self.desk.viewer, "mask", self.desk.cube)
        self.undo_button.setEnabled(back > 0 and layer is not None)
        self.redo_button.setEnabled(forth > 0 and layer is not None)
        if layer is None:
            self.share.setText("")
        else:
            count = int(np.count_nonzero(layer.data))
            saved = "not saved yet" if layers.unsaved(layer) else "saved"
            self.share.setText(f"{self.desk.cube}: {count:,} of {layer.data.size:,} pixels ({count / layer.data.size:.0%}) · {saved}")

    def frame_shape(self) -> tuple[int, int]:
        """Return rows and columns of the current cube."""
        return (0, 0) if self.project is None or not self.desk.cube else self.project.entry(self.desk.cube).shape[:2]

    # -- what the pages show ------------------------------------------------------------------------------------------------

    def rule(self) -> MaskConfig:
        """Return the rule as it stands; raises ConfigError when something is missing."""
        return self.rules.rule()

    def preview(self) -> None:
        """Show the mask that the rule gives, without saving it."""
        self.rules.preview()

    def base(self, how: str) -> NDArray[np.bool_] | None:
        """Return the mask that a rule's result is combined with: the one that was there before the rule."""
        if how == "replace":
            return None
        if self._base is None or self._base.shape != self.frame_shape():
            self._base = mask_layers.mask_on_canvas(self.desk.viewer, self.desk.cube)
        return self._base

    def forget_base(self) -> None:
        """Let the next rule be combined with the mask as it is now."""
        self._base = None

    def show_rule(self, cube: str, new: NewMask, follows: bool) -> None:
        """Show what a rule gives."""
        if cube != self.desk.cube:
            return
        if not follows:
            history_for(self.desk.viewer).part(cube)
        self._region_recipe = None
        if self.rules.combine.currentIndex() == 0:
            self._by_hand.discard(cube)
        self.growing.forget()
        self._show(cube, new.mask, "rule")
        self._say_verdict(new.words)

    def show_region(self, cube: str, new: NewMask, merge: str = "") -> None:
        """Show what a click or a combination gives."""
        if cube == self.desk.cube:
            self._base = None
            if not merge:
                self._by_hand.add(cube)
                self.growing.forget()
            self._show(cube, new.mask, merge)
            self._say_verdict(new.words)

    def changed_by_hand(self) -> None:
        """Take note that something else than a rule changed the mask."""
        self._base = None
        self._by_hand.add(self.desk.cube)
        self.growing.forget()
        self._tell_share()

    def _say_verdict(self, words: str) -> None:
        if words:
            self.say(f"{words[:1].upper()}{words[1:]}. Ctrl+Z brings the mask before back.", "warning")

    def preview_failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        """Say why there is no mask."""
        self.say(sentence, "error")

    def _show(self, cube: str, mask: NDArray[np.bool_], merge: str = "") -> None:
        mask_layers.show_mask(self.desk.viewer, cube, mask, saved=False, merge=merge)
        if self._pointing == "clusters":
            mask_layers.outline(self.desk.viewer, cube)  # a first mask, made after the clusters that it would cover
        self.canvas.look_at("mask")
        self._mask_came()
        self.say("")

    def _painted(self, _: Event | None = None) -> None:
        self.changed_by_hand()

    # -- pointing at pixels ---------------------------------------------------------------------------------------------------

    def point(self, what: str) -> None:
        """Let clicks on the image pick: for the ``angle``, the ``clusters`` or to ``grow``; "" ends it."""
        if what == self._pointing:
            return
        self._pointing = what
        for name, button in (("angle", self.rules.pick), ("clusters", self.rules.click), ("grow", self.growing.grow)):
            if name != what:
                button.setChecked(False)
        if what:
            self.picker.start()
            self.say(_POINT)
        else:
            self.picker.stop()
            self.say("")
        if what != "clusters":
            self.rules.hide_clusters()
        else:
            self.rules.show_clusters()

    def _left(self) -> None:
        self.point("")
        self.page_buttons[self.page].setFocus()

    def _picked(self, y: int, x: int, shift: bool) -> None:
        if self._pointing == "angle":
            self.rules.add_pick(y, x)
        elif self._pointing == "clusters":
            self.rules.click_away(y, x, shift)
        elif self._pointing == "grow":
            self.growing.start(y, x, shift)

    # -- keys -----------------------------------------------------------------------------------------------------------------

    def by_key(self, method: str) -> None:
        """Choose a rule and show what it gives."""
        self.open_page("rule")
        self.fields.setValue(self.fields.value().model_copy(update={"method": method}))
        if method == "angle":
            self.rules.pick.setChecked(True)
        else:
            self.preview()

    def _grow_by_key(self) -> None:
        self.open_page("click")
        self.growing.grow.setChecked(True)

    def next_cube(self) -> None:
        """Go on to the next cube of the project."""
        names = list(self.project.entries) if self.project is not None else []
        if self.desk.cube in names:
            self.desk.set_cube(names[(names.index(self.desk.cube) + 1) % len(names)])

    def step(self, forward: bool) -> None:
        """Take the last change of the mask back, or do it again; strokes on another layer are taken back there."""
        active = self.desk.viewer.layers.selection.active
        if isinstance(active, Labels) and layers.role_of(active) != "mask" and active.mode not in {"pan_zoom", "transform"}:
            (active.redo if forward else active.undo)()
            return
        if mask_layers.step_mask(self.desk.viewer, self.desk.cube, forward):
            self._base = None
            self._by_hand.add(self.desk.cube)
            self.growing.forget()
            self.rules.stop_previews()
            self.say("")
        else:
            self.say("There is nothing to do again." if forward else "There is nothing to take back.", "warning")
        self._tell_share()

    # -- by hand ----------------------------------------------------------------------------------------------------------

    def draw(self, mode: str) -> None:
        """Let the user draw an outline."""
        self.point("")
        self.need_mask(lambda: layers.draw(self.desk.viewer, mode))

    def brush(self, mode: str) -> None:
        """Let the user paint on the mask."""
        self.point("")
        self.need_mask(lambda: self._brush(mode))

    def _brush(self, mode: str) -> None:
        layer = layers.find(self.desk.viewer, "mask", self.desk.cube)
        mask_layers.paint_with(self.desk.viewer, layer, 1, mode)
        self._mask_came()

    def need_mask(self, then: Callable[[], object]) -> None:
        """Start from an empty mask when there is none on the canvas."""
        if self.project is None or not self.desk.cube:
            return
        if layers.find(self.desk.viewer, "mask", self.desk.cube) is None:
            mask_layers.show_mask(self.desk.viewer, self.desk.cube, np.zeros(self.frame_shape(), dtype=bool), saved=False)
        then()

    def change(self, what: str) -> None:
        """Change the mask on the canvas: ``invert``, ``fill`` holes or drop ``specks``."""
        cube, mask = self.desk.cube, mask_layers.mask_on_canvas(self.desk.viewer, self.desk.cube)
        if mask is None:
            self.say("There is no mask on the canvas yet: draw one or change the rule.", "warning")
            return
        done = partial(self._changed, cube)
        self.rules.stop_previews()
        # In the slot of the previews: one that is still on its way must not write over what is asked for after it.
        self.jobs.call(changed_mask, mask, what, self.fields.value().drop_specks, on_result=done, slot="preview", on_error=self.preview_failed)

    def _changed(self, cube: str, mask: NDArray[np.bool_]) -> None:
        self.show_region(cube, NewMask(mask, "" if mask.any() else f"the mask of cube '{cube}' is empty: choose another rule, or it is left out of everything"))

    # -- saving -----------------------------------------------------------------------------------------------------------

    def save_mask(self) -> None:
        """Save the mask on the canvas, or make it by the rule when there is none."""
        project, cube = self.project, self.desk.cube
        if project is None or not cube:
            return
        mask = mask_layers.mask_on_canvas(self.desk.viewer, cube)
        if mask is None:
            self._by_rule([cube])
        else:
            self.run(save_drawn(project, cube, mask), lambda report: self._saved(cube, report), "saving the mask")

    def _saved(self, cube: str, report: dict[str, Any]) -> None:
        layer = layers.find(self.desk.viewer, "mask", cube)
        if layer is not None:
            layers.mark_unsaved(layer, False)
        self.desk.masks_changed.emit(cube)
        self.say(f"{cube}: {report['pixels']:,} pixels ({report['share']:.0%}) are foreground.")
        if report["pixels"] == 0:
            self.warn("The mask is empty, so this cube is left out of everything that follows.")

    def mask_all(self) -> None:
        """Make and save the masks of all cubes by the rule."""
        self._by_rule(None)

    def check_all(self) -> None:
        """Find the masks of all cubes by the rule and put them before the eye."""
        if self.project is None or not self.project.entries:
            self.say("There are no cubes yet.", "warning")
            return
        try:
            config = self.rules.rule_for_all()
        except ConfigError as error:
            self.say(str(error), "error")
            return
        self.point("")
        open_sheet(self.desk).check(config)

    def use_whole(self) -> None:
        """Use every pixel of the current cube."""
        self._by_rule([self.desk.cube], MaskConfig(method="all", drop_specks=0))

    def _by_rule(self, cubes: list[str] | None, config: MaskConfig | None = None) -> None:
        if self.project is None:
            return
        try:
            config = config or (self.rule() if cubes else self.rules.rule_for_all())
        except ConfigError as error:
            self.say(str(error), "error")
            return
        self.run(steps.make_masks(self.project, config, cubes), self._made, "finding masks")

    def _made(self, report: dict[str, Any]) -> None:
        made = report["cubes"]
        self._by_hand.difference_update(made)
        layer = layers.find(self.desk.viewer, "mask", self.desk.cube)
        if layer is not None and self.desk.cube in made:
            layers.mark_unsaved(layer, False)
        self._base = None
        self.desk.masks_changed.emit("")
        shares = [row["share"] for row in made.values()]
        words = f"{len(made)} mask{'s' * (len(made) != 1)} saved: {min(shares):.0%}"
        self.say(words + (f" to {max(shares):.0%} foreground." if len(shares) > 1 else " foreground."))

    # -- the step as text ---------------------------------------------------------------------------------------------------

    def step_recipe(self, config: MaskConfig) -> None:
        """Remember how the last region was made."""
        if self.project is not None:
            self._region_recipe = recipes.masks(self.project.folder, config, [self.desk.cube])

    def recipe(self) -> Recipe | None:
        """Return the rule, or the last region that was grown, as a text; of a mask that no rule gives, its file."""
        if self.project is None or not self.desk.cube:
            return None
        if self.tabs.currentWidget() is self.labels:
            return self.labels.recipe()
        layer = layers.find(self.desk.viewer, "mask", self.desk.cube)
        if layer is not None and self.desk.cube in self._by_hand:
            if layers.unsaved(layer):
                raise ConfigError("The mask was changed by hand, which no rule repeats: press Save mask first, then its file can be copied.")
            path = self.project.mask_path(self.desk.cube).absolute()
            return recipes.masks(self.project.folder, MaskConfig(method="file", file=str(path), drop_specks=0, fill_holes=False), [self.desk.cube])
        if self._region_recipe is not None:
            return self._region_recipe
        return recipes.masks(self.project.folder, self.rule(), [self.desk.cube])
