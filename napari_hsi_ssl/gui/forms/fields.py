"""Editors made from a settings model: one widget a field, with its range, its default and its description as tooltip.

A `ConfigFields` edits one frozen model: `value`, `setValue`, `changed`. Fields that are not shown keep what they were given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLineEdit, QSpinBox, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_hsi_ssl.config import Settings
from napari_hsi_ssl.errors import ConfigError

Model = TypeVar("Model", bound=Settings)
_LARGEST = 2**31 - 1
_EMPTY = "–"
_MORE = "More settings"
_ANY_HEIGHT = 2**24 - 1
"""Qt's word for a height without limit."""


class _NoWheel(QObject):
    """Keeps the mouse wheel for scrolling the workbench: it never changes a number by accident."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


class _Decimal(QDoubleSpinBox):
    """A spin box without trailing zeros."""

    def textFromValue(self, value: float) -> str:
        return f"{value:.6g}"


class Editor:
    """One field's widget, read and written as the model's own value.

    Parameters
    ----------
    annotation : type
        Of the field: bool, int, float, str, a Literal, or one of these or None.
    limits : (float or None, float or None)
        Smallest and largest value.
    empty : str
        What stands for None, or for a Literal beside a number.
    words : mapping of str to str
        How the choices of a Literal read on screen.
    """

    def __init__(self, annotation: Any, limits: tuple[float | None, float | None], empty: str, words: Mapping[str, str]) -> None:  # noqa: ANN401
        kinds = list(get_args(annotation)) if get_origin(annotation) in {Union, UnionType} else [annotation]
        self._optional = NoneType in kinds
        kinds = [kind for kind in kinds if kind is not NoneType]
        choices = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
        numbers = [kind for kind in kinds if kind in {int, float}]
        # Beside a number, one word or None is what stands left of the smallest number.
        self._special: Any = choices[0] if choices and numbers else None
        self._has_special = bool(choices and numbers) or (self._optional and bool(numbers))
        if kinds == [bool]:
            self.widget: QWidget = QCheckBox()
            self.signal = self.widget.stateChanged
        elif choices and not numbers:
            self._choices = ([None] if self._optional else []) + choices
            self.widget = QComboBox()
            self.widget.addItems([empty if choice is None else words.get(str(choice), str(choice)) for choice in self._choices])
            self.widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            self.widget.setMinimumContentsLength(8)
            self.signal = self.widget.currentIndexChanged
        elif numbers:
            self.widget = self._spin(numbers[0], limits, empty)
            self.signal = self.widget.valueChanged
        else:
            self.widget = QLineEdit()
            self.signal = self.widget.textChanged

    def _spin(self, kind: type, limits: tuple[float | None, float | None], empty: str) -> QSpinBox | QDoubleSpinBox:
        low = limits[0] if limits[0] is not None else (-1e9 if kind is float else int(self._special is not None))
        high = limits[1] if limits[1] is not None else _LARGEST
        if kind is int:
            spin: QSpinBox | QDoubleSpinBox = QSpinBox()
            spin.setRange(int(low) - self._has_special, int(high))
        else:
            spin = _Decimal()
            spin.setDecimals(6)
            spin.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
            # None lies below whatever may be given, so that it has a place of its own on the spin box.
            spin.setRange(low - 1 if self._has_special else low, high)
        if self._has_special:
            spin.setSpecialValueText(empty if self._special is None else str(self._special))
        return spin

    def value(self) -> Any:  # noqa: ANN401 - as the field's own
        """Return the field's value."""
        widget = self.widget
        if isinstance(widget, QCheckBox):
            return widget.isChecked()
        if isinstance(widget, QComboBox):
            return self._choices[widget.currentIndex()]
        if isinstance(widget, QSpinBox | QDoubleSpinBox):
            return self._special if self._has_special and widget.value() == widget.minimum() else widget.value()
        text = widget.text()
        return None if self._optional and not text else text

    def setValue(self, value: Any) -> None:  # noqa: ANN401 - Qt's way of naming
        """Show a value."""
        widget = self.widget
        if isinstance(widget, QCheckBox):
            widget.setChecked(bool(value))
        elif isinstance(widget, QComboBox):
            widget.setCurrentIndex(self._choices.index(value))
        elif isinstance(widget, QSpinBox | QDoubleSpinBox):
            widget.setValue(widget.minimum() if self._has_special and value == self._special else value)
        else:
            widget.setText("" if value is None else str(value))


class ConfigFields(QWidget, Generic[Model]):
    """An editor of one settings model.

    Parameters
    ----------
    model : type of Settings
    shown : sequence of str
        Fields that always stand there.
    folded : sequence of str
        Fields under "More settings".
    folds : mapping of str to sequence of str
        Fields under folds of their own, by title.
    labels : mapping of str to str
        What a field is called; its name with a capital otherwise.
    empty : mapping of str to str
        What stands for None in a field.
    hints : mapping of str to str
        Tooltips of fields whose model has no description.
    words : mapping of str to str
        How the choices of the model's Literals read on screen.
    """

    changed = Signal(object)
    """The new model, after every change that gives a valid one."""
    edited = Signal(object)
    """The same, after edits by hand alone."""

    def __init__(
        self,
        model: type[Model],
        shown: Sequence[str],
        folded: Sequence[str] = (),
        *,
        folds: Mapping[str, Sequence[str]] | None = None,
        labels: Mapping[str, str] | None = None,
        empty: Mapping[str, str] | None = None,
        hints: Mapping[str, str] | None = None,
        words: Mapping[str, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._model = model
        self._held = model()
        self._labels, self._empty, self._hints, self._words = labels or {}, empty or {}, hints or {}, words or {}
        self.editors: dict[str, Editor] = {}
        self.rows: dict[str, QFormLayout] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(self._form(shown))
        self.folds: dict[str, QCollapsible] = {}
        for title, names in {**({_MORE: folded} if folded else {}), **(folds or {})}.items():
            inside = QWidget()
            inside.setLayout(self._form(names))
            self.folds[title] = fold(title, inside)
            layout.addWidget(self.folds[title])
        self.more = self.folds.get(_MORE)
        self.setValue(self._held)

    def _form(self, names: Sequence[str]) -> QFormLayout:
        form = tidy(QFormLayout())
        no_wheel = _NoWheel(self)
        for name in names:
            field = self._model.model_fields[name]
            editor = Editor(field.annotation, _limits(field.metadata), self._empty.get(name, _EMPTY), self._words)
            editor.signal.connect(self._edited)
            editor.widget.installEventFilter(no_wheel)
            editor.widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            hint = self._hints.get(name) or field.description or ""
            editor.widget.setToolTip(hint[:1].upper() + hint[1:])
            editor.widget.setObjectName(name)
            form.addRow(self._labels.get(name, name.replace("_", " ").capitalize()), editor.widget)
            label = form.labelForField(editor.widget)
            if label is not None:
                label.setToolTip(editor.widget.toolTip())
            self.editors[name] = editor
            self.rows[name] = form
        return form

    def show_field(self, name: str, visible: bool) -> None:
        """Show or hide a field with its label."""
        widget = self.editors[name].widget
        widget.setVisible(visible)
        label = self.rows[name].labelForField(widget)
        if label is not None:
            label.setVisible(visible)

    def value(self) -> Model:
        """Return the settings as they stand.

        Raises
        ------
        ConfigError
            When fields contradict each other; the message names them.
        """
        edited = {name: editor.value() for name, editor in self.editors.items()}
        return self._model.parse({**self._held.model_dump(), **edited})

    def setValue(self, value: Model) -> None:
        """Show settings; fields that have no editor are kept as they are."""
        self._held = value
        blocked = self.blockSignals(True)
        for name, editor in self.editors.items():
            editor.setValue(getattr(value, name))
        self.blockSignals(blocked)
        self._tell()

    def reset(self) -> None:
        """Take every setting back to its default."""
        self.setValue(self._model())
        self.edited.emit(self.value())

    @property
    def model(self) -> type[Model]:
        """The kind of settings that are edited."""
        return self._model

    def take(self, values: Mapping[str, Any]) -> None:
        """Show settings as a project notes them; none, or such that no longer fit, change nothing."""
        if values:
            try:
                self.setValue(self._model.parse(dict(values)))
            except ConfigError:
                return

    def _edited(self, *_: object) -> None:
        self._tell(by_hand=True)

    def _tell(self, by_hand: bool = False) -> None:
        if not self.signalsBlocked():
            try:
                value = self.value()
            except ConfigError:
                return  # the primary button says so when it is pressed
            self.changed.emit(value)
            if by_hand:
                self.edited.emit(self.value())  # who heard of the change may have changed other fields


def fold(title: str, inside: QWidget) -> QCollapsible:
    """Return a widget folded away below its title."""
    folded = QCollapsible(title)
    folded.setDuration(0)
    folded.setCollapsedIcon(_sign("▸"))
    folded.setExpandedIcon(_sign("▾"))
    folded.setContent(inside)
    folded.collapse(animate=False)
    # superqt holds what is unfolded to the height it had at that moment, so that whatever appears in it later would be squeezed in.
    folded.toggled.connect(lambda opened: inside.setMaximumHeight(_ANY_HEIGHT if opened else 0))
    folded.layout().setContentsMargins(0, 0, 0, 0)
    folded.layout().setSpacing(0)
    folded.toggleButton().setToolTip("Unfold or fold")
    folded.toggleButton().setStyleSheet("text-align: left; border: none; background: transparent;")
    return folded


def _sign(text: str) -> QIcon:
    """Return a sign that can be seen on the dark theme and on the light one: superqt draws it in black."""
    pixmap = QPixmap(16, 16)
    pixmap.fill(QColor(0, 0, 0, 0))
    painter = QPainter(pixmap)
    painter.setPen(QColor("#9aa4b0"))
    painter.drawText(pixmap.rect(), int(Qt.AlignmentFlag.AlignCenter), text)
    painter.end()
    return QIcon(pixmap)


def tidy(form: QFormLayout) -> QFormLayout:
    """Give a form layout the narrow margins of a dock."""
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(10)
    form.setVerticalSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return form


def _limits(metadata: Sequence[Any]) -> tuple[float | None, float | None]:
    low: float | None = None
    high: float | None = None
    for rule in metadata:
        if getattr(rule, "ge", None) is not None:
            low = rule.ge
        if getattr(rule, "gt", None) is not None:
            low = rule.gt + 1e-5 if isinstance(rule.gt, int | float) else low
        if getattr(rule, "le", None) is not None:
            high = rule.le
        if getattr(rule, "lt", None) is not None:
            high = rule.lt - 1e-5
    return low, high
