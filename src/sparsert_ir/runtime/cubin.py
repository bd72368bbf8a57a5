"""What a cubin says about its kernel: an ELF64 file, read without a GPU.

The numbers of attributes in `.nv.info` are not documented by NVIDIA; `cuobjdump -elf` shows them.
"""

import struct
from dataclasses import dataclass

_REGISTER_COUNTS = 0x2F
"""Attribute of `.nv.info`: the number of a symbol, and the registers per thread of its kernel."""
_WITH_SIZE = 4
"""Form of an attribute that is followed by the size of its value, and the value."""


@dataclass(frozen=True)
class _Section:
    name: bytes
    offset: int
    size: int


def code_size(cubin: bytes, entry: str) -> int:
    """Bytes of machine code of a kernel: the size of section .text.`entry`.

    The size of the whole cubin, an upper bound, where it has no such section.
    """
    found = [one.size for one in _sections(cubin) if one.name == f".text.{entry}".encode()]
    return found[0] if found else len(cubin)


def register_count(cubin: bytes) -> int | None:
    """Registers per thread of the only kernel of a cubin; None where that cannot be told."""
    counts: list[int] = []
    for section in _sections(cubin):
        if section.name == b".nv.info":
            counts += _register_counts(cubin[section.offset : section.offset + section.size])
    return counts[0] if len(counts) == 1 else None


def _register_counts(attributes: bytes) -> list[int]:
    counts: list[int] = []
    place = 0
    while place + 4 <= len(attributes):
        form, number, size = struct.unpack_from("<BBH", attributes, place)
        place += 4
        if form != _WITH_SIZE:
            continue
        if number == _REGISTER_COUNTS and size == 8 and place + size <= len(attributes):
            counts.append(struct.unpack_from("<II", attributes, place)[1])
        place += size
    return counts


def _sections(elf: bytes) -> list[_Section]:
    """None of what is no ELF64 file."""
    try:
        table = struct.unpack_from("<Q", elf, 0x28)[0]
        entry_size, count, names_index = struct.unpack_from("<HHH", elf, 0x3A)
        # Of each section header: offset of its name, then address, offset and size of its content.
        headers = [
            struct.unpack_from("<I4xQQQQ", elf, table + index * entry_size)
            for index in range(count)
        ]
    except (OverflowError, struct.error):
        return []
    names = headers[names_index][3] if names_index < count else 0
    return [
        _Section(elf[names + name : elf.find(b"\0", names + name)], offset, size)
        for name, _, _, offset, size in headers
    ]
