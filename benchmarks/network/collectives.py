"""Time the sums and gathers of a training step alone; run by measure_network.py.

Rank 0 prints JSON: seconds of each, the mean of several in a row, median of three.
"""

import json
import statistics
import time

import numpy as np
from resnet18_cifar10.architecture import ResNetConfig, parameter_shapes

from odyssey.distributed.gradients import GradientSum
from odyssey.distributed.join import join

#: What `GradientSum` is asked for.
SUMS = {
    "float32": {},
    "float32, one by one": {"overlap": False},
    "float32, in one piece": {"bucket_bytes": 1 << 30},
    "ordered": {"ordered": True},
    "bf16": {"wire": "bf16"},
}
#: Float64 numbers of the smallest and of the largest gather of batch norm.
GATHERS = (129, 1025)


def timed(ranks, repeat, function) -> float:
    """Return the seconds of a call on the slowest rank."""
    found = []
    for _ in range(3):
        ranks.comm.Barrier()
        start = time.perf_counter()
        for _ in range(repeat):
            function()
        seconds = (time.perf_counter() - start) / repeat
        found.append(max(ranks.gather_objects(seconds)))
    return statistics.median(found)


def main() -> None:
    ranks = join()
    shapes = parameter_shapes(ResNetConfig())
    params = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    found = {}
    for numbers in GATHERS:
        values = np.ones(numbers)
        found[f"gather {numbers}"] = timed(ranks, 20, lambda v=values: ranks.gather(v))
    for name, options in SUMS.items():
        sums = GradientSum(ranks, params, **options)
        sums.finish(params)  # memory and connections
        found[name] = timed(ranks, 2, lambda s=sums: s.finish(params))
    if ranks.first:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
