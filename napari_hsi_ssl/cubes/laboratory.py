"""A synthetic laboratory of seven domains: cubes with known ground truth, made from numbers alone.

Every domain has its own camera (range and number of bands), its own materials and its own shapes of objects. The materials
of a domain share their absorption bands and differ in depths and continuum, as related substances do. A pixel is a linear
mixture of materials and tray, multiplied by variability that is smooth in space (moisture, grain), by shading and by the
illumination of its cube; noise grows with the signal and towards the ends of the camera's range.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_hsi_ssl.cubes.cube import Classes, as_cube
from napari_hsi_ssl.errors import CubeError

Floats = NDArray[np.floating]
Level = Callable[[Floats, Floats, np.random.Generator], Floats]
"""Gives at the points (u, v) of an object's own frame a value below 1 inside and above 1 outside."""

_BLUR_PIXELS = 0.7  # standard deviation of the point spread: how far materials mix across an edge
_READ_NOISE, _SHOT_NOISE = 0.003, 0.008  # in reflectance, at reflectance 0 and added in quadrature at reflectance 1
_TRAY_LEVEL = 0.06
_COVERAGE = 0.75  # objects are laid until this share of the tray is covered, or there is no more room
_OVERLAP = 0.3  # objects touch and overlap a little; they do not pile up, but for twigs


@dataclass(frozen=True)
class Domain:
    """What is filmed, and with which camera.

    Attributes
    ----------
    bands : int
    span : tuple of float
        First and last band centre in nm.
    materials : tuple of str
    shape : str
        Which objects there are, see ``_SHAPES``.
    radius : tuple of float
        Smallest and largest object radius in pixels.
    patchy : float
        Share of objects that carry a patch of a second material.
    """

    bands: int
    span: tuple[float, float]
    materials: tuple[str, ...]
    shape: str
    radius: tuple[float, float]
    patchy: float


DOMAINS: dict[str, Domain] = {
    "archaeology": Domain(256, (970.0, 2500.0), ("bone", "flint", "charcoal", "brick", "slag", "shell"), "sherd", (7, 13), 0.3),
    "branches": Domain(160, (400.0, 1000.0), ("bark", "fresh leaf", "dry leaf", "lichen"), "twig", (12, 20), 0.4),
    "coffee": Domain(256, (900.0, 1700.0), ("arabica", "robusta", "dark roast", "mouldy bean", "husk"), "bean", (6, 9), 0.1),
    "grapes": Domain(160, (400.0, 1000.0), ("green berry", "veraison berry", "ripe berry", "rotten berry", "stalk"), "berry", (6, 10), 0.3),
    "paper": Domain(288, (400.0, 1000.0), ("rag paper", "wood pulp paper", "coated paper", "recycled paper", "foxing"), "sheet", (12, 18), 0.5),
    "pottery": Domain(256, (400.0, 1000.0), ("red fabric", "buff fabric", "grey fabric", "glaze", "slip"), "sherd", (9, 15), 0.5),
    "sugar": Domain(256, (900.0, 1700.0), ("sucrose", "glucose", "fructose", "lactose"), "grain", (4, 7), 0.0),
}
"""The seven domains by name."""


@dataclass(frozen=True)
class LaboratoryCube:
    """One cube of the laboratory with its ground truth.

    Attributes
    ----------
    cube : DataArray (y, x, band)
        Reflectance, float32, with wavelengths in nm.
    mask : bool array (y, x)
        True on objects.
    labels : int32 array (y, x)
        Material that covers the pixel, 0 on the tray; numbers are unique over all domains.
    classes : Classes
        The materials of this domain.
    """

    cube: xr.DataArray
    mask: NDArray[np.bool_]
    labels: NDArray[np.int32]
    classes: Classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the materials, in the order of their numbers."""
        return self.classes.names


def laboratory_classes(*domains: str) -> Classes:
    """Return the materials of the given domains, or of all; no two domains share a number, so that one table serves them all."""
    names: dict[int, str] = {}
    number = 0
    for name, domain in DOMAINS.items():
        for material in domain.materials:
            number += 1
            if not domains or name in domains:
                names[number] = material
    return Classes.of(list(names), names)


def make_laboratory_cube(domain: str, index: int = 1, size: int | tuple[int, int] = 128, seed: int = 0) -> LaboratoryCube:
    """Make one cube; the same arguments give the same values.

    Parameters
    ----------
    domain : str
        One of `DOMAINS`.
    index : int
        Number of the cube in its domain: other objects, other light, the same materials and camera.
    size : int or (int, int)
        Pixels along y and x.
    seed : int
        Another seed gives another laboratory with the same materials and cameras.

    Returns
    -------
    LaboratoryCube

    Raises
    ------
    CubeError
        When there is no such domain, or the size is not positive.
    """
    if domain not in DOMAINS:
        raise CubeError(f"laboratory: domain '{domain}' is unknown, expected one of {', '.join(DOMAINS)}; choose one of them.")
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise CubeError(f"laboratory: size is {height}×{width} pixels, expected at least 1×1; choose a larger one.")
    spec = DOMAINS[domain]
    random = np.random.default_rng([seed, index, zlib.crc32(domain.encode())])
    wavelength = np.linspace(*spec.span, spec.bands)
    material, relief, objects = _scene(spec, (height, width), random)
    spectra, swings, response = _physics(domain, wavelength.astype(np.float32))

    abundance = np.stack([gaussian_filter((material == number).astype(np.float32), _BLUR_PIXELS) for number in range(len(spectra))], axis=-1)
    mixed = abundance @ spectra
    covered = 1 - abundance[..., :1]
    mixed *= np.exp((_variation(objects, len(swings), random) * covered) @ swings)
    tilt = np.exp(random.normal(0, 0.04) * np.linspace(-1, 1, spec.bands, dtype=np.float32))
    mixed *= (relief * _light((height, width), random))[..., None] * tilt
    noise = random.standard_normal(mixed.shape, dtype=np.float32)
    noise *= np.sqrt(_READ_NOISE**2 + _SHOT_NOISE**2 * mixed) / response
    mixed += noise

    classes = laboratory_classes(domain)
    numbers = np.array((0, *classes.numbers), dtype=np.int32)
    cube = as_cube(mixed, wavelength, "reflectance", f"{domain}_{index}", source=f"synthetic laboratory, seed {seed}")
    return LaboratoryCube(cube, material > 0, numbers[material], classes)


# -- spectra ------------------------------------------------------------------------------------------------------------


def _physics(domain: str, wavelength: Floats) -> tuple[Floats, Floats, Floats]:
    """Return spectra (1 + materials, band) with the tray first, swings (3, band) and the camera's response (band,).

    The logarithm of a reflectance is a smooth continuum minus Gaussian absorptions (Sunshine, Pieters and Pratt 1990).
    They depend on the domain alone: another seed films the same substances.
    """
    random = np.random.default_rng(zlib.crc32(domain.encode()))
    count, bands = len(DOMAINS[domain].materials), len(wavelength)
    t = np.linspace(-1, 1, bands, dtype=np.float32)
    absorptions = 7
    centres = np.linspace(-0.9, 0.9, absorptions) + random.uniform(-0.1, 0.1, absorptions)
    widths = random.uniform(0.05, 0.18, absorptions)
    shape = np.exp(-0.5 * ((t[:, None] - centres) / widths) ** 2).T.astype(np.float32)
    polynomials = np.stack([np.ones_like(t), t, t**2 - 1 / 3])
    common = random.normal([-1.0, 0.4, 0.1], [0.25, 0.25, 0.15])
    depths = random.gamma(2.0, 0.15, absorptions)
    continua = common + random.normal(0, [0.10, 0.06, 0.04], (count, 3))
    depth = depths * np.exp(random.normal(0, 0.30, (count, absorptions)))
    materials = np.exp(continua @ polynomials - depth @ shape)
    tray = _TRAY_LEVEL * np.exp(0.1 * t)[None]
    swings = np.stack([0.10 * polynomials[1] + 0.08, -0.35 * shape[absorptions // 2] - 0.2 * shape[-1], 0.12 * polynomials[2]])
    response = 0.35 + 0.65 * np.exp(-0.5 * (t / 0.7) ** 2)
    response[random.choice(bands, 3, replace=False)] = 0.15  # the few bad detector rows every camera has
    return np.concatenate([tray, materials]).astype(np.float32), swings.astype(np.float32), response.astype(np.float32)


def _variation(objects: NDArray[np.int32], count: int, random: np.random.Generator) -> Floats:
    """Return how far each pixel swings (y, x, count): one draw an object, and a field that is smooth within it."""
    each = random.normal(0, 0.8, (int(objects.max()) + 1, count)).astype(np.float32)
    fields = [_field((objects.shape[0], objects.shape[1]), 3.0, random) for _ in range(count)]
    return each[objects] + 0.6 * np.stack(fields, axis=-1)


def _field(shape: tuple[int, int], smoothness: float, random: np.random.Generator) -> Floats:
    """Return a smooth random image (y, x) of about zero mean and unit spread; the spread of filtered noise is known in closed form."""
    rough = random.standard_normal(shape, dtype=np.float32)
    smooth: Floats = gaussian_filter(rough, smoothness, mode="wrap") * np.float32(2 * np.sqrt(np.pi) * smoothness)
    return smooth


def _light(shape: tuple[int, int], random: np.random.Generator) -> Floats:
    """Return the illumination (y, x): a lamp that stands a little to one side, and is a little brighter or darker each time."""
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    light: Floats = np.exp(random.normal(0, 0.05)) * (1 + 0.10 * (y * np.sin(angle) + x * np.cos(angle)))
    return light


# -- objects ------------------------------------------------------------------------------------------------------------


def _bean(u: Floats, v: Floats, random: np.random.Generator) -> Floats:
    level: Floats = np.hypot(u, v / random.uniform(0.6, 0.75))
    return level


def _berry(u: Floats, v: Floats, random: np.random.Generator) -> Floats:
    level: Floats = np.hypot(u, v / random.uniform(0.88, 1.0))
    return level


def _grain(u: Floats, v: Floats, random: np.random.Generator) -> Floats:
    angle = np.arctan2(v, u)
    edge = 1 + sum(random.normal(0, 0.25 / k) * np.cos(k * angle + random.uniform(0, 2 * np.pi)) for k in (2, 3, 5))
    level: Floats = np.hypot(u, v) / np.maximum(edge, 0.4)
    return level


def _sherd(u: Floats, v: Floats, random: np.random.Generator) -> Floats:
    sides = int(random.integers(4, 8))
    normals = (np.arange(sides) + random.uniform(-0.3, 0.3, sides)) * 2 * np.pi / sides
    distances = random.uniform(0.6, 0.95, sides)
    level: Floats = np.max([(u * np.cos(a) + v * np.sin(a)) / d for a, d in zip(normals, distances, strict=True)], axis=0)
    return level


def _sheet(u: Floats, v: Floats, random: np.random.Generator) -> Floats:
    level: Floats = np.maximum(np.abs(u) / 0.95, np.abs(v) / random.uniform(0.5, 0.9))
    return level


def _twig(u: Floats, v: Floats, random: np.random.Generator) -> Floats:
    arch = np.maximum(1 - u**2, 1e-3)
    if random.random() < 0.5:  # a leaf: two arcs
        level: Floats = np.abs(v) / (random.uniform(0.4, 0.6) * arch)
        return level
    bend = random.uniform(-0.4, 0.4)  # a bent stick
    level = np.maximum(np.abs(v - bend * arch) / random.uniform(0.16, 0.26), np.abs(u))
    return level


_SHAPES: dict[str, Level] = {"bean": _bean, "berry": _berry, "grain": _grain, "sherd": _sherd, "sheet": _sheet, "twig": _twig}
_FLAT = {"sheet", "sherd", "twig"}


def _scene(spec: Domain, shape: tuple[int, int], random: np.random.Generator) -> tuple[NDArray[np.int32], Floats, NDArray[np.int32]]:
    """Return material (y, x) with 0 = tray, relief (y, x) as a factor of the light, and object number (y, x) with 0 = tray."""
    material = np.zeros(shape, dtype=np.int32)
    objects = np.zeros(shape, dtype=np.int32)
    relief = np.ones(shape, dtype=np.float32)
    spots = _field(shape, 2.5, random)
    count = len(spec.materials)
    covered = random.uniform(0, 1, count)  # pixels of each material; the rarest is laid next, so that each cube holds all
    cap = max(1.0, min(shape) / 4)
    low, high = (min(radius, cap) for radius in spec.radius)
    overlap = 0.6 if spec.shape == "twig" else _OVERLAP
    attempts = count + round(5 * material.size / (np.pi * ((low + high) / 2) ** 2))
    for number in range(1, attempts + 1):
        if covered.sum() > _COVERAGE * material.size:
            break
        radius = random.uniform(low, high)
        centre = random.uniform((0, 0), shape)
        start = np.maximum(0, np.floor(centre - radius - 1)).astype(int)
        stop = np.minimum(shape, np.ceil(centre + radius + 2)).astype(int)
        place = (slice(start[0], stop[0]), slice(start[1], stop[1]))
        y, x = np.mgrid[place].astype(np.float32)
        turn = random.uniform(0, 2 * np.pi)
        dy, dx = (y - centre[0]) / radius, (x - centre[1]) / radius
        level = _SHAPES[spec.shape](dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn), random)
        inside = level < 1
        if np.count_nonzero(objects[place][inside]) > overlap * np.count_nonzero(inside):
            continue
        main = int(covered.argmin())
        material[place][inside] = main + 1
        if random.random() < spec.patchy:
            other = (main + random.integers(1, count)) % count
            material[place][inside & (spots[place] > 0.5)] = other + 1
        objects[place][inside] = number
        roundness = 0.25 if spec.shape in _FLAT else 0.45
        relief[place][inside] = (1 - roundness * (1 - np.sqrt(np.clip(1 - level**2, 0, 1))))[inside]
        covered[main] += np.count_nonzero(inside)
    return material, relief, objects
