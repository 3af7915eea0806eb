#!/usr/bin/env python3
"""Run a command in the network namespace of a host, as ssh would on the host.

Hydra, the launcher of MPICH, calls it with the arguments of ssh: ``-x HOST COMMAND``.
"""

import os
import sys

host, *command = [argument for argument in sys.argv[1:] if argument != "-x"]
name = os.environ["ODYSSEY_NAMESPACE"] + host.rpartition(".")[2]
# as ssh does: one text, for a shell
line = ["ip", "netns", "exec", name, "sh", "-c", f"exec {' '.join(command)}"]
os.execvp(line[0], line)
