"""What the examples share: the time of a call."""

import time
from collections.abc import Callable


def shortest_seconds(run: Callable[[], object], at_least: float) -> float:
    """Of repeated runs on this CPU for `at_least` seconds: what else runs here only makes them
    longer.
    """
    times: list[float] = []
    end = time.perf_counter() + at_least
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)
