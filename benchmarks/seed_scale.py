"""Pretraining at the scale of the reference: 39,482 patches of 32×32×30 of the synthetic laboratory, our trunk in several widths and a ResNet-18.

Seven domains, four cubes of 192×192 pixels each, blocks of 64 pixels held out within every cube; no held-out window shares a pixel with a training
window. Every row is trained by the recipe `poster` (NT-Xent, batch 64) on the same patches in the same order, and judged by the classes of held-out
patches: kNN (k = 20, cosine) and a logistic probe, both on standardised features. The PCA is fitted on all pixels, without labels. Printed beside
the accuracies: patches a second (both views, everything of a step, the median step), parameters, and multiply-adds a patch and view.

    python benchmarks/seed_scale.py WORK [--rows 32,64,128 48,96,192 resnet18 …] [--epochs 3] [--precision bf16] [--seeds 0 1] [--table]

Every row is one JSON file in WORK; what is there is not computed again, so the command may be broken off and repeated. The reference on eight V100s:
550 to 730 patches/s, with a ResNet of its own; kNN 85.77 % on domains. The domain kNN of ours stands in the JSON files.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_hsi_ssl import Project, run
from napari_hsi_ssl.config import PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.cubes.samples import laboratory
from napari_hsi_ssl.learning.data import PatchStore, component_gain, input_settings
from napari_hsi_ssl.learning.devices import describe, make_fabric
from napari_hsi_ssl.learning.encoder import SimCLRModel, channels_last, multiply_adds, parameters
from napari_hsi_ssl.learning.loop import Share, learning_rate
from napari_hsi_ssl.learning.pretraining import Pretraining
from napari_hsi_ssl.mapping.classifiers import judge_features
from napari_hsi_ssl.mapping.plain import patch_classes
from napari_hsi_ssl.patches.index import TEST, TRAIN, PatchIndex
from napari_hsi_ssl.steps.cubes import new
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca

PATCHES, CHANNELS, WINDOW, SIDE, CUBES = 39_482, 30, 32, 192, 4
ROWS = ("32,64,128", "48,96,192", "64,128,256", "resnet18")
JUDGED = 8_000
"""Labelled patches of each side that judge, at most."""
STEM = 2
"""Stride of the stem, of every row."""


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation and a shortcut (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width_in, width, 3, stride, 1, bias=False), nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or width_in != width:
            self.skip = nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) → (n, c, h', w')."""
        y = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(y)) + self.skip(x))


class ResNet18(nn.Module):
    """The usual four stages of two blocks, behind the same stem as ours: 3×3 with stride 2, no pooling after it."""

    inlets = None

    def __init__(self, channels: int, projection: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 64, 3, STEM, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        blocks, before = [], 64
        for stage, width in enumerate((64, 128, 256, 512)):
            blocks += [BasicBlock(before, width, 2 if stage else 1), BasicBlock(width, width, 1)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.dim = before
        self.projection = nn.Sequential(nn.Linear(self.dim, self.dim), nn.ReLU(), nn.Linear(self.dim, projection))

    def embed(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → features (n, 512)."""
        features: Tensor = self.blocks(self.stem(x)).mean((2, 3)).float()
        return features

    def forward(self, x: Tensor, views: None = None) -> Tensor:
        """(n, channels, h, w) → z (n, projection)."""
        z: Tensor = self.projection(self.embed(x))
        return z


def build(row: str, config: PretrainConfig, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    if row == "resnet18":
        return ResNet18(CHANNELS, config.projection)
    trunk = config.trunk.model_copy(update={"widths": tuple(map(int, row.split(","))), "stem_stride": STEM})
    return SimCLRModel(CHANNELS, trunk, config.projection)


def prepare(work: Path, side: int, cubes: int) -> Project:
    """Make the project of the laboratory, once."""
    folder = work / "project"
    if not (folder / "project.json").exists():
        run(laboratory(work / "laboratory", size=side, cubes_per_domain=cubes))
        run(new(folder, [work / "laboratory"]))
    project = Project.open(folder)
    import tifffile

    for name, entry in project.entries.items():
        if project.mask(name) is None:
            project.save_mask(name, tifffile.imread(entry.path.with_name(f"{entry.path.stem}_labels.tif")) > 0)
    if project.inlet is None:
        run(fit_pca(project, PcaConfig(components=CHANNELS)))
    if project.patches is None:
        run(cut_patches(project, PatchConfig(size=WINDOW, stride=2, split="blocks", block=64, test_share=0.25)))
    return project


def chosen(index: PatchIndex, count: int) -> PatchIndex:
    """Return as many training patches as the reference has, drawn once, and all held-out ones."""
    train = np.flatnonzero(index.split == TRAIN)
    if train.size < count:
        raise SystemExit(f"there are {train.size} training patches, fewer than {count}: make larger cubes or more of them")
    kept = np.zeros(len(index), dtype=bool)
    kept[np.random.default_rng(0).choice(train, count, replace=False)] = True
    return index.subset(kept | (index.split == TEST))


def store_of(project: Project, index: PatchIndex) -> PatchStore:
    projection = project.projection()
    card = {"channels": CHANNELS, "input": input_settings(np.zeros(CHANNELS), component_gain(projection.variance, False), "pcs", "mean")}
    images = {name: np.asarray(project.scores(name)) for name in index.cubes}
    return PatchStore(index, images, {name: project.area(name) for name in index.cubes}, card)


def classes(project: Project, index: PatchIndex) -> NDArray[np.int64]:
    """Return the class that covers at least half of each patch's labelled pixels, 0 where none does."""
    import tifffile

    found = np.zeros(len(index), dtype=np.int64)
    for number, name in enumerate(index.cubes):
        path = project.entry(name).path
        here = index.cube == number
        labels = tifffile.imread(path.with_name(f"{path.stem}_labels.tif"))
        found[here] = patch_classes(labels, index.y[here], index.x[here], index.size, agreement=0.5)
    return found


def judged(model: nn.Module, store: PatchStore, scale: Any, truth: NDArray[np.int64]) -> dict[str, Any]:
    """Judge a network, the mean scores beside it, by the classes and by the domains of held-out patches."""
    index = store.index
    draws = np.random.default_rng(1)
    rows = np.concatenate([draws.permutation(np.flatnonzero((index.split == part) & (truth > 0)))[:JUDGED] for part in (TRAIN, TEST)])
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, rows.size, 256):
            parts.append(model.embed(scale(store.tensor(rows[start : start + 256], torch.device("cpu"))).permute(0, 3, 1, 2)).float().numpy())
    model.train()
    means = np.concatenate([store.windows(rows[start : start + 256]).astype(np.float32).mean(axis=(1, 2)) for start in range(0, rows.size, 256)])
    features = {"network": np.concatenate(parts), "mean scores": means}
    by_class = judge_features(features, truth[rows], index.split[rows], k=20)
    by_domain = judge_features(features, index.domain[rows].astype(np.int64) + 1, index.split[rows], k=20)
    return {"class": by_class["rows"], "domain": by_domain["rows"], "n_train": by_class["n_train"], "n_test": by_class["n_test"], "chance": by_class["chance"]}


def measure(row: str, seed: int, given: argparse.Namespace, project: Project) -> dict[str, Any]:
    """Train one row and judge it before and after."""
    index = chosen(project.patch_index(), given.patches)
    store, truth = store_of(project, index), classes(project, index)
    config = PretrainConfig.from_recipe("poster", epochs=given.epochs, precision=given.precision, devices=1, accelerator="cpu", seed=seed)
    model = build(row, config, seed)
    channels_last(model)
    objective = Pretraining(model, store, config)
    fabric = make_fabric(config)
    fabric.launch()
    untrained = judged(model, store, objective._scale, truth)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    wrapped, stepper = fabric.setup(model, optimizer)
    share = Share(config.batch_size, 0, 1, fabric.device)
    total = min(config.epochs * objective.steps_per_epoch, given.max_steps or 10**9)
    times, losses = [], []
    for step in range(total):
        begun = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, total, config)
        loss = objective.loss(wrapped, step, share)
        fabric.backward(loss)
        stepper.step()
        stepper.zero_grad()
        times.append(time.perf_counter() - begun)
        losses.append(float(loss.detach()))
        if step % 100 == 0:
            print(f"{row}: step {step} of {total}, loss {losses[-1]:.3f}, {config.batch_size / statistics.median(times[-100:]):.0f} patches/s", flush=True)
    views = []
    for step in range(20):
        begun = time.perf_counter()
        objective.views(step, share)
        views.append(time.perf_counter() - begun)
    step_time = statistics.median(times)
    return {
        "row": row,
        "seed": seed,
        "patches": given.patches,
        "epochs": total / objective.steps_per_epoch,
        "device": describe(fabric),
        "precision": fabric.strategy.precision.precision,
        "patches_per_second": config.batch_size / step_time,
        "patches_per_second_mean": config.batch_size * total / sum(times),
        "data_share": statistics.median(views) / step_time,
        "parameters": parameters(model),
        "multiply_adds": multiply_adds(model.eval(), CHANNELS, WINDOW),
        "loss": statistics.mean(losses[-100:]),
        "untrained": untrained,
        "trained": judged(model, store, objective._scale, truth),
    }


def table(work: Path) -> None:
    """Print what has been measured."""
    print("| row | seed | passes | patches/s | data | parameters | multiply-adds | class kNN, trained (untrained) | class probe | domain kNN |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    reports = [json.loads(path.read_text()) for path in sorted(work.glob("row-*.json"))]
    for r in reports:
        now, before = r["trained"]["class"]["network"], r["untrained"]["class"]["network"]
        cells = (
            r["row"], r["seed"], f"{r['epochs']:.1f}", f"{r['patches_per_second']:.0f} ({r['precision']})", f"{r['data_share']:.1%}",
            f"{r['parameters']:,}", f"{r['multiply_adds'] / 1e6:.1f} M", f"{now['knn_accuracy']:.1%} ({before['knn_accuracy']:.1%})",
            f"{now['linear_probe']:.1%} ({before['linear_probe']:.1%})", f"{r['trained']['domain']['network']['knn_accuracy']:.1%}",
        )  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |")
    if reports:
        plain, rows = reports[0]["trained"], "mean scores"
        shares = [plain["class"][rows]["knn_accuracy"], plain["class"][rows]["linear_probe"], plain["domain"][rows]["knn_accuracy"]]
        print(f"| {rows} | | | | | | | {' | '.join(f'{share:.1%}' for share in shares)} |")
        print(f"{plain['n_train']} and {plain['n_test']} patches judge; chance {plain['chance']:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help="widths of our trunk with commas, or resnet18")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--max-steps", type=int, help="for a trial")
    parser.add_argument("--patches", type=int, default=PATCHES)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--cubes", type=int, default=CUBES, help="of each domain")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--table", action="store_true", help="only print what has been measured")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if not given.table:
        project = prepare(given.work, given.side, given.cubes)
        for seed in given.seeds:
            for row in given.rows:
                path = given.work / f"row-{row.replace(',', '-')}-{given.precision}-s{seed}.json"
                if not path.exists():
                    path.write_text(json.dumps(measure(row, seed, given, project), indent=1))
    table(given.work)


if __name__ == "__main__":
    main()
