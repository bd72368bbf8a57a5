"""`SparseLinear` and `SparseConv2d` are torch's layers, in eager mode, compiled and copied."""

import copy
import threading
from importlib import import_module
from io import BytesIO
from typing import Any

import pytest

import sparsert_ir
from sparsert_ir.errors import ArgumentError, CallError, MatrixError
from sparsert_ir.runtime.device import Gpu

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed (extra: torch); sparsert_ir.torch is not tested"
)
sparse: Any = import_module("sparsert_ir.torch")
models: Any = import_module("torch_models")
framework: Any = import_module("sparsert_ir.torch.framework")
prune: Any = import_module("torch.nn.utils.prune")
nn: Any = torch.nn

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
]


@pytest.fixture(autouse=True)
def inference() -> Any:
    with torch.no_grad():
        yield


def linear(**options: Any) -> tuple[Any, Any]:
    """A pruned Linear of 24 -> 40 and its sparse form."""
    dense = models.pruned(nn.Linear(24, 40))
    return dense, sparse.SparseLinear.from_linear(dense, **options)


@pytest.mark.parametrize(
    "shape", [(24,), (1, 24), (7, 24), (2, 5, 24), (2, 3, 4, 24), (0, 24), (2, 0, 24)], ids=str
)
@pytest.mark.parametrize("n_step", [1, 4])
def test_any_leading_dimensions(shape: tuple[int, ...], n_step: int) -> None:
    dense, layer = linear(n_step=n_step)
    x = models.whole_numbers(shape)
    assert torch.equal(layer(x), dense(x))


def test_inputs_that_are_not_contiguous() -> None:
    dense, layer = linear()
    x = models.whole_numbers((24, 6)).t()
    assert torch.equal(layer(x), dense(x))
    assert torch.equal(layer(x[::2]), dense(x[::2]))


def test_relu_in_the_kernel() -> None:
    dense, layer = linear(activation="relu")
    x = models.whole_numbers((9, 24))
    assert torch.equal(layer(x), dense(x).relu())


def test_no_bias() -> None:
    dense = models.pruned(nn.Linear(24, 40, bias=False))
    x = models.whole_numbers((3, 24))
    assert torch.equal(sparse.SparseLinear.from_linear(dense)(x), dense(x))


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_narrow_element_types(dtype: str) -> None:
    kind = framework.TENSOR_TYPES[dtype]
    dense = models.pruned(nn.Linear(24, 40))
    x = models.whole_numbers((3, 24))
    layer = sparse.SparseLinear.from_linear(dense.to(kind))
    y = layer(x.to(kind))
    assert y.dtype is kind
    assert torch.equal(y, dense.float()(x).to(kind))
    matrix = sparsert_ir.compile(dense, 3, dtype=dtype, target="cpu")  # pyright: ignore
    product = matrix(x.to(kind).t().contiguous())
    bias = dense.bias.detach().float().numpy()
    wide = torch.from_numpy(product.astype("float32") + bias[:, None])
    assert torch.equal(wide.to(kind).t(), y)


def test_results_feed_the_next_layer_without_a_copy() -> None:
    _, first = linear()
    y = first(models.whole_numbers((6, 24)))
    assert y.t().is_contiguous()
    assert y.reshape(-1, 40).t().contiguous().data_ptr() == y.data_ptr()


def test_a_layer_pruned_by_torch() -> None:
    dense = models.pruned(nn.Linear(24, 40), 0.0)
    prune.l1_unstructured(dense, "weight", amount=0.75)
    layer = sparse.SparseLinear.from_linear(dense)
    x = models.whole_numbers((5, 24))
    assert layer.layer.matrix.nonzeros == 240
    assert torch.equal(layer(x), dense(x))


def test_beyond_the_limit_columns_are_rounded_up() -> None:
    dense, layer = linear(max_kernels=2)
    for n in (1, 2, 1, 3, 16, 9, 17, 32, 2):
        x = models.whole_numbers((n, 24))
        assert torch.equal(layer(x), dense(x))
    assert layer.kernels.shapes == ((24, 1), (24, 2), (24, 16), (24, 32))
    assert layer.kernels.compiled == 4


def test_however_n_varies_few_kernels_are_compiled() -> None:
    layers: Any = import_module("sparsert_ir.torch.layer")
    rounded = {layers.rounded_columns(n) for n in range(1, 4097)}
    assert len(rounded) == 28
    for n in range(1, 4097):
        wide = layers.rounded_columns(n)
        assert n <= wide <= max(n + 15, 1.25 * n)
        assert layers.rounded_columns(wide) == wide


def test_rounded_columns_with_a_residual() -> None:
    dense = models.pruned(nn.Conv2d(16, 8, 1), 0.6)
    layer = sparse.SparseConv2d.from_conv(dense, residual=True, max_kernels=1)
    for size in (2, 3, 4):
        x = models.whole_numbers((2, 16, size, size))
        residual = models.whole_numbers((2, 8, size, size))
        assert torch.equal(layer(x, residual), dense(x) + residual)
    assert layer.kernels.shapes == ((16, 4), (16, 16))


def test_kernels_for_images_are_dropped_beyond_the_limit() -> None:
    """Pixels cannot be added to them; the one that was used longest ago goes."""
    dense = models.pruned(nn.Conv2d(16, 8, 3), 0.6)
    layer = sparse.SparseConv2d.from_conv(dense, max_kernels=2)
    for images in (1, 2, 1, 3, 1):
        x = models.whole_numbers((images, 16, 5, 5))
        assert torch.equal(layer(x), dense(x))
    assert layer.kernels.shapes == ((3, 16, 5, 5), (1, 16, 5, 5))
    assert layer.kernels.compiled == 3
    layer(models.whole_numbers((2, 16, 5, 5)))
    assert layer.kernels.compiled == 4


def test_preparing_beyond_the_limit() -> None:
    dense, layer = linear(max_kernels=1)
    for n, compiled in ((3, 1), (5, 1), (11, 0), (3, 0)):
        x = models.whole_numbers((n, 24))
        assert sparse.prepare(layer, x) == compiled
        assert torch.equal(layer(x), dense(x))
    assert layer.kernels.shapes == ((24, 3), (24, 16))


def test_rounding_up_makes_fewer_kernels() -> None:
    _, layer = linear(n_step=16)
    for n in (3, 16, 9, 17):
        assert layer(models.whole_numbers((n, 24))).shape == (n, 40)
    assert layer.kernels.shapes == ((24, 16), (24, 32))


def test_kernels_use_one_thread_if_torch_does() -> None:
    dense, layer = linear()
    x = models.whole_numbers((64, 24))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(layer(x), dense(x))
        assert layer.kernels.serve((24, 64), x.device).kernel.threads == 1
    finally:
        torch.set_num_threads(threads)
    assert layer.kernels.compiled == 1


def test_threads_share_one_compilation() -> None:
    dense, layer = linear()
    x = models.whole_numbers((11, 24))
    expected, results = dense(x), [torch.empty(0)] * 4

    def call(place: int) -> None:
        results[place] = layer(x)

    threads = [threading.Thread(target=call, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(result, expected) for result in results)
    assert layer.kernels.compiled == 1


CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "1x1": {"kernel_size": 1},
    "1x1 with strides": {"kernel_size": 1, "stride": (2, 3)},
    "1x1 padded": {"kernel_size": 1, "padding": 1},
    "3x3": {"kernel_size": 3, "padding": 1},
    "3x3 with strides": {"kernel_size": 3, "stride": 2, "padding": (1, 0)},
    "same, even": {"kernel_size": (2, 4), "padding": "same"},
    "valid": {"kernel_size": 3, "padding": "valid", "bias": False},
    "dilated groups": {"kernel_size": 3, "padding": "same", "dilation": 2, "groups": 4},
    "depthwise": {"kernel_size": 3, "padding": 1, "groups": 16},
}


@pytest.mark.parametrize("what", CONVOLUTIONS)
@pytest.mark.parametrize("images", [1, 3])
def test_convolutions(what: str, images: int) -> None:
    dense = models.pruned(nn.Conv2d(16, 32, **CONVOLUTIONS[what]), 0.6)
    layer = sparse.SparseConv2d.from_conv(dense, activation="relu")
    x = models.whole_numbers((images, 16, 9, 7))
    y = layer(x)
    assert torch.equal(y, dense(x).relu())
    assert layer.kernels.layer.result_shape(_inner(layer, x)) == _inner(layer, y)
    assert torch.equal(layer(x[0]), y[0])
    assert torch.equal(layer(x.to(memory_format=torch.channels_last)), y)


@pytest.mark.parametrize("what", CONVOLUTIONS)
@pytest.mark.parametrize("place", ["before", "after"])
def test_convolutions_with_a_residual(what: str, place: Any) -> None:
    dense = models.pruned(nn.Conv2d(16, 32, **CONVOLUTIONS[what]), 0.6)
    layer = sparse.SparseConv2d.from_conv(dense, activation="relu", residual=place)
    x = models.whole_numbers((2, 16, 9, 7))
    y = dense(x)
    residual = models.whole_numbers(tuple(y.shape), seed=3)
    expected = (y + residual).relu() if place == "before" else y.relu() + residual
    assert torch.equal(layer(x, residual), expected)
    assert torch.equal(layer(x, residual.to(memory_format=torch.channels_last)), expected)
    assert torch.equal(layer(x[1], residual[1]), expected[1])
    wide = residual[:1, :, :1]
    expected = (y + wide).relu() if place == "before" else y.relu() + wide
    assert torch.equal(layer(x, wide), expected)


def _inner(layer: Any, tensor: Any) -> tuple[int, ...]:
    """The shape that the operator sees; for strides, of what it is not told about."""
    if not layer.is_product:
        return tuple(tensor.shape)
    pixels = layer(torch.zeros(1, 16, 9, 7))[0, 0].numel()
    return (tensor.shape[0], tensor.shape[1], pixels)


def test_operators_pass_the_checks_of_torch() -> None:
    _, layer = linear()
    conv = sparse.SparseConv2d.from_conv(models.pruned(nn.Conv2d(16, 8, 3), 0.7))
    operators = torch.ops.sparsert_ir
    for x in (models.whole_numbers((24, 5)), models.whole_numbers((2, 24, 5))):
        torch.library.opcheck(operators.spmm.default, (x, layer.key))
    x = models.whole_numbers((2, 16, 5, 6))
    torch.library.opcheck(operators.conv2d.default, (x, conv.key))
    adds = sparse.SparseConv2d.from_conv(models.pruned(nn.Conv2d(16, 8, 3), 0.7), residual=True)
    residual = models.whole_numbers((2, 8, 3, 4))
    torch.library.opcheck(operators.conv2d.default, (x, adds.key, residual))


@pytest.mark.parametrize("n_step", [1, 8])
def test_torch_compile_makes_one_graph(n_step: int) -> None:
    dense = nn.Sequential(models.pruned(nn.Linear(24, 40)), nn.ReLU(), nn.Linear(40, 8)).eval()
    fast = copy.deepcopy(dense)
    fast[0] = sparse.SparseLinear.from_linear(dense[0], n_step=n_step)
    compiled = torch.compile(fast, fullgraph=True, backend="aot_eager")
    for n in (3, 5, 9):
        x = models.whole_numbers((2, n, 24))
        torch.testing.assert_close(compiled(x), dense(x))


def test_torch_compile_of_a_convolution() -> None:
    dense = models.pruned(nn.Conv2d(16, 8, 3, padding=1), 0.7)
    layer = sparse.SparseConv2d.from_conv(dense)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = models.whole_numbers((1, 16, 6, 6))
    assert torch.equal(compiled(x), dense(x))


@pytest.mark.parametrize("size", [1, 3])
def test_torch_compile_of_a_residual(size: int) -> None:
    dense = models.pruned(nn.Conv2d(16, 16, size, padding=size // 2), 0.7)
    layer = sparse.SparseConv2d.from_conv(dense, residual="before", activation="relu")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for images in (1, 2, 3):
        x = models.whole_numbers((images, 16, 6, 6))
        assert torch.equal(compiled(x, x), torch.relu(dense(x) + x))


class Told:
    """What `prepare` tells about its progress."""

    def __init__(self) -> None:
        self.numbers: list[tuple[int, int]] = []

    def tell(self, done: int, count: int) -> None:
        self.numbers.append((done, count))


def test_preparing_compiles_what_a_call_needs() -> None:
    point = sparse.SparseConv2d.from_conv(models.pruned(nn.Conv2d(8, 16, 1, stride=2)))
    full = sparse.SparseConv2d.from_conv(models.pruned(nn.Conv2d(16, 8, 3), 0.7))
    last = sparse.SparseLinear.from_linear(models.pruned(nn.Linear(24, 40)), n_step=16)
    model = nn.Sequential(point, full, nn.Flatten(0, 2), nn.Linear(3, 24), last).eval()
    x = models.whole_numbers((2, 8, 9, 9))
    told = Told()
    assert sparse.prepare(model, x, progress=told.tell) == 3
    assert told.numbers == [(1, 3), (2, 3), (3, 3)]
    assert sparse.prepare(model, x) == 0
    made = [layer.kernels.compiled for layer in (point, full, last)]
    assert model(x).shape == (48, 40)
    assert [layer.kernels.compiled for layer in (point, full, last)] == made


def test_preparing_a_model_that_looks_at_numbers_is_refused() -> None:
    class Looking(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(ArgumentError, match="runs on shapes alone"):
        sparse.prepare(Looking(), torch.ones(2))


def test_copies_and_pickles_hold_the_matrix() -> None:
    _, layer = linear(activation="relu", max_kernels=3)
    x = models.whole_numbers((2, 24))
    stored = BytesIO()
    torch.save(layer, stored)
    stored.seek(0)
    for other in (copy.deepcopy(layer), torch.load(stored, weights_only=False)):
        assert torch.equal(other(x), layer(x))
        assert other.kernels is layer.kernels


def test_state_of_another_matrix_is_refused() -> None:
    _, layer = linear()
    other = sparse.SparseLinear.from_linear(models.pruned(nn.Linear(24, 40), seed=5))
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(ArgumentError, match="state: expected that of the layer"):
        layer.load_state_dict(other.state_dict())


def test_there_is_no_gradient() -> None:
    _, layer = linear()
    with torch.enable_grad():
        y = layer(models.whole_numbers((2, 24)).requires_grad_())
        with pytest.raises(CallError, match="for inference only"):
            y.sum().backward()
    assert not list(layer.parameters())


def test_wrong_calls_are_refused() -> None:
    _, layer = linear()
    conv = sparse.SparseConv2d.from_conv(models.pruned(nn.Conv2d(16, 8, 3), 0.7))
    operators = torch.ops.sparsert_ir
    with pytest.raises(CallError, match=r"expected torch.float32, got torch.float64"):
        layer(torch.zeros(2, 24, dtype=torch.float64))
    with pytest.raises(CallError, match=r"expected shape \(24, N\)"):
        operators.spmm(torch.zeros(23, 2), layer.key)
    with pytest.raises(CallError, match="expected the key"):
        operators.spmm(torch.zeros(24, 2), "none")
    with pytest.raises(CallError, match=r"expected shape \(B, 16, height, width\)"):
        conv(torch.zeros(1, 15, 6, 6))
    with pytest.raises(CallError, match=r"expected shape \(B, I, height, width\)"):
        conv(torch.zeros(16, 6))
    with pytest.raises(CallError, match="residual: expected none, got one"):
        conv(torch.zeros(1, 16, 6, 6), torch.zeros(1, 8, 4, 4))
    adds = sparse.SparseConv2d.from_conv(models.pruned(nn.Conv2d(16, 8, 3), 0.7), residual=True)
    with pytest.raises(
        CallError, match=r"residual: expected one of shape \(1, 8, 4, 4\).*got none"
    ):
        adds(torch.zeros(1, 16, 6, 6))
    for shape in ((1, 8, 4, 3), (1, 1, 8, 4, 4)):
        with pytest.raises(
            CallError, match=r"residual: expected shape \(1, 8, 4, 4\), or one that"
        ):
            adds(torch.zeros(1, 16, 6, 6), torch.zeros(shape))
    with pytest.raises(CallError, match=r"residual: expected torch.float32, got torch.float16"):
        adds(torch.zeros(1, 16, 6, 6), torch.zeros(1, 8, 4, 4).half())
    with pytest.raises(CallError, match=r"residual: expected shape \(1, 8, 4, 4\) on cpu, got"):
        operators.conv2d(torch.zeros(1, 16, 6, 6), adds.key, torch.zeros(8, 4, 4))
    with pytest.raises(CallError, match="NVIDIA GPU, got device xpu"):
        layer.kernels.serve((24, 1), torch.device("xpu"))


def test_element_types_may_be_torchs() -> None:
    narrow = sparse.SparseLinear.from_linear(nn.Linear(2, 2), dtype=torch.float16)
    assert "dtype='f16'" in repr(narrow)
    named, expected = (
        sparsert_ir.compile(torch.eye(4), 2, dtype=dtype, target="cpu")
        for dtype in (torch.bfloat16, "bf16")
    )
    assert named.ir("input") == expected.ir("input")


def test_wrong_modules_are_refused() -> None:
    make: Any = sparse.SparseLinear.from_linear
    with pytest.raises(ArgumentError, match=r"expected a torch.nn.Linear, got Conv2d"):
        make(nn.Conv2d(2, 2, 1))
    with pytest.raises(ArgumentError, match=r"expected a torch.nn.Conv2d, got Linear"):
        sparse.SparseConv2d.from_conv(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match=r"got torch\.float64"):
        make(nn.Linear(2, 2).double())
    with pytest.raises(ArgumentError, match="dtype: expected"):
        make(nn.Linear(2, 2), dtype="f64")
    with pytest.raises(ArgumentError, match="activation: expected"):
        make(nn.Linear(2, 2), activation="gelu")
    with pytest.raises(ArgumentError, match="max_kernels: expected"):
        make(nn.Linear(2, 2), max_kernels=0)
    with pytest.raises(ArgumentError, match="n_step: expected"):
        make(nn.Linear(2, 2), n_step=0)
    with pytest.raises(ArgumentError, match="padding_mode: expected"):
        sparse.SparseConv2d.from_conv(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ArgumentError, match='residual: expected False, True, "before" or "after"'):
        sparse.SparseConv2d.from_conv(nn.Conv2d(2, 2, 3), residual="during")
    broken = nn.Linear(2, 2)
    broken.weight.fill_(torch.inf)
    with pytest.raises(MatrixError, match="finite"):
        make(broken)


@pytest.fixture
def cuda(gpu: Gpu) -> Any:
    """torch's device for the first GPU."""
    if not torch.cuda.is_available():
        pytest.skip("torch was built without CUDA")
    return torch.device("cuda", gpu.ordinal)


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_linear_on_a_gpu(cuda: Any, dtype: str) -> None:
    dense, layer = linear(dtype=dtype, activation="relu")
    tensor = models.whole_numbers((2, 9, 24))
    x = tensor.to(cuda, framework.TENSOR_TYPES[dtype])
    assert torch.equal(layer(x).cpu().float(), dense(tensor).relu())
    assert torch.equal(layer(x[0, :1]).cpu().float(), dense(tensor[0, :1]).relu())


def test_workers_build_kernels() -> None:
    building: Any = import_module("sparsert_ir.torch.prepare")
    pools: Any = import_module("sparsert_ir.workers.pool")
    dense, layer = linear()
    job = building.KernelJob(layer.layer, (24, 5), "cpu", 0, 0)
    with pools.WorkerPool(building.build_kernel, 1, 120.0) as pool:
        (done,) = pool.run([job])
    assert done.value is not None, done.failure
    x = models.whole_numbers((5, 24))
    y = done.value.load_on_cpu()(x.t().contiguous().numpy())
    assert torch.equal(torch.from_numpy(y).t(), dense(x))


def test_preparing_for_a_gpu(cuda: Any) -> None:
    dense, layer = linear()
    x = models.whole_numbers((5, 24))
    told = Told()
    assert sparse.prepare(layer, x.to(cuda), workers=1, progress=told.tell) == 1
    assert told.numbers == [(1, 1)]
    assert layer.kernels.compiled == 0
    assert torch.equal(layer(x.to(cuda)).cpu(), dense(x))
    assert layer.kernels.compiled == 0


@pytest.mark.parametrize("what", CONVOLUTIONS)
def test_convolutions_on_a_gpu(cuda: Any, what: str) -> None:
    dense = models.pruned(nn.Conv2d(16, 32, **CONVOLUTIONS[what]), 0.6)
    layer = sparse.SparseConv2d.from_conv(dense, activation="relu")
    # 63 pixels: the second image begins at an address that no kernel can load from.
    x = models.whole_numbers((3, 16, 9, 7))
    assert torch.equal(layer(x.to(cuda)).cpu(), dense(x).relu())


def test_cuda_graphs_record_layers(cuda: Any) -> None:
    dense, layer = linear(max_kernels=1)
    x = models.whole_numbers((5, 24)).to(cuda)
    graph = torch.cuda.CUDAGraph()
    refusal = pytest.raises(CallError, match="before a CUDA graph is recorded")
    with refusal, torch.cuda.graph(torch.cuda.CUDAGraph()):
        layer(x)
    layer(x)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        y = layer(x)
    # The kernel of the graph is dropped from the kernels that are kept, and still runs.
    layer(models.whole_numbers((6, 24)).to(cuda))
    other = models.whole_numbers((5, 24), seed=9)
    x.copy_(other)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(y.cpu(), dense(other))


def test_torch_compile_with_cuda_graphs(cuda: Any) -> None:
    dense, layer = linear()
    compiled = torch.compile(layer, fullgraph=True, mode="reduce-overhead")
    x = models.whole_numbers((5, 24))
    for _ in range(4):
        assert torch.equal(compiled(x.to(cuda)).cpu(), dense(x))
