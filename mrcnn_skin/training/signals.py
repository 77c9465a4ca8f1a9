"""SIGTERM and Ctrl-C as requests to stop, which the loop handles between two steps.

A signal may come in the middle of anything; only between steps are weights, optimizer
and counters of one moment. The loop decides what is saved then.
"""

import signal
import threading
from contextlib import suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """A context in which the first signal is recorded and a second one acts at once.

    Signals reach the main thread only: elsewhere this does nothing.
    """

    def __init__(self):
        self.received = None  # the signal's number
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._receive) for s in SIGNALS}
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number, frame):
        self.received = number
        self.__exit__()
        print_if_possible(
            f"{signal.Signals(number).name}: saving; a second one stops at once"
        )

    def end(self):
        """Raise the signal's exception; SIGTERM's if another process received it."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)


def print_if_possible(text):
    """Print; an unusable terminal must not prevent the run from ending.

    A signal may come in the middle of another print, which Python refuses then; and
    Ctrl-C also ends the program that reads the output, such as tee.
    """
    with suppress(RuntimeError, OSError):
        print(text, flush=True)
