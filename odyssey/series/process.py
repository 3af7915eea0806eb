"""A training run as a process: its output goes to a file, signals are passed on."""

import errno
import os
import subprocess
from pathlib import Path
from types import FrameType

from odyssey.training.signals import STOP_WITH_STDIN, StopFlag


class Child(StopFlag):
    """The running process; signals to this process are passed on to it.

    It has a session of its own.  Otherwise a terminal would send Ctrl-C to it as well:
    it would get the signal twice, and the second one quits without a checkpoint.  Its
    standard input is a pipe from this process, and it stops when the pipe ends; so it
    does not continue if this process is killed.
    """

    process: subprocess.Popen | None = None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.process is not None:
            self.process.send_signal(signum)
        super()._handle(signum, frame)

    def run(self, command: list[str], log: Path) -> tuple[int, str]:
        """Run a command to its end; return its exit status and its output.

        The output is appended to ``log`` while the command runs.

        Raises
        ------
        StopRequested
            If a signal came; the child has ended then.
        """
        self.check()
        if log.is_fifo():  # opening one waits for a reader
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
        if self.signum is not None:  # it came before the process started
            self.process.send_signal(self.signum)
        status = self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.check()
        return status, log.read_bytes()[start:].decode(errors="replace")
