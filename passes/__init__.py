"""The passes, in the order in which a pipeline runs them, and the named pipelines."""

from collections.abc import Callable
from importlib import import_module

from xdsl.passes import ModulePass

_CLASSES = {
    "sparsert-import-linalg": "import_linalg:ImportLinalg",
    "sparsert-fuse-epilogue": "fuse_epilogue:FuseEpilogue",
    "sparsert-fuse-depthwise": "fuse_depthwise:FuseDepthwise",
    "sparsert-schedule": "schedule:ChooseSchedule",
    "sparsert-partition": "partition:Partition",
    "sparsert-split-k": "split_k:SplitK",
    "sparsert-map-to-gpu": "map_to_gpu:MapToGpu",
    "sparsert-map-data-to-gpu": "map_data_to_gpu:MapDataToGpu",
    "sparsert-map-to-cpu": "map_to_cpu:MapToCpu",
    "sparsert-vectorize": "vectorize:Vectorize",
    "sparsert-stage-x": "stage_x:StageX",
    "sparsert-unroll-pattern": "unroll_pattern:UnrollPattern",
    "sparsert-pack-pattern": "pack_pattern:PackPattern",
    "sparsert-expand": "expand:Expand",
    "sparsert-convert-to-llvm": "convert_to_llvm:ConvertToLLVM",
}


def _loader(place: str) -> Callable[[], type[ModulePass]]:
    module, name = place.split(":")
    return lambda: getattr(import_module(f"{__name__}.{module}"), name)


PASSES: dict[str, Callable[[], type[ModulePass]]] = {
    name: _loader(place) for name, place in _CLASSES.items()
}
"""Pass name -> a function that imports its class."""

PIPELINES: dict[str, str] = {
    "sparsert-gpu-pipeline": (
        "sparsert-import-linalg,sparsert-fuse-epilogue,sparsert-fuse-depthwise,"
        "sparsert-schedule{target=gpu},sparsert-partition,sparsert-split-k,sparsert-map-to-gpu,"
        "sparsert-vectorize,sparsert-stage-x,sparsert-unroll-pattern,sparsert-convert-to-llvm"
    ),
    "sparsert-gpu-data-pipeline": (
        "sparsert-import-linalg,sparsert-fuse-epilogue,sparsert-fuse-depthwise,"
        "sparsert-schedule{target=gpu lowering=data},sparsert-partition,"
        "sparsert-map-data-to-gpu,sparsert-convert-to-llvm"
    ),
    "sparsert-cpu-pipeline": (
        "sparsert-import-linalg,sparsert-fuse-epilogue,sparsert-fuse-depthwise,"
        "sparsert-schedule{target=cpu},sparsert-partition,sparsert-map-to-cpu,"
        "sparsert-pack-pattern,sparsert-convert-to-llvm"
    ),
    "sparsert-cpu-code-pipeline": (
        "sparsert-import-linalg,sparsert-fuse-epilogue,sparsert-fuse-depthwise,"
        "sparsert-schedule{target=cpu lowering=code},sparsert-partition,sparsert-map-to-cpu,"
        "sparsert-unroll-pattern,sparsert-convert-to-llvm"
    ),
}
"""Pipeline name -> passes, in the syntax of `sparsert-opt -p`."""
