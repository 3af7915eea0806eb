"""A run's folder made without training, of which everything is known."""

import json

import numpy as np

from odyssey.training.evaluation import Evaluation
from odyssey.training.keepsakes import encode
from odyssey.weights.checkpoint import save_checkpoint
from odyssey.weights.folder import save_folder

NASTY = '<script>alert("1 & 2")</script>'
CLASSES = ("cat", NASTY)  # and one output more
LABELS = np.array([0, 0, 0, 1, 1, 0])
PREDICTED = np.array([0, 1, 2, 1, 0, 0])
PROBABILITY = np.array([0.9, 0.6, 0.8, 0.7, 0.95, 0.5], np.float32)
IMAGES = np.random.default_rng(5).integers(0, 256, (6, 3, 4, 4)).astype(np.uint8)
KERNELS = np.random.default_rng(6).standard_normal((5, 3, 3, 3)).astype(np.float32)
RECIPE = {"model": "a <model>", "lr": 0.1, "milestones": [1, 2], "augment": True}
METRICS = (
    "epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,"
    "images_per_second\n"
    "1,0.1,2.0,0.25,1.5,0.5,3600,1000\n"
    "2,0.05,1.0,0.5,1.25,0.3333333333333333,61.5,1234.5\n"
)
STEPS = [
    {
        "step": n,
        "epoch": 1 + n // 3,
        "lr": 0.1 / n,
        "loss": 2.0,
        "loss_hex": (2.0).hex(),
    }
    for n in range(1, 5)
]
PROFILE = {
    "batch_size": 8,
    "threads": 2,
    "seconds": 0.5,
    "rows": [
        {"name": "conv<1>", "forward": 0.1, "backward": 0.2},
        {"name": "update", "other": 0.05},
    ],
}
SESSION = {
    "command": ["train.py", "--note", NASTY],
    "versions": {"odyssey": "0.1.0", "Python": "3.12.0"},
    "threads": 2,
    "cores": {"machine": 4, "process": 2},
    "started": "2026-01-01T00:00:00+00:00",
    "ended": "2026-01-01T01:00:00+00:00",
    "first_step": 1,
    "last_step": 4,
}
#: What can be missing of a run, as patterns, and the sections that are left out then.
PARTS = {
    "evaluation.npz": ["Confusion matrix", "Classes", "Most confident mistakes"],
    "*.weights manifest.json": ["First-layer filters"],
    "profile.json": ["Time per layer"],
    "checkpoints": ["Recipe"],
    "environment.json": ["Versions and sessions"],
}


def evaluation():
    confusion = np.zeros((3, 3), np.int64)
    np.add.at(confusion, (LABELS, PREDICTED), 1)
    result = Evaluation(1.25, 3, 6, confusion, PREDICTED, PROBABILITY)
    return encode({"test": result}, {"test": (IMAGES, LABELS)}, CLASSES, 2)


def make_run(folder):
    (folder / "metrics.csv").write_text(METRICS)
    (folder / "steps.jsonl").write_text("".join(json.dumps(s) + "\n" for s in STEPS))
    (folder / "evaluation.npz").write_bytes(evaluation())
    (folder / "profile.json").write_text(json.dumps(PROFILE))
    (folder / "environment.json").write_text(json.dumps({"sessions": [SESSION]}))
    tensors = {"scale": np.ones(3, np.float32), "stem": KERNELS}
    save_folder(tensors, folder, metadata={"model": "standin"})
    save_checkpoint(folder, 4, tensors, {"recipe": RECIPE})
    return folder
