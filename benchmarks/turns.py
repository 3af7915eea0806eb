"""Take turns with other processes, so that all are measured under the same conditions.

A shared machine is faster in one minute than in the next.  Where contenders run one
after the other, each for a minute, it is the minutes that are compared.  Here the
processes stay alive, and one contender at a time takes a few steps.  Those that wait
look for a file, and sleep between: to wait in MPI for a message keeps a core busy.

    FOLDER/go-3         turn 3 may begin
    FOLDER/3-1.json     what rank 1 measured in turn 3
    FOLDER/end          there are no more

Nothing of Odyssey is imported here, so that the memory of a peer's process is its own.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

PAUSE = 0.003  # seconds between two looks


class Failed(Exception):
    """Raised when a process ended without a result, or with another than expected."""


def turns(folder: Path, rank: int) -> Iterator[Callable[[dict], None]]:
    """Yield, when this process may begin, the function that takes what it measured."""
    _write(folder / f"ready-{rank}", "")
    for number in count():
        while not (folder / f"go-{number}").exists():
            if (folder / "end").exists():
                return
            time.sleep(PAUSE)
        path = folder / f"{number}-{rank}.json"
        yield lambda found, path=path: _write(path, json.dumps(found))


class Contender:
    """Processes that take turns; ``command`` starts all of them.

    Parameters
    ----------
    name : for messages
    command, environment : they call `turns` with ``folder``
    ranks : how many processes do
    folder : a new one of their own
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: dict[str, str],
        ranks: int,
        folder: Path,
    ) -> None:
        self.name, self.folder, self._ranks = name, folder, range(ranks)
        self._number = count()
        folder.mkdir()
        with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self._wait_for([folder / f"ready-{rank}" for rank in self._ranks])

    def turn(self) -> list[Any]:
        """Return what each rank measured in one turn."""
        number = next(self._number)
        _write(self.folder / f"go-{number}", "")
        paths = [self.folder / f"{number}-{rank}.json" for rank in self._ranks]
        self._wait_for(paths)
        return [json.loads(path.read_text()) for path in paths]

    def end(self) -> None:
        """End the processes, by force if they do not hear."""
        _write(self.folder / "end", "")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()

    def _wait_for(self, paths: list[Path]) -> None:
        while not all(path.exists() for path in paths):
            if self._process.poll() is not None:
                said = (self.folder / "stderr").read_text(errors="replace")
                raise Failed(ended(self.name, self._process.returncode, said))
            time.sleep(PAUSE)


def ended(name: str, status: int, said: str) -> str:
    """Return the message on a process that ended, with the last line that it wrote."""
    last = said.strip().splitlines()[-1:] or ["no message"]
    return f"{name} ended with status {status}: {last[0]}"


def _write(path: Path, text: str) -> None:
    whole = path.with_name(f"{path.name}.part")  # a file that is there is complete
    whole.write_text(text)
    os.replace(whole, path)
