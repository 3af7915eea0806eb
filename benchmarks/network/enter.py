#!/usr/bin/env python3
"""Run a command on one of the two hosts, as ssh would.

The launchers call it in place of ssh: MPICH's with ``-x HOST COMMAND``, Open MPI's with
``HOST COMMAND``.  A host has its own name besides its network: Open MPI tells hosts
apart by their names.
"""

import os
import sys

host, *command = [argument for argument in sys.argv[1:] if argument != "-x"]
name = os.environ["ODYSSEY_NAMESPACE"] + host.rpartition(".")[2]
# as ssh does: one text, for a shell
script = f"hostname {name}; {' '.join(command)}"
line = ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", script]
os.execvp(line[0], line)
