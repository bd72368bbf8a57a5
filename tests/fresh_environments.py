"""Each extra alone, in an environment of its own, installed as a user does; what it needs, it has.

    python tests/fresh_environments.py
    python tests/fresh_environments.py viz torch

Needs a package registry, and minutes. `make test-extras` runs it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
PREPARE = (
    "python -c 'import numpy as np; w = np.eye(24, 16, dtype=np.float32);"
    ' np.savez("layer.npz", weight=w, bias=np.ones(24), n=20)\''
)
COMPILE = (
    "sparsert doctor",
    "sparsert compile layer.npz --target cpu -o layer.sparsert",
    "sparsert run layer.sparsert",
    "sparsert compile layer.npz --target sm_90 --emit ptx -o layer.ptx",
    f"sparsert-opt {ROOT}/examples/layer.mlir --sparsert-cpu-pipeline -t report",
)
RUN = {
    "": COMPILE,
    "safetensors": (
        "python -c 'import numpy as np; from safetensors.numpy import save_file;"
        ' save_file({"weight": np.eye(24, 16, dtype=np.float32)}, "w.safetensors")\'',
        "sparsert inspect w.safetensors --key weight",
    ),
    "viz": (
        "sparsert plot layer.npz --kind pattern -o pattern.svg",
        "sparsert report layer.npz --target cpu -o report.html",
    ),
    "torch": (
        "python -W error::UserWarning -c 'import torch, sparsert_ir.torch as s;"
        " m = torch.nn.Sequential(torch.nn.Linear(16, 24), torch.nn.ReLU()).eval();"
        ' f, r = s.sparsify(m, min_sparsity=0, decide_by="sparsity"); x = torch.randn(3, 16);'
        " assert torch.allclose(f(x), m(x), atol=1e-5); print(r)'",
    ),
    "docs": (
        f"mkdocs build --quiet --strict --config-file {ROOT}/mkdocs.yml --site-dir $PWD/site",
    ),
    "test": (f"python -m pytest -q -p no:cacheprovider {ROOT}/tests/test_matrix_files.py",),
}
"""Extra -> what works with it alone."""
REFUSED = {
    "viz": "sparsert plot layer.npz --kind pattern -o p.svg",
    "safetensors": "touch w.safetensors; sparsert inspect w.safetensors",
    "torch": "python -c 'import sparsert_ir.torch'",
}
"""Extra -> what needs it; without it the answer names the extra."""


def shell(line: str, environment: Path, place: Path) -> subprocess.CompletedProcess[str]:
    """Run a line with the programs of an environment, and nothing of this one."""
    path = os.pathsep.join([str(environment / "bin"), "/usr/bin", "/bin"])
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return subprocess.run(
        ["sh", "-c", line],
        cwd=place,
        env={**kept, "PATH": path, "HOME": str(place), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def works(line: str, environment: Path, place: Path) -> None:
    """Ends the program unless the line ends with status 0."""
    done = shell(line, environment, place)
    if done.returncode != 0:
        raise SystemExit(f"{line}\n{done.stdout}{done.stderr}")


def is_refused(line: str, extra: str, environment: Path, place: Path) -> None:
    """Ends the program unless the line fails with a message that names the extra."""
    done = shell(line, environment, place)
    if done.returncode == 0 or f"sparsert_ir[{extra}]" not in done.stderr:
        raise SystemExit(f"{line}: expected an error that names the extra {extra}\n{done.stderr}")


def check(extra: str, place: Path) -> None:
    """Install the package with one extra and use it."""
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    works(f"pip install --quiet '{ROOT}{f'[{extra}]' if extra else ''}'", environment, place)
    works(PREPARE, environment, place)
    for line in RUN[extra]:
        works(line, environment, place)
    for other, line in REFUSED.items():
        if extra in ("", "viz", "torch") and other != extra:
            is_refused(line, other, environment, place)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Install and use each extra alone")
    parser.add_argument("extras", nargs="*", help="default: none at all, then each")
    options = parser.parse_args(arguments)
    for extra in options.extras or RUN:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            check(extra, Path(name))
        print(f"{extra or 'no extra'}: works, {time.monotonic() - begin:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
