"""The processes of compare_pytorch.py, one for each measurement."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from contenders import ODYSSEY, Contender
from networks import EXAMPLES
from turns import ended

HERE = Path(__file__).resolve().parent
SEARCH_PATH = HERE.parent, EXAMPLES
SPEEDRUN = "speedrun"  # the model that is no ResNet


class WorkerError(Exception):
    """Raised when the process of a contender ended without a result."""


class Workers:
    """Starts `worker.py` in a process of its own for each measurement."""

    def __init__(self, folder: str, **sizes: int | str):
        self.folder, self.sizes = folder, sizes
        path = [*map(str, SEARCH_PATH), os.environ.get("PYTHONPATH")]
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
        }

    def run(self, action: str, job: str = "", contender: Contender = ODYSSEY) -> Path:
        """Wait for one process; return the file that it wrote."""
        suffix = ".npz" if action == "check" else ".json"
        output = Path(self.folder, contender.name + suffix)
        order = self.sizes | {
            "action": action,
            "side": contender.side,
            "job": job,
            "contender": contender.name,
            "folder": self.folder,
            "output": str(output),
        }
        done = subprocess.run(
            [sys.executable, str(HERE / "worker.py"), json.dumps(order)],
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode:
            name = f"{contender.name} ({job or action})"
            raise WorkerError(ended(name, done.returncode, done.stderr))
        return output

    def check(self, job: str, contender: Contender) -> dict[str, np.ndarray]:
        with np.load(self.run("check", job, contender)) as file:
            return dict(file)

    def time(self, job: str, contender: Contender) -> dict:
        return json.loads(self.run("time", job, contender).read_text())
