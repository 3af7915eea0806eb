"""Files of other tools: what they hold, read and written without these tools."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
