"""One HTML page that tells how a layer was compiled. It loads nothing: no network, no scripts."""

from collections.abc import Callable, Sequence
from importlib.resources import files

from sparsert_ir.cost_model.gpu import Product
from sparsert_ir.errors import ArgumentError
from sparsert_ir.kernel import Kernel
from sparsert_ir.layout.dealing import deal_rows
from sparsert_ir.versions import versions
from sparsert_ir.viz.choices import choices
from sparsert_ir.viz.markup import code, facts, prose, table, text
from sparsert_ir.viz.numbers import Numbers, number_facts
from sparsert_ir.viz.panels import panels_figure
from sparsert_ir.viz.pattern import pattern_figure
from sparsert_ir.viz.roofline import predicted_point, roofline_figure
from sparsert_ir.viz.saving import inline_svg
from sparsert_ir.viz.speedup import speedup_figure
from sparsert_ir.viz.walk import Stage, walk

FIGURES = ("pattern", "panels", "roofline", "speedup")


def step_count(kernel: Kernel) -> int:
    """How often `report_page` calls its `step`."""
    return len(kernel.stages) + len(FIGURES)


def report_page(
    kernel: Kernel,
    source: str,
    *,
    full_text: str = "",
    step: Callable[[str], None] = lambda _: None,
) -> str:
    """The page as text: UTF-8, well-formed as XML, too.

    source:    where the weight came from, in words.
    full_text: a command that prints the whole IR of a stage, with STAGE for its name.
    step:      called after each stage and figure, with its name.
    Raises MissingExtraError where matplotlib is not installed, and ArgumentError for a convolution,
    whose time the cost model does not know.
    """
    if kernel.compilation.layer.window is not None:
        raise ArgumentError(
            f"report: expected a kernel of sparsert_ir.compile, got the convolution @{kernel.name};"
            " kernel.ir(stage) and kernel.stats show its stages"
        )
    stages = walk(kernel, step)
    numbers = Numbers.of(kernel)
    title = f"How {source} became @{kernel.name}"
    body = [
        f"<h1>{text(title)}</h1>",
        f'<p class="quiet">{text(_subtitle(kernel))}</p>',
        facts(number_facts(kernel, numbers)),
        *_section("The matrix", [*_matrix(kernel), *_panel_figures(kernel, step)]),
        *_section("The choices", _choices(kernel)),
        *_section("The time", _time(kernel, numbers, step)),
        *_section("The stages", _stages(stages, full_text)),
    ]
    style = files("sparsert_ir.viz").joinpath("page.css").read_text(encoding="utf-8")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{text(title)}</title>",
            f"<style>{style}</style></head>",
            "<body><main>",
            *body,
            "</main></body></html>\n",
        ]
    )


def _subtitle(kernel: Kernel) -> str:
    layer = kernel.compilation.layer
    rows, depth = layer.matrix.shape
    bias = " + bias" if layer.bias is not None else ""
    residual = {"none": "", "before": " + residual", "after": ""}[layer.residual]
    product = f"W[{rows}, {depth}] @ x[{depth}, {kernel.n}]{bias}{residual}"
    if layer.activation is not None:
        product = f"{layer.activation}({product})"
    after = " + residual" if layer.residual == "after" else ""
    return (
        f"y[{rows}, {kernel.n}] = {product}{after}, {layer.dtype}, for {kernel.target}."
        f" Made by sparsert_ir {versions(driver=False)['sparsert_ir']}."
    )


def _section(name: str, parts: Sequence[str]) -> list[str]:
    return ["<section>", f"<h2>{text(name)}</h2>", *parts, "</section>"]


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{prose(caption)}</figcaption></figure>"


def _matrix(kernel: Kernel) -> list[str]:
    from sparsert_ir.tuner.record import matrix_digest

    matrix = kernel.compilation.layer.matrix
    lengths = matrix.row_lengths
    mean = float(lengths.mean())
    pairs = [
        ("shape", f"{matrix.shape[0]:,} x {matrix.shape[1]:,}"),
        ("nonzeros", f"{matrix.nonzeros:,} ({1 - matrix.density:.2%} zeros)"),
        (
            "nonzeros per row",
            f"{lengths.min()} to {lengths.max()}, mean {mean:.1f}, standard deviation"
            f" {lengths.std():.1f}",
        ),
        ("empty rows", f"{int((lengths == 0).sum()):,}"),
        ("digest", matrix_digest(matrix)),
    ]
    return [facts(pairs)]


def _panel_figures(kernel: Kernel, step: Callable[[str], None]) -> list[str]:
    matrix, schedule = kernel.compilation.layer.matrix, kernel.schedule
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, schedule)
    why = {
        "code": "Panels that become code get about as many nonzeros each.",
        "data": "Panels that become data hold rows of about the same length, since their rows"
        " advance together.",
    }[schedule.lowering]
    pattern = inline_svg(pattern_figure(matrix, panels), "pattern", "The pattern of the matrix")
    step(FIGURES[0])
    loads = inline_svg(panels_figure(matrix, panels), "panels", "Nonzeros of each panel")
    step(FIGURES[1])
    return [
        _figure(pattern, "Each mark is a nonzero; its colour tells the row panel, whose sums one"
                " thread holds. Large matrices are shown in blocks, the denser the darker."),
        _figure(loads, f"Nonzeros of each panel. {why}"),
    ]  # fmt: skip


def _choices(kernel: Kernel) -> list[str]:
    asked_for = kernel.compilation.lowering_reason == "as asked for"
    words = (
        "Lowering or schedule were asked for; what was left open is the cost model's choice."
        if asked_for
        else "The cost model chose them, before anything ran; `sparsert tune` measures others."
    )
    rows = [
        [f"<code>{text(one.knob)}</code>", text(one.value), prose(one.meaning), prose(one.here)]
        for one in choices(kernel)
    ]
    return [
        f"<p>{prose(words)}</p>",
        table(["knob", "value", "what it decides", "here"], rows, wide=True),
    ]


def _time(kernel: Kernel, numbers: Numbers, step: Callable[[str], None]) -> list[str]:
    layer = kernel.compilation.layer
    matrix = layer.matrix
    parts: list[str] = []
    if numbers.floor is None:
        words = f"The model of CPUs gives {numbers.predicted:.2f} us for a call, and no floor."
        parts.append(f"<p>{text(words)}</p>")
    if numbers.parts:
        longest = max(*numbers.parts.values(), numbers.predicted)
        bars = {**numbers.parts, "predicted, all together": numbers.predicted}
        rows = [
            [text(name), f"{us:.2f} us",
             f'<span class="bar" style="width: {8 * us / longest:.2f}rem"></span>']
            for name, us in bars.items()
        ]  # fmt: skip
        parts += [
            "<p>What the cost model weighs. Limits of throughput overlap, so the parts do not add"
            " up; it is good to about a third on an H200 and was not measured elsewhere.</p>",
            table(["limit", "predicted", ""], rows, numbers=[1]),
        ]
        product = Product.of(matrix, kernel.n, layer.dtype)
        point = predicted_point(f"@{kernel.name}", product, kernel.schedule, kernel.target)
        figure = roofline_figure([point], kernel.target, layer.dtype)
        parts.append(
            _figure(
                inline_svg(figure, "roofline", "Roofline with this kernel"),
                "What the GPU can do at most, and this kernel as predicted. Small arrays that stay"
                " in the L2 cache can lie above the line of bytes; a launch costs about 0.8 us,"
                " which keeps small kernels below all lines.",
            )
        )
    step(FIGURES[2])
    figure = speedup_figure(
        matrix.shape, kernel.n, layer.dtype, kernel.target, sparsity=1 - matrix.density
    )
    parts.append(
        _figure(
            inline_svg(figure, "speedup", "Predicted speed-up over dense against sparsity"),
            "Dense time over sparse time for matrices of this shape, predicted, with the schedule"
            " that the cost model chooses at each sparsity. `sparsert bench` measures.",
        )
    )
    step(FIGURES[3])
    return parts


def _stages(stages: Sequence[Stage], full_text: str) -> list[str]:
    rows = [
        [
            f'<a href="#{text(stage.name)}">{text(stage.name)}</a>',
            "" if stage.seconds is None else f"{stage.seconds * 1e3:.1f}",
            "" if stage.operations is None else f"{stage.operations:,}",
            f"{stage.lines:,}",
            f"{stage.size:,}",
        ]
        for stage in stages
    ]
    head = ["stage", "ms", "operations", "lines", "characters"]
    parts = [table(head, rows, numbers=[1, 2, 3, 4])]
    if full_text:
        parts.append(f'<p class="note">Whole texts: <code>{text(full_text)}</code></p>')
    for stage in stages:
        parts.append(f'<h3 id="{text(stage.name)}"><code>{text(stage.name)}</code></h3>')
        parts += [f"<p>{prose(words)}</p>" for words in stage.explanation]
        if stage.changed:
            parts.append(code(stage.shown))
        else:
            parts.append('<p class="quiet">The IR stays as it was after the stage before.</p>')
    return parts
