"""One process at a time in a run folder.

The lock is the kernel's, not the file's: it goes with the process, however that ends,
so no lock is ever left over. The file only says who has it.
"""

import fcntl
import os
import socket
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(run_dir):
    """Hold RUN/lock while the block runs.

    Raises BlockingIOError naming the other process if one holds it.
    """
    path = Path(run_dir) / "lock"
    with open(path, "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            raise BlockingIOError(
                f"{run_dir} is in use by {handle.read().strip()}: wait for its end, or "
                "choose another run folder"
            ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        handle.flush()
        yield
