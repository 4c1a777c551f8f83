"""The plots of the explorer: spectra, component scatter, training curves and results."""

import qtpy  # noqa: F401 - pyqtgraph uses the Qt binding that was imported first, and qtpy is the one that chooses it
