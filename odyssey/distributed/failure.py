"""The end of a run on several ranks that goes wrong: no rank is left waiting.

A rank that leaves while the others wait for it in a collective operation would let them
wait forever, and so would ``MPI_Finalize``, which Python's end calls.  Therefore a rank
that fails first finds out whether all others fail too, within two seconds.  If they do,
as with a wrong option or a loss that is not finite, then rank 0 prints what all say,
once, and all end with its status.  If not, then the rank prints its message and aborts
the job: the launcher ends all ranks, with this rank's status.

`together` does this around a program.  `odyssey.cli.startup.run` uses it.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from odyssey.distributed import launcher
from odyssey.distributed.placement import spans
from odyssey.distributed.ranks import PATIENCE, Ranks
from odyssey.errors import EXIT_FAILURE, ProgramError, one_line, warn
from odyssey.output import goes_on_unheard

#: Seconds that a rank which has failed waits for the others to fail too.
ALIKE = 2.0

_comm: Any = None  # of all ranks, for failures alone
_guarded = False
_failed = False


class Failure(SystemExit):
    """End the program with an exit status; its message has not been printed yet."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(status)
        self.message = message


def watch(comm: Any) -> None:
    """Tell the ranks of a communicator's failures; done by `odyssey.distributed.join`.

    Parameters
    ----------
    comm : a communicator of all ranks that nothing else uses
    """
    global _comm
    _comm = comm


def guarded() -> bool:
    """Return whether failures are taken to the other ranks: raise `Failure` then."""
    return _guarded


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Join the ranks, run a program within this context, and let it fail together.

    Only rank 0 prints on stdout.  Without an mpiexec nothing changes.
    """
    global _guarded
    if launcher.launched() is None:
        if message := launcher.warning(os.environ):
            warn(message)
        yield
        return
    _join()
    try:
        _guarded = True
        with _one_voice():
            yield
    except BaseException as error:
        message, status = _told(error)
        if not status:
            raise
        # ``error`` keeps the frames until then, and with them arrays that MPI may still
        # write into: mpi4py's Iallreduce does not keep them.
        _end(message, status)
    finally:
        _guarded = False


def _join() -> None:
    from odyssey.distributed.join import join

    try:
        join()
    except ProgramError as error:
        launcher.fail(f"Error: {one_line(str(error))}", error.exit_status)
    except Exception:
        launcher.fail(traceback.format_exc().rstrip(), EXIT_FAILURE)


@contextlib.contextmanager
def _one_voice() -> Iterator[None]:
    """Drop what ranks other than 0 print on stdout."""
    if launcher.speaks():
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _told(error: BaseException) -> tuple[str, int]:
    """Return the message and the exit status of an exception."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return getattr(error, "message", ""), error.code or 0
        return str(error.code), EXIT_FAILURE  # sys.exit("text")
    if isinstance(error, KeyboardInterrupt):
        return "Error: stopped by Ctrl-C", 128 + signal.SIGINT
    place = error.__traceback__ and error.__traceback__.tb_next  # below `together`
    lines = traceback.format_exception(type(error), error, place)
    return "".join(lines).rstrip(), EXIT_FAILURE


def _end(message: str, status: int) -> NoReturn:
    """End this rank, which has failed: with the others if they fail too, or all."""
    global _failed
    _failed = True
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
        with contextlib.suppress(AttributeError, ValueError):
            signal.signal(getattr(signal, name), signal.SIG_IGN)  # it ends anyway
    with goes_on_unheard():
        if not _arrive():
            _print(f"rank {_comm.Get_rank()}: {message}" if message else "")
            time.sleep(launcher.FORWARDING)
            leave(status)
        every = _comm.allgather((message, status))
        if launcher.speaks():
            _print(in_one([message for message, _ in every]))
        if _arrive():
            _finalize(every[0][1])
        if not launcher.speaks():  # Open MPI's ends all when the first has left
            time.sleep(launcher.FORWARDING)
    sys.exit(every[0][1])


def _finalize(status: int) -> None:
    """Finalize MPI, all ranks together; leave if that takes long.

    MPICH's mpiexec takes a rank that leaves before for one that has crashed.  But what
    a rank had begun to send or receive may never be finished.
    """
    late = threading.Timer(ALIKE, os._exit, (status,))
    late.daemon = True
    late.start()
    sys.modules["mpi4py.MPI"].Finalize()
    late.cancel()


def _arrive() -> bool:
    """Return whether all ranks come here within `ALIKE` seconds; wait asleep."""
    request = _comm.Ibarrier()
    for _ in range(round(ALIKE / PATIENCE)):
        if request.Test():
            return True
        time.sleep(PATIENCE)
    return False


def in_one(messages: Sequence[str]) -> str:
    """Return the messages of all ranks, each once, with its ranks where they differ."""
    ranks: dict[str, list[int]] = {}
    for rank, message in enumerate(messages):
        ranks.setdefault(message, []).append(rank)
    if len(ranks) == 1:
        return messages[0]
    return "\n".join(
        f"rank{'s' * (len(of) > 1)} {spans(of)}: {message}"
        for message, of in ranks.items()
        if message
    )


def _print(text: str) -> None:
    if text:
        print(text, file=sys.stderr, flush=True)


def leave(status: int) -> NoReturn:
    """End this process at once, and with it all ranks, with an exit status."""
    MPI = sys.modules.get("mpi4py.MPI")
    if _comm is not None and MPI is not None and not MPI.Is_finalized():
        # The library would print that it was aborted, below the message that says why.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        MPI.COMM_WORLD.Abort(status)
    launcher.quit_job(status)


def finish() -> None:
    """Finish MPI at the end of the program, when all ranks are there.

    A rank that has failed has said so, and others may be gone.  After an exception that
    nobody has caught the job is aborted.
    """
    MPI = sys.modules["mpi4py.MPI"]
    if _failed or MPI.Is_finalized():
        return
    if hasattr(sys, "last_value"):  # Python has printed it
        time.sleep(launcher.FORWARDING)
        leave(EXIT_FAILURE)
    Ranks(MPI.COMM_WORLD).wait()  # MPI_Finalize would wait too, and occupy a core
    MPI.Finalize()
