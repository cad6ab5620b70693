"""Data, train and deploy items: what the typed program holds for what a spec says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.driver import check, check_source
from compiler.ir.evaluate import evaluate
from compiler.ir.weights import draw_weights
from compiler.program.train import Clip
from compiler.report.diagnostics import Message, Severity, Sink
from compiler.report.source import Source
from compiler.rows.loading import load_data
from compiler.rows.validation import validate_data
from compiler.training.adam import AdamW
from compiler.training.classification import Accuracy, BinaryAccuracy, TopK
from compiler.training.regression import R2, BatchMean, Mean
from compiler.training.schedules import Cosine, Step
from compiler.training.sgd import Sgd
from compiler.vocabulary.duration import Duration
from tests.checking import check_text

NET = """
model Net(classes: int = 10, width: int = 32) {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(width) as stem -> relu -> dense(classes) as head
}
"""
DIGITS = """
data digits(scale: float = 16.0) {
    source sklearn("digits")
    image = image / scale
    split random(seed=3, stratify=label), train=80%, val=10%, test=10%
}
"""
MINIMIZE = "minimize cross_entropy(logits, label) with adamw(lr=1e-3)"


def train_text(*clauses: str, head: str = "train fit of Net on digits") -> str:
    lines = "".join(f"    {clause}\n" for clause in clauses)
    return f"{NET}{DIGITS}\n{head} {{\n{lines}    batch 64  epochs 5\n}}\n"


# --- trains -------------------------------------------------------------------------------------


def test_train_of_a_model() -> None:
    head = "train fit(lr: float = 3e-3, width: int = 16) of Net(width=width) on digits"
    program = check_text(
        train_text(
            "minimize cross_entropy(logits, label) with adamw(lr=lr, schedule=cosine(warmup=5%))",
            "metric accuracy = accuracy(logits, label)",
            "metric top = top_k(logits, label, k=3)",
            "seed 7  precision bf16  clip 1.0",
            'layout "channels_last"',
            "until stalled(val.accuracy, epochs=8)",
            head=head,
        )
    )
    train = program.trains["fit"]
    assert (train.batch, train.epochs, train.seed) == (64, 5, 7)
    assert (train.precision, train.clip, train.layout) == (
        "bf16",
        Clip("norm", 1.0),
        "channels_last",
    )
    (group,) = train.groups
    assert group.optimizer == AdamW(lr=3e-3, schedule=Cosine(Duration(0.05, "share")))
    assert group.patterns == ()
    accuracy, top = train.metrics
    assert (accuracy.metric, accuracy.arguments) == (Accuracy(1), ("logits", "label"))
    assert top.metric == TopK(3, 1)
    assert train.until is not None
    assert (train.until.split, train.until.metric, train.until.epochs) == ("val", "accuracy", 8)
    (net,) = train.nets
    assert (net.name, net.prefix, net.net.model) == ("fit", "", "Net")
    assert net.net.graph.parameter["stem.weight"].value.type.known_shape == (16, 64)
    assert [o.name for o in train.graph.outputs] == ["loss", "logits", "label"]
    assert [i.name for i in train.graph.inputs] == ["image", "label"]
    paths = {p.path for p in train.graph.parameters}
    assert paths == {p.path for p in net.net.graph.parameters}


def test_the_step_computes_the_loss() -> None:
    program = check_text(train_text(MINIMIZE, "metric accuracy = accuracy(logits, label)"))
    train = program.trains["fit"]
    weights = draw_weights(train.graph, 0)
    image = np.random.default_rng(0).normal(size=(5, 8, 8)).astype(np.float32)
    label = np.arange(5)
    results = evaluate(train.graph, weights, {"image": image, "label": label})
    alone = evaluate(train.nets[0].net.graph, weights, {"image": image})
    np.testing.assert_array_equal(results["logits"], alone["logits"])
    scores = alone["logits"].astype(np.float64)
    expected = np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(5), label])
    assert results["loss"] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_array_equal(results["label"], label)


def test_inputs_from_named_columns() -> None:
    head = "train fit of Net(image=pixels, classes=12) on digits"
    text = train_text(MINIMIZE, head=head).replace(
        "    image = image / scale", "    pixels = image / scale"
    )
    text += "deploy fit as onnx { preprocess digits }\n"
    program = check_text(text)
    step = program.trains["fit"].graph
    assert [i.name for i in step.inputs] == ["label", "pixels"]
    assert program.trains["fit"].nets[0].net.graph.outputs[0].value.type.known_shape is None
    (deploy,) = program.deploys
    assert [i.name for i in deploy.graph.inputs] == ["image"]


def test_nets_in_the_body() -> None:
    program = check_text(
        train_text(
            "net a = Net(width=8)",
            "net b = Net(width=4)",
            'freeze "b.stem"',
            "logits = a(image) + b(image)",
            'minimize cross_entropy(logits, label) with sgd(lr=0.1, momentum=0.9) over "a.head"',
            "    with adamw(lr=1e-3)",
            "metric accuracy = accuracy(logits, label)",
            head="train both on digits",
        )
    )
    train = program.trains["both"]
    assert [(n.name, n.prefix) for n in train.nets] == [("a", "a."), ("b", "b.")]
    assert train.freeze == ("b.stem",)
    head, rest = train.groups
    assert head.optimizer == Sgd(lr=0.1, momentum=0.9)
    assert (head.patterns, rest.patterns) == (("a.head",), ())
    assert "a.stem.weight" in train.graph.parameter
    assert train.metrics[0].arguments == ("logits", "label")


def test_over_before_with_limits_the_whole() -> None:
    program = check_text(
        train_text(
            "net teacher = Net()",
            "net small = Net(width=4)",
            "soft = softmax(teacher(image), axis=-1)",
            "minimize cross_entropy(small(image), soft) over small with adamw(lr=1e-3)",
            head="train student on digits",
        )
    )
    assert program.trains["student"].freeze == ("teacher.*",)


def test_one_net_called_twice_shares_its_weights() -> None:
    program = check_text(
        train_text(
            "net m = Net()",
            "logits = m(image) + m(image * 0.5)",
            MINIMIZE,
            head="train twice on digits",
        )
    )
    train = program.trains["twice"]
    assert len(train.nets) == 1
    assert {p.path for p in train.graph.parameters} == {
        "m.stem.weight",
        "m.stem.bias",
        "m.head.weight",
        "m.head.bias",
    }


def test_a_net_of_the_file_is_trained_under_its_name() -> None:
    text = (
        train_text("logits = start(image)", MINIMIZE, head="train tuned on digits")
        + 'net start = Net() -> load("start.safetensors", except=["head.*"])\n'
    )
    train = check_text(text).trains["tuned"]
    (net,) = train.nets
    assert (net.name, net.prefix) == ("start", "start.")
    assert net.net.loads[0].excluded == ("head.*",)
    of = check_text(
        text.replace("train tuned on digits", "train tuned of start on digits").replace(
            "    logits = start(image)\n", ""
        )
    )
    assert of.trains["tuned"].nets[0].net.loads[0].file == "start.safetensors"


def test_metrics_of_any_value() -> None:
    program = check_text(
        train_text(
            MINIMIZE,
            "metric margin = logits[:, 1] - logits[:, 0]",
            "metric nll = cross_entropy(logits, label)",
        )
    )
    margin, nll = program.trains["fit"].metrics
    assert isinstance(margin.metric, Mean)
    assert isinstance(nll.metric, BatchMean)


def test_binary_accuracy_and_r2_by_shape() -> None:
    text = """
model Net() {
    input features: f32[batch, 30]
    output logit = features -> dense(1) -> squeeze(1)
}
data cancer {
    source sklearn("breast_cancer")
    features = features -> standardize
    target = cast(label, f32)
    split random(seed=0), train=80%, test=20%
}
train fit of Net on cancer {
    minimize bce_with_logits(logit, target) with adamw(lr=1e-3)
    metric accuracy = accuracy(logit, label)
    metric r2 = r2(logit, target)
    batch 32  epochs 2
}
"""
    accuracy, r2 = check_text(text).trains["fit"].metrics
    assert isinstance(accuracy.metric, BinaryAccuracy)
    assert isinstance(r2.metric, R2)


def test_parameters_of_items() -> None:
    text = train_text(MINIMIZE, head="train fit(s: float = 8.0) of Net on digits(scale=s)")
    program = check_text(text)
    own = load_data(program.data["digits"]).columns["image"]
    given = load_data(program.trains["fit"].data).columns["image"]
    np.testing.assert_allclose(given, 2 * own, rtol=1e-6)


def test_schedules_with_units() -> None:
    text = train_text(
        "minimize cross_entropy(logits, label)",
        "    with sgd(lr=0.1, schedule=step(every=30epochs, factor=0.2, warmup=500steps))",
    )
    (group,) = check_text(text).trains["fit"].groups
    schedule = Step(Duration(30, "epochs"), 0.2, Duration(500, "steps"))
    assert group.optimizer == Sgd(lr=0.1, schedule=schedule)


@pytest.mark.parametrize(
    ("scores", "function"),
    [
        ("sigmoid(logits[:, 0])", "sigmoid"),
        ("cast(hard_sigmoid(logits)[:, 0], f32)", "hard_sigmoid"),
        ("softmax(logits, axis=1)[:, 1]", "softmax"),
        ("sigmoid(logits[:, 0]) - 0.5", ""),
        ("cast(sigmoid(logits[:, 0]) > 0.5, f32)", ""),
        ("logits[:, 0]", ""),
    ],
)
@pytest.mark.parametrize("metric", ["accuracy", "binary_accuracy"])
def test_accuracy_of_two_classes_reads_logits(metric: str, scores: str, function: str) -> None:
    use = f"metric right = {metric}({scores}, cast(label > 4, f32))"
    warned = find_warnings(train_text(MINIMIZE, use))
    assert [m.code for m in warned] == (["W1416"] if function else [])
    assert all(f"the result of `{function}`" in m.text.title for m in warned)
    assert all("`p - 0.5`" in str(m.text.help) for m in warned)


@pytest.mark.parametrize(
    ("metric", "count"),
    [
        ("perplexity(softmax(logits, axis=1), label)", 1),
        ("perplexity(log_softmax(logits, axis=1), label)", 0),
        ("accuracy(softmax(logits, axis=1), label)", 0),
    ],
)
def test_perplexity_reads_logits(metric: str, count: int) -> None:
    warned = find_warnings(train_text(MINIMIZE, f"metric figure = {metric}"))
    assert [m.code for m in warned] == ["W1416"] * count


def find_warnings(text: str) -> list[Message]:
    sink = Sink()
    assert check_source(Source("spec.weft", text), sink=sink) is not None
    assert all(m.severity is Severity.WARNING for m in sink.messages), sink.messages
    return list(sink.messages)


# --- deployments --------------------------------------------------------------------------------


def test_deployments() -> None:
    text = (
        train_text(MINIMIZE)
        + """
net fresh = Net(classes=3)
deploy fit as onnx { dynamic batch  opset 22  labels ["{i}" for i in 0..10] }
deploy fit as onnx { fix batch=1 }
deploy fresh as onnx
deploy Net(classes=4) as onnx { outputs logits }
deploy Net as onnx
"""
    )
    deploys = {d.name: d for d in check_text(text).deploys}
    assert list(deploys) == ["fit", "fit_2", "fresh", "Net", "Net_2"]
    assert (deploys["fit"].train, deploys["fit"].net) == ("fit", None)
    assert (deploys["fit"].opset, deploys["fit"].dynamic) == (22, ("batch",))
    assert deploys["fit"].labels == tuple("0123456789")
    assert (deploys["fit_2"].fixed, deploys["fit_2"].dynamic) == ((("batch", 1),), None)
    assert deploys["fresh"].net is not None
    assert str(deploys["fresh"].graph.outputs[0].value.type) == "f32[batch, 3]"
    assert str(deploys["Net"].graph.outputs[0].value.type) == "f32[batch, 4]"
    assert str(deploys["Net_2"].graph.outputs[0].value.type) == "f32[batch, 10]"


def find_error(text: str) -> Message:
    sink = Sink()
    check_source(Source("spec.weft", text), sink=sink)
    (found,) = [m for m in sink.messages if m.severity is Severity.ERROR]
    return found


FLOWERS = """
model Net() {
    input features: f32[batch, 4]
    output BODY
}
data iris {
    source sklearn("iris")
    kind = one_hot(label)
    split random(seed=0), train=80%, val=20%
}
train fit of Net on iris {
    minimize LOSS with adamw(lr=1e-3)
    batch 16  epochs 1
}
"""
ORDER, OTHER = '["setosa", "versicolor", "virginica"]', '["virginica", "setosa", "versicolor"]'


@pytest.mark.parametrize(
    ("body", "loss", "outputs"),
    [
        ("logits = features -> dense(3)", "cross_entropy(logits, label)", ""),
        ("logits = features -> dense(3)", "cross_entropy(logits / 2, cast(kind, f32))", ""),
        ("logs = features -> dense(3) -> log_softmax(axis=1)", "nll(logs, label)", ""),
        (
            "y = features -> dense(3)\n    output p = y -> softmax(axis=1)",
            "cross_entropy(y, label)",
            "outputs p",
        ),
    ],
)
@pytest.mark.parametrize("variant", ["", "variant tiny of fit { apply prune(weights=50%) }\n"])
def test_labels_stand_where_their_classes_do(
    body: str, loss: str, outputs: str, variant: str
) -> None:
    text = FLOWERS.replace("BODY", body).replace("LOSS", loss) + variant
    text += f"deploy {'tiny' if variant else 'fit'} as onnx {{ {outputs}  labels WORDS }}\n"
    check_text(text.replace("WORDS", ORDER))
    check_text(text.replace("WORDS", '["eins", "zwei", "drei"]'))
    check_text(text.replace("WORDS", '["virginica", "setosa", "iris"]'))
    fault = find_error(text.replace("WORDS", OTHER))
    assert fault.code == "W1415"
    assert fault.text.label.endswith("class 0 is `setosa`, not `virginica`")
    assert "`virginica`, `setosa` and `versicolor`" in fault.text.label
    assert str(fault.text.help).endswith("`setosa`, `versicolor` and `virginica`")


@pytest.mark.parametrize(
    ("scores", "target"),
    [("logits", "(label + 1) % 3"), ("logits", "2 - label"), ("flip(logits, axis=1)", "label")],
)
def test_labels_of_codes_that_are_computed_are_the_authors(scores: str, target: str) -> None:
    text = FLOWERS.replace("BODY", "logits = features -> dense(3)")
    text = text.replace("LOSS", f"cross_entropy({scores}, {target})")
    check_text(text + f"deploy fit as onnx {{ labels {OTHER} }}\n")


def test_deployed_net_of_several_is_called_as_it_is_stored() -> None:
    text = train_text(
        "net a = Net(width=8)",
        "net b = Net(width=4)",
        "logits = a(image) + b(image)",
        MINIMIZE,
        head="train both on digits",
    )
    (deploy,) = check_text(text + "deploy both.b as onnx\n").deploys
    assert deploy.name == "both.b"
    assert {p.path for p in deploy.graph.parameters} == {
        "b.stem.weight",
        "b.stem.bias",
        "b.head.weight",
        "b.head.bias",
    }


def test_preprocessing_is_part_of_the_deployed_graph(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "a,b,kind,y\n1,5,x,0\n2,,y,1\n3,7,x,0\n4,9,y,1\n5,2,x,1\n6,3,y,0\n"
    )
    text = """
model Net() {
    input features: f32[batch, 4]
    output logits = features -> dense(2)
}
data table {
    source csv("t.csv")
    features = concat([stack([a, fill(b, "mean")]) -> standardize, one_hot(kind, dtype=f32)])
    split random(seed=0), train=4, test=2
}
train fit of Net on table {
    minimize cross_entropy(logits, y) with adamw(lr=1e-3)
    batch 2  epochs 1
}
deploy fit as onnx { dynamic batch  preprocess table }
"""
    program = check_text(text, folder=str(tmp_path))
    (deploy,) = program.deploys
    inputs = {i.name: str(i.value.type) for i in deploy.graph.inputs}
    assert inputs == {"a": "i64[batch]", "b": "f32[batch]", "kind": "i64[batch]"}
    loaded = load_data(program.data["table"])
    net = program.trains["fit"].nets[0].net
    weights: dict[str, Any] = draw_weights(net.graph, 0)
    fitted = {f"preprocess.{path}": array for path, array in loaded.statistics.items()}
    raw = dict(program.data["table"].source.load(tmp_path))
    columns = {name: raw[name] for name in inputs}
    found = evaluate(deploy.graph, {**weights, **fitted}, columns)
    expected = evaluate(net.graph, weights, {"features": loaded.columns["features"]})
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=1e-6)


@pytest.mark.parametrize(
    ("clauses", "codes"),
    [
        ("dynamic batch", []),
        ("", []),
        ("dynamic batch  fix t=3", []),
        ("dynamic batch  fix t=4", ["W1356"]),
        ("dynamic batch, t", ["W0641"]),
        ("dynamic batch, s", ["W0640"]),
    ],
)
def test_preprocessing_settles_sizes_that_a_net_leaves_open(
    clauses: str, codes: list[str], tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{k},{k % 2}\n" for k in range(40)))
    text = f"""
model Net() {{
    input x: f32[batch, t, 1]
    output logits = mean(x, axis=1) -> dense(2)
}}
data table {{
    source csv("t.csv")
    x = cast(a, f32)[none]
    window 3, ahead=1, target=y
    split in_order, train=70%, test=30%
}}
train fit of Net on table {{
    minimize cross_entropy(logits, y) with adamw(lr=1e-3)
    batch 2  epochs 1
}}
deploy fit as onnx {{ {clauses}  preprocess table }}
"""
    path = tmp_path / "spec.weft"
    path.write_text(text)
    program = check(path, sink=(sink := Sink()))
    assert [m.code for m in sink.messages if m.severity is Severity.ERROR] == codes
    if not codes:
        assert program is not None
        (deploy,) = program.deploys
        assert [str(i.value.type) for i in deploy.graph.inputs] == ["i64[batch, 3]"]
        assert deploy.fixed == ()


def test_a_weight_has_the_name_that_a_value_had() -> None:
    text = (
        "model Net {\n    input image: f32[batch, 8, 8]\n    scale = image -> flatten\n"
        "    h = scale\n    param scale: f32[64] = ones\n"
        "    output logits = (h * scale) -> dense(10)\n"
        '}\ndata digits {\n    source sklearn("digits")\n    image = image / 16\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
        "train fit of Net on digits {\n    minimize cross_entropy(logits, label) with sgd\n"
        "    batch 8  epochs 1\n}\n"
    )
    train = check_text(text).trains["fit"]
    assert "scale" in train.graph.parameter


@pytest.mark.parametrize(
    ("split", "sizes", "layer", "code"),
    [
        ("train=80%, val=20%", "batch 1  epochs 1", "flatten -> batch_norm", "W1361"),
        ("train=1, val=20%", "batch 8  epochs 1", "flatten -> batch_norm", "W1361"),
        ("train=1, val=20%", "batch 8  epochs 1", "batch_norm -> flatten", None),
        ("train=2, val=20%", "batch 8  epochs 1", "flatten -> batch_norm", None),
        ("train=1, val=20%", "batch 1  epochs 1", "flatten -> layer_norm", None),
    ],
)
def test_a_batch_norm_needs_two_values(
    split: str, sizes: str, layer: str, code: str | None
) -> None:
    text = (
        f"model Net {{\n    input image: f32[batch, 8, 8]\n    output logits = image -> {layer}"
        ' -> dense(10)\n}\ndata digits {\n    source sklearn("digits")\n    image = image / 16\n'
        f"    split random(seed=0), {split}\n}}\ntrain fit of Net on digits {{\n"
        f"    minimize cross_entropy(logits, label) with sgd\n    {sizes}\n}}\n"
    )
    sink = Sink()
    program = check_source(Source("spec.weft", text), sink=sink)
    assert program is not None
    if not sink.has_errors:
        validate_data(program.trains["fit"], sink)
    assert [m.code for m in sink.messages] == ([] if code is None else [code])
