"""Long texts of compilers, cut to what a person reads, with notes of what is left out."""

import re

import numpy as np

_LONGEST_LITERAL, _NUMBERS_SHOWN = 72, 8
_LONGEST_LINE, _LINE_END = 600, 120
_MULTIPLY_ADDS, _HEAD, _AROUND = "accumulate ", 24, 36
"""What bodies of kernels are made of; lines shown before, and around it."""
_LITERAL = re.compile(r"dense<([^>]*)>(?: : (?:tensor|vector|memref)<([^>]*)>)?")
_ELEMENTS = {"i8": "<i1", "i16": "<i2", "i32": "<i4", "i64": "<i8", "index": "<i8", "f16": "<f2",
             "f32": "<f4", "f64": "<f8"}  # fmt: skip


def shorten_ir(words: str) -> str:
    """IR with long literals as their first numbers, long lines cut, and only the beginning and, in
    long texts, the first multiply-adds; each place says how much is left out.
    """
    return excerpt(_LITERAL.sub(_literal, words), _MULTIPLY_ADDS, _HEAD, _AROUND)


def cut_lines(words: str, head: int, tail: int) -> str:
    """The first and last lines, each no longer than 600 characters."""
    lines = words.rstrip("\n").split("\n")
    left_out = len(lines) - head - tail
    if left_out > 1:
        ending = lines[len(lines) - tail :] if tail else []
        lines = [*lines[:head], f"… {left_out:,} lines left out …", *ending]
    return "\n".join(map(_line, lines)) + "\n"


def excerpt(words: str, landmark: str, head: int, around: int) -> str:
    """The first `head` lines, and as many as `around` from just before the first `landmark`."""
    lines = words.rstrip("\n").split("\n")
    found = next((place for place, line in enumerate(lines) if landmark in line), None)
    if found is None or found < head + around:
        return cut_lines(words, head + around, 2)
    begin = found - around // 4
    end = min(len(lines), begin + around)
    parts = [*lines[:head], f"… {begin - head:,} lines left out …", *lines[begin:end]]
    if end < len(lines):
        parts.append(f"… {len(lines) - end:,} lines left out …")
    return "\n".join(map(_line, parts)) + "\n"


def _line(line: str) -> str:
    left_out = len(line) - _LONGEST_LINE
    if left_out <= 20:
        return line
    begin = _LONGEST_LINE - _LINE_END
    return f"{line[:begin]}… {left_out:,} characters left out …{line[-_LINE_END:]}"


def _literal(found: re.Match[str]) -> str:
    content, kind = found[1], found[2]
    if len(content) <= _LONGEST_LITERAL:
        return found[0]
    rest = "" if kind is None else found[0][found.end(1) - found.start() + 1 :]
    if content.startswith('"0x'):
        return f"dense<{_hexadecimal(content[3:-1], kind)}>{rest}"
    count = content.count(",") + 1
    shown = content.split(",", _NUMBERS_SHOWN)[:_NUMBERS_SHOWN]
    return f"dense<{','.join(shown)}, … {count - len(shown):,} more]>{rest}"


def _hexadecimal(digits: str, kind: str | None) -> str:
    """Decoded where the element type is known."""
    element = _ELEMENTS.get((kind or "").rpartition("x")[2].partition(",")[0])
    if element is None:
        return f'"0x{digits[:16]}… {len(digits) // 2 - 8:,} more bytes …"'
    size = np.dtype(element).itemsize
    count = len(digits) // 2 // size
    numbers = np.frombuffer(bytes.fromhex(digits[: 2 * size * _NUMBERS_SHOWN]), element)
    shown = ", ".join(f"{number:.6g}" for number in numbers.tolist())
    return f"[{shown}, … {count - len(numbers):,} more]"
