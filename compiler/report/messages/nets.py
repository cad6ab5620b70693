"""What goes wrong with layers, nets and weights: pipes, paths, sharing, results of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.source import Span
from compiler.types.tensor import TensorType


@final
@dataclass(frozen=True)
class PathTaken(Message):
    """Two stages of a block have the same path, so their weights would be one.

    The path of a weight is made of the names of the blocks around it and of its stage: the `as`
    name, else the layer's own name. To use one set of weights twice, declare it with `net`.
    """

    code: ClassVar[str] = "W0501"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(8) as fc -> relu -> dense(8) as fc\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(8) as fc1 -> relu -> dense(8) as fc2\n}\n"
    )

    path: str
    first: Span | None

    def title(self) -> str:
        return f"the path `{self.path}` is used twice"

    def label(self) -> str:
        return "taken again here"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "first taken here"),) if self.first is not None else ()

    def help(self) -> str | None:
        if self.first is None:
            return f"each turn of a loop needs its own path, such as `as {self.path}[i]`"
        return "name the stages apart with `as`; to share weights, declare a `net` and use it twice"


@final
@dataclass(frozen=True)
class StagesMixed(Message):
    """Two stages have weights under one path: the path of one lies inside the other's, so that
    generated code could not tell which module holds what.

    A stage owns everything under its path. `as block[0]` makes `block.0` the path of a stage, and
    `as "block.0.extra"` outside of that stage would put weights into it; a `param` and a layer of
    one name mix in the same way.
    """

    code: ClassVar[str] = "W1283"
    bad: ClassVar[str] = (
        "block inner(x: f32[n, d]) { return x -> dense(d) as fc }\n"
        "model M() {\n    input x: f32[batch, 8]\n"
        "    y = x -> inner as block[0]\n"
        '    output z = y -> dense(8) as "block.0.extra"\n}\n'
    )
    good: ClassVar[str] = bad.replace("block.0.extra", "extra.0")

    path: str
    first: Span | None

    def title(self) -> str:
        return f"two stages have weights under `{self.path}`"

    def label(self) -> str:
        return "this one"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "and this one"),) if self.first is not None else ()

    def help(self) -> str:
        return "give one of them another name with `as`"


@final
@dataclass(frozen=True)
class NotALayer(Message):
    """What stands behind `->`, or where a layer is asked for, is no layer.

    A layer is a function on tensors: an op, a block, a model, a net, or a sequence of them.
    """

    code: ClassVar[str] = "W0502"
    bad: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x -> 3\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x * 3\n}\n"

    found: str
    hint: str | None = None
    made: Span | None = None

    def title(self) -> str:
        return "this is no layer"

    def label(self) -> str:
        return f"this is {self.found}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.made, "made here"),) if self.made is not None else ()

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class SharedWeightDiffers(Message):
    """A net is used on tensors that would need weights of another shape.

    A net's weights are made at its first use; every other use shares them.
    """

    code: ClassVar[str] = "W0503"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    net e = dense(4)\n    output y = e(e(x))\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    net e = dense(8)\n    output y = e(e(x))\n}\n"
    )

    path: str
    made: TensorType
    needed: TensorType
    first: Span | None
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"the shared weight `{self.path}` has another shape"

    def label(self) -> str:
        return f"{self.needed} is needed here, it is {self.made}"

    def labels(self) -> Sequence[Label]:
        made = (Label(self.first, "made here"),) if self.first is not None else ()
        return (*made, *self.places)


@final
@dataclass(frozen=True)
class ValueNamedAsWeight(Message):
    """A value has the name of a weight's path, and both are names of one graph. A name with a dot
    in it, which only backquotes make, can be the path of a weight (`dense.weight`)."""

    code: ClassVar[str] = "W1354"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    `dense.weight` = x -> relu\n"
        "    output y = `dense.weight` -> dense(8)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    h = x -> relu\n"
        "    output y = h -> dense(8)\n}\n"
    )

    path: str

    def title(self) -> str:
        return f"`{self.path}` is a weight and a value"

    def label(self) -> str:
        return f"makes the weight `{self.path}`, a name that a value has"

    def help(self) -> str:
        return "give the value another name, or the stage with `as`"


@final
@dataclass(frozen=True)
class LayerIsNoNet(Message):
    """What stands behind the dot of a net is a layer that the model applies where it stands. Only
    what is declared with `net` can be referred to, because its weights may be read in several
    places; `as head` names the path of a layer's weights, and no value.
    """

    code: ClassVar[str] = "W1355"
    bad: ClassVar[str] = (
        "model N() {\n    input x: f32[batch, 8]\n    output y = x -> dense(8) as head\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    net n = N()\n    y = n(x)\n"
        "    output z = y + n.head.bias\n}\n"
    )
    good: ClassVar[str] = (
        "model N() {\n    input x: f32[batch, 8]\n    net head = dense(8)\n"
        "    output y = x -> head\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    net n = N()\n    y = n(x)\n"
        "    output z = y + n.head.bias\n}\n"
    )

    net: str
    name: str
    place: Span | None

    def title(self) -> str:
        return f"`{self.name}` of the net `{self.net}` cannot be read: it is a layer, and no `net`"

    def label(self) -> str:
        return "the path of a layer's weights, not the name of a value"

    def labels(self) -> Sequence[Label]:
        return (Label(self.place, "applied here"),) if self.place is not None else ()

    def help(self) -> str:
        return f"declare it in the model, `net {self.name} = …`, and apply it: `-> {self.name}`"


@final
@dataclass(frozen=True)
class NetNotUsed(Message):
    """Something inside a net is read before the net is used.

    The weights and inner nets of a net exist after its first use, which tells their shapes.
    """

    code: ClassVar[str] = "W0504"
    bad: ClassVar[str] = (
        "model M() {\n    input t: i64[batch, 4]\n    net e = embedding(100, 8)\n"
        "    w = e.weight\n    output y = e(t) @ transpose(w, 0, 1)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input t: i64[batch, 4]\n    net e = embedding(100, 8)\n"
        "    x = e(t)\n    output y = x @ transpose(e.weight, 0, 1)\n}\n"
    )

    net: str
    name: str
    declared: Span

    def title(self) -> str:
        return f"`{self.net}.{self.name}` is read before `{self.net}` is used"

    def label(self) -> str:
        return "not made yet"

    def labels(self) -> Sequence[Label]:
        return (Label(self.declared, "declared here"),)

    def help(self) -> str | None:
        return f"apply `{self.net}` first: its weights are made at its first use"


@final
@dataclass(frozen=True)
class NoInitializer(Message):
    """A weight is declared with a value that is no initialiser.

    A weight starts as a number, a list of numbers, or drawn: `zeros`, `ones`, `normal(0.02)` …
    """

    code: ClassVar[str] = "W0505"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    param p: f32[8] = nromal(0.02)\n"
        "    output y = x + p\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    param p: f32[8] = normal(0.02)\n"
        "    output y = x + p\n}\n"
    )

    found: str
    known: tuple[str, ...]
    suggestion: str | None

    def title(self) -> str:
        return "this is no initialiser"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else f"this is {self.found}"

    def help(self) -> str | None:
        return f"a number, a list of numbers, or one of {', '.join(f'`{k}`' for k in self.known)}"


@final
@dataclass(frozen=True)
class LabelNamesNothing(Message):
    """`as` stands behind something that has no stage of its own to name.

    `as` names a stage of a pipe and its weights. A tensor is named by a binding, `y = …`.
    """

    code: ClassVar[str] = "W0506"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = (x + 1) as sum\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as head\n}\n"
    )

    label_text: str
    found: str

    def title(self) -> str:
        return "`as` has nothing to name here"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return f"to name a tensor, bind it: `{self.label_text} = …`"


@final
@dataclass(frozen=True)
class BadLabel(Message):
    """The name of a stage, net or weight is not made of letters, digits, `_` and dots. Paths become
    attributes of PyTorch modules and names in files of weights."""

    code: ClassVar[str] = "W0507"
    bad: ClassVar[str] = (
        'model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as "my head"\n}\n'
    )
    good: ClassVar[str] = (
        'model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4) as "my_head"\n}\n'
    )

    text: str
    way: str = ""

    def title(self) -> str:
        return "this cannot be part of a path"

    def label(self) -> str:
        return f'the path would be "{self.text}"'

    def help(self) -> str | None:
        said = "paths have letters, digits and `_`, with dots between their parts"
        return f"{said}; {self.way}" if self.way else said


@final
@dataclass(frozen=True)
class CopiesNegative(Message):
    """`n * layer` needs a number of copies of at least one."""

    code: ClassVar[str] = "W0508"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> 0 * dense(8)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> 2 * dense(8)\n}\n"
    )

    count: int

    def title(self) -> str:
        return f"{self.count} copies of a layer"

    def label(self) -> str:
        return "the number of copies is at least 1"


@final
@dataclass(frozen=True)
class NothingReturned(Message):
    """A block ends without `return`, so its call has no value."""

    code: ClassVar[str] = "W0509"
    bad: ClassVar[str] = (
        "block f(x) { y = x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x) { return x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )

    name: str

    def title(self) -> str:
        return f"`{self.name}` returns nothing"

    def label(self) -> str:
        return "its body ends without `return`"


@final
@dataclass(frozen=True)
class ModelHasNo(Message):
    """A model has no `input`, or no `output`."""

    code: ClassVar[str] = "W0510"
    bad: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    y = x -> relu\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n"

    name: str
    word: str

    def title(self) -> str:
        return f"model `{self.name}` has no `{self.word}`"

    def help(self) -> str | None:
        if self.word == "input":
            return "declare one: `input x: f32[batch, 3]`"
        return "declare one: `output y = x -> …`"


@final
@dataclass(frozen=True)
class TwoOfAName(Message):
    """Two inputs, outputs, results or weights have the same name."""

    code: ClassVar[str] = "W0511"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x\n    output y = x -> relu\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x\n    output z = x -> relu\n}\n"
    )

    what: str
    name: str
    first: Span

    def title(self) -> str:
        return f"two {self.what}s are called `{self.name}`"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "the first one"),)


@final
@dataclass(frozen=True)
class OnlyOnNets(Message):
    """A function on nets stands where no net is declared.

    `load` says where a net's weights come from: `net m = Model() -> load("m.safetensors")`.
    `lora` puts adapters beside its layers, which a train of that net then learns. Neither is a
    pass of a variant.
    """

    code: ClassVar[str] = "W0512"
    bad: ClassVar[str] = (
        'model M() {\n    input x: f32[batch, 8]\n    output y = x -> load("m.safetensors")\n}\n'
    )
    good: ClassVar[str] = (
        'model M() {\n    input x: f32[batch, 8]\n    net f = dense(4) -> load("m.safetensors")\n'
        "    output y = f(x)\n}\n"
    )

    word: str

    def title(self) -> str:
        return f"`{self.word}` acts on nets"

    def label(self) -> str:
        return "no net is declared here"

    def help(self) -> str | None:
        return f"write `net m = Model() -> {self.word}(…)`"


@final
@dataclass(frozen=True)
class ForeignTensor(Message):
    """A tensor of one model is used in another, or outside of any.

    What is computed at file level is known when compiling; tensors live inside models.
    """

    code: ClassVar[str] = "W0513"
    bad: ClassVar[str] = (
        "model M(scale: float = mean(zeros([3]))) {\n    input x: f32[batch, 8]\n"
        "    output y = x * scale\n}\n"
    )
    good: ClassVar[str] = (
        "model M(scale: float = 0.5) {\n    input x: f32[batch, 8]\n    output y = x * scale\n}\n"
    )

    def title(self) -> str:
        return "tensors are computed inside models"

    def label(self) -> str:
        return "no model is being built here"
