"""Solutions, in plain NumPy, where no file of ``odyssey.reference`` is one."""
