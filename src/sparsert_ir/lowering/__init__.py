"""How each operation of a mapped function becomes operations on LLVM types and pointers.

function.py      one function at a time: values, blocks, types
control_flow.py  `scf` becomes branches
numbers.py       `arith`, `math`, `vector`
lanes.py         where the columns of a lane lie, also through a window
memory.py        `memref`, lanes in memory
multiply_add.py  runs of multiply-adds and the stores of their sums
launch.py        `gpu`

Every file has one table: the operation's class -> a function that lowers it.
"""
