"""What a cube would look like to the eye: spectra to CIE 1931 XYZ to sRGB, as one small matrix of weights a band.

All of it is linear up to the last step, so a picture is a weighted sum of the visible bands and can be made a few rows at a time.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_hsi_ssl.cubes.calibrate import resampling_matrix

VISIBLE: Final = (380.0, 780.0)
"""nm between which the eye sees."""
_NEEDED: Final = (490.0, 610.0)
_WIDEST_GAP: Final = 60.0

# Relative spectral power of daylight D65 every 10 nm from 380 to 780 nm (CIE 15:2004, table T.1; ISO/CIE 11664-2).
_D65: Final = (
    49.9755, 54.6482, 82.7549, 91.486, 93.4318, 86.6823, 104.865, 117.008, 117.812, 114.861, 115.923, 108.811, 109.354, 107.802,
    104.790, 107.689, 104.405, 104.046, 100.0, 96.3342, 95.788, 88.6856, 90.0062, 89.5991, 87.6987, 83.2886, 83.6992, 80.0268,
    80.2146, 82.2778, 78.2842, 69.7213, 71.6091, 74.349, 61.604, 69.8856, 75.087, 63.5927, 46.4182, 66.8054, 63.3828,
)  # fmt: skip
WHITE: Final = (0.95047, 1.0, 1.08883)
"""XYZ of D65 for the 2° observer, Y = 1."""
# XYZ relative to D65 to linear sRGB (IEC 61966-2-1).
_TO_SRGB: Final = np.array([[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]])


def observer(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Return the CIE 1931 2° colour matching functions (n, 3) at wavelengths (n,) in nm.

    References
    ----------
    Wyman, Sloan and Shirley (2013), Simple analytic approximations to the CIE XYZ color matching functions, Journal of Computer
    Graphics Techniques 2 (2): the multi-lobe fit, equations 4.
    """
    nm = np.asarray(wavelength, dtype=np.float64)

    def lobe(height: float, centre: float, left: float, right: float) -> NDArray[np.float64]:
        distance = (nm - centre) * np.where(nm < centre, left, right)
        return height * np.exp(-0.5 * distance * distance)

    x = lobe(0.362, 442.0, 0.0624, 0.0374) + lobe(1.056, 599.8, 0.0264, 0.0323) + lobe(-0.065, 501.1, 0.0490, 0.0382)
    y = lobe(0.821, 568.8, 0.0213, 0.0247) + lobe(0.286, 530.9, 0.0613, 0.0322)
    z = lobe(1.217, 437.0, 0.0845, 0.0278) + lobe(0.681, 459.0, 0.0385, 0.0725)
    return np.stack([x, y, z], axis=-1)


def daylight(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Return the relative power (n,) of the illuminant D65 at wavelengths (n,) in nm; 100 at 560 nm, 0 outside the visible."""
    return np.interp(np.asarray(wavelength, dtype=np.float64), np.arange(380.0, 781.0, 10.0), _D65, left=0.0, right=0.0)


def covers_visible(wavelengths: NDArray[np.float64] | None, bad: NDArray[np.bool_] | None = None) -> bool:
    """Whether bands allow true colour: they reach from blue (490 nm) to red (610 nm) with no gap of more than 60 nm between."""
    if wavelengths is None:
        return False
    centres = np.sort(wavelengths if bad is None or np.all(bad) else wavelengths[~np.asarray(bad, dtype=bool)])
    if len(centres) < 3 or centres[0] > _NEEDED[0] or centres[-1] < _NEEDED[1]:
        return False
    first = int(np.searchsorted(centres, _NEEDED[0], side="right")) - 1
    last = int(np.searchsorted(centres, _NEEDED[1]))
    return bool(np.diff(centres[first : last + 1]).max() <= _WIDEST_GAP)


def true_colour_weights(wavelengths: NDArray[np.float64], bad: NDArray[np.bool_] | None = None, *, illuminated: bool = True) -> NDArray[np.float64]:
    """Return the weights (band, 3) that turn a spectrum into linear sRGB: ``rgb = spectrum @ weights``.

    The spectrum is taken to run straight from band to band (and level beyond the first and last), and is integrated against the
    observer in steps of 1 nm. Scaled so that an even spectrum of 1 is exactly white (1, 1, 1).

    Parameters
    ----------
    wavelengths : float64 array (band,)
        nm, in any order and spacing.
    bad : bool array (band,), optional
        Bands that are left out and bridged by their neighbours.
    illuminated : bool
        True for reflectance, which is looked at under D65. Radiance and digital numbers carry their light with them.
    """
    grid = np.arange(VISIBLE[0], VISIBLE[1] + 0.5)
    eye = observer(grid)
    if illuminated:
        eye *= daylight(grid)[:, None]
    at_bands = resampling_matrix(np.asarray(wavelengths, dtype=np.float64), grid, "wavelength", bad).T @ eye
    xyz = at_bands / at_bands.sum(axis=0) * np.array(WHITE)
    return np.asarray(xyz @ _TO_SRGB.T / (np.array(WHITE) @ _TO_SRGB.T))


def companded(linear: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return sRGB values in [0, 1] of linear ones: the curve of IEC 61966-2-1."""
    values = np.clip(linear, 0, 1).astype(np.float32)
    curved = 1.055 * np.power(values, 1 / 2.4, dtype=np.float32) - 0.055
    return np.asarray(np.where(values <= 0.0031308, 12.92 * values, curved), dtype=np.float32)
