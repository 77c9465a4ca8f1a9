"""Signals are noted once, act the second time, and are handed back in the end."""

import io
import os
import signal
import sys

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


class SignalledTerminal(io.RawIOBase):
    """A terminal during whose first write a signal comes."""

    written = b""

    def writable(self):
        return True

    def write(self, data):
        if not self.written:
            os.kill(os.getpid(), signal.SIGTERM)
        self.written += bytes(data)
        return len(data)


def test_a_signal_in_the_middle_of_a_print_is_noted(monkeypatch):
    """Python lets nothing be printed then."""
    terminal = SignalledTerminal()
    writer = io.TextIOWrapper(io.BufferedWriter(terminal), line_buffering=True)
    monkeypatch.setattr(sys, "stdout", writer)
    with StopSignals() as signals:
        print("step 1")
    assert signals.received == signal.SIGTERM
    assert terminal.written.startswith(b"step 1\n")


def test_a_process_that_had_no_signal_ends_as_by_sigterm():
    """Another process of the run had it."""
    with pytest.raises(SystemExit) as raised:
        StopSignals().end()
    assert raised.value.code == 128 + 15
