"""Who is told how long work on files goes on."""


class Observer:
    """Receives the messages and progress of long work; this class ignores them.

    Progress is counted in bytes of a download, or in files that are read.
    """

    def say(self, message: str) -> None:
        """Take a message."""

    def fail(self, message: str) -> None:
        """Take a message about a failure."""
        self.say(message)

    def begin(self, done: int, total: int | None) -> None:
        """Take how much is already done and, if known, how much there is in all."""

    def advance(self, count: int) -> None:
        """Take how much has just been done; may raise to stop."""

    def end(self) -> None:
        """Take the end of the work; follows every ``begin``."""
