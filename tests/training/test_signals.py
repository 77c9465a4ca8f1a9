"""Signals are noted once, act the second time, and are handed back in the end."""

import os
import signal

import pytest

from mrcnn_skin.training.signals import SIGNALS, StopSignals


@pytest.mark.parametrize(
    "number, error", [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_the_first_signal_is_noted_and_ends_the_run_when_it_suits(number, error):
    before = [signal.getsignal(s) for s in SIGNALS]
    with StopSignals() as signals:
        assert not signals.received
        os.kill(os.getpid(), number)
        assert signals.received == number
        with pytest.raises(error):
            signals.end()
    assert [signal.getsignal(s) for s in SIGNALS] == before


def test_the_second_signal_acts_at_once():
    with pytest.raises(KeyboardInterrupt), StopSignals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal did nothing")


def test_a_process_that_had_no_signal_ends_as_by_sigterm():
    """Another process of the run had it."""
    with pytest.raises(SystemExit) as raised:
        StopSignals().end()
    assert raised.value.code == 128 + 15
