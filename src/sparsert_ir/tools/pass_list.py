"""The text of `sparsert-opt --list-passes`."""

import inspect
import re
import textwrap

from xdsl.passes import ModulePass, get_pass_option_infos

from sparsert_ir.passes import PASSES, PIPELINES


def list_passes() -> str:
    """Every pass with what it does and its options, then every pipeline with its passes."""
    lines = ["Passes, in the order of a pipeline (xDSL's own passes are known by name too):"]
    for name, load in PASSES.items():
        pass_class = load()
        lines += ["", f"  {name}", _wrapped(_first_sentence(pass_class))]
        lines += [_wrapped(option) for option in _options(pass_class)]
    lines += ["", "Pipelines:"]
    for name, passes in PIPELINES.items():
        lines += ["", f"  {name}", *(f"      {one}" for one in _split(passes))]
    return "\n".join(lines) + "\n"


def _first_sentence(pass_class: type[ModulePass]) -> str:
    text = " ".join((inspect.getdoc(pass_class) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", text)[0]


def _options(pass_class: type[ModulePass]) -> list[str]:
    return [
        f"{info.name.replace('_', '-')}: {info.expected_type} (default: {info.default_value})"
        for info in get_pass_option_infos(pass_class)
    ]


def _split(pipeline: str) -> list[str]:
    """At the commas outside of options."""
    return re.findall(r"[^,{]+(?:\{[^}]*\})?", pipeline)


def _wrapped(text: str) -> str:
    indent = " " * 6
    return textwrap.fill(text, 96, initial_indent=indent, subsequent_indent=indent)
