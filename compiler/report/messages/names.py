"""What goes wrong with names: unknown, taken twice, of another kind, or of a later version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.habits import advise
from compiler.report.source import Span


@final
@dataclass(frozen=True)
class UnknownName(Message):
    """Nothing has this name.

    A name is looked up in the body above, the parameters and dims of the item, the items of the
    file, what `use` brings, and the built-in layers and functions (`weft ops` lists them).
    """

    code: ClassVar[str] = "W0201"
    absent: ClassVar[str | None] = "name"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> Dropuot(0.5)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dropout(0.5)\n}\n"
    )

    name: str
    kind: str  # "name" or "layer"
    suggestion: str | None
    note: str | None = None

    def title(self) -> str:
        return f"unknown {self.kind} `{self.name}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else "nothing has this name"

    def help(self) -> str | None:
        if self.note is None and self.kind == "layer" and self.suggestion is None:
            return "`weft ops WORD` searches the vocabulary"
        return self.note


@final
@dataclass(frozen=True)
class UnboundSize(Message):
    """A size is named in the type of an argument that was not given, so it has no value."""

    code: ClassVar[str] = "W0202"
    bad: ClassVar[str] = (
        "block f(x: f32[n, d], mask: bool[n, t] = none) {\n"
        "    if mask == none { return x -> dense(t) }\n"
        "    return x\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x: f32[n, d], mask: bool[n, t] = none) {\n"
        "    if mask == none { return x -> dense(d) }\n"
        "    return x\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )

    name: str
    argument: str
    declared: Span

    def title(self) -> str:
        return f"the size `{self.name}` has no value"

    def label(self) -> str:
        return f"`{self.argument}`, which would bind it, is not given"

    def labels(self) -> Sequence[Label]:
        return (Label(self.declared, "declared here"),)

    def help(self) -> str | None:
        return f"use it where `{self.argument} != none`"


@final
@dataclass(frozen=True)
class UnknownAttribute(Message):
    """A value has nothing of this name.

    `.name` reads a result of a call, a parameter, net or weight of a net, a name of a namespace,
    or `shape`, `rank` and `dtype` of a tensor.
    """

    code: ClassVar[str] = "W0203"
    bad: ClassVar[str] = (
        "block f(x) { return a=x, b=x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    r = f(x)\n    output y = r.c\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x) { return a=x, b=x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    r = f(x)\n    output y = r.b\n}\n"
    )

    name: str
    owner: str
    known: tuple[str, ...]
    suggestion: str | None
    hint: str | None = None

    def title(self) -> str:
        return f"{self.owner} has no `{self.name}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else "nothing has this name"

    def help(self) -> str | None:
        return f"it has {', '.join(f'`{k}`' for k in self.known)}" if self.known else self.hint


@final
@dataclass(frozen=True)
class DefinedTwice(Message):
    """Two items of a file, or two parameters of an item, have the same name."""

    code: ClassVar[str] = "W0204"
    bad: ClassVar[str] = "block f(x) { return x -> relu }\nblock f(x) { return x -> tanh }\n"
    good: ClassVar[str] = "block f(x) { return x -> relu }\nblock g(x) { return x -> tanh }\n"

    name: str
    what: str
    first: Span

    def title(self) -> str:
        return f"the {self.what} `{self.name}` is defined twice"

    def label(self) -> str:
        return "defined again here"

    def labels(self) -> Sequence[Label]:
        return (Label(self.first, "first defined here"),)


@final
@dataclass(frozen=True)
class UnknownClause(Message):
    """No clause begins with this word here.

    `name = value` binds a name; a word without `=` is a clause, and its words are fixed.
    """

    code: ClassVar[str] = "W0205"
    bad: ClassVar[str] = "model M() {\n    inpt x: f32[batch, 8]\n    output y = x\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x\n}\n"

    word: str
    place: str  # "a model"
    known: tuple[str, ...]
    suggestion: str | None
    form: str | None = None
    """How the suggested clause is written."""
    layer: bool = False
    """Whether the word names a layer."""
    elsewhere: tuple[str, ...] = ()
    """Where the word is a clause."""

    def title(self) -> str:
        if self.place == "a file":
            return f"no item begins with `{self.word}`"
        return f"`{self.word}` is no clause of {self.place}"

    def label(self) -> str:
        if self.elsewhere:
            return f"this is a clause of {' and of '.join(self.elsewhere)}"
        if self.suggestion and not self.layer:
            return f"did you mean `{self.suggestion}`?"
        return "no statement begins with a layer" if self.layer else "unknown word"

    def help(self) -> str | None:
        if self.layer:
            return f"`{self.word}` is a layer: apply it and bind the result, `y = x -> {self.word}`"
        if self.form is not None:
            return f"write `{self.form}`"
        advice = advise(self.word) if not self.elsewhere and self.suggestion is None else None
        if advice is not None:
            return advice
        if self.place == "a block" and self.word in _OF_MODELS:
            return _OF_MODELS[self.word]
        if self.suggestion and self.place == "a file":
            return None
        if self.suggestion or not self.known:
            return f"to bind a name, write `{self.word} = …`"
        return f"{self.place} has {', '.join(f'`{k}`' for k in self.known)}"


_OF_MODELS = {
    "input": "a block takes tensors as arguments: `block name(x: f32[n, c], …) { … }`",
    "output": "a block gives its result with `return`",
}
"""How a block says what a model has a clause for."""


@final
@dataclass(frozen=True)
class NotAvailable(Message):
    """The word belongs to the language, but this version of Weft cannot do it yet.

    Nothing that a spec asks for is left out in silence.
    """

    code: ClassVar[str] = "W0206"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n"
        "    output y = if training then x else (x -> relu)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dropout(10%)\n}\n"
    )

    word: str
    purpose: str  # "draws random numbers inside a graph"
    advice: str = "this version of Weft refuses it rather than leave it out"

    def title(self) -> str:
        return f"`{self.word}` is not available yet"

    def label(self) -> str:
        return f"`{self.word}` will {self.purpose}"

    def help(self) -> str | None:
        return self.advice


@final
@dataclass(frozen=True)
class ClauseWordBound(Message):
    """The item has a clause of this name, so `word = value` is most likely meant as the clause."""

    code: ClassVar[str] = "W0207"
    bad: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output = x -> relu\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n"

    word: str
    place: str
    written: str

    def title(self) -> str:
        return f"`{self.word}` is a clause of {self.place}"

    def label(self) -> str:
        return "a clause stands without `=`"

    def help(self) -> str | None:
        return f"write `{self.written}`, or choose another name"


@final
@dataclass(frozen=True)
class MalformedClause(Message):
    """A clause is not written in the form that its word asks for."""

    code: ClassVar[str] = "W0208"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    param p = zeros\n    output y = x\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    param p: f32[8] = zeros\n"
        "    output y = x + p\n}\n"
    )

    word: str
    expected: str
    form: str

    def title(self) -> str:
        return f"`{self.word}` is written differently"

    def label(self) -> str:
        return self.expected

    def help(self) -> str | None:
        return f"write `{self.form}`"


@final
@dataclass(frozen=True)
class NoValue(Message):
    """An item stands where a value is needed.

    Data sets, trains, variants and sweeps are named by the items that build on them (`on digits`,
    `of fit`); inside expressions stand values, layers, models and nets.
    """

    code: ClassVar[str] = "W0212"
    bad: ClassVar[str] = (
        'data digits {\n    source sklearn("digits")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x + digits\n}\n"
    )
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x + 1\n}\n"

    found: str
    definition: Span

    def title(self) -> str:
        return f"{self.found} is no value"

    def labels(self) -> Sequence[Label]:
        return (Label(self.definition, "defined here"),)


@final
@dataclass(frozen=True)
class UnknownType(Message):
    """No type has this name.

    Tensors: `f64 f32 f16 bf16 i64 i32 i16 i8 u8 bool` with dims, or `tensor[…]` for any of them.
    Known when compiling: `int float bool str list layer`.
    """

    code: ClassVar[str] = "W0213"
    bad: ClassVar[str] = "block f(x: float32[n, d]) {\n    return x -> relu\n}\n"
    good: ClassVar[str] = "block f(x: f32[n, d]) {\n    return x -> relu\n}\n"

    name: str
    suggestion: str | None

    def title(self) -> str:
        return f"unknown type `{self.name}`"

    def label(self) -> str:
        return f"did you mean `{self.suggestion}`?" if self.suggestion else ""

    def help(self) -> str | None:
        return (
            "tensors are f32[…], f16, bf16, f64, i64, i32, i16, i8, u8, bool[…] or tensor[…]; "
            "known values are int, float, bool, str, list or layer"
        )


@final
@dataclass(frozen=True)
class CircularValue(Message):
    """The value of a `let`, a net or a parameter of a data item needs itself."""

    code: ClassVar[str] = "W0214"
    bad: ClassVar[str] = (
        "let a = b + 1\nlet b = a + 1\nmodel M() {\n    input x: f32[batch, 8]\n"
        "    output y = x * a\n}\n"
    )
    good: ClassVar[str] = (
        "let a = b + 1\nlet b = 1\nmodel M() {\n    input x: f32[batch, 8]\n"
        "    output y = x * a\n}\n"
    )

    name: str

    def title(self) -> str:
        return f"`{self.name}` needs its own value"

    def label(self) -> str:
        return "it is read again while it is computed"


@final
@dataclass(frozen=True)
class TypeHasNoDims(Message):
    """A type of compile-time values carries dims, or a tensor's type lacks them where they are
    needed: every input and weight has a shape, `f32[]` is a single number."""

    code: ClassVar[str] = "W0215"
    bad: ClassVar[str] = "model M() {\n    input x: f32\n    output y = x -> relu\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n"

    name: str
    expected: str

    def title(self) -> str:
        return f"the type `{self.name}` {self.expected}"
