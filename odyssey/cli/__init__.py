"""What the command-line programs share: options in groups, help, suggestions."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
