"""The other side of contest.py: run something when asked, and say how long it took.

It needs nothing but Python, so that workers of peers can import it.
"""

import json
import os
import resource
import sys
import time


def serve(versions, run):
    """Call `run` whenever contest.py asks, until it asks to end; see `turns`."""
    for _ in turns(versions):
        run()


def turns(versions):
    """Yield once for every run that contest.py asks for, until it asks to end.

    What is done until the next turn is the run: its seconds are answered, on the clock
    and of the processor in all threads. Requests come on stdin, answers go as lines of
    JSON to stdout.
    versions: what is measured, in words. Yields a dict, {} at first, of other figures
    to answer with the seconds.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not get between the answers

    def answer(**values):
        answers.write(json.dumps(values) + "\n")

    answer(versions=versions)
    for line in sys.stdin:
        request = line.strip()
        if request == "run":
            figures = {}
            cpu, wall = time.process_time(), time.perf_counter()
            yield figures
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            answer(wall=wall, cpu=cpu, **figures)
        elif request == "end":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            answer(peak_gb=usage.ru_maxrss / 2**20)
            return
        else:
            raise ValueError(f"unknown request {request!r}")
