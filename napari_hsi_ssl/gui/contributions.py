"""What napari finds through the manifest: the reader, the samples, and the workbench with its explorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hsi_ssl.errors import ChoiceError, CubeError, HsiError

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.pictures import CubePicture

LayerData = tuple[Any, dict[str, Any], str]
Chooser = Callable[[Path, tuple[str, ...]], str | None]
Reader = Callable[[str | Sequence[str]], list[LayerData]]
_PICTURES = {".tif", ".tiff"}
_DATA_ONLY = {".img", ".raw", ".dat", ".bil", ".bip", ".bsq"}


def get_reader(path: str | Sequence[str], choose: Chooser | None = None) -> Reader | None:
    """Return a reader of hyperspectral cubes, or None when the file is none.

    Parameters
    ----------
    path : str or sequence of str
        What was dropped or opened.
    choose : callable, optional
        Asked which array is the cube when a file holds several; a dialog by default.

    Notes
    -----
    A plain or RGB TIFF is left to napari, and so is a data file without its ENVI header, and a folder that is no cube itself.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(part) for part in path]
    if not paths or not all(_is_cube(part) for part in paths):
        return None

    def read(_: str | Sequence[str]) -> list[LayerData]:
        found: list[LayerData] = []
        for part in paths:
            found += _layers(part, choose or ask_for_array)
        return found

    return read


def _is_cube(path: Path) -> bool:
    from napari_hsi_ssl.cubes.readers import candidates, is_cube_folder

    if path.is_dir() and not is_cube_folder(path):
        return False
    if not path.exists():
        return False
    suffix = path.suffix.lower()
    if suffix in _PICTURES:
        return _is_cube_tiff(path)
    if suffix in _DATA_ONLY:
        return path.with_suffix(".hdr").exists() or path.with_name(f"{path.name}.hdr").exists()
    if suffix == ".hdr":
        return True
    try:
        return bool(candidates(path))
    except HsiError:
        return False


def _is_cube_tiff(path: Path) -> bool:
    """Whether a TIFF holds more bands than a picture has colours."""
    import tifffile

    from napari_hsi_ssl.cubes.tiff import with_pages

    try:
        with with_pages(path) as tiff:
            shape = tiff.series[0].shape
            pages = len(tiff.pages)
    except (tifffile.TiffFileError, OSError, IndexError, ValueError):
        return False
    sides = sorted((*shape, pages) if len(shape) == 2 and pages > 1 else shape)
    return len(sides) == 3 and sides[0] > 4


def _layers(path: Path, choose: Chooser) -> list[LayerData]:
    from napari_hsi_ssl.cubes.readers import read_cube
    from napari_hsi_ssl.gui.pictures import picture

    try:
        cube = read_cube(path)
    except ChoiceError as error:
        key = choose(path, error.candidates)
        if key is None:
            return []
        cube = read_cube(path, key=key)
    if cube.sizes["band"] < 2:
        raise CubeError(f"{path} has one band, expected a cube of several; open it with another reader.")
    return _pair(path.stem, picture(path.stem, cube), path)


def _pair(name: str, shown: CubePicture, file: Path | None = None) -> list[LayerData]:
    """Return the bands of a cube, hidden, and its composite."""
    import numpy as np

    _tell_bands_of_new_layers()
    data = np.moveaxis(shown.cube.data, -1, 0) if shown.bands_first is None else shown.bands_first
    metadata = {"wavelengths": shown.wavelengths, "count": shown.cube.sizes["band"]} | ({} if file is None else {"hsi_file": str(file)})
    axis = "band" if shown.wavelengths is None else "wavelength"
    bands = {
        "name": f"{name} bands", "contrast_limits": shown.limits, "colormap": "gray", "axis_labels": (axis, "y", "x"),
        "metadata": metadata, "visible": False, "multiscale": False, "rgb": False,
    }  # fmt: skip
    return [(data, bands, "image"), (shown.composite, {"name": f"{name} RGB", "rgb": True, "metadata": metadata}, "image")]


def _tell_bands_of_new_layers() -> None:
    """Let the status bar say band and wavelength over the cubes that this module gives napari, which makes the layers itself."""
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        viewer.layers.events.inserted.connect(_tell_band)  # once: napari passes over a callback that it has


def _tell_band(event: Any) -> None:  # noqa: ANN401 - an Event
    from napari_hsi_ssl.gui.layers import tell_band

    if "count" in event.value.metadata:
        tell_band(event.value)


def ask_for_array(path: Path, names: tuple[str, ...]) -> str | None:
    """Ask which array of a file is the cube.

    Where the workbench is open its first form asks, and the file goes to the project; a dialog asks in a bare napari alone.
    """
    from qtpy.QtWidgets import QApplication, QInputDialog

    window = QApplication.activeWindow() if QApplication.instance() else None
    workbench = _workbench() if QApplication.instance() else None
    if workbench is not None:
        workbench.open("cubes")
        workbench.forms["cubes"].offer_choice(path, names)
        return None
    if window is None:
        raise ChoiceError(path, names)
    name, said_yes = QInputDialog.getItem(window, "Which array is the cube?", f"{path.name} holds several arrays:", list(names), 0, False)
    return name if said_yes else None


def _workbench() -> Any:  # noqa: ANN401 - a Workbench or None
    """Return the workbench of the current viewer, where it is open."""
    import napari

    from napari_hsi_ssl.gui.workbench import TITLE

    viewer = napari.current_viewer()
    return viewer.window.dock_widgets.get(TITLE) if viewer is not None else None


def sample_indian_pines() -> list[LayerData]:
    """Return Indian Pines as layers: bands, composite, ground truth."""
    from napari_hsi_ssl.cubes.samples import indian_pines
    from napari_hsi_ssl.gui.mask_layers import class_colours
    from napari_hsi_ssl.gui.pictures import picture

    cube, labels, classes = indian_pines()
    shown = picture("indian_pines", cube)
    features = {"index": [0, *classes.numbers], "class": ["unlabelled", *classes.names]}
    return [
        *_pair("indian_pines", shown),
        (labels, {"name": "indian_pines ground truth", "colormap": class_colours(classes), "features": features, "opacity": 0.5, "visible": False}, "labels"),
    ]


def sample_laboratory() -> list[LayerData]:
    """Return one cube a domain of the synthetic laboratory, side by side, as composites with their materials."""
    from napari_hsi_ssl.cubes.samples import DOMAINS, make_laboratory_cube
    from napari_hsi_ssl.gui.pictures import picture

    found: list[LayerData] = []
    for place, domain in enumerate(DOMAINS):
        made = make_laboratory_cube(domain, 1, 64, 0)
        bands, composite = _pair(domain, picture(domain, made.cube))
        found.append((bands[0], {**bands[1], "translate": (0, 0, 70 * place), "visible": True}, bands[2]))
        found.append((composite[0], {**composite[1], "translate": (0, 70 * place)}, composite[2]))
    return found


def open_workbench() -> None:
    """Open workbench and explorer in the current viewer (a command of the File menu)."""
    import napari

    from napari_hsi_ssl.gui import workbench

    viewer = napari.current_viewer()
    if viewer is not None:
        workbench.open_workbench(getattr(viewer, "__wrapped__", viewer))
