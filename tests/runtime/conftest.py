"""Fixtures of the runtime's tests."""

import pytest
from fake_driver import FakeDriver

AXPY_PTX = """
.version 8.0
.target sm_80
.address_size 64

// y = 3 x + residual, for blocks of 128 threads.
.visible .entry axpy(.param .u64 x_pointer, .param .u64 r_pointer, .param .u64 y_pointer)
{
    .reg .b32 %block, %thread, %index;
    .reg .b64 %x, %r, %y, %offset;
    .reg .f32 %a, %b;
    ld.param.u64 %x, [x_pointer];
    ld.param.u64 %r, [r_pointer];
    ld.param.u64 %y, [y_pointer];
    mov.u32 %block, %ctaid.x;
    mov.u32 %thread, %tid.x;
    mad.lo.s32 %index, %block, 128, %thread;
    mul.wide.u32 %offset, %index, 4;
    add.s64 %x, %x, %offset;
    add.s64 %r, %r, %offset;
    add.s64 %y, %y, %offset;
    ld.global.nc.f32 %a, [%x];
    ld.global.nc.f32 %b, [%r];
    fma.rn.f32 %a, %a, 0f40400000, %b;
    st.global.f32 [%y], %a;
    ret;
}
"""


@pytest.fixture
def axpy_ptx() -> str:
    """The kernel @axpy, y = 3 x + residual in f32, one thread per element, 128 in a block."""
    return AXPY_PTX


@pytest.fixture
def fake_driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A driver that only remembers, and a GPU of architecture sm_90."""
    driver = FakeDriver(monkeypatch)
    driver.install()
    return driver
