"""The public operations, one family a file: checks, forward, backward."""
