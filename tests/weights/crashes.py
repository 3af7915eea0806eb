"""Crashes at a chosen file operation, for tests of what is left on disk."""

import builtins
import contextlib
import os

OPERATIONS = ("replace", "rename", "unlink", "rmdir", "mkdir", "fsync", "open", "write")


class Crash(BaseException):
    """A crash: this file operation and all later ones fail."""


@contextlib.contextmanager
def failing_at(monkeypatch, number, error=Crash):
    """Let file operation ``number`` (from 0) fail; yield the operations so far.

    With ``Crash`` all later ones fail too, as in a process that was killed; any other
    error comes once, as from a full disk, and cleaning up can follow.
    """
    done = []

    def counted(name, function):
        def call(*args, **kwargs):
            done.append(name)
            if len(done) - 1 == number or (error is Crash and len(done) > number):
                raise error() if error is Crash else error(28, "No space left")
            return None if name == "fsync" else function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        patch.setattr(builtins, "open", counted("file", open))
        yield done


def crash_points(monkeypatch, prepare, act):
    """Do ``act(prepare())`` with a crash at the first operation, the second, ..."""
    number = 0
    while True:
        place = prepare()
        try:
            with failing_at(monkeypatch, number):
                act(place)
            return
        except Crash:
            yield place
        number += 1
