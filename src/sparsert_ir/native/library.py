"""`calls.ll` as functions of this process, and its structures for Python."""

import ctypes
import functools
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from sparsert_ir.emit.host import HostCode, compile_for_host

DONE, UNFIT, ASLEEP = 0, 1, 2
"""What a call answers: y is computed; an array is not as wanted; workers must be woken first."""

MOST_RANKS = 4

_RELAX = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "amd64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
    "arm64": "call void @llvm.aarch64.hint(i32 1)",
}
"""How a core is told that a loop only waits, by machine; others just go round."""


class Wanted(ctypes.Structure):
    """What a kernel expects of an array.

    element: address of numpy's element type; 0 for a residual that the kernel has not.
    flags:   of numpy that must be set (numpy C API, "Array flags").
    size:    bytes.
    """

    _fields_ = (
        ("element", ctypes.c_size_t),
        ("rank", ctypes.c_int32),
        ("flags", ctypes.c_int32),
        ("size", ctypes.c_int64),
        ("extents", ctypes.c_int64 * MOST_RANKS),
    )


class Plan(ctypes.Structure):
    """A kernel, ready to be called.

    function:   computes a part.
    kind:       which arguments it has, see `kind_of`.
    copy_bytes: of a copy of a tile of x; 0: it has none.
    parts:      how many there are; `bounds` has four numbers for each.
    threads:    that share the parts.
    head:       bytes of an object before what numpy keeps of an array; 0: calls must not look.
    team:       the threads besides the caller.
    array_type: address of numpy's array type.
    arrays:     x, the residual, y.
    """

    _fields_ = (
        ("function", ctypes.c_size_t),
        ("kind", ctypes.c_int64),
        ("copy_bytes", ctypes.c_int64),
        ("parts", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("head", ctypes.c_int64),
        ("bounds", ctypes.c_size_t),
        ("team", ctypes.c_size_t),
        ("array_type", ctypes.c_size_t),
        ("arrays", Wanted * 3),
    )


class Worker(ctypes.Structure):
    """state: 0 asleep, 1 awake, 2 at work, and 4 more while a job waits.

    buffer: for copies of x, of `size` bytes. jobs: that it took.
    """

    _fields_ = (
        ("state", ctypes.c_int32),
        ("_", ctypes.c_int32),
        ("buffer", ctypes.c_size_t),
        ("size", ctypes.c_int64),
        ("jobs", ctypes.c_int64),
        ("__", ctypes.c_char * 32),
    )


class Team(ctypes.Structure):
    """Workers, a cache line for each, follow it in memory.

    taken:        1 while a call has the workers.
    give_way:     address of a function that lets other threads of the system run, or 0.
    """

    _fields_ = (
        ("taken", ctypes.c_int32),
        ("workers", ctypes.c_int32),
        ("give_way", ctypes.c_size_t),
        ("_", ctypes.c_char * 48),
        ("job", ctypes.c_int64 * 4),
        ("__", ctypes.c_char * 32),
        ("next", ctypes.c_int64),
        ("___", ctypes.c_char * 56),
    )


def kind_of(*, has_residual: bool, has_bounds: bool, has_copy: bool) -> int:
    """x, the residual, y, a copy and four bounds, in this order, are what functions may take."""
    return (2 * has_bounds + 2 * has_copy if has_bounds else 0) + has_residual


@dataclass(frozen=True)
class NativeCalls:
    """Functions of `calls.ll`; Python's lock is free while they run.

    call:  (plan, x, residual, y, buffer, ask) with addresses of objects; DONE, UNFIT or ASLEEP.
    run:   the same with addresses of data, unchecked; DONE or ASLEEP.
    serve: (team, number, spins): what the thread of a worker does.
    """

    call: Callable[[int, int, int, int, int, int], int]
    run: Callable[[int, int, int, int, int, int], int]
    serve: Callable[[int, int, int], None]
    _code: HostCode


@functools.cache
def native_calls() -> NativeCalls:
    """Compiled at the first use."""
    text = resources.files("sparsert_ir.native").joinpath("calls.ll").read_text()
    relax = _RELAX.get(platform.machine().lower(), "")
    text += f"\ndefine private void @relax() {{\n  {relax}\n  ret void\n}}\n"
    code = compile_for_host(text, loops=False)
    # A worker may be in it when Python ends and frees what it has: this is never freed.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(code))
    # Addresses as pointers convert fastest.
    six = [ctypes.c_void_p] * 6
    answering = ctypes.CFUNCTYPE(ctypes.c_int64, *six)
    serving = ctypes.CFUNCTYPE(None, *six[:3])
    return NativeCalls(
        answering(code.address("sparsert_call")),
        answering(code.address("sparsert_run")),
        serving(code.address("sparsert_serve")),
        code,
    )
