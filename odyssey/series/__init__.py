"""Series of runs: processes that train one after the other, and their results."""
