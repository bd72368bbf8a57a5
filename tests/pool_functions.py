"""Functions that tests run in other processes."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any


def square(number: int) -> int:
    if number < 0:
        raise ValueError("expected no negative number")
    return number * number


def die(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
    os._exit(7)


def hang(seconds: float) -> None:
    time.sleep(seconds)


def do_anything(task: tuple[Callable[[Any], Any], Any]) -> Any:
    function, argument = task
    return function(argument)
