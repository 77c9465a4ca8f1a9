"""The other side of contest.py: run something when asked, and say how long it took.

It needs nothing but Python, so that workers of peers can import it.
"""

import json
import os
import resource
import sys
import time


def serve(versions, run):
    """Answer requests on stdin with lines of JSON on stdout until "end".

    versions: what is measured, in words. run: the function to time.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not get between the answers

    def answer(**values):
        answers.write(json.dumps(values) + "\n")

    answer(versions=versions)
    for line in sys.stdin:
        request = line.strip()
        if request == "run":
            answer(**timed(run))
        elif request == "end":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            answer(peak_gb=usage.ru_maxrss / 2**20)
            return
        else:
            raise ValueError(f"unknown request {request!r}")


def timed(run):
    """Seconds of one run: on the clock, and of the processor in all threads."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
