"""One of two gloo ranks, started by a test: writes its own loss and gradient of NT-Xent on its half of a batch."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from napari_hsi_ssl.learning.devices import gather_rows
from napari_hsi_ssl.learning.losses import nt_xent


def main(folder: Path, rank: int) -> None:
    dist.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    draws = np.random.default_rng(0)
    x, start = draws.normal(size=(2, 8, 5)), draws.normal(size=(5, 3))
    mine = torch.from_numpy(x)[:, 4 * rank : 4 * rank + 4]
    weight = torch.tensor(start, requires_grad=True)
    loss = nt_xent(mine[0] @ weight, mine[1] @ weight, 0.2, gather_rows, rank)
    loss.backward()
    np.savez(folder / f"rank{rank}.npz", loss=loss.item(), gradient=weight.grad.numpy())
    if rank == 0:
        np.save(folder / "x.npy", x)
        np.save(folder / "weight.npy", start)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
