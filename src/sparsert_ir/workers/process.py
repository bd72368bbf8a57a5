"""The process behind `WorkerPool`: applies one function to every task that comes down a pipe."""

import os
import queue
import sys
import threading
from functools import reduce
from importlib import import_module
from typing import IO, Any, cast

from sparsert_ir.workers.pool import read_message, write_message


def main() -> None:
    """Serve tasks from standard input until it ends; answers go to standard output."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What libraries print must not get between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Tasks can be unpickled only once the path is the parent's.
    paths, module, name = cast(tuple[list[str], str, str], read_message(sys.stdin.buffer))
    sys.path[:] = paths
    function = reduce(getattr, name.split("."), cast(Any, import_module(module)))
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, messages), daemon=True).start()
    while True:
        write_message(answers, _apply(function, messages.get()))


def _receive(stream: IO[bytes], messages: "queue.SimpleQueue[Any]") -> None:
    """Queue what comes in; end the process at once, whatever it does, when the parent is gone."""
    while True:
        try:
            messages.put(read_message(stream))
        except (EOFError, OSError):
            os._exit(0)
        except Exception as error:
            # A task of a class that cannot be imported here.
            print(f"unreadable task: {error}", file=sys.stderr, flush=True)
            os._exit(1)


def _apply(function: Any, task: object) -> tuple[Any, str, str]:
    try:
        return function(task), "", ""
    except Exception as error:
        kind = type(error).__name__
        return None, str(error) or kind, kind


if __name__ == "__main__":
    main()
