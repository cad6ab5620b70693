"""Random networks with frames, hints (some of them wrong), guards, repeats and shared nets."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from compiler.ir.frame import Argument
from compiler.ir.graph import Graph, Value
from compiler.ir.hint import Hint, HintBinary, HintConst, HintName
from compiler.ops.items import SliceItem
from compiler.vocabulary.initializers.drawn import Normal
from compiler.vocabulary.no_default import NO_DEFAULT
from tests.pytorch_sketch import Sketch, Sym, plain

ACTS = ("relu", "silu", "gelu", "tanh", "sigmoid")
Step = Callable[[Sketch, dict[str, Any], Value], Value]


@dataclass
class Template:
    """A random block: steps that take the tensor on, and the calls of inner blocks."""

    name: str
    steps: list[Step]
    calls: int = 0
    shared: dict[str, dict[str, Any]] = field(default_factory=dict)


def make_network(seed: int) -> Graph:
    """A network that is a function of its seed."""
    rng = random.Random(seed)
    make = _Maker(rng, f"Net{seed}", image=rng.random() < 0.7)
    return make.network()


class _Maker:
    def __init__(self, rng: random.Random, name: str, *, image: bool) -> None:
        self.rng = rng
        self.image = image
        self.name = name
        self.templates: list[Template] = []
        self.axis = 1 if image else 2

    # --- the network --------------------------------------------------------------------------

    def network(self) -> Graph:
        rng = self.rng
        width = rng.choice((4, 8, 12))
        sketch = Sketch(self.name, "A random network.", width=width, classes=5)
        shape = ("batch", 3, 6, 6) if self.image else ("batch", "t", 6)
        x = sketch.input("x", *shape)
        for number in range(rng.randint(1, 3)):
            self.templates.append(self.template(number))
        x = self.project(sketch, x, Sym(width, "width"), "stem")
        for number in range(rng.randint(1, 4)):
            template = rng.choice(self.templates)
            x = self.use(sketch, template, x, f"part{number}", 0)
        y = sketch.global_avg_pool(x) if self.image else sketch.mean(x, axis=1)
        if rng.random() < 0.3:
            sketch.output("features", y)
        sketch.output("logits", sketch.dense(y, out=Sym(5, "classes"), name="head"))
        return sketch.graph()

    def use(self, sketch: Sketch, template: Template, x: Value, name: str, depth: int) -> Value:
        """One call, a repeat under numbered paths, or a shared net called twice."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.25:
            arguments = self.arguments(x, same=True)
            for turn in range(rng.randint(2, 5)):
                x = self.call(sketch, template, x, f"{name}.{turn}", arguments, depth)
            return x
        if kind < 0.4:
            arguments = self.arguments(x, same=True)
            y = self.call(sketch, template, x, name, arguments, depth)
            if y.type.shape != x.type.shape:
                return y
            return self.call(sketch, template, y, name, arguments, depth)
        return self.call(sketch, template, x, name, self.arguments(x, same=False), depth)

    def arguments(self, x: Value, *, same: bool) -> dict[str, Any]:
        width = x.type.shape[self.axis].known
        assert width is not None
        return {
            "channels": width if same else self.rng.choice((width, 4, 8, 16)),
            "act": self.rng.choice(ACTS),
            "squeeze": self.rng.choice((0, 0, 2)),
            "wide": self.rng.choice((1, 1, 2)),
        }

    def call(
        self,
        sketch: Sketch,
        template: Template,
        x: Value,
        name: str,
        given: dict[str, Any],
        depth: int,
    ) -> Value:
        defaults = {"squeeze": 0, "wide": 1}
        rows = [
            Argument(k, plain(v), self.hint(v), defaults.get(k, NO_DEFAULT))
            for k, v in given.items()
        ]
        size = x.type.shape[self.axis]
        rows.append(Argument("c", size.known, dims=(("x", self.axis),)))
        before = sketch.open(template.name, name, rows, [("x", x)], f"Block {template.name}.")
        inner = {k: Sym(v, k) if isinstance(v, int) else v for k, v in given.items()}
        inner["c"] = Sym(size.known or 0, "c")
        inner["depth"] = depth
        for step in template.steps:
            x = step(sketch, inner, x)
        sketch.frame, sketch.guard = before, None
        return x

    def hint(self, value: Any) -> Hint | None:
        """What the author wrote; sometimes nothing, sometimes a lie."""
        kind = self.rng.random()
        if kind < 0.1:
            return None
        if kind < 0.2:
            return HintName("width")
        return value.hint if isinstance(value, Sym) else None

    def mark(self, value: int, hint: Hint) -> Sym:
        """A number of a layer with the author's expression; sometimes a lie."""
        if self.rng.random() < 0.1:
            return Sym(int(value), HintBinary("+", hint, HintConst(1)))
        return Sym(int(value), hint)

    # --- blocks -------------------------------------------------------------------------------

    def template(self, number: int) -> Template:
        rng = self.rng
        makers = (
            self.layer,
            self.layer,
            self.norm,
            self.act,
            self.residual,
            self.gate,
            self.scale,
            self.joined,
            self.inner,
        )
        steps = [rng.choice(makers)(place) for place in range(rng.randint(2, 6))]
        return Template(f"block{number}", [s for s in steps if s is not None])

    def project(self, sketch: Sketch, x: Value, out: Any, name: str, kernel: int = 1) -> Value:
        made: Value
        if self.image:
            made = sketch.conv(x, out=out, kernel=kernel, padding=kernel // 2, name=name)
        else:
            made = sketch.dense(x, out=out, name=name)
        return made

    def layer(self, place: int) -> Step:
        kernel = self.rng.choice((1, 3))
        wide = self.rng.random() < 0.3

        def step(sketch: Sketch, names: dict[str, Any], x: Value) -> Value:
            out = names["wide"] * names["channels"] if wide else names["channels"]
            slot = f"layer{place}"
            # Drawn by path, so that all calls of a shared net are changed alike.
            own = random.Random(f"{self.name} {sketch.path(slot)}")
            if own.random() < 0.1:  # as pruning leaves it
                out = Sym(int(out) + 1, out.hint)
            if own.random() < 0.1:  # as a split of low rank leaves it
                x = self.project(sketch, x, Sym(own.randint(1, 3), "rank"), f"{slot}.0")
                return self.project(sketch, x, out, f"{slot}.1", kernel)
            return self.project(sketch, x, self.mark(out, out.hint), slot, kernel)

        return step

    def norm(self, place: int) -> Step:
        def step(sketch: Sketch, names: dict[str, Any], x: Value) -> Value:
            op = "batch_norm" if self.image else "layer_norm"
            made: Value = sketch.make(op, x, name=f"norm{place}")
            return made

        return step

    def act(self, place: int) -> Step:
        chosen = self.rng.random() < 0.5
        fixed = self.rng.choice(ACTS)

        def step(sketch: Sketch, names: dict[str, Any], x: Value) -> Value:
            made: Value = sketch.make(names["act"] if chosen else fixed, x, into=["x"])
            return made

        return step

    def residual(self, place: int) -> Step:
        dotted = self.rng.random() < 0.3

        def step(sketch: Sketch, names: dict[str, Any], x: Value) -> Value:
            y = self.project(sketch, x, names["channels"], f"branch{place}", 3)
            y = sketch.make(names["act"], y)
            size = x.type.shape[self.axis].known
            if size != names["channels"]:
                # The width that comes in has a name only where it is the block's own.
                hint = HintBinary("!=", HintName("c"), HintName("channels"))
                with sketch.when(hint):
                    slot = f"short{place}.0" if dotted else f"short{place}"
                    x = self.project(sketch, x, names["channels"], slot)
            made: Value = sketch.add(y, x, into=["x"])
            return made

        return step

    def gate(self, place: int) -> Step:
        def step(sketch: Sketch, names: dict[str, Any], x: Value) -> Value:
            if not names["squeeze"]:
                return x
            with sketch.when(HintName("squeeze")):
                out = names["channels"] // names["squeeze"]
                y = sketch.relu(self.project(sketch, x, out, f"down{place}"))
                size = x.type.shape[self.axis].known
                y = self.project(sketch, y, size, f"up{place}")
                made: Value = sketch.mul(x, sketch.sigmoid(y))
            return made

        return step

    def scale(self, place: int) -> Step:
        def step(sketch: Sketch, names: dict[str, Any], x: Value) -> Value:
            size = x.type.shape[self.axis].known or 0
            shape = (size, 1, 1) if self.image else (size,)
            weight = sketch.param(f"scale{place}", *shape, start=Normal(0.5))
            made: Value = sketch.mul(x, weight)
            return made

        return step

    def joined(self, place: int) -> Step:
        cut = self.rng.random() < 0.5

        def step(sketch: Sketch, names: dict[str, Any], x: Value) -> Value:
            y = self.project(sketch, x, names["channels"], f"side{place}")
            if cut:
                items = (
                    (SliceItem(), SliceItem(0, 2))
                    if self.image
                    else (SliceItem(), SliceItem(), SliceItem(0, 2))
                )
                y = sketch.index(y, items=items)
            y = sketch.concat(x, y, axis=self.axis)
            return self.project(sketch, y, names["channels"], f"join{place}")

        return step

    def inner(self, place: int) -> Step | None:
        if not self.templates:
            return None
        template = self.rng.choice(self.templates)
        dotted = self.rng.random() < 0.3

        def step(sketch: Sketch, names: dict[str, Any], x: Value) -> Value:
            if names["depth"] > 2:
                return x
            given = {
                "channels": names["channels"],
                "act": names["act"],
                "squeeze": names["squeeze"],
                "wide": names["wide"],
            }
            name = f"inner{place}.0" if dotted else f"inner{place}"
            return self.call(sketch, template, x, name, given, names["depth"] + 1)

        return step
