"""The pass pipelines of the command line: `name{option=value ...},name,...`."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches

from xdsl.passes import ModulePass, get_pass_option_infos
from xdsl.utils.arg_spec import ArgSpec, parse_pipeline
from xdsl.utils.exceptions import ArgSpecParseError

from sparsert_ir.errors import ArgumentError
from sparsert_ir.passes import PASSES, PIPELINES


def parse_passes(texts: list[str]) -> list[ModulePass]:
    """The passes of one or more pipelines, one after another; names of pipelines stand for theirs.

    xDSL's passes are known too. Raises ArgumentError for what cannot be read.
    """
    return [_make_pass(spec) for text in texts for spec in _expanded(text)]


def parse_specs(text: str) -> list[ArgSpec]:
    """Names with options; ArgumentError where the text is malformed."""
    try:
        return list(parse_pipeline(text))
    except ArgSpecParseError as error:
        _, place, *_, message = (line.strip() for line in str(error).splitlines() if line.strip())
        column = place.rpartition(":")[2]
        raise ArgumentError(f"pipeline {text!r}, column {column}: {message}") from error


def _expanded(text: str) -> Iterator[ArgSpec]:
    for spec in parse_specs(text):
        if spec.name not in PIPELINES:
            yield spec
            continue
        if spec.parameters:
            raise ArgumentError(f"pipeline {spec.name} takes no options, got {spec}")
        yield from parse_specs(PIPELINES[spec.name])


def _make_pass(spec: ArgSpec) -> ModulePass:
    pass_class = _find_pass(spec.name)()
    known = {info.name: info.expected_type for info in get_pass_option_infos(pass_class)}
    for option in spec.parameters:
        if option.replace("-", "_") not in known:
            raise ArgumentError(
                f"pass {spec.name} has no option {option!r}; {_describe_options(known)}"
            )
    try:
        return pass_class.from_spec(spec)
    except ValueError as error:
        wrong = _wrong_option(pass_class, spec)
        problem = str(error) if wrong is None else f"option {wrong} has a value of the wrong type"
        raise ArgumentError(f"pass {spec}: {problem}; {_describe_options(known)}") from error


def _find_pass(name: str) -> Callable[[], type[ModulePass]]:
    if name in PASSES:
        return PASSES[name]
    from xdsl.transforms import get_all_passes

    others = get_all_passes()
    if name in others:
        return others[name]
    close = get_close_matches(name, [*PASSES, *PIPELINES, *others], n=1)
    hint = f"did you mean {close[0]}?" if close else "--list-passes names all"
    raise ArgumentError(f"no pass or pipeline {name!r}; {hint}")


def _wrong_option(pass_class: type[ModulePass], spec: ArgSpec) -> str | None:
    """The option that alone makes the pass refuse its arguments."""
    if pass_class.required_fields():
        return None
    for option, value in spec.parameters.items():
        try:
            pass_class.from_spec(ArgSpec(spec.name, {option: value}))
        except ValueError:
            return option
    return None


def _describe_options(known: dict[str, str]) -> str:
    if not known:
        return "it takes no options"
    return "its options are " + ", ".join(
        f"{name.replace('_', '-')}: {kind}" for name, kind in known.items()
    )
