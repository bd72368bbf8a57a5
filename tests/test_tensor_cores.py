"""What a warp holds of matrices, and what the interpreter refuses of loads and products of them."""

from typing import Any

import numpy as np
import pytest
from xdsl.parser import Parser

from sparsert_ir.context import make_context
from sparsert_ir.dense import Array
from sparsert_ir.errors import InterpreterError
from sparsert_ir.interpreter import interpret

LOAD = """
    %row = arith.remui %thread, %rows : index
    %a = nvgpu.ldmatrix %staged[%row, %zero] : memref<32x8xf16, 3> -> vector<8xf16>
"""


def program(body: str, threads: int = 32) -> str:
    """A kernel that copies x to shared memory, does `body`, and stores the lanes' vector %a."""
    return f"""
builtin.module attributes {{gpu.container_module}} {{
  func.func @run(%x: memref<32x8xf16>, %y: memref<{threads}x8xf16>) {{
    %one = arith.constant 1 : index
    %threads = arith.constant {threads} : index
    gpu.launch_func @kernels::@kernel blocks in(%one, %one, %one) threads in(%threads, %one, %one)
        args(%x, %y : memref<32x8xf16>, memref<{threads}x8xf16>)
    func.return
  }}
  gpu.module @kernels {{
    "memref.global"() <{{sym_name = "staged", type = memref<32x8xf16, 3>, initial_value,
        sym_visibility = "private"}}> : () -> ()
    gpu.func @kernel(%x: memref<32x8xf16>, %y: memref<{threads}x8xf16>) kernel {{
      %staged = memref.get_global @staged : memref<32x8xf16, 3>
      %zero = arith.constant 0 : index
      %rows = arith.constant 32 : index
      %half = arith.constant 16 : index
      %thread = gpu.thread_id x
      %inside = arith.cmpi ult, %thread, %rows : index
      scf.if %inside {{
        %value = sparsert.load_columns %x[%thread, %zero] : memref<32x8xf16>, vector<8xf16>
        sparsert.store_columns %value, %staged[%thread, %zero] : memref<32x8xf16, 3>, vector<8xf16>
      }}
      gpu.barrier
      {body}
      sparsert.store_columns %a, %y[%thread, %zero] : memref<{threads}x8xf16>, vector<8xf16>
      gpu.return
    }}
  }}
}}
"""


def run(text: str, x: Array, threads: int = 32) -> Array:
    module = Parser(make_context(), text).parse_module()
    module.verify()
    y = np.full((threads, 8), np.nan, np.float16)
    interpret(module, "run", x, y)
    return y


def numbers() -> Array:
    return np.arange(256, dtype=np.float16).reshape(32, 8)


def test_a_lane_gets_a_column_of_two_rows_of_each_tile() -> None:
    x, y = numbers(), run(program(LOAD), numbers())
    for lane in range(32):
        column, pair = divmod(lane, 4)
        wanted = [x[8 * tile + 2 * pair + row, column] for tile in range(4) for row in range(2)]
        np.testing.assert_array_equal(y[lane], wanted)


def test_every_warp_loads_for_itself() -> None:
    y = run(program(LOAD, threads=64), numbers(), threads=64)
    np.testing.assert_array_equal(y[:32], y[32:])


@pytest.mark.parametrize(
    ("body", "threads", "message"),
    [
        (LOAD, 48, "expected blocks of whole warps of 32 threads"),
        (LOAD.replace("%zero] : memref<32x8xf16, 3> ->", "%thread] : memref<32x8xf16, 3> ->"), 32,
         r"multiple of 8.*thread \(1, 0, 0\)"),
        (LOAD.replace("remui %thread", "addi %thread"), 32, "out of bounds"),
        ("%early = arith.cmpi ult, %thread, %half : index\n%a = scf.if %early -> (vector<8xf16>) {"
         + LOAD + "scf.yield %a : vector<8xf16> } else {"
         "%b = sparsert.load_columns %x[%thread, %zero] : memref<32x8xf16>, vector<8xf16>"
         " scf.yield %b : vector<8xf16> }", 32, "expected all lanes of the warp to take part"),
    ],
)  # fmt: skip
def test_what_hardware_leaves_undefined_is_refused(body: str, threads: int, message: str) -> None:
    with pytest.raises(InterpreterError, match=message):
        run(program(body, threads), numbers(), threads)


def test_fragments_multiply_as_the_matrices_do() -> None:
    """One warp multiplies a 16x16 and a 16x8 matrix, handed out as PTX ISA says."""
    random: Any = np.random.default_rng(0)
    a = random.integers(-8, 9, (16, 16)).astype(np.float16)
    b = random.integers(-8, 9, (16, 8)).astype(np.float16)
    c = random.integers(-8, 9, (16, 8)).astype(np.float32)
    shares: dict[str, list[list[Any]]] = {"a": [], "b": [], "c": []}
    for lane in range(32):
        g, t = divmod(lane, 4)
        pairs = [(g, 2 * t), (g + 8, 2 * t), (g, 2 * t + 8), (g + 8, 2 * t + 8)]
        shares["a"].append([a[row, column + i] for row, column in pairs for i in (0, 1)])
        shares["b"].append([b[row, g] for row in (2 * t, 2 * t + 1, 2 * t + 8, 2 * t + 9)])
        shares["c"].append([c[row, 2 * t + i] for row in (g, g + 8) for i in (0, 1)])
    y = np.full((32, 4), np.nan, np.float32)
    module = Parser(make_context(), MULTIPLY).parse_module()
    given = [np.array(shares[name], array.dtype) for name, array in (("a", a), ("b", b), ("c", c))]
    interpret(module, "run", *given, y)
    expected = a.astype(np.float64) @ b.astype(np.float64) + c
    for lane in range(32):
        g, t = divmod(lane, 4)
        wanted = [expected[row, 2 * t + i] for row in (g, g + 8) for i in (0, 1)]
        np.testing.assert_array_equal(y[lane], wanted)


MULTIPLY = """
builtin.module attributes {gpu.container_module} {
  func.func @run(%a: memref<32x8xf16>, %b: memref<32x4xf16>, %c: memref<32x4xf32>,
      %y: memref<32x4xf32>) {
    %one = arith.constant 1 : index
    %threads = arith.constant 32 : index
    gpu.launch_func @kernels::@kernel blocks in(%one, %one, %one) threads in(%threads, %one, %one)
        args(%a, %b, %c, %y
             : memref<32x8xf16>, memref<32x4xf16>, memref<32x4xf32>, memref<32x4xf32>)
    func.return
  }
  gpu.module @kernels {
    gpu.func @kernel(%a: memref<32x8xf16>, %b: memref<32x4xf16>, %c: memref<32x4xf32>,
        %y: memref<32x4xf32>) kernel {
      %zero = arith.constant 0 : index
      %lane = gpu.thread_id x
      %0 = sparsert.load_columns %a[%lane, %zero] : memref<32x8xf16>, vector<8xf16>
      %1 = sparsert.load_columns %b[%lane, %zero] : memref<32x4xf16>, vector<4xf16>
      %2 = sparsert.load_columns %c[%lane, %zero] : memref<32x4xf32>, vector<4xf32>
      %3 = nvgpu.mma.sync(%0, %1, %2) : (vector<8xf16>, vector<4xf16>)
      sparsert.store_columns %3, %y[%lane, %zero] : memref<32x4xf32>, vector<4xf32>
      gpu.return
    }
  }
}
"""
