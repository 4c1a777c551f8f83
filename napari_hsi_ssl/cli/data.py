"""Verbs that bring cubes in and prepare them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_hsi_ssl import config as settings
from napari_hsi_ssl.cli.options import CubeName, ProjectFolder, Seed, numbers, one_of, options_given, panel_given, several, times_given
from napari_hsi_ssl.progress import Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.terminal import Report, verb


@verb
def info(
    cube: Annotated[Path, typer.Argument(help="a cube's file, or a folder with one")],
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
    shape: Annotated[str | None, typer.Option(metavar="Y,X,B", help="for files that do not tell their shape")] = None,
    order: Annotated[str, typer.Option(metavar="C|F", help="how such a file lies: C, the last axis fastest, or F, the first")] = "C",
    check: Annotated[bool, typer.Option("--check", help="read it once: saturated pixels, references beside it")] = False,
) -> Report | Steps[Report]:
    """Describe a cube: shape, bands, wavelengths, quantity, type, layout, memory."""
    from napari_hsi_ssl.steps import cubes

    if check:
        return cubes.check(cube, key, numbers(shape, 3, "--shape"), one_of(order, ("C", "F"), "--order"))
    return cubes.info(cube, key, numbers(shape, 3, "--shape"), one_of(order, ("C", "F"), "--order"))


@verb
def new(
    project: ProjectFolder,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="more cubes and folders of cubes")] = None,
    cubes: Annotated[list[Path] | None, typer.Option(metavar="PATH", help="a cube or a folder of cubes; may be repeated, more paths may follow")] = None,
    sample: Annotated[str | None, typer.Option(metavar="indian_pines|laboratory", help="the cubes and labels of a sample instead")] = None,
) -> Steps[Report]:
    """Make a project, with the cubes of files and folders; a cube's domain is its folder's name."""
    from napari_hsi_ssl.steps import cubes as verbs

    if sample is not None:
        if cubes or paths:
            raise typer.BadParameter("give cubes or a sample, not both", param_hint="--sample")
        from napari_hsi_ssl.steps.samples import new_from_sample

        return new_from_sample(project, sample)
    return verbs.new(project, [*(cubes or []), *(paths or [])])


@verb
def add(
    project: ProjectFolder,
    path: Annotated[Path, typer.Argument(help="a cube, or a folder of cubes")],
    domain: Annotated[str | None, typer.Option(help="the camera or subject; the folder's name by default")] = None,
    name: Annotated[str | None, typer.Option(help="the cube's name; the file's stem by default")] = None,
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
    shape: Annotated[str | None, typer.Option(metavar="Y,X,B", help="for files that do not tell their shape")] = None,
    order: Annotated[str, typer.Option(metavar="C|F", help="how such a file lies: C, the last axis fastest, or F, the first")] = "C",
    white: Annotated[Path | None, typer.Option(help="white reference")] = None,
    dark: Annotated[Path | None, typer.Option(help="dark reference")] = None,
    panel: Annotated[str | None, typer.Option(metavar="FRACTION|FILE", help="the white panel's reflectance, such as 0.5, or a table over wavelength")] = None,
    exposure: Annotated[str | None, typer.Option(metavar="CUBE,WHITE[,DARK]", help="exposure times; by default as the headers state them")] = None,
    references: Annotated[str, typer.Option(metavar="none|auto", help="auto: WHITEREF_NAME, DARKREF_NAME and the like beside each cube")] = "none",
) -> Steps[Report]:
    """Add a cube, or a folder of cubes, to a project."""
    from napari_hsi_ssl.steps import cubes as verbs

    return verbs.add(
        Project.open(project),
        path,
        domain=domain,
        name=name,
        key=key,
        shape=numbers(shape, 3, "--shape"),
        order=one_of(order, ("C", "F"), "--order"),
        white=white,
        dark=dark,
        panel=panel_given(panel),
        exposure=times_given(exposure),
        references=one_of(references, ("none", "auto"), "--references"),
    )


@verb
def crop(
    project: ProjectFolder,
    cube: Annotated[str, typer.Option(help="a cube's name")],
    box: Annotated[str | None, typer.Option(metavar="Y0,X0,Y1,X1", help="ends excluded; without it the whole frame is used again")] = None,
) -> Steps[Report]:
    """Use only a box of a cube; the file stays as it is."""
    from napari_hsi_ssl.steps import cubes as verbs

    corners = numbers(box, 4, "--box")  # wrong usage is told before anything else
    return verbs.crop(Project.open(project), cube, corners)


@verb
def remove(project: ProjectFolder, cube: Annotated[str, typer.Option(help="a cube's name")]) -> Steps[Report]:
    """Forget a cube; its file, masks, labels and maps stay."""
    from napari_hsi_ssl.steps import cubes as verbs

    return verbs.remove(Project.open(project), cube)


@verb
def relink(project: ProjectFolder, folder: Annotated[Path, typer.Argument(help="the folder into which cubes were moved")]) -> Steps[Report]:
    """Find cubes that have moved, by what they hold."""
    from napari_hsi_ssl.steps.relink import relink as step

    return step(Project.open(project), folder)


@verb
def trust(
    project: ProjectFolder,
    only_list: Annotated[bool, typer.Option("--list", help="only say what it names outside its folder")] = False,
    scripts: Annotated[bool, typer.Option("--scripts", help="also let the job scripts of its runs be run: read them first")] = False,
) -> Steps[Report]:
    """Let a project from elsewhere read the files outside its folder that it names; those you add yourself need no word."""
    from napari_hsi_ssl.steps.confirm import trust_files

    return trust_files(project, scripts=scripts, only_list=only_list)


@verb
def mask(
    project: ProjectFolder,
    cube: Annotated[list[str] | None, typer.Option(help="a cube's name, may be repeated; all by default")] = None,
    method: Annotated[str | None, typer.Option(help="otsu, threshold, angle, grow, kmeans, labels, saved, file or all")] = None,
    source: Annotated[str | None, typer.Option(help="brightness, band or pc1")] = None,
    band: Annotated[int | None, typer.Option(help="band index from 0, with --source band")] = None,
    wavelength: Annotated[float | None, typer.Option(help="nm, with --source band")] = None,
    low: Annotated[float | None, typer.Option(help="threshold: keep values of at least this")] = None,
    high: Annotated[float | None, typer.Option(help="threshold: keep values of at most this")] = None,
    keep: Annotated[str | None, typer.Option(help="otsu: keep the bright or the dark side")] = None,
    at: Annotated[list[str] | None, typer.Option(metavar="Y,X", help="angle, grow: a reference pixel; may be repeated")] = None,
    reference: Annotated[str | None, typer.Option(help="angle, kmeans: the cube that --at or the clusters are of; each cube's own by default")] = None,
    max_angle: Annotated[float | None, typer.Option(help="angle: largest angle in radians")] = None,
    grow_by: Annotated[str | None, typer.Option(help="grow: angle or brightness")] = None,
    follow: Annotated[str | None, typer.Option(help="grow: compare with the seed, or with the region's mean")] = None,
    tolerance: Annotated[float | None, typer.Option(help="grow: largest angle in radians, or difference in brightness as a share of it")] = None,
    clusters: Annotated[int | None, typer.Option(help="kmeans: kinds of pixels, 2 to 12 (4)")] = None,
    features: Annotated[str | None, typer.Option(help="kmeans: spectra, or shape (SNV, blind to brightness)")] = None,
    background: Annotated[str | None, typer.Option(metavar="N,N", help="kmeans: clusters that are background, from 0, the darkest")] = None,
    foreground: Annotated[str | None, typer.Option(metavar="N,N", help="kmeans: clusters that are foreground")] = None,
    class_number: Annotated[list[int] | None, typer.Option("--class", help="labels: a class number; may be repeated, all by default")] = None,
    file: Annotated[Path | None, typer.Option("--from", help="a mask, labels or polygons (TIFF, NPY, PNG, GeoJSON, ENVI ROI), or a folder of them")] = None,
    combine: Annotated[str | None, typer.Option(help="replace the saved mask, add to it, intersect with it or subtract from it")] = None,
    seed: Seed = None,
    invert: Annotated[bool | None, typer.Option("--invert", help="keep the other side")] = None,
    fill_holes: Annotated[bool | None, typer.Option("--fill-holes/--keep-holes", help="background that is enclosed becomes foreground, or stays")] = None,
    drop_specks: Annotated[int | None, typer.Option(help="drop objects of fewer pixels")] = None,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE.png", help="write thumbnails of all masks to look through")] = None,
) -> Steps[Report]:
    """Find the foreground of cubes and save it as their masks."""
    from napari_hsi_ssl.steps.mask import make_masks

    if source is None and (band is not None or wavelength is not None):
        source = "band"
    if file is not None:
        if method not in {None, "file"}:
            raise typer.BadParameter(f"it is a method of its own, found --method {method} beside it; leave one out", param_hint="--from")
        method = "file"
    if tolerance is not None and method == "angle" and max_angle is None:
        max_angle, tolerance = tolerance, None
    given = options_given(
        method=method, source=source, band=band, wavelength=wavelength, low=low, high=high, keep=keep, reference=reference, max_angle=max_angle,
        at=[numbers(pixel, 2, "--at") for pixel in at] if at else None, grow_by=grow_by, follow=follow, tolerance=tolerance, clusters=clusters,
        features=features, background=several(background, "--background"), foreground=several(foreground, "--foreground"), classes=class_number or None,
        file=None if file is None else str(file), combine=combine, seed=seed, invert=invert, fill_holes=fill_holes, drop_specks=drop_specks,
    )  # fmt: skip
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise typer.BadParameter(f"{sheet} does not end in .png", param_hint="--sheet")
    return make_masks(Project.open(project), settings.MaskConfig.parse(given, "mask"), cube, sheet)


@verb
def labels(
    project: ProjectFolder,
    cube: CubeName = None,
    source: Annotated[Path | None, typer.Option("--from", help="raster (TIFF, NPY, MAT, PNG, ENVI) or polygons (GeoJSON, ENVI ROI)")] = None,
    key: Annotated[str | None, typer.Option(help="the array, in a file of several")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="the whole cube is of this class")] = None,
    table: Annotated[Path | None, typer.Option(help="CSV with the columns cube and class")] = None,
    folders: Annotated[bool, typer.Option("--folders", help="every cube is of the class named like its folder")] = False,
) -> Steps[Report]:
    """Give pixels their classes."""
    from napari_hsi_ssl.steps import labels as verbs

    ways = {"--from": source, "--class": class_name, "--table": table, "--folders": folders or None}
    chosen = [name for name, value in ways.items() if value is not None]
    if len(chosen) != 1:
        raise typer.BadParameter(f"give exactly one of {', '.join(ways)}, found {', '.join(chosen) or 'none'}")
    if table is None and not folders and cube is None:
        raise typer.BadParameter(f"{chosen[0]} needs --cube NAME")
    opened = Project.open(project)
    if table is not None:
        return verbs.labels_from_table(opened, table)
    if folders or cube is None:
        return verbs.labels_from_folders(opened)
    if source is not None:
        return verbs.labels_from_file(opened, cube, source, key)
    return verbs.label_whole_cube(opened, cube, class_name or "")


@verb
def pca(
    project: ProjectFolder,
    bands: Annotated[int | None, typer.Option(help="bands of the common grid (256)")] = None,
    grid: Annotated[str | None, typer.Option(help="index or wavelength")] = None,
    components: Annotated[int | None, typer.Option(help="components kept (30)")] = None,
    method: Annotated[str | None, typer.Option(help="pca or mnf")] = None,
    scale: Annotated[str | None, typer.Option(help="none, standardise or snv")] = None,
    weights: Annotated[str | None, typer.Option(help="pixels, or domain: every domain counts the same")] = None,
    sample: Annotated[int | None, typer.Option(help="fit on at most this many random pixels a cube")] = None,
    edges: Annotated[str | None, typer.Option(help="mnf: count, or skip pairs of neighbours across an edge when the noise is told")] = None,
    denoise: Annotated[int | None, typer.Option(help="mnf: radius of a bilateral filter of the components (0: none)")] = None,
    training_free: Annotated[bool, typer.Option("--training-free", help="the denoised MNF of the training-free embedding, as the project's inlet")] = False,
    seed: Seed = None,
) -> Steps[Report]:
    """Bring every domain to one band grid and fit one PCA over all masked pixels."""
    from napari_hsi_ssl.steps.pca import fit_pca

    if training_free:
        from napari_hsi_ssl.steps.training_free import training_free_inlet

        return training_free_inlet(Project.open(project), current=True)
    given = options_given(
        bands=bands, grid=grid, components=components, method=method, scale=scale, weights=weights, sample=sample, seed=seed, edges=edges, denoise=denoise
    )
    return fit_pca(Project.open(project), settings.PcaConfig.parse(given, "pca"))


@verb
def patches(
    project: ProjectFolder,
    size: Annotated[int | None, typer.Option(help="side in pixels (32)")] = None,
    stride: Annotated[int | None, typer.Option(help="pixels between patches (half the size)")] = None,
    coverage: Annotated[float | None, typer.Option(help="smallest share of foreground (0.5)")] = None,
    background: Annotated[str | None, typer.Option(help="mean, keep or zero")] = None,
    per_domain: Annotated[int | None, typer.Option(help="at most this many a domain")] = None,
    split: Annotated[str | None, typer.Option(help="cube, blocks, or auto: by cube where a domain has two or more")] = None,
    guard: Annotated[int | None, typer.Option(help="unused pixels between blocks of training and test")] = None,
    block: Annotated[int | None, typer.Option(help="side of a block (twice the size)")] = None,
    test_share: Annotated[float | None, typer.Option(help="share held out (0.25)")] = None,
    seed: Seed = None,
    preview: Annotated[bool, typer.Option("--preview", help="only count what would be cut; the project stays as it is")] = False,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE.png", help="draw example patches of every domain")] = None,
) -> Steps[Report]:
    """Cut the patch index, stratified by domain, and hold a test part out."""
    from napari_hsi_ssl.steps.patches import cut_patches, preview_report

    given = options_given(
        size=size, stride=stride, coverage=coverage, background=background, per_domain=per_domain, split=split, guard=guard,
        block=block, test_share=test_share, seed=seed,
    )  # fmt: skip
    made = settings.PatchConfig.parse(given, "patches")
    return (preview_report if preview else cut_patches)(Project.open(project), made, sheet)
