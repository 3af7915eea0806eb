"""A run of train.py as a process: its output in a file, our signals passed on to it."""

import errno
import os
import subprocess
from pathlib import Path
from types import FrameType

from odyssey.training.signals import STOP_WITH_STDIN, StopFlag


class Child(StopFlag):
    """The process at work; the signals that this one gets are passed on to it.

    It has a session of its own, for the terminal sends Ctrl-C to all processes of one:
    the child would get it twice, and the second quits without a checkpoint.  So that it
    does not train on when this process is killed, it is told to stop when its standard
    input ends, which is a pipe that this process holds.
    """

    process: subprocess.Popen | None = None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.process is not None:
            self.process.send_signal(signum)
        super()._handle(signum, frame)

    def run(self, command: list[str], log: Path) -> tuple[int, str]:
        """Run a command to its end; return its exit status and what it printed.

        That is appended to ``log`` at once, line by line.

        Raises
        ------
        StopRequested
            If a signal came, when the child has ended on it.
        """
        self.check()
        if log.is_fifo():  # to open one waits for a reader
            raise OSError(errno.EINVAL, "not a regular file", str(log))
        with open(log, "ab") as file:
            start = file.tell()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, STOP_WITH_STDIN: "1"},
            )
        if self.signum is not None:  # it came before there was a process
            self.process.send_signal(self.signum)
        status = self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.check()
        return status, log.read_bytes()[start:].decode(errors="replace")
