"""A process in the place of ONNX Runtime: it loads each file, and ends when it is to compute outputs.

`python -m tests.trust.crashing_peer FD`, as `trust.onnx_peer` is started.
"""

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

if __name__ == "__main__":
    pipe = Connection(int(sys.argv[1]))
    while isinstance(pipe.recv(), Path):
        pipe.send(([], None))
    os.kill(os.getpid(), signal.SIGSEGV)
