"""A run as one page of HTML, from what its folder holds: see `odyssey.report.page`."""
