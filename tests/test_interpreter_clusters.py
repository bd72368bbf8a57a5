"""The interpreter runs the blocks of a cluster together and finds the mistakes of their exchange.

Kernels here are written by hand, each with one mistake, next to a kernel without it.
"""

import numpy as np
import pytest
from xdsl.parser import Parser

from sparsert_ir.context import make_context
from sparsert_ir.dense import Array
from sparsert_ir.errors import InterpreterError
from sparsert_ir.interpreter import interpret

INBOX = "memref<2x4xf32, 3 : i64>"


def launch(body: str, *, blocks: int = 4, order_seed: int | None = None) -> Array:
    """Run a kernel of that body in clusters of two blocks along z with four threads each.

    y has an element for each thread, all -1. %mine is the thread's, %rank and %other are the blocks
    of its cluster, %number is 10 * rank + thread.
    """
    text = f"""
    func.func @run(%x: memref<16xf32>, %y: memref<16xf32>) {{
      %one = arith.constant 1 : index
      %two = arith.constant 2 : index
      %blocks = arith.constant {blocks} : index
      %threads = arith.constant 4 : index
      gpu.launch_func @kernels::@kernel blocks in (%two, %one, %blocks)
        threads in (%threads, %one, %one) args(%x, %y : memref<16xf32>, memref<16xf32>)
      func.return
    }}
    gpu.module @kernels {{
      "memref.global"() <{{sym_name = "inbox", sym_visibility = "private",
        type = {INBOX}, initial_value}}> : () -> ()
      "memref.global"() <{{sym_name = "signal", sym_visibility = "private",
        type = memref<1xi64, 3 : i64>, initial_value}}> : () -> ()
      gpu.func @kernel(%x: memref<16xf32>, %y: memref<16xf32>) kernel
          threads(4, 1, 1) clusters(1, 1, 2) {{
        %zero = arith.constant 0 : index
        %one = arith.constant 1 : index
        %two = arith.constant 2 : index
        %three = arith.constant 3 : index
        %four = arith.constant 4 : index
        %inbox = memref.get_global @inbox : {INBOX}
        %signal = memref.get_global @signal : memref<1xi64, 3 : i64>
        %column = gpu.block_id x
        %rank = gpu.block_id z
        %thread = gpu.thread_id x
        %other = arith.subi %one, %rank : index
        %of_column = arith.muli %column, %two : index
        %block = arith.addi %of_column, %rank : index
        %of_block = arith.muli %block, %four : index
        %mine = arith.addi %of_block, %thread : index
        %number = memref.load %x[%mine] : memref<16xf32>
        {body}
        gpu.return
      }}
    }}
    """
    x = np.tile(np.array([0, 1, 2, 3, 10, 11, 12, 13], np.float32), 2)
    y = np.full(16, -1, np.float32)
    interpret(Parser(make_context(), text).parse_module(), "run", x, y, order_seed=order_seed)
    return y


OPEN = f"sparsert.open_inbox %signal for %one rows of %inbox : {INBOX}\n"
SEND = f"""
  sparsert.send_columns %number, %inbox[%zero, %thread] of %other signal %signal : {INBOX}, f32
"""
AWAIT = f"sparsert.await_inbox %signal of %inbox : {INBOX}\n"
READ = f"""
  %read = memref.load %inbox[%zero, %thread] : {INBOX}
  memref.store %read, %y[%mine] : memref<16xf32>
"""
READ_NEXT = f"""
  %next = arith.subi %three, %thread : index
  %read = memref.load %inbox[%zero, %next] : {INBOX}
  memref.store %read, %y[%mine] : memref<16xf32>
"""


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_each_block_gets_what_the_other_one_of_its_cluster_sends(seed: int | None) -> None:
    y = launch(OPEN + SEND + AWAIT + READ, blocks=2, order_seed=seed)
    assert y.tolist() == [10, 11, 12, 13, 0, 1, 2, 3] * 2


def test_every_thread_may_read_what_it_waited_for() -> None:
    y = launch(OPEN + SEND + AWAIT + READ_NEXT, blocks=2)
    assert y.tolist() == [13, 12, 11, 10, 3, 2, 1, 0] * 2


def test_reading_before_waiting_is_found() -> None:
    with pytest.raises(InterpreterError, match="touched after it was sent, before it is waited"):
        launch(OPEN + SEND + READ + AWAIT, blocks=2)


def test_sending_twice_to_one_place_is_found() -> None:
    with pytest.raises(InterpreterError, match="touched after it was sent, before it is waited"):
        launch(OPEN + SEND + SEND + AWAIT, blocks=2)


def test_waiting_for_what_nobody_sends_is_found() -> None:
    some = f"%few = arith.cmpi ult, %thread, %two : index\nscf.if %few {{ {SEND} }}\n"
    with pytest.raises(InterpreterError, match=r"wait for ever: 2 elements .*block \(0, 0, 0\)"):
        launch(OPEN + some + AWAIT, blocks=2)


def test_sending_more_than_expected_is_found() -> None:
    again = SEND.replace("%zero", "%one")
    with pytest.raises(InterpreterError, match="no more rows than the inbox was opened for"):
        launch(OPEN + SEND + again + AWAIT, blocks=2)


def test_sending_before_the_inbox_is_open_is_found() -> None:
    for body in (SEND, AWAIT):
        with pytest.raises(InterpreterError, match="expected an open inbox"):
            launch(body, blocks=2)


def test_an_inbox_is_opened_by_all_threads_and_once() -> None:
    with pytest.raises(InterpreterError, match="opened once"):
        launch(OPEN + OPEN, blocks=2)
    few = f"%few = arith.cmpi ult, %thread, %two : index\nscf.if %few {{ {OPEN} }}"
    with pytest.raises(InterpreterError, match="divergent barrier: expected all 4 threads"):
        launch(few, blocks=2)
    first = f"%first = arith.cmpi eq, %rank, %zero : index\nscf.if %first {{ {OPEN} }}"
    with pytest.raises(InterpreterError, match="expected all 2 blocks of the cluster here"):
        launch(first, blocks=2)
    uneven = OPEN.replace("%one", "%thread")
    with pytest.raises(InterpreterError, match="one number of rows in all threads"):
        launch(uneven, blocks=2)


def test_a_block_that_the_cluster_does_not_have_is_found() -> None:
    with pytest.raises(
        InterpreterError, match=r"expected a block below 2, got 2 .*thread \(0, 0, 0"
    ):
        launch(OPEN + SEND.replace("%other", "%two"), blocks=2)


def test_memory_of_blocks_is_their_own() -> None:
    """And a barrier of one block alone does not order the other's accesses."""
    write = f"memref.store %number, %inbox[%zero, %thread] : {INBOX}\n"
    assert launch(write + READ, blocks=2).tolist() == [0, 1, 2, 3, 10, 11, 12, 13] * 2
    with pytest.raises(InterpreterError, match="is read after another thread wrote it"):
        launch(write + READ_NEXT, blocks=2)
    assert launch(write + "gpu.barrier\n" + READ_NEXT, blocks=2)[4] == 13
    barrier_of_one = """
      %first = arith.cmpi eq, %rank, %zero : index
      scf.if %first {
        gpu.barrier
      }
    """
    with pytest.raises(InterpreterError, match=r"is read after another .* \(block \(0, 0, 1\)"):
        launch(write + barrier_of_one + READ_NEXT, blocks=2)


def test_blocks_of_a_cluster_that_write_one_element_race_until_they_meet() -> None:
    write = "memref.store %number, %y[%place] : memref<16xf32>\n"
    place = "%at = arith.muli %column, %four : index\n%place = arith.addi %at, %thread : index\n"
    only = "%last = arith.cmpi eq, %rank, {} : index\nscf.if %last {{ {} }}\n"
    first, second = only.format("%zero", write), only.replace("%last", "%late")
    with pytest.raises(InterpreterError, match="is written by several threads"):
        launch(place + first + second.format("%one", write), blocks=2)
    y = launch(place + first + OPEN + second.format("%one", write), blocks=2)
    assert y[:4].tolist() == [10, 11, 12, 13]


def test_a_grid_of_parts_of_clusters_is_refused() -> None:
    with pytest.raises(InterpreterError, match=r"whole clusters of \(1, 1, 2\) .* got \(2, 1, 3\)"):
        launch("", blocks=3)
