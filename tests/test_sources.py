"""What the sources of the package never do."""

import ast
from pathlib import Path

import pytest

import sparsert_ir

ROOT = Path(sparsert_ir.__file__).parent
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "marshal.loads", "shelve.open", "subprocess.getoutput", "subprocess.getstatusoutput",
    "torch.load", "tempfile.mktemp",
}  # fmt: skip
"""Functions that run text, or a file's content, as a program."""
NEVER_PICKLED = {"np.load", "numpy.load"}


OWN_PIPES = ROOT / "workers" / "pool.py"
"""Tasks and answers go through pipes between a process and those that it started."""


def sources() -> list[Path]:
    """All modules; `passes` may be a link, which a recursive search does not follow."""
    return sorted({*ROOT.rglob("*.py"), *(ROOT / "passes").glob("*.py")})


def dangers(source: str) -> list[str]:
    """Calls that run a shell or text, or that read pickles."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {word.arg: word.value for word in node.keywords}
            in_shell = "shell" in given and ast.unparse(given["shell"]) != "False"
            pickles = ast.unparse(given.get("allow_pickle", ast.Constant(value=True))) != "False"
            if name in FORBIDDEN or in_shell or (name in NEVER_PICKLED and pickles):
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "os", "subprocess"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += [f"line {node.lineno}: {name}" for name in sorted(names & FORBIDDEN)]
    return found


def test_no_source_runs_a_shell_or_text_or_reads_a_pickle() -> None:
    assert len(sources()) > 100
    found = {path: dangers(path.read_text(encoding="utf-8")) for path in sources()}
    assert [path for path, calls in found.items() if calls] == [OWN_PIPES]
    (only,) = found[OWN_PIPES]
    assert "pickle.loads" in only


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.run('rm x', shell=True)",
        "subprocess.Popen(words, shell=flag)",
        "os.system('rm x')",
        "eval(text)",
        "pickle.loads(data)",
        "from pickle import loads",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_what_would_be_found(source: str) -> None:
    assert dangers(source)


def test_what_would_not_be_found() -> None:
    assert not dangers("np.load(path, allow_pickle=False)\nmodel.eval()\nsubprocess.run([program])")
