import os
import signal
import time

import pytest
from standin import in_child

from odyssey.training.signals import StopFlag, StopRequested


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_only_raises_the_flag(signum, capfd):
    before = signal.getsignal(signum)
    with StopFlag() as stop:
        stop.check()
        os.kill(os.getpid(), signum)
        assert stop.signum == signum
        with pytest.raises(StopRequested):
            stop.check()
    assert signal.getsignal(signum) is before
    assert "next batch" in capfd.readouterr().err


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_quits_at_once(signum):
    def child():
        with StopFlag():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signum)
            time.sleep(10)

    assert in_child(child) == 128 + signum
