"""The worker pool answers for every task, whatever happens to its processes, and leaves none."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from pool_functions import die, do_anything, hang, square

from sparsert_ir.errors import ArgumentError
from sparsert_ir.workers.pool import WorkerPool


def alive(process_ids: list[int]) -> list[int]:
    return [number for number in process_ids if psutil.pid_exists(number)]


def test_every_task_is_answered_once() -> None:
    with WorkerPool(square, 2, 30) as pool:
        finished = list(pool.run(range(20)))
    assert sorted((one.task, one.value) for one in finished) == [(i, i * i) for i in range(20)]


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def tasks():
        for number in range(100):
            taken.append(number)
            yield number

    with WorkerPool(square, 2, 30) as pool:
        next(pool.run(tasks()))
    assert len(taken) <= 6


def test_an_exception_is_the_failure_of_its_task_alone() -> None:
    with WorkerPool(square, 1, 30) as pool:
        bad, good = pool.run([-1, 3])
    assert (bad.value, bad.kind) == (None, "ValueError")
    assert "negative" in bad.failure
    assert good.value == 9


def test_a_process_that_dies_is_replaced() -> None:
    with WorkerPool(do_anything, 1, 30) as pool:
        first, second = pool.run([(die, "last words"), (square, 4)])
    assert first.kind == "WorkerDied"
    assert "status 7" in first.failure
    assert "last words" in first.failure
    assert second.value == 16


def test_a_task_that_cannot_be_sent_fails_alone() -> None:
    with WorkerPool(do_anything, 1, 30) as pool:
        bad, good = pool.run([(square, lambda: 1), (square, 3)])
    assert "pickled" in bad.failure
    assert good.value == 9


def test_a_killed_process_is_replaced() -> None:
    with WorkerPool(square, 1, 30) as pool:
        assert next(pool.run([2])).value == 4
        (number,) = pool.process_ids
        psutil.Process(number).kill()
        while alive([number]) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        ends = list(pool.run([3, 4]))
    assert ends[-1].value == 16


def test_a_task_that_takes_too_long_is_ended() -> None:
    with WorkerPool(do_anything, 1, 2) as pool:
        slow, fast = pool.run([(hang, 60), (square, 5)])
    assert slow.kind == "WorkerDied"
    assert "limit 2 s" in slow.failure
    assert fast.value == 25


def test_what_a_task_prints_does_not_get_between_the_answers(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with WorkerPool(do_anything, 1, 30) as pool:
        (end,) = pool.run([(print, "hello")])
    assert end.failure == ""
    assert capfd.readouterr().out == ""


def test_an_interrupt_leaves_no_process() -> None:
    processes: list[int] = []

    def interrupted() -> None:
        with WorkerPool(do_anything, 2, 60) as pool:
            for _ in pool.run([(square, 1), (hang, 60), (hang, 60), (hang, 60)]):
                processes.extend(pool.process_ids)
                raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begin < 30
    assert processes
    assert not alive(processes)


def test_processes_end_when_their_parent_is_killed() -> None:
    script = """
import sys
sys.path.insert(0, sys.argv[1])
from pool_functions import do_anything, hang, square
from sparsert_ir.workers.pool import WorkerPool
with WorkerPool(do_anything, 2, 60) as pool:
    for end in pool.run([(square, 1), (square, 2), (hang, 60), (hang, 60)]):
        print(*pool.process_ids, flush=True)
"""
    here = str(Path(__file__).parent)
    with subprocess.Popen([sys.executable, "-c", script, here], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        processes = [int(number) for number in parent.stdout.readline().split()]
        parent.kill()
    assert processes
    deadline = time.monotonic() + 20
    while alive(processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(processes)


def test_a_function_of_the_main_program_is_refused() -> None:
    """A worker would look for it in its own main program."""

    def task(number: int) -> int:
        return number

    task.__module__ = "__main__"
    with pytest.raises(ArgumentError, match=r"import.*__main__; move it"):
        WorkerPool(task, 1, 1.0)
