"""Run one job of one contender in a process of its own, for compare_pytorch.py.

    python worker.py '{"action": "time", "side": "odyssey", "job": "train", ...}'

The action "inputs" writes the inputs of the model to a file; "check" writes the results
of a job; "time" writes the seconds of its parts and the peak memory of this process.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from measuring import median_seconds, peak_memory_mib
from resnet18_cifar10.architecture import MODELS
from workers import SPEEDRUN

INPUTS = "inputs.npz"
MODEL_JOBS = "train", "train64", "eval"
EXACT_BATCH = 4  # images of the step in float64


def main() -> None:
    order = json.loads(sys.argv[1])
    folder, output = Path(order["folder"]), Path(order["output"])
    if order["action"] == "inputs":
        inputs = model_module(order, "odyssey").model_inputs
        np.savez(folder / INPUTS, **inputs(order["batch"], *config_of(order)))
        return
    tasks = prepare(order, folder)
    if order["action"] == "check":
        np.savez(output, **results(tasks))
        return
    # an operation is shorter than a step: it needs more runs for the same noise
    least = 0 if order["job"] in MODEL_JOBS else 0.1 * order["repeat"]
    measured = {
        part: median_seconds(task.run, order["repeat"], least, task.minus)
        for part, task in tasks.items()
    }
    output.write_text(json.dumps({"seconds": measured, "mib": peak_memory_mib()}))


def prepare(order: dict, folder: Path) -> dict:
    """Return the tasks of a job, with the names of its parts as keys."""
    job, contender, threads = order["job"], order["contender"], order["threads"]
    if job not in MODEL_JOBS:
        module = importlib.import_module(f"{order['side']}_ops")
        return module.prepare(job, contender, order["batch"], threads)
    module = model_module(order, order["side"])
    with np.load(folder / INPUTS) as file:
        arrays = dict(file)
    if job == "train64":
        arrays = in_float64(arrays)
    return {job: module.prepare(job, contender, arrays, threads, *config_of(order))}


def model_module(order: dict, side: str) -> ModuleType:
    """Return a side's module of the model."""
    kind = "speedrun" if order["model"] == SPEEDRUN else "model"
    return importlib.import_module(f"{side}_{kind}")


def config_of(order: dict) -> tuple:
    """Return the options of a ResNet, if the model is one."""
    return () if order["model"] == SPEEDRUN else (MODELS[order["model"]],)


def in_float64(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the same model and the first few images in float64."""
    wide = {
        name: array.astype(np.float64) if array.dtype == np.float32 else array
        for name, array in arrays.items()
    }
    for name in ("images", "labels"):
        wide[name] = wide[name][:EXACT_BATCH]
    return wide


def results(tasks: dict) -> dict[str, np.ndarray]:
    """Return what the tasks compute; a second loss shows the update of a step."""
    found = {}
    for part, task in tasks.items():
        arrays = task.results(task.run())
        found |= {f"{part}: {name}": np.array(array) for name, array in arrays.items()}
        if part in ("train", "train64"):
            loss = task.results(task.run())["loss"]
            found[f"{part}: loss after the update"] = np.array(loss)
    return found


if __name__ == "__main__":
    main()
