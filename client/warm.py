"""A process that has the heavy libraries loaded and is forked for every message.

Starting Python and importing torch and MONAI takes longer than a round of a small site. Each
message still gets a process of its own, which ends with it; only the start is saved.
"""

import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.supervisor import die_with_parent

logger = logging.getLogger("hepafed.client")

LARGEST_REQUEST = 1 << 16


def serve(address: Path, run: Callable[[Sequence[str]], None]) -> None:
    """Wait for requests and fork for each; never returns.

    The caller has imported what shall be shared, and has started no thread and no CUDA context:
    neither survives a fork.

    Parameters
    ----------
    address : Path
        Unix socket to listen at; its folder must be open to this user alone.
    run : callable
        Does one request's work, in the forked process; takes the words of the request.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    address.unlink(missing_ok=True)
    listener.bind(str(address))
    address.chmod(0o600)
    listener.listen()
    # Whoever ends is forgotten by the kernel: nobody waits for the result here.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        connection, _ = listener.accept()
        with connection:
            words = _receive(connection)
            if words is not None and os.fork() == 0:
                listener.close()
                _work(run, words)


def _receive(connection: socket.socket) -> list[str] | None:
    content = b""
    while part := connection.recv(4096):
        content += part
        if len(content) > LARGEST_REQUEST:
            return None
    try:
        words = json.loads(content)
    except ValueError:
        return None
    return words if isinstance(words, list) else None


def _work(run: Callable[[Sequence[str]], None], words: Sequence[str]) -> None:
    """Do the work in the forked process and end it, whatever happens."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with_parent()
    code = 1
    try:
        run(words)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        logger.exception("a message's process failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
