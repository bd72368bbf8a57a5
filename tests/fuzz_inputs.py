"""Inputs for the driver's fuzzing: mutated tests, made modules, known bad texts.

Input number i of a seed is the same in every process.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

from fuzzing import Input
from malformed_texts import MALFORMED
from xdsl.ir import Operation

from sparsert_ir.context import make_context
from sparsert_ir.passes import PASSES, PIPELINES
from sparsert_ir.schedule import CHOICES, Schedule

FILECHECK = Path(__file__).parent / "filecheck"

_TOKEN = re.compile(r'"[^"\n]*"|[\w.$%@#!^-]+|->|\s+|.')
# fmt: off
_NUMBERS = (
    "0", "1", "-1", "2", "3", "7", "64", "65536", "2147483647", "2147483648", "-2147483649",
    "9223372036854775807", "9223372036854775808", "99999999999999999999999", "1e999", "0x7F",
    "?", "0.0", "-0.0", "1.0e-300", "nan", "true",
)
_TYPES = (
    "f16", "f32", "f64", "bf16", "i1", "i8", "i32", "i64", "si32", "index", "i0", "i129",
    "vector<2xf16>", "vector<4xf32>", "vector<0xf32>", "vector<2x2xf32>", "vector<[4]xf32>",
    "tensor<4x8xf32>", "tensor<3x4xf32, #sparsert.csr>", "tensor<?x8xf32>", "tensor<f32>",
    "tensor<0x8xf16>", "tensor<*xf32>", "memref<4x8xf32>", "memref<3x8xf32>", "memref<f32>",
    "memref<?x?xf16>", "memref<4x8xf32, 3 : i64>", "memref<4x8xf32, strided<[1, 4]>>",
    "memref<*xf32>", "!llvm.ptr", "!llvm.ptr<1>", "!llvm.ptr<99>", "!llvm.void", "none",
    "() -> ()", "(f32) -> f32", "tuple<f32>", "complex<f32>", "tensor<4294967296x2xf32>",
)
_ATTRIBUTES = (
    "unit", "0 : i64", "-1 : i64", "4 : i32", "1.0 : f32", '"name"', "@f", "@kernels::@f", "[]",
    "dense<0> : tensor<1xi32>", "dense<[0, 1]> : tensor<2xi32>", "dense<> : tensor<0xi32>",
    "dense<[1.0, 2.0]> : tensor<2xf32>", "dense<1.0> : tensor<3xf16>", "array<i32: 1, 2, 3>",
    "dense<[[0, 1], [2, -1]]> : tensor<2x2xi32>", "dense<[[0, 4], [0, 4]]> : tensor<2x2xi32>",
    "#sparsert.csr", "#sparsert.schedule<>", "#sparsert.schedule<k_groups = 3>", "{}", "f32",
    "#sparsert<activation relu>", "#gpu<dim x>", "affine_map<(d0) -> (d0)>", "(f32) -> ()",
    "dense<1> : tensor<2x!llvm.ptr>", "opaque<1>", "array<i64>", "dense_resource<a> : i32",
)
_FRAGMENTS = (
    '"', "\\", "\0", "{", "}", "(", ")", "<", ">", "[", "]", "//", "\n// -----\n", "\r", "\t",
    "\x1b[31m", "\u202e", "\ufeff", "é", "²", "^bb0:", "%0", "%0#3", "@", "#", "!", "->",
    "loc(unknown)", "#a = f32\n", "!a = f32\n", "{-#", "attributes {a}", "module {", "= ",
)
# fmt: on
_KNOBS = tuple(field.name for field in fields(Schedule))


def make_input(seed: int, number: int) -> Input:
    """Input `number` of a run: first every known bad text, then others at random."""
    choose = random.Random(f"{seed}:{number}")
    bad = list(MALFORMED.values())
    if number < len(bad):
        return Input("known bad", bad[number], ())
    kind, make = choose.choices(
        [
            ("mutated test", _mutated_test),
            ("operations", _operations),
            ("layer", _layer),
            ("convolution", _convolution),
            ("separable", _separable),
        ],
        [6, 2, 2, 1, 1],
    )[0]
    return Input(kind, make(choose), _arguments(choose))


def _arguments(choose: random.Random) -> tuple[str, ...]:
    arguments: list[str] = []
    pipeline = choose.choice(list(PIPELINES.values())).split(",")
    begin = choose.choice([0, 0, choose.randrange(len(pipeline))])
    passes = choose.choice(
        [
            [],
            choose.choices(list(PASSES), k=choose.randint(1, 4)),
            pipeline[begin : choose.randint(begin, len(pipeline))],
            pipeline[begin:],
        ]
    )
    if passes:
        arguments += ["-p", ",".join(passes)]
    flags = ("--split-input-file", "--print-op-generic", "--verify-roundtrip", "--no-verify-each")
    arguments += [flag for flag in flags if choose.random() < 0.15]
    if choose.random() < 0.05:
        arguments.append("--allow-unregistered-dialect")
    if choose.random() < 0.5:
        arguments += ["-t", choose.choice(["report", "llvm", "ptx", "ptx{arch=sm_80}"])]
    return tuple(arguments)


@cache
def _seeds() -> tuple[str, ...]:
    """The pieces of every test, without its comments."""
    pieces: list[str] = []
    for path in sorted(FILECHECK.rglob("*.mlir")):
        for piece in path.read_text().split("// -----"):
            code = re.sub(r"^\s*//.*\n", "", piece, flags=re.MULTILINE).strip()
            if code:
                pieces.append(code + "\n")
    return tuple(pieces)


@cache
def _vocabulary() -> tuple[str, ...]:
    """Every token of the tests."""
    return tuple(sorted({token for seed in _seeds() for token in _TOKEN.findall(seed)}))


def _mutated_test(choose: random.Random) -> bytes:
    tokens = _TOKEN.findall(choose.choice(_seeds()))
    mutations = choose.choice([_GENTLE, _GENTLE, _MUTATIONS])
    for _ in range(choose.choice([1, 1, 2, 3, 8])):
        if tokens:
            choose.choice(mutations)(choose, tokens)
    data = "".join(tokens).encode()
    if choose.random() < 0.05 and data:
        place = choose.randrange(len(data))
        data = data[:place] + bytes([choose.randrange(256)]) + data[place + 1 :]
    return data


def _span(choose: random.Random, tokens: list[str]) -> slice:
    begin = choose.randrange(len(tokens))
    return slice(begin, begin + choose.choice([1, 1, 2, 5, 20]))


def _delete(choose: random.Random, tokens: list[str]) -> None:
    del tokens[_span(choose, tokens)]


def _repeat(choose: random.Random, tokens: list[str]) -> None:
    span = _span(choose, tokens)
    tokens[span] = tokens[span] * choose.choice([2, 2, 3, 50])


def _move(choose: random.Random, tokens: list[str]) -> None:
    span = _span(choose, tokens)
    moved = tokens[span]
    del tokens[span]
    place = choose.randint(0, len(tokens))
    tokens[place:place] = moved


def _replace_token(choose: random.Random, tokens: list[str]) -> None:
    tokens[choose.randrange(len(tokens))] = choose.choice(_vocabulary())


def _replace_like(pattern: str, words: Sequence[str]) -> Callable[[random.Random, list[str]], None]:
    matches = re.compile(pattern).fullmatch

    def replace(choose: random.Random, tokens: list[str]) -> None:
        places = [place for place, token in enumerate(tokens) if matches(token)]
        if places:
            tokens[choose.choice(places)] = choose.choice(words)

    return replace


def _insert(choose: random.Random, tokens: list[str]) -> None:
    tokens.insert(choose.randint(0, len(tokens)), choose.choice(_FRAGMENTS))


def _splice(choose: random.Random, tokens: list[str]) -> None:
    other = _TOKEN.findall(choose.choice(_seeds()))
    tokens[choose.randrange(len(tokens)) :] = other[choose.randrange(len(other)) :]


_Mutation: TypeAlias = Callable[[random.Random, list[str]], None]
_NUMBER = r"-?[0-9.]+(e[0-9+-]+)?"
_GENTLE: tuple[_Mutation, ...] = (
    _replace_like(_NUMBER, _NUMBERS),
    _replace_like(_NUMBER, ("0", "1", "2", "3", "4", "8", "-1", "1.0", "100")),
    _replace_like(r"[fi][0-9]+|index", ("f16", "f32", "f64", "bf16", "i1", "i32", "i64", "index")),
    _replace_like(r"([0-9?]+x)+[a-z]+[0-9]+", ("4x8xf32", "0x0xf16", "1xi32", "?xf32", "f32")),
    _replace_like(r"%[\w#]+", ("%0", "%1", "%x", "%w", "%i", "%c", "%column")),
    _replace_like(r"@\w+", ("@f", '@"a b"', '@"x() {"', '@""')),
    _replace_like(r"[\w.]+", ("relu", "kernel", "streaming", "panels", "func.func", "gpu.func")),
)
"""Often leave a text that parses."""
_MUTATIONS: tuple[_Mutation, ...] = (
    _delete,
    _repeat,
    _move,
    _replace_token,
    _insert,
    _splice,
    *_GENTLE,
)


@cache
def _operation_classes() -> tuple[type[Operation], ...]:
    context = make_context()
    for name in sorted(context.registered_dialect_names):
        context.load_registered_dialect(name)
    classes = [op for dialect in context.loaded_dialects for op in dialect.operations]
    defined = [op for op in classes if hasattr(op, "get_irdl_definition")]
    return tuple(sorted(defined, key=lambda op: op.name))


def _operations(choose: random.Random) -> bytes:
    """A function of random operations in generic syntax, with about as many operands, results and
    regions as they have, on types and attributes of any kind.
    """
    arguments = [choose.choice(_TYPES) for _ in range(6)]
    values = [(f"%a{i}", kind) for i, kind in enumerate(arguments)]
    body = "".join(_operation(choose, values, 0) for _ in range(choose.randint(1, 6)))
    header = ", ".join(f"{name}: {kind}" for name, kind in values[: len(arguments)])
    return f"func.func @f({header}) {{\n{body}  func.return\n}}\n".encode()


def _operation(choose: random.Random, values: list[tuple[str, str]], depth: int) -> str:
    op = choose.choice(_operation_classes())
    ours = [one for one in _operation_classes() if one.__module__.startswith("sparsert_ir")]
    if choose.random() < 0.6:
        op = choose.choice(ours)
    definition = cast(Any, op).get_irdl_definition()
    wanted = max(0, len(definition.operands) + choose.choice([0, 0, 0, -1, 1]))
    operands = [choose.choice(values) for _ in range(wanted)]
    results = [choose.choice(_TYPES) for _ in definition.results]
    names = [f"%v{len(values) + i}" for i in range(len(results))]
    properties = ", ".join(
        f"{name} = {choose.choice(_ATTRIBUTES)}"
        for name in definition.properties
        if choose.random() < 0.9
    )
    regions = [_region(choose, list(values), depth) for _ in definition.regions]
    values += zip(names, results, strict=True)
    return (
        f"  {', '.join(names)}{' = ' if names else ''}"
        f'"{op.name}"({", ".join(name for name, _ in operands)})'
        + (f" <{{{properties}}}>" if properties else "")
        + (f" ({', '.join(regions)})" if regions else "")
        + f" : ({', '.join(kind for _, kind in operands)}) -> ({', '.join(results)})\n"
    )


def _region(choose: random.Random, values: list[tuple[str, str]], depth: int) -> str:
    if depth > 2 or choose.random() < 0.2:
        return "{}"
    return "{\n" + _operation(choose, values, depth + 1) + "}"


def _layer(choose: random.Random) -> bytes:
    """A product with its epilogue: often well-formed, with extreme sizes, types and schedules."""
    rows = choose.choice([1, 2, 2, 3, 3, 5, 17] * 4 + [0])
    depth = choose.choice([1, 2, 4, 40] * 4 + [0, 2**28, 2**40])
    columns = choose.choice([1, 2, 3, 8, 64, 1000] * 4 + [0, 2**20, 2**31, 2**40])
    kind = choose.choice(["f32"] * 6 + ["f16"] * 4 + ["f64", "bf16", "i32"])
    x, y = f"tensor<{depth}x{columns}x{kind}>", f"tensor<{rows}x{columns}x{kind}>"
    return _product(choose, "sparsert.spmm %w, %x", rows, depth, kind, x, y)


def _convolution(choose: random.Random) -> bytes:
    """A convolution with its epilogue: well-formed for most windows."""
    window, channels, kind = _Window.of(choose), choose.choice([1, 2, 3]), _float(choose)
    outputs = choose.choice([1, 2, 3])
    head = f"sparsert.conv2d %w, %x {window.text(channels)}"
    depth = channels * window.taps
    x, y = window.x(channels, kind), window.y(outputs, kind)
    return _product(choose, head, outputs, depth, kind, x, y)


def _separable(choose: random.Random) -> bytes:
    """A depthwise and a pointwise convolution in one, likewise."""
    window, channels, kind = _Window.of(choose), choose.choice([1, 2, 3]), _float(choose)
    rows, outputs = channels * choose.choice([1, 1, 2]), choose.choice([1, 2, 3, 17])
    depth = channels * window.taps
    first, kind_of_first = _matrix(
        choose, "%d", _own_taps(choose, rows, channels, window), depth, kind
    )
    head = f"sparsert.separable_conv2d %d, %w, %x {window.text(channels)}"
    if choose.random() < 0.3:
        head += f" depthwise_bias dense<-1.5> : tensor<{rows}x{kind}>"
    head += choose.choice(["", " depthwise_activation relu"])
    x, y = window.x(channels, kind), window.y(outputs, kind)
    return _product(choose, head, outputs, rows, kind, x, y, first, f"{kind_of_first}, ")


def _own_taps(
    choose: random.Random, rows: int, channels: int, window: "_Window"
) -> list[list[int]]:
    """For each row its nonzeros: taps of its own channel, in the order of the matrix' columns."""
    height, width = window.kernel
    taps: list[list[int]] = []
    for row in range(rows):
        channel = row * channels // rows
        if choose.random() < 0.02:
            channel = 0
        places = [
            (down * channels + channel) * width + right
            for down in range(height)
            for right in range(width)
        ]
        taps.append([place for place in places if choose.random() < 0.7])
    return taps


def _float(choose: random.Random) -> str:
    return choose.choice(["f32"] * 6 + ["f16"] * 4 + ["f64", "bf16"])


@dataclass(frozen=True)
class _Window:
    """Where filters go, without channels."""

    batch: int
    image: list[int]
    kernel: list[int]
    strides: list[int]
    dilation: list[int]
    padding: list[int]
    layout: str

    @classmethod
    def of(cls, choose: random.Random) -> "_Window":
        image, kernel, strides, dilation = (
            [choose.choice(sizes), choose.choice(sizes)]
            for sizes in ([1, 2, 5, 9] * 5 + [0, 2**20], [1, 1, 2, 3], [1, 1, 2, 3], [1, 1, 2])
        )
        padding = [choose.choice([0, 0, 1, 2] * 5 + [2**20, -1]) for _ in range(4)]
        layout = choose.choice(["nchw", "nhwc"])
        return cls(choose.choice([1, 2, 3]), image, kernel, strides, dilation, padding, layout)

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def text(self, channels: int) -> str:
        return (
            f"window <batch = {self.batch}, channels = {channels}, image = {self.image},"
            f" kernel = {self.kernel}, strides = {self.strides}, padding = {self.padding},"
            f" dilation = {self.dilation}, layout = {self.layout}>"
        )

    def x(self, channels: int, kind: str) -> str:
        return self._array(channels, self.image, kind)

    def y(self, outputs: int, kind: str) -> str:
        sizes = [
            self.image[i] + self.padding[i] + self.padding[i + 2] - 1
            - self.dilation[i] * (self.kernel[i] - 1)
            for i in range(2)
        ]  # fmt: skip
        return self._array(outputs, [sizes[i] // self.strides[i] + 1 for i in range(2)], kind)

    def _array(self, depth: int, size: list[int], kind: str) -> str:
        shape = [depth, *size] if self.layout == "nchw" else [*size, depth]
        return f"tensor<{'x'.join(map(str, [self.batch, *shape]))}x{kind}>"


def _product(
    choose: random.Random,
    head: str,
    rows: int,
    depth: int,
    kind: str,
    x: str,
    y: str,
    before: str = "",
    operands: str = "",
) -> bytes:
    """A function of a random rows x depth matrix and the operation `head`, sometimes mutated.

    before, operands: operations before it, and types of its operands before the matrix.
    """
    longest = min(depth, choose.choice([2, 4, 4, 40]))
    nonzeros = [
        sorted(choose.sample(range(depth), choose.randint(0, longest))) for _ in range(rows)
    ]
    matrix, weight = _matrix(choose, "%w", nonzeros, depth, kind)
    epilogue = _epilogue(choose, rows, kind, y)
    text = (
        f"func.func @layer(%x: {x}, %r: {y}) -> {y} {{\n{before}{matrix}"
        f"  %y = {head}{epilogue} : {operands}{weight}, {x} -> {y}\n"
        f"  func.return %y : {y}\n}}\n"
    )
    if choose.random() < 0.3:
        tokens = _TOKEN.findall(text)
        choose.choice(_MUTATIONS)(choose, tokens)
        text = "".join(tokens)
    return text.encode()


def _matrix(
    choose: random.Random, name: str, nonzeros: list[list[int]], depth: int, kind: str
) -> tuple[str, str]:
    """A constant with nonzeros in those columns of its rows, and its type."""
    indices = [k for row in nonzeros for k in row]
    offsets = [sum(map(len, nonzeros[:row])) for row in range(len(nonzeros) + 1)]
    values = ["0", "1", "-7"] if kind == "i32" else ["1.0", "-2.5", "0.0", "65504.0", "1.0e-9"]
    numbers = choose.choices(values, k=len(indices))
    weight = f"tensor<{len(nonzeros)}x{depth}x{kind}, #sparsert.csr>"
    text = (
        f"  {name} = sparsert.constant row_offsets {_dense(offsets, 'i32')} column_indices"
        f" {_dense(indices, 'i32')} values {_dense(numbers, kind)} : {weight}\n"
    )
    return text, weight


def _dense(numbers: Sequence[object], kind: str) -> str:
    listed = ", ".join(map(str, numbers))
    return f"dense<{f'[{listed}]' if numbers else ''}> : tensor<{len(numbers)}x{kind}>"


def _epilogue(choose: random.Random, rows: int, kind: str, y: str) -> str:
    text = ""
    if choose.random() < 0.3:
        text += f" bias dense<1.5> : tensor<{rows}x{choose.choice([kind, 'f32'])}>"
    text += choose.choice(["", " activation relu"])
    text += choose.choice(["", f" residual %r : {y}"])
    if choose.random() < 0.6:
        knobs = choose.sample(_KNOBS, choose.randint(0, 5))
        text += f" schedule <{', '.join(f'{knob} = {_knob(choose, knob)}' for knob in knobs)}>"
    return text


def _knob(choose: random.Random, name: str) -> str:
    if choose.random() < 0.02:
        return choose.choice(["never", "0", "-1", "1.5", '"code"'])
    if name in CHOICES:
        return choose.choice(CHOICES[name])
    sizes = [1, 2, 3, 4, 8, 32, 64]
    return str(choose.choice([*sizes * 3, 1024, 10**6, 2**31 - 1, 2**31, 2**63]))
