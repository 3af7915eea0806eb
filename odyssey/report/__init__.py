"""The report of a run as one HTML page, made from its folder."""
