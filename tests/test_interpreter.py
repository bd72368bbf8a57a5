"""The interpreter: it computes what the operations say, and finds the mistakes hardware would not.

Kernels here are written by hand, each with one mistake, next to a kernel without it.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from sparsert_ir.context import make_context
from sparsert_ir.dense import Array
from sparsert_ir.element_types import bfloat16
from sparsert_ir.errors import ArgumentError, InterpreterError
from sparsert_ir.interpreter import interpret
from sparsert_ir.interpreter.multiply_add import deal_run, fused_multiply_add, run_sums


def parse(text: str) -> ModuleOp:
    return Parser(make_context(), text).parse_module()


def launch(
    body: str, *, blocks: int = 1, threads: int = 4, y: int = 8, element: str = "f32"
) -> Array:
    """Run a kernel of that body on y, all -1; %zero to %three, %block and %thread are given."""
    module = parse(
        f"""
        func.func @run(%y: memref<{y}x{element}>) {{
          %one = arith.constant 1 : index
          %blocks = arith.constant {blocks} : index
          %threads = arith.constant {threads} : index
          gpu.launch_func @kernels::@kernel blocks in (%blocks, %one, %one)
            threads in (%threads, %one, %one) args(%y : memref<{y}x{element}>)
          func.return
        }}
        gpu.module @kernels {{
          "memref.global"() <{{sym_name = "shared", sym_visibility = "private",
            type = memref<4xf32, 3 : i64>, initial_value}}> : () -> ()
          gpu.func @kernel(%y: memref<{y}x{element}>) kernel {{
            %zero = arith.constant 0 : index
            %one = arith.constant 1 : index
            %two = arith.constant 2 : index
            %three = arith.constant 3 : index
            %number = arith.constant 5.0 : f32
            %block = gpu.block_id x
            %thread = gpu.thread_id x
            %shared = memref.get_global @shared : memref<4xf32, 3 : i64>
            {body}
            gpu.return
          }}
        }}
        """
    )
    array = np.full(y, -1, {"f32": np.float32, "index": np.int64}[element])
    interpret(module, "run", array)
    return array


WRITE_MINE = "memref.store %number, %shared[%thread] : memref<4xf32, 3 : i64>"
READ_NEXT = """
  %next = arith.subi %three, %thread : index
  %read = memref.load %shared[%next] : memref<4xf32, 3 : i64>
"""
WRITE_Y = "memref.store %read, %y[%thread] : memref<8xf32>"
BARRIER = "gpu.barrier"


def test_threads_meet_in_workgroup_memory_behind_a_barrier() -> None:
    y = launch(WRITE_MINE + BARRIER.join("\n\n") + READ_NEXT + WRITE_Y)
    assert y.tolist() == [5, 5, 5, 5, -1, -1, -1, -1]


def test_read_of_what_another_thread_wrote_without_a_barrier_is_a_race() -> None:
    with pytest.raises(
        InterpreterError,
        match=r"memref\.load: element \[3\] of shape \[4\] is read after another thread wrote it,"
        r" with no barrier between \(block \(0, 0, 0\), thread \(0, 0, 0\)\)",
    ):
        launch(WRITE_MINE + READ_NEXT + WRITE_Y)


def test_write_of_what_another_thread_read_without_a_barrier_is_a_race() -> None:
    again = "\nmemref.store %number, %shared[%thread] : memref<4xf32, 3 : i64>"
    with pytest.raises(InterpreterError, match="is written after another thread read it"):
        launch(WRITE_MINE + BARRIER.join("\n\n") + READ_NEXT + again)


def test_write_by_all_threads_to_one_element_is_a_race_even_of_equal_values() -> None:
    with pytest.raises(InterpreterError, match=r"store: element \[0\] .* by several threads"):
        launch("memref.store %number, %shared[%zero] : memref<4xf32, 3 : i64>")


def test_write_of_one_element_by_two_threads_one_after_another_is_a_race() -> None:
    with pytest.raises(InterpreterError, match="is written by several threads"):
        launch(
            WRITE_MINE + "\n%next = arith.subi %three, %thread : index\n"
            "memref.store %number, %shared[%next] : memref<4xf32, 3 : i64>"
        )


def test_a_thread_may_read_and_write_its_own_elements() -> None:
    again = """
      %read = memref.load %shared[%thread] : memref<4xf32, 3 : i64>
      %sum = arith.addf %read, %read : f32
      memref.store %sum, %shared[%thread] : memref<4xf32, 3 : i64>
      %twice = memref.load %shared[%thread] : memref<4xf32, 3 : i64>
      memref.store %twice, %y[%thread] : memref<8xf32>
    """
    assert launch(WRITE_MINE + again).tolist() == [10] * 4 + [-1] * 4


def test_two_blocks_that_write_one_element_of_y_race() -> None:
    with pytest.raises(InterpreterError, match=r"by several threads.*block \(1, 0, 0\)"):
        launch("memref.store %number, %y[%thread] : memref<8xf32>", blocks=2)


def test_a_block_that_reads_what_another_block_wrote_races() -> None:
    body = """
      %mine = arith.addi %block, %thread : index
      memref.store %number, %y[%mine] : memref<8xf32>
      %read = memref.load %y[%zero] : memref<8xf32>
    """
    with pytest.raises(InterpreterError, match="is read after another thread wrote it"):
        launch(body, blocks=2, threads=1)


def test_a_block_that_writes_what_another_block_read_races() -> None:
    body = """
      %mine = arith.addi %block, %one : index
      %read = memref.load %y[%two] : memref<8xf32>
      memref.store %number, %y[%mine] : memref<8xf32>
    """
    with pytest.raises(InterpreterError, match="is written after another thread read it"):
        launch(body, blocks=2, threads=1)


def test_barrier_that_some_threads_miss_is_divergent() -> None:
    body = """
      %some = arith.cmpi ult, %thread, %two : index
      scf.if %some {
        gpu.barrier
      }
    """
    with pytest.raises(
        InterpreterError, match=r"divergent barrier: expected all 4 .* got 2; .*thread \(2, 0, 0\)"
    ):
        launch(body)


def test_barrier_in_a_loop_of_different_lengths_is_divergent() -> None:
    body = """
      scf.for %i = %zero to %thread step %one {
        gpu.barrier
      }
    """
    with pytest.raises(InterpreterError, match="divergent barrier"):
        launch(body)


def test_barrier_in_a_loop_of_one_length_is_passed_each_time() -> None:
    body = """
      scf.for %i = %zero to %three step %one {
        %place = arith.addi %thread, %i : index
        memref.store %number, %y[%place] : memref<8xf32>
        gpu.barrier
      }
    """
    assert launch(body).tolist() == [5] * 6 + [-1] * 2


def test_read_of_workgroup_memory_before_a_write_is_found() -> None:
    with pytest.raises(InterpreterError, match=r"element \[3\].*read before any thread writes it"):
        launch(READ_NEXT)


def test_workgroup_memory_holds_nothing_from_the_block_before() -> None:
    body = """
      %first = arith.cmpi eq, %block, %zero : index
      scf.if %first {
        memref.store %number, %shared[%thread] : memref<4xf32, 3 : i64>
      }
      %read = memref.load %shared[%thread] : memref<4xf32, 3 : i64>
    """
    with pytest.raises(InterpreterError, match=r"before any thread.*block \(1, 0, 0\)"):
        launch(body, blocks=2)


@pytest.mark.parametrize(
    "access",
    [
        "%read = memref.load %y[%place] : memref<8xf32>",
        "memref.store %number, %y[%place] : memref<8xf32>",
    ],
    ids=["load", "store"],
)
@pytest.mark.parametrize(("start", "got", "thread"), [(6, 8, 2), (-1, -1, 0)])
def test_access_out_of_bounds_is_found(access: str, start: int, got: int, thread: int) -> None:
    body = f"""
      %start = arith.constant {start} : index
      %place = arith.addi %thread, %start : index
    """
    with pytest.raises(
        InterpreterError,
        match=rf"index \[{got}\] out of bounds of shape \[8\] .*thread \({thread}, 0, 0\)",
    ):
        launch(body + access)


def test_access_out_of_bounds_is_allowed_to_threads_that_are_switched_off() -> None:
    body = """
      %six = arith.constant 6 : index
      %place = arith.addi %thread, %six : index
      %some = arith.cmpi ult, %thread, %two : index
      scf.if %some {
        memref.store %number, %y[%place] : memref<8xf32>
      }
    """
    assert launch(body).tolist() == [-1] * 6 + [5] * 2


def test_columns_past_the_end_are_nan_when_loaded_and_not_written_when_stored() -> None:
    body = """
      %six = arith.constant 6 : index
      %lane = sparsert.load_columns %y[%six] : memref<7xf32>, vector<3xf32>
      sparsert.store_columns %lane, %shared[%zero] : memref<4xf32, 3 : i64>, vector<3xf32>
      %first = memref.load %shared[%zero] : memref<4xf32, 3 : i64>
      %past = memref.load %shared[%two] : memref<4xf32, 3 : i64>
      memref.store %first, %y[%zero] : memref<7xf32>
      memref.store %past, %y[%one] : memref<7xf32>
      %fives = vector.broadcast %number : f32 to vector<3xf32>
      sparsert.store_columns %fives, %y[%six] : memref<7xf32>, vector<3xf32>
    """
    y = launch(body, threads=1, y=7)
    np.testing.assert_array_equal(y, np.array([-1, np.nan, -1, -1, -1, -1, 5], np.float32))


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (8, r"index \[8\] out of bounds of shape \[8\]"),
        (-2, r"index \[-2\] out of bounds"),
        (3, "expected a first column that is a multiple of 2, got 3"),
    ],
)
@pytest.mark.parametrize(
    "access",
    [
        "%lane = sparsert.load_columns %y[%first] : memref<8xf32>, vector<2xf32>",
        "sparsert.store_columns %fives, %y[%first] : memref<8xf32>, vector<2xf32>",
    ],
    ids=["load", "store"],
)
def test_lane_of_a_kernel_starts_inside_at_a_multiple_of_its_width(
    access: str, first: int, message: str
) -> None:
    body = f"""
      %first = arith.constant {first} : index
      %fives = vector.broadcast %number : f32 to vector<2xf32>
    """
    with pytest.raises(InterpreterError, match=message):
        launch(body + access, threads=1)


def test_lane_of_host_code_must_end_inside() -> None:
    text = """
      func.func @run(%x: memref<3xf32>, %first: index) -> vector<2xf32> {
        %lane = sparsert.load_columns %x[%first] : memref<3xf32>, vector<2xf32>
        func.return %lane : vector<2xf32>
      }
    """
    x = np.array([1, 2, 3], np.float32)
    (lane,) = interpret(parse(text), "run", x, np.int64(1))
    assert lane.tolist() == [2, 3]
    with pytest.raises(InterpreterError, match=r"index \[2\] and 2 columns out of bounds"):
        interpret(parse(text), "run", x, np.int64(2))


def test_branches_and_loops_give_each_thread_its_own_value() -> None:
    body = """
      %odd = arith.andi %thread, %one : index
      %value = scf.index_switch %odd -> index
      case 1 {
        %sum = scf.for %i = %zero to %thread step %one iter_args(%total = %zero) -> (index) {
          %next = arith.addi %total, %i : index
          scf.yield %next : index
        }
        scf.yield %sum : index
      }
      default {
        %doubled = scf.while (%n = %one) : (index) -> index {
          %more = arith.cmpi ult, %n, %thread : index
          scf.condition(%more) %n : index
        } do {
        ^bb0(%n: index):
          %twice = arith.addi %n, %n : index
          scf.yield %twice : index
        }
        scf.yield %doubled : index
      }
      memref.store %value, %y[%thread] : memref<8xindex>
    """
    # Even threads: the first power of two that is not below; odd ones: 0 + 1 + ... below.
    assert launch(body, threads=8, element="index").tolist() == [1, 0, 2, 3, 4, 10, 8, 21]


def test_vectors_are_taken_apart_and_put_together() -> None:
    text = """
      func.func @run(%number: f32) -> (f32, vector<3xf32>) {
        %fours = arith.constant dense<4.0> : vector<3xf32>
        %splat = vector.broadcast %number : f32 to vector<3xf32>
        %mixed = vector.insert %number, %fours[1] : f32 into vector<3xf32>
        %sum = vector.fma %splat, %mixed, %fours : vector<3xf32>
        %middle = vector.extract %sum[1] : f32 from vector<3xf32>
        func.return %middle, %sum : f32, vector<3xf32>
      }
    """
    middle, total = interpret(parse(text), "run", np.float32(3))
    assert (middle.item(), total.tolist()) == (13, [16, 13, 16])


@pytest.mark.parametrize(
    ("predicate", "holds"),
    [("slt", True), ("ult", False), ("sge", False), ("uge", True), ("eq", False), ("ne", True)],
)
def test_comparisons_read_the_bits_as_their_predicate_says(predicate: str, holds: bool) -> None:
    text = f"""
      func.func @run(%a: i32, %b: i32) -> i1 {{
        %c = arith.cmpi {predicate}, %a, %b : i32
        func.return %c : i1
      }}
    """
    (result,) = interpret(parse(text), "run", np.int32(-1), np.int32(1))
    assert bool(result) is holds


def test_store_to_a_constant_is_refused() -> None:
    text = """
      "memref.global"() <{sym_name = "table", sym_visibility = "private", constant,
        type = memref<2xf32>, initial_value = dense<[1.0, 2.0]> : tensor<2xf32>}> : () -> ()
      func.func @run() {
        %zero = arith.constant 0 : index
        %table = memref.get_global @table : memref<2xf32>
        %read = memref.load %table[%zero] : memref<2xf32>
        memref.store %read, %table[%zero] : memref<2xf32>
        func.return
      }
    """
    with pytest.raises(InterpreterError, match=r"memref\.store: expected memory that can be writ"):
        interpret(parse(text), "run")


def test_store_to_a_read_only_array_is_refused() -> None:
    text = """
      func.func @run(%y: memref<1xf32>) {
        %zero = arith.constant 0 : index
        %number = arith.constant 1.0 : f32
        memref.store %number, %y[%zero] : memref<1xf32>
        func.return
      }
    """
    y = np.zeros(1, np.float32)
    y.setflags(write=False)
    with pytest.raises(InterpreterError, match="expected memory that can be written"):
        interpret(parse(text), "run", y)


def test_launch_of_another_block_size_than_the_kernel_needs_is_refused() -> None:
    text = """
      func.func @run() {
        %two = arith.constant 2 : index
        gpu.launch_func @kernels::@kernel blocks in (%two, %two, %two)
          threads in (%two, %two, %two) args( : )
        func.return
      }
      gpu.module @kernels {
        gpu.func @kernel() kernel threads(4, 2, 1) {
          gpu.return
        }
      }
    """
    with pytest.raises(InterpreterError, match=r"blocks of \(4, 2, 1\) .* got \(2, 2, 2\)"):
        interpret(parse(text), "run")


def test_unknown_operation_is_named() -> None:
    text = """
      func.func @run(%a: f32) -> f32 {
        %b = math.exp %a : f32
        func.return %b : f32
      }
    """
    with pytest.raises(InterpreterError, match=r"math\.exp: the interpreter does not know"):
        interpret(parse(text), "run", np.float32(1))


IDENTITY = """
  func.func @run(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
    func.return %x : tensor<2x3xf32>
  }
  func.func @relu(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
    %y = sparsert.relu %x : tensor<2x3xf32>
    func.return %y : tensor<2x3xf32>
  }
"""


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], "expected 1 arrays for @run, got 0"),
        ([np.zeros((3, 2), np.float32)], r"expected float32 of shape \(2, 3\), got float32 of"),
        ([np.zeros((2, 3), np.float64)], r"argument 0 of @run: expected float32 .*got float64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: list[Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        interpret(parse(IDENTITY), "run", *arrays)


def test_a_result_is_not_the_argument_itself() -> None:
    x = np.zeros((2, 3), np.float32)
    (y,) = interpret(parse(IDENTITY), "run", x)
    assert not np.shares_memory(x, y)


def test_relu_keeps_nan_and_infinity() -> None:
    x = np.array([[np.nan, np.inf, -np.inf], [-1, 0, 2]], np.float32)
    (y,) = interpret(parse(IDENTITY), "relu", x)
    np.testing.assert_array_equal(y, np.array([[np.nan, np.inf, 0], [0, 0, 2]], np.float32))


def round_once(exact: Fraction, dtype: np.dtype[Any]) -> Any:
    """The nearest number of a type to an exact value; of two, the one with an even last bit."""
    start = np.array([float(exact)]).astype(dtype)
    near = [
        np.nextafter(start, np.array([-np.inf], dtype)),
        start,
        np.nextafter(start, np.array([np.inf], dtype)),
    ]
    last_bit = f"u{dtype.itemsize}"
    return min(
        (array[0] for array in near if np.isfinite(array[0])),
        key=lambda n: (abs(Fraction(float(n)) - exact), int(np.array([n]).view(last_bit)[0]) & 1),
    )


FLOATS = {"float16": 16, "float32": 32, "bfloat16": 16}
"""Numbers drawn have so many bits; for bf16 they are rounded."""


@pytest.mark.parametrize("name", FLOATS)
@given(data=st.data())
def test_fused_multiply_add_rounds_once(name: str, data: st.DataObject) -> None:
    bfloat16()  # Makes numpy know the name.
    dtype, limit = np.dtype(name), 200.0
    number = st.floats(-limit, limit, width=FLOATS[name])  # pyright: ignore[reportArgumentType]
    a, b, c = (float(np.array(data.draw(number)).astype(dtype)) for _ in range(3))
    expected = round_once(Fraction(a) * Fraction(b) + Fraction(c), dtype)
    got = fused_multiply_add(*(np.array([n], dtype) for n in (a, b, c)))
    assert got.dtype == dtype
    assert got[0] == expected


def test_fused_multiply_add_is_exact_where_rounding_twice_is_not() -> None:
    # The exact sum lies 2**-70 below the middle between c and its neighbour with an even last bit.
    step = np.float32(2**-23)
    a, b = np.array([1 + step]), np.array([np.float32(2**-24) * (1 - step)])
    c = np.array([1 + step])
    twice = (a.astype(np.float64) * b + c).astype(np.float32)
    assert twice[0] == np.float32(1 + 2 * step)
    assert fused_multiply_add(a, b, c)[0] == c[0]


def test_folded_sums_round_to_f16_within_a_fold_only() -> None:
    count = 4
    x = np.full((1, 1), 1, np.float16)
    columns, rows = np.zeros(count, np.int32), np.zeros(count, np.int32)
    values = np.array([2048, 1, 2048, 1], np.float16)
    run = deal_run(columns, rows, values, 1)
    f16, f32 = np.dtype(np.float16), np.dtype(np.float32)
    assert run_sums(run, x, f32, None)[0, 0] == 4098
    assert run_sums(run, x, f32, 1)[0, 0] == 4098
    assert run_sums(run, x, f32, 2)[0, 0] == 4096
    assert run_sums(run, x, f16, None)[0, 0] == 4096


def test_a_run_adds_in_its_own_order_within_a_row() -> None:
    x = np.array([[1], [1], [1]], np.float16)
    rows = np.array([1, 1, 1, 0], np.int32)
    values = np.array([1, 1, 2048, 3], np.float16)
    f16 = np.dtype(np.float16)
    small_first = run_sums(deal_run(np.array([0, 1, 2, 0]), rows, values, 2), x, f16, None)
    large_first = run_sums(
        deal_run(np.array([0, 1, 2, 0]), rows, values[[2, 0, 1, 3]], 2), x, f16, None
    )
    assert small_first[:, 0].tolist() == [3, 2050]
    assert large_first[:, 0].tolist() == [3, 2048]


def test_an_argument_given_twice_is_one_memory() -> None:
    text = """
      func.func @run(%x: memref<2xf32>, %y: memref<2xf32>) {
        %one = arith.constant 1 : index
        gpu.launch_func @kernels::@kernel blocks in (%one, %one, %one)
          threads in (%one, %one, %one) args(%x, %y : memref<2xf32>, memref<2xf32>)
        func.return
      }
      gpu.module @kernels {
        gpu.func @kernel(%x: memref<2xf32>, %y: memref<2xf32>) kernel {
          %zero = arith.constant 0 : index
          %one = arith.constant 1 : index
          %read = memref.load %x[%zero] : memref<2xf32>
          memref.store %read, %y[%one] : memref<2xf32>
          gpu.return
        }
      }
    """
    both = np.array([3, 4], np.float32)
    interpret(parse(text), "run", both, both)
    assert both.tolist() == [3, 3]
