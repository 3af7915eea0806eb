"""What every example's training needs: recipe, loop, metrics, logs."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
