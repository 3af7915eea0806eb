#!/usr/bin/env bash
# TensorBoard 2.20.0: a resumed session is hidden if the clock was set back before it.
#
# Expected: a session that begins at step 6, and says so (`purge_step=6` of tensorboardX
#   and PyTorch, a SessionLog START event), replaces what an earlier session logged from
#   step 6 on.
# Seen: the names of the event files decide which session is the earlier one, and they
#   begin with the seconds of the clock.  If the clock was set back by an hour (a computer
#   without a battery, a restored virtual machine), the newer file is read first.  Then
#   the older session, which began at step 1, replaces it.  Nothing that was trained after
#   the resume is shown.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    tensorboard==2.20.0 tensorboardX==2.6.5 setuptools==80.9.0
cat > sessions.py <<'PYTHON'
import sys
import time
from unittest import mock

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter


def session(folder, clock, steps, value):
    with mock.patch("time.time", lambda: clock):
        writer = SummaryWriter(folder, purge_step=steps[0])
        for step in steps:
            writer.add_scalar("loss", value, step)
        writer.close()


def shown(folder):
    events = EventAccumulator(folder)
    events.Reload()
    return [(e.step, e.value) for e in events.Scalars("loss")]


now = time.time()
found = []
for folder, later in (("an_hour_later", 3600), ("an_hour_earlier", -3600)):
    session(folder, now, range(1, 11), 1.0)
    session(folder, now + later, range(6, 16), 2.0)
    found.append(shown(folder))
    print(folder, " ".join(f"{step}:{value:g}" for step, value in found[-1]))
right = [(s, 1.0) for s in range(1, 6)] + [(s, 2.0) for s in range(6, 16)]
hidden = all(value == 1.0 for _, value in found[1])
sys.exit(not (found[0] == right and hidden))
PYTHON
venv/bin/python sessions.py 2> /dev/null || { echo "changed" >&2; exit 1; }
