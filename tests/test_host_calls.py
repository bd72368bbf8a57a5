"""Calls of CPU kernels: what compiled code reads of arrays, threads that help or do not come."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import sparsert_ir
from sparsert_ir.cpu import host_kernel, host_threads
from sparsert_ir.cpu.host_threads import WorkerTeam, rounds_of_waiting
from sparsert_ir.dense import Array
from sparsert_ir.errors import CallError
from sparsert_ir.kernel import Kernel
from sparsert_ir.native.library import Team, Worker, native_calls
from sparsert_ir.native.numpy_layout import data_address, head_bytes
from sparsert_ir.schedules.default import default_cpu_schedule

ROWS, DEPTH, COLUMNS = 40, 30, 150


def weight() -> Array:
    random = np.random.default_rng(0)
    kept = random.random((ROWS, DEPTH)) < 0.4
    return (random.integers(-3, 4, (ROWS, DEPTH)) * kept).astype(np.float32)


def operand(rows: int = DEPTH) -> Array:
    return np.random.default_rng(1).integers(-3, 4, (rows, COLUMNS)).astype(np.float32)


def compiled(threads: int = 1, staging: Any = "copy", **options: Any) -> Kernel:
    schedule = default_cpu_schedule((ROWS, DEPTH), COLUMNS, "f32")
    schedule = replace(schedule, columns_per_thread=32, staging=staging)
    return sparsert_ir.compile(
        weight(), COLUMNS, target="cpu", schedule=schedule, threads=threads, **options
    )


@pytest.fixture(params=["fields of arrays", "numpy's words"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How calls learn of arrays: where numpy's layout is unknown they ask numpy."""
    if request.param != "fields of arrays":
        monkeypatch.setattr(host_kernel, "head_bytes", lambda: 0)
    return request.param


@pytest.fixture
def own_team(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerTeam]:
    """A team that no other test has woken, however few cores there are."""
    team = WorkerTeam(most=7)
    monkeypatch.setattr(host_kernel, "team", lambda: team)
    yield team
    wait_until_asleep(team)


def wait_until_asleep(team: WorkerTeam) -> None:
    end = time.monotonic() + 10
    while any(team.state_of(number) for number in range(team.size)):
        assert time.monotonic() < end
        time.sleep(0.001)


def test_numpys_layout_is_known_here() -> None:
    """On CPython with a lock; elsewhere calls are right and slower."""
    if sys.implementation.name == "cpython":
        assert head_bytes() == object.__basicsize__
    array = np.arange(12.0)[3:]
    assert data_address(array) == array.ctypes.data


@pytest.mark.parametrize("residual", [False, True])
def test_calls_are_exact(reading: str, residual: bool) -> None:
    kernel = compiled(residual=residual)
    x, added = operand(), operand(ROWS) if residual else None
    expected = weight() @ x + (0 if added is None else added)
    np.testing.assert_array_equal(kernel(x, added), expected)
    out = np.full((ROWS, COLUMNS), np.nan, np.float32)
    assert kernel(x, added, out=out) is out
    np.testing.assert_array_equal(out, expected)


class Subclass(np.ndarray[Any, Any]):
    """Not numpy's own type, with the same memory."""


def unusual() -> dict[str, Array]:
    x = operand()
    frozen = x.copy()
    frozen.setflags(write=False)
    named = x.view(np.dtype("f4", metadata={"unit": "m"}))
    return {"read-only": frozen, "subclass": x.view(Subclass), "element type of its own": named}


@pytest.mark.parametrize("what", unusual())
def test_arrays_that_need_a_closer_look_are_taken(what: str) -> None:
    np.testing.assert_array_equal(compiled()(unusual()[what]), weight() @ operand())


def wrong_calls() -> dict[str, tuple[Array, Array | None, Array | None, str]]:
    x, y = operand(), np.empty((ROWS, COLUMNS), np.float32)
    whole = np.zeros((DEPTH + ROWS, COLUMNS), np.float32)
    frozen = y.copy()
    frozen.setflags(write=False)
    odd = np.zeros(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    return {
        "shape": (x[:5], None, y, "x: expected shape"),
        "rank": (x.reshape(-1), None, y, "x: expected shape"),
        "element type": (x.astype(np.float64), None, y, "x: expected element type float32"),
        "byte order": (x.astype(">f4"), None, y, "x: expected element type float32"),
        "strides": (np.asfortranarray(x), None, y, "x: expected row-major"),
        "alignment": (odd, None, y, "x: expected aligned elements"),
        "residual": (x, y, None, "residual: expected None"),
        "out's shape": (x, None, y[:3], "out: expected shape"),
        "read-only out": (x, None, frozen, "out: expected an array that may be written"),
        "overlap": (whole[:DEPTH], None, whole[DEPTH - 1 : -1], "out: expected memory of its own"),
    }


@pytest.mark.parametrize("what", wrong_calls())
def test_wrong_calls_are_refused_and_write_nothing(reading: str, what: str) -> None:
    x, residual, out, message = wrong_calls()[what]
    before = None if out is None else out.copy()
    with pytest.raises(CallError, match=message):
        compiled()(x, residual, out=out)
    if out is not None:
        np.testing.assert_array_equal(out, before)


def test_neighbours_in_one_array_do_not_overlap() -> None:
    whole = np.zeros((DEPTH + ROWS, COLUMNS), np.float32)
    x, y = whole[:DEPTH], whole[DEPTH:]
    x[...] = operand()
    compiled()(x, out=y)
    np.testing.assert_array_equal(y, weight() @ operand())


@pytest.mark.parametrize("staging", ["none", "copy"])
@pytest.mark.parametrize("threads", [2, 5])
def test_workers_that_sleep_are_woken_and_calls_stay_exact(
    reading: str, own_team: WorkerTeam, threads: int, staging: str
) -> None:
    kernel, x = compiled(threads, staging), operand()
    for _ in range(5):
        np.testing.assert_array_equal(kernel(x), weight() @ x)
        wait_until_asleep(own_team)
    assert own_team.size == threads - 1


def test_workers_take_parts(own_team: WorkerTeam) -> None:
    """Sooner or later: a call does not wait for a worker that the system lets come too late."""
    matrix, x = np.eye(500, dtype=np.float32), np.ones((500, 2048), np.float32)
    kernel = sparsert_ir.compile(matrix, 2048, target="cpu", threads=2)
    end = time.monotonic() + 60
    while own_team.size == 0 or own_team.jobs_of(0) == 0:
        assert time.monotonic() < end
        np.testing.assert_array_equal(kernel(x), x)


def test_a_call_with_a_team_that_is_taken_works_alone(own_team: WorkerTeam) -> None:
    kernel, x = compiled(threads=3), operand()
    kernel(x)
    with own_team.taken():
        for _ in range(3):
            np.testing.assert_array_equal(kernel(x), weight() @ x)


def test_a_call_where_no_thread_can_be_started_works_alone(
    own_team: WorkerTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    kernel, x = compiled(threads=3), operand()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    np.testing.assert_array_equal(kernel(x), weight() @ x)
    assert own_team.size == 0


def test_there_are_never_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a kernel asks for, and however many kernels there are."""
    for cores in (1, 3):
        monkeypatch.setattr(host_threads, "available_cores", lambda cores=cores: cores)
        team = WorkerTeam()
        monkeypatch.setattr(host_kernel, "team", lambda team=team: team)
        before = threading.active_count()
        for threads in (1, 2, 5, 64):
            kernel, x = compiled(threads), operand()
            for _ in range(20):
                np.testing.assert_array_equal(kernel(x), weight() @ x)
        assert team.size == cores - 1
        assert threading.active_count() == before + cores - 1


def test_copies_that_do_not_fit_on_a_stack_get_buffers(own_team: WorkerTeam) -> None:
    depth = 5000
    matrix = np.zeros((8, depth), np.float32)
    matrix[:, ::3] = 2
    schedule = default_cpu_schedule((8, depth), COLUMNS, "f32")
    schedule = replace(schedule, columns_per_thread=32, staging="copy")
    kernel = sparsert_ir.compile(matrix, COLUMNS, target="cpu", schedule=schedule, threads=4)
    x = operand(depth)
    for _ in range(10):
        np.testing.assert_array_equal(kernel(x), matrix @ x)
    assert all(own_team.buffer_of(number) % 64 == 0 for number in range(3))
    assert all(own_team.buffer_of(number) for number in range(3))


def test_workers_wait_about_as_long_as_they_should() -> None:
    """Where they need not give way to others, who may keep the core for long."""
    team = ctypes.create_string_buffer(ctypes.sizeof(Team) + ctypes.sizeof(Worker))
    rounds = rounds_of_waiting()
    took: list[float] = []
    for _ in range(20):
        begin = time.perf_counter()
        native_calls().serve(ctypes.addressof(team), 0, rounds)
        took.append(time.perf_counter() - begin)
    assert 0.05 * host_threads.SPIN_SECONDS < min(took) < 20 * host_threads.SPIN_SECONDS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_workers_of_its_own() -> None:
    """In a process of its own: pytest has other threads, which a child may not have."""
    script = """
import os, sys, warnings
import numpy as np
import sparsert_ir
from sparsert_ir.cpu import host_threads
host_threads.available_cores = lambda: 3
from sparsert_ir.cpu.host_threads import team
weight = np.diag(np.arange(1, 101).astype(np.float32))
kernel = sparsert_ir.compile(weight, 200, target="cpu", threads=3)
x = np.ones((100, 200), np.float32)
expected = weight @ x
assert (kernel(x) == expected).all() and team().size == 2
warnings.simplefilter("ignore")
child = os.fork()
if not child:
    before = team().size
    right = all((kernel(x) == expected).all() for _ in range(50))
    os._exit(0 if right and before == 0 and team().size == 2 else 1)
assert (kernel(x) == expected).all()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stderr, done.stdout) == ("", "0\n")


def test_a_process_may_end_while_workers_wait() -> None:
    script = """
import numpy as np
import sparsert_ir
kernel = sparsert_ir.compile(np.eye(50), 100, target="cpu", threads=3)
for _ in range(100):
    kernel(np.ones((50, 100), np.float32))
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_many_callers_and_many_threads_stay_exact(own_team: WorkerTeam) -> None:
    kernels = [compiled(threads) for threads in (1, 2, 3, 7)]
    x, expected = operand(), weight() @ operand()
    right: list[bool] = []

    def work(kernel: Kernel) -> None:
        right.append(all(np.array_equal(kernel(x), expected) for _ in range(300)))

    callers = [threading.Thread(target=work, args=(kernel,)) for kernel in kernels * 2]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert right == [True] * len(callers)
