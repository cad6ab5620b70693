"""Messages about ONNX files that are measured."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import list_words
from compiler.report.sessions import BUILT, NET, behind, fit
from compiler.report.source import Span


@message(
    "W1215",
    console=fit(behind("deploy fit as onnx { dynamic batch }"))
    + NET
    + """\
$ weft compile net.weft -o out --onnx --no-verify
$ weft eval fit.weft --onnx out/Net.onnx
""",
)
def other_file(
    span: Span | None,
    file: str,
    reasons: tuple[tuple[str, str], ...],  # (deployment, why not)
) -> Text:
    """An ONNX file is not that of a deployment: it holds another net, takes or gives something
    else, or has other labels. Figures of it would not be figures of what the spec deploys, and
    `weft verify` could give it no inputs.

    A file that Weft did not write is held against the inputs, outputs and labels alone.
    """
    names = list_words([name for name, _ in reasons])
    if len(reasons) == 1:
        label = reasons[0][1]
    else:
        label = "; ".join(f"`{name}`: {reason}" for name, reason in reasons)
    return Text(
        f"`{file}` is not a file of {names}",
        label=label,
        help="give the file that `weft build` or `weft compile` makes of the deployment",
    )


@message(
    "W1394",
    console=BUILT
    + """\
$ weft eval fit.weft --onnx out/fit.onnx --set fit.lr=3
""",
    mended="""\
$ weft eval fit.weft --onnx out/fit.onnx
""",
)
def built_otherwise(span: Span | None, file: str, others: tuple[str, ...]) -> Text:
    """An ONNX file was built with other settings than the spec has now, or than `--set` gives: its
    net was trained at another rate, say, or pruned by another share. Figures of it would be taken
    for those of these settings.

    The training beside the file and the record of its build say what the settings were. What is
    measured may be another thing: metrics, columns and the split are compared as well, and named
    beside the figures where they differ.
    """
    return Text(
        f"`{file}` was built with other settings",
        label="; ".join(others),
        help="give the settings that it was built with, or build anew: `weft build`",
    )


@message(
    "W1216",
    console=fit(
        behind(
            "train other of Net on table {",
            "    minimize cross_entropy(y, label) with sgd(lr=0.1)",
            "    batch 4",
            "    epochs 1",
            "}",
            "deploy fit as onnx { dynamic batch }",
            "deploy other as onnx { dynamic batch }",
        )
    )
    + """\
$ weft compile fit.weft -o out --onnx --no-verify --item Net
$ cat foreign.py
import onnx

model = onnx.load("out/Net.onnx")
model.producer_name, model.graph.name = "other", "main_graph"
onnx.save(model, "foreign.onnx")
$ python foreign.py
$ weft eval fit.weft --onnx foreign.onnx
""",
    mended="""\
$ weft eval fit.weft other --onnx foreign.onnx
""",
)
def which_deployment(span: Span | None, file: str, names: tuple[str, ...]) -> Text:
    """An ONNX file may be that of several deployments, whose figures differ: they are of other
    trains or other data."""
    return Text(
        f"`{file}` may be the file of {list_words(names)}",
        label="which of them?",
        help=f"name one of them: `weft eval SPEC {names[0]} --onnx {file}`",
    )
