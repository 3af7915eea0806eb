"""Steps of ResNet-18 by PyTorch's DistributedDataParallel; run by bench_ranks.py.

    python benchmarks/ranks_torch.py --ranks 2 --threads 1

The processes are joined by gloo; tensors are channels-last; batch, weights and update
are those of `ranks_odyssey.py`, and so are the JSON that rank 0 prints and the turns.
"""

import json
import os
import time
from pathlib import Path

import click
import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from measuring import peak_memory_mib, tensors
from odyssey_model import CONFIG, model_inputs
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch_model import ResNet
from turns import turns

from odyssey.distributed.rows import rows_of


def work(rank, ranks, port, batch, threads, steps, warmup, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(threads)
    arrays = model_inputs(batch)
    params, state = tensors(arrays, "params/"), tensors(arrays, "state/")
    model = ResNet(params, state, CONFIG).to(memory_format=torch.channels_last)
    if ranks > 1:
        dist.init_process_group("gloo", rank=rank, world_size=ranks)
        model = DistributedDataParallel(model)
    rows = rows_of(batch, rank, ranks)
    images = torch.tensor(np.ascontiguousarray(arrays["images"][rows]))
    images = images.permute(0, 3, 1, 2)
    labels = torch.tensor(arrays["labels"][rows])
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4
    )

    def timed(steps):
        losses, seconds = [], []
        for _ in range(steps):
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item() * len(labels) / batch)
            seconds.append(time.perf_counter() - start)
        return {"loss": losses, "seconds": seconds}

    first = timed(warmup)
    if folder:
        for end in turns(folder, rank):
            end(timed(steps) | {"mib": peak_memory_mib()})
    else:
        found = timed(steps)
        own = first["loss"] + found["loss"], peak_memory_mib()
        every = [own]
        if ranks > 1:
            every = [None] * ranks
            dist.all_gather_object(every, own)
        if rank == 0:
            found["loss"] = np.sum([losses for losses, _ in every], axis=0).tolist()
            found["mib"] = [mib for _, mib in every]
            print(json.dumps(found))
    if ranks > 1:
        dist.destroy_process_group()


@click.command()
@click.option("--ranks", default=2)
@click.option("--batch", default=128)
@click.option("--threads", default=1)
@click.option("--steps", default=12)
@click.option("--warmup", default=3)
@click.option("--port", default=29533)
@click.option(
    "--turns", "folder", type=click.Path(path_type=Path), help="Their folder."
)
def main(ranks, batch, threads, steps, warmup, port, folder):
    args = ranks, port, batch, threads, steps, warmup, folder
    if ranks == 1:
        work(0, *args)
    else:
        mp.spawn(work, args=args, nprocs=ranks)


if __name__ == "__main__":
    main()
