"""The shared bar: what takes longer than half a second and has no bar of its own, with time left and a way to end it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from napari_hsi_ssl.gui.activity import Work, activity, words_of
from napari_hsi_ssl.gui.jobs import time_words

_LOOK_MS = 200


class BusyRow(QWidget):
    """One line with words, a bar, the time left and a cancel button; hidden while nothing takes long.

    Parameters
    ----------
    words_width : int
        Room for the words in pixels.
    """

    def __init__(self, words_width: int = 170, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.work: Work | None = None
        self._most = 0
        self.words = QLabel()
        self.words.setMinimumWidth(words_width)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.words.setToolTip("What is being worked on")
        self.bar = QProgressBar()
        self.bar.setFixedWidth(70)
        self.bar.setTextVisible(False)
        self.bar.setToolTip("How far it is")
        self.cancel = QPushButton("Cancel")
        self.cancel.setStyleSheet("padding: 2px 5px;")
        self.cancel.setToolTip("End it; what is finished is kept")
        self.cancel.clicked.connect(self._cancel)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 2)
        layout.setSpacing(6)
        layout.addWidget(self.words, 1)
        layout.addWidget(self.bar)
        layout.addWidget(self.cancel)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.look)
        activity.begun.connect(self._begun)
        self.hide()

    def float_over(self, host: QWidget, most: int = 330) -> None:
        """Lie over the top right corner of a widget that has no row for it; the host's layout does not know."""
        self.setParent(host)
        self.setAutoFillBackground(True)
        self._most = most
        host.installEventFilter(self)
        self._place(host)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay in the corner when the host's size changes."""
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self._place(watched)
        return super().eventFilter(watched, event)

    def _place(self, host: QWidget) -> None:
        width = min(self._most, host.width())
        self.setGeometry(host.width() - width, 0, width, self.sizeHint().height())

    def _begun(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def look(self) -> None:
        """Show what has run longest, or nothing."""
        work = activity.longest()
        if work is not self.work:
            self.work = work
            self.cancel.setEnabled(True)
            self.setVisible(work is not None)
            self.raise_()
        if activity.idle:
            self._timer.stop()
        if work is None:
            return
        left = time_words(work.seconds_left)
        text = f"{words_of(work)} · {left} left" if left and "left" not in work.progress.message else words_of(work)
        text = text if self.cancel.isEnabled() else f"cancelling: {text}"
        self.words.setText(QFontMetrics(self.words.font()).elidedText(text, Qt.TextElideMode.ElideRight, max(self.words.width(), self.words.minimumWidth())))
        self.words.setToolTip(text)
        total = work.progress.total
        self.bar.setRange(0, 1000 if total > 0 else 0)
        if total > 0:
            self.bar.setValue(round(1000 * min(1.0, work.progress.done / total)))

    def _cancel(self) -> None:
        if self.work is not None:
            self.cancel.setEnabled(False)
            self.work.cancel()
            self.look()
