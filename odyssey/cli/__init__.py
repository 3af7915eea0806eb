"""The command line: programs, options in groups, help, suggestions."""

from odyssey import lazy
from odyssey.cli import remedies as remedies

__getattr__, __dir__ = lazy.attach(__name__)
