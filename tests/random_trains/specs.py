"""Random specs: a data item, one to three models, a train, variants and deployments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from compiler.driver import check_source
from compiler.ir.weights import draw_weights, write_weights
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from tests.random_trains.data import Data, Feature, Target, write_data
from tests.random_trains.scores import Loss, Score, draw_loss, draw_scores, draw_term

ACTS = ("relu", "tanh", "gelu", "silu", "sigmoid", "leaky_relu(0.1)", "softplus", "elu")


@dataclass
class Spec:
    """A spec with what is known of it. `scores` are its metrics by name, `loss` its objective;
    `lines` of the whole text are what a slip changes."""

    text: str
    data: Data
    loss: Loss
    scores: dict[str, Score] = field(default_factory=dict)
    batch: int = 1
    exact: bool = True
    """Whether nothing is trained, stored or computed in fewer bits than 32."""
    tuned: Loss | None = None
    """The objective of the train `tuned`, with the metrics of the other, if there is one."""


START = "start.safetensors"
"""The weights that `net start` loads."""


def write_spec(rng: Random, folder: Path) -> Spec:
    """A spec in a folder with its data files, and the weights that it loads."""
    data = write_data(rng, folder)
    spec = _Writer(rng, data).write()
    if START in spec.text:
        program = check_source(Source(str(folder / "spec.weft"), spec.text), sink=Sink())
        if program is not None and "Net" in program.models:
            graph = program.models["Net"].graph
            write_weights(folder / START, draw_weights(graph, rng.randrange(1000)), {})
    return spec


class _Writer:
    """Writes one spec."""

    def __init__(self, rng: Random, data: Data) -> None:
        self.rng = rng
        self.data = data
        self.target: Target = data.targets[0]
        count = rng.randrange(1, min(2, len(data.features)) + 1)
        self.features: list[Feature] = rng.sample(data.features, count)
        if self.target.kind == "sequence":
            self.features = [f for f in data.features if f.kind == "tokens"]
        elif self.target.name in {f.name for f in self.features}:
            self.features = data.features[:1]
        self.outputs_made = 1
        self.several = rng.random() < 0.2 and self.target.kind != "sequence"
        self.doubled = False

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def write(self) -> Spec:
        """The whole."""
        rng = self.rng
        loss = draw_loss(rng, self.target, self.data)
        scores = draw_scores(rng, self.target, self.data)
        self.batch = rng.choice((4, 8, 8, 16, 16, 32, 100))
        self.precision = rng.choice(("", "", "", "", "", "", "bf16", "f32"))
        models = self.write_models()
        train, loss = self.write_train(loss, scores)
        items = [*models, self.write_data_item(), train, *self.write_files()]
        if not self.several and self.chance(0.15):
            items.append(self.write_student(draw_loss(rng, self.target, self.data).text))
            items.append("deploy student.m as onnx { }" if self.chance(0.5) else "")
        tuned = None
        if not self.several and not self.doubled and self.chance(0.25):
            tuned = draw_loss(rng, self.target, self.data)
            items += self.write_tuned(tuned.text, scores)
        if rng.random() < 0.3:
            rng.shuffle(items)
        text = "\n".join(items) + "\n"
        exact = self.precision != "bf16"
        return Spec(text, self.data, loss, scores, self.batch, exact, tuned)

    def write_data_item(self) -> str:
        return "\n".join(["data rows {", *(f"    {line}" for line in self.data.lines), "}"])

    # --- models -----------------------------------------------------------------------------

    def write_models(self) -> list[str]:
        if not self.several:
            body = [*self.inputs(), *self.trunk(), *self.outputs("h")]
            return [_item(f"model Net(width: int = {self.rng.randrange(3, 9)}) {{", body)]
        body = [*self.inputs(), *self.trunk(), "output h = h -> dense(6) as out"]
        head = ["input h: f32[batch, 6]", *self.outputs("h")]
        return [_item("model Body(width: int = 5) {", body), _item("model Head {", head)]

    def inputs(self) -> Iterator[str]:
        for feature in self.features:
            shape = "".join(f", {size}" for size in feature.shape)
            yield f"input {feature.name}: {feature.dtype}[batch{shape}]"

    def trunk(self) -> Iterator[str]:
        """Statements that make `h` of the inputs: a vector for each row, or for each token."""
        parts = []
        for feature in self.features:
            stages = list(self.stages(feature))
            yield f"{feature.name}_h = {feature.name} -> {' -> '.join(stages)}"
            parts.append(f"{feature.name}_h")
        joined = f"concat([{', '.join(parts)}], axis=1)" if len(parts) > 1 else parts[0]
        yield f"h = {joined}"
        if self.chance(0.3):
            yield f"h = {rng_residual(self.rng)}"

    def stages(self, feature: Feature) -> Iterator[str]:
        rng = self.rng
        match feature.kind:
            case "image":
                for _ in range(rng.randrange(1, 3)):
                    yield 'conv(width, kernel=3, padding="same")'
                    yield from self.between(("batch_norm", "group_norm(1)"))
                yield rng.choice(("global_avg_pool", "max_pool(2) -> flatten", "flatten"))
            case "tokens":
                yield f"embedding({feature.limit}, width)"
                if self.target.kind != "sequence":
                    yield rng.choice(("mean(axis=1)", "max(axis=1)", "flatten"))
            case "token":
                yield f"embedding({feature.limit}, width)"
                yield rng.choice(ACTS)
            case _:
                for _ in range(rng.randrange(1, 3)):
                    yield "dense(width)"
                    yield from self.between(("batch_norm", "layer_norm"))

    def between(self, norms: tuple[str, ...]) -> Iterator[str]:
        rng = self.rng
        if self.chance(0.5):
            yield rng.choice(norms)
        yield rng.choice(ACTS)
        if self.chance(0.2):
            yield f"dropout({rng.choice(('25%', '0.1'))})"

    def outputs(self, h: str) -> Iterator[str]:
        """The output that is scored, and perhaps more."""
        target, rng = self.target, self.rng
        size = {"number": 1, "bit": 1}.get(target.kind, target.size)
        drop = "dropout(10%) -> " if self.chance(0.2) else ""
        yield "param scale: f32[1] = ones"
        yield f"output z = {h} -> {drop}dense({size}) as head"
        first = self.features[0].name if not self.several else "h"
        extras = [
            "output p = sigmoid(z)",
            "output hidden = h",
            f"output same = {first}",
            "output again = z",
            "output fixed = tensor([1.5, 2.5])",
            "output shaped = z -> reshape([batch, -1])",
            f"output moved = {first} -> flatten(0)"
            if self.chance(0.5)
            else "output double = 2 * z",
            "output other = h -> dense(2) -> softmax(axis=-1)",
            "output count = sum(z, axis=0)"
            if self.chance(0.2)
            else "output least = min(z, axis=-1)",
            "output best = argmax(z, axis=-1)",
            "output total = mean(z)",
            "output h2 = h -> reshape([batch, -1])",
        ]
        chosen = rng.sample(extras, rng.randrange(1, 3)) if self.chance(0.5) else []
        self.outputs_made = 1 + len(chosen)
        yield from chosen

    # --- the train --------------------------------------------------------------------------

    def write_train(self, loss: Loss, scores: dict[str, Score]) -> tuple[str, Loss]:
        rng = self.rng
        if self.several:
            width = rng.randrange(3, 7)
            names = ", ".join(f.name for f in self.features)
            head = "train fit on rows {"
            lines = [f"net body = Body(width={width})", "net top = Head()"]
            lines += [f"found = top(body({names}))", "z = found.z"]
            prefix = ("body", "top")
        else:
            given = self.compute_input() if self.chance(0.2) else ""
            head, lines, prefix = f"train fit of Net{given} on rows {{", [], ("fit",)
        weight = "top.scale" if self.several else "fit.scale"
        term = draw_term(rng, weight)
        lines += [self.minimize(loss.text + term.text, prefix)]
        for name, score in scores.items():
            lines.append(f"metric {name} = {score.text}")
        lines += [f"batch {self.batch}", f"epochs {rng.randrange(1, 3)}"]
        lines += [*self.settings(scores, prefix)]
        first, second = loss.value, term.value
        both = (lambda v: first(v) + second(v)) if first and second else None
        return _item(head, lines), Loss(loss.text + term.text, both)

    def compute_input(self) -> str:
        """The arguments of a net whose first input the train computes of the column, where that is
        one of numbers."""
        feature = self.features[0]
        if feature.dtype != "f32":
            return ""
        self.doubled = True
        plain = feature.compute
        place = self.data.features.index(feature)
        twice = replace(feature, compute=lambda raw, train: 2 * plain(raw, train) - 1)
        self.data.features[place] = twice
        return f"({feature.name}=2 * {feature.name} - 1)"

    def write_student(self, loss: str) -> str:
        """A train whose net follows the one that `fit` made."""
        names = ", ".join(f.name for f in self.features)
        lines = ["net teacher = fit", "freeze teacher", "net m = Net(width=4)"]
        lines += [f"z = m({names}).z" if self.outputs_made > 1 else f"z = m({names})"]
        lines += [f"t = teacher({names}).z" if self.outputs_made > 1 else f"t = teacher({names})"]
        lines += [f"minimize {loss} + mse(z, t) over m with adam(lr=1e-2)"]
        lines += ["metric near = mae(z, t)", f"batch {self.batch}", "epochs 1"]
        return _item("train student on rows {", lines)

    def write_tuned(self, loss: str, scores: dict[str, Score]) -> list[str]:
        """A train that goes on with the net that `fit` made, or with one from a file, whole or with
        adapters, and what is deployed of it."""
        rng, items = self.rng, []
        base = rng.choice(("fit", "start"))
        if base == "start":
            options = rng.choice(("", ', except=["head.bias"]', ', only=["head"]'))
            items.append(f'net start = Net() -> load("{START}"{options})')
        if self.chance(0.7):
            options = rng.choice(("", ", alpha=4", ", dropout=10%", ', only=["head"]'))
            options += rng.choice(("", "", ', train=["head.bias"]'))
            base += f" -> lora(rank={rng.randrange(1, 4)}{options})"
        names = ", ".join(f.name for f in self.features)
        lines = [f"net m = {base}", f"z = m({names}){'.z' if self.outputs_made > 1 else ''}"]
        lines.append(f"minimize {loss} with {draw_optimizer(rng)}")
        lines += [f"metric {name} = {score.text}" for name, score in scores.items()]
        lines += [f"batch {self.batch}", "epochs 1"]
        items.append(_item("train tuned on rows {", lines))
        if self.chance(0.7):
            items.append(f"deploy tuned as onnx {{ {rng.choice(('', 'dynamic batch'))} }}")
        return items

    def minimize(self, loss: str, nets: tuple[str, ...]) -> str:
        rng = self.rng
        form = rng.random()
        if form < 0.7:
            return f"minimize {loss} with {draw_optimizer(rng)}"
        last = f"{nets[-1]}.head" if self.several else "head"
        if form < 0.85:
            return (
                f'minimize {loss}\n        with {draw_optimizer(rng)} over "*.bias"\n'
                f"        with {draw_optimizer(rng)}"
            )
        return f'minimize {loss} over "{last}.*" with {draw_optimizer(rng)}'

    def settings(self, scores: dict[str, Score], nets: tuple[str, ...]) -> Iterator[str]:
        rng = self.rng
        head = f"{nets[-1]}.head" if self.several else "head"
        if self.chance(0.8):
            yield f"seed {rng.randrange(100)}"
        if self.precision:
            yield f"precision {self.precision}"
        if self.chance(0.3):
            yield f"clip {rng.choice(('1.0', '0.01', '5'))}"
        if self.chance(0.1):
            yield 'layout "channels_last"'
        if self.chance(0.15):
            yield f'freeze "{head}.bias"'
        if self.chance(0.15):
            yield f'regularize group_lasso({rng.choice(("1e-3", "0.1"))}) over "{head}"'
        splits = [s for s in self.data.splits if s != "train"] or ["train"]
        if self.chance(0.3):
            figures = ["loss", *(name for name, s in scores.items() if s.directed)]
            split = splits[0]
            yield f"until stalled({split}.{rng.choice(figures)}, epochs={rng.randrange(1, 3)})"

    # --- files ------------------------------------------------------------------------------

    def write_files(self) -> list[str]:
        """Variants and deployments."""
        rng = self.rng
        subject = rng.choice(("fit.top", "fit.body")) if self.several else "fit"
        items = []
        shown = subject
        if self.chance(0.15):
            items.append(self.variant(subject))
            shown = "small"
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            items.append(_item(f"deploy {shown} as onnx {{", list(self.deploy(subject))))
        return items

    def variant(self, subject: str) -> str:
        last = "out" if subject == "fit.body" else "head"
        passes = [
            "prune(channels=50%)",
            f'prune(weights=50%, except=["{last}"])',
            "low_rank(rank=2)",
            "quantize(int8)",
            "quantize(stored8)",
            "quantize(float16)",
            "finetune(epochs=1)",
            "distill(epochs=1)",
            "quantize(dynamic)",
            "quantize(weights4)",
            'prune(pattern="2:4")',
            'quantize(stored8, only=["head"])',
        ]
        chosen = self.rng.sample(passes, self.rng.randrange(1, 3))
        lines = [f"apply {' -> '.join(chosen)}", "target cpu(threads=1), batch=2"]
        if self.chance(0.5):
            lines.append(f"require size <= {self.rng.choice(('1MiB', '2 * fit.size'))}")
        return _item(f"variant small of {subject} {{", lines)

    def deploy(self, subject: str) -> Iterator[str]:
        rng = self.rng
        form = rng.random()
        if form < 0.4:
            yield "dynamic batch"
        elif form < 0.5:
            yield f"fix batch={rng.choice((1, 3))}"
        if self.chance(0.3) and not self.several:
            yield "preprocess rows"
        if self.chance(0.3) and not self.several:
            yield "outputs z"
        if self.chance(0.2):
            yield f"opset {rng.randrange(18, 24)}"
        if self.chance(0.2) and subject != "fit.body" and self.target.kind in ("class", "some"):
            names = ", ".join(f'"{n}"' for n in "abcdefghij"[: self.target.size])
            yield f"labels [{names}]"


def rng_residual(rng: Random) -> str:
    """A sum that `h` becomes part of."""
    return rng.choice(
        ("h + (h -> layer_norm)", "h * sigmoid(h)", "(h -> dropout(20%)) + h", "h - 0.5")
    )


def draw_optimizer(rng: Random) -> str:
    """An optimizer with options."""
    options = [f"lr={rng.choice(('1e-3', '1e-2', '0.05'))}"]
    name = rng.choice(("sgd", "adam", "adamw"))
    if name == "sgd" and rng.random() < 0.5:
        options.append("momentum=0.9")
        options += [rng.choice(("nesterov=true", "dampening=0.1"))] if rng.random() < 0.5 else []
    elif name != "sgd" and rng.random() < 0.3:
        options.append(rng.choice(("betas=[0.8, 0.95]", "eps=1e-6", "amsgrad=true")))
    if rng.random() < 0.3:
        options.append(f"weight_decay={rng.choice(('0.1', '0', '1e-4'))}")
    if rng.random() < 0.5:
        options.append(f"schedule={draw_schedule(rng)}")
    return f"{name}({', '.join(options)})"


def draw_schedule(rng: Random) -> str:
    """A schedule of the learning rate."""
    stretch = rng.choice(("10%", "1epoch", "2steps", "50%", "0.5epochs"))
    return rng.choice(
        (
            "cosine",
            f"cosine(warmup={stretch}, minimum=0.1)",
            f"constant(warmup={stretch})",
            f"step(every={stretch}, factor=0.5)",
            f"step({stretch}, warmup=3steps)",
            f"exponential(0.5, every={stretch})",
            "exponential(factor=0.9, warmup=1epoch)",
        )
    )


def _item(head: str, lines: list[str]) -> str:
    return "\n".join([head, *(f"    {line}" for line in lines), "}"])
