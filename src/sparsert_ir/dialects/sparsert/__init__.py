"""The `sparsert` dialect: products with a constant sparse matrix, from tensors down to pointers.

tensor   (tensor.py)   `constant`, `spmm`, `conv2d`; the epilogue `bias_add`, `relu`, `residual_add`
         (separable.py) `separable_conv2d`: depthwise, then pointwise
tiled    (tiled.py)    `tiled_spmm`: row panels and K groups decided
thread   (thread.py)   any panel: `panel_product`, `write_panel`; a known panel: `accumulate`,
                       `write_rows`; lanes: `load_columns`, `store_columns`; which columns:
                       `first_column`, `column_tiles`
staging  (staging.py)  copies of x beside other work: `async_copy`, `async_commit`, `async_wait`;
                       `bulk_copy`, `make_signals`, `expect_bytes`, `await_bytes`
cluster  (cluster.py)  sums from block to block: `open_inbox`, `send_columns`, `await_inbox`
pointer  (pointer.py)  `ptr_accumulate`, `ptr_write_rows`: translated to LLVM IR text in bulk

A pattern is never one operation per nonzero: `accumulate` holds a whole run of multiply-adds as
bulk attributes in the order in which they execute. `sparsert-expand` writes them out one by one.
"""

from xdsl.ir import Dialect

from sparsert_ir.dialects.sparsert.attributes import (
    Activation,
    ActivationAttr,
    CSRAttr,
    ScheduleAttr,
    StreamLayoutAttr,
    WindowAttr,
)
from sparsert_ir.dialects.sparsert.checks import lane_element, lane_width
from sparsert_ir.dialects.sparsert.cluster import AwaitInboxOp, OpenInboxOp, SendColumnsOp
from sparsert_ir.dialects.sparsert.pointer import PtrAccumulateOp, PtrWriteRowsOp
from sparsert_ir.dialects.sparsert.separable import SeparableConv2dOp, Untiled, is_depthwise
from sparsert_ir.dialects.sparsert.staging import (
    AsyncCommitOp,
    AsyncCopyOp,
    AsyncWaitOp,
    AwaitBytesOp,
    BulkCopyOp,
    ExpectBytesOp,
    MakeSignalsOp,
)
from sparsert_ir.dialects.sparsert.tensor import (
    BiasAddOp,
    ConstantOp,
    Conv2dOp,
    Product,
    ReluOp,
    ResidualAddOp,
    SpmmOp,
)
from sparsert_ir.dialects.sparsert.thread import (
    AccumulateOp,
    ColumnTilesOp,
    FirstColumnOp,
    LoadColumnsOp,
    PanelProductOp,
    StoreColumnsOp,
    WritePanelOp,
    WriteRowsOp,
)
from sparsert_ir.dialects.sparsert.tiled import TiledSpmmOp

Sparsert = Dialect(
    "sparsert",
    [
        ConstantOp,
        SpmmOp,
        Conv2dOp,
        SeparableConv2dOp,
        BiasAddOp,
        ReluOp,
        ResidualAddOp,
        TiledSpmmOp,
        ColumnTilesOp,
        FirstColumnOp,
        LoadColumnsOp,
        StoreColumnsOp,
        AsyncCopyOp,
        AsyncCommitOp,
        AsyncWaitOp,
        MakeSignalsOp,
        ExpectBytesOp,
        BulkCopyOp,
        AwaitBytesOp,
        PanelProductOp,
        AccumulateOp,
        WritePanelOp,
        WriteRowsOp,
        OpenInboxOp,
        SendColumnsOp,
        AwaitInboxOp,
        PtrAccumulateOp,
        PtrWriteRowsOp,
    ],
    [CSRAttr, ActivationAttr, ScheduleAttr, StreamLayoutAttr, WindowAttr],
)

__all__ = [
    "AccumulateOp",
    "Activation",
    "ActivationAttr",
    "AsyncCommitOp",
    "AsyncCopyOp",
    "AsyncWaitOp",
    "AwaitBytesOp",
    "AwaitInboxOp",
    "BiasAddOp",
    "BulkCopyOp",
    "CSRAttr",
    "ColumnTilesOp",
    "ConstantOp",
    "Conv2dOp",
    "ExpectBytesOp",
    "FirstColumnOp",
    "LoadColumnsOp",
    "MakeSignalsOp",
    "OpenInboxOp",
    "PanelProductOp",
    "Product",
    "PtrAccumulateOp",
    "PtrWriteRowsOp",
    "ReluOp",
    "ResidualAddOp",
    "ScheduleAttr",
    "SendColumnsOp",
    "SeparableConv2dOp",
    "Sparsert",
    "SpmmOp",
    "StoreColumnsOp",
    "StreamLayoutAttr",
    "TiledSpmmOp",
    "Untiled",
    "WindowAttr",
    "WritePanelOp",
    "WriteRowsOp",
    "is_depthwise",
    "lane_element",
    "lane_width",
]
