"""What goes wrong with names: unknown, taken twice, of another kind, or of a later version."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.habits import advise
from compiler.report.source import Span


@message(
    "W0201",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> Dropuot(0.5)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dropout(0.5)\n}\n",
)
def unknown_name(
    span: Span | None,
    name: str,
    kind: str,  # "name" or "layer"
    suggestion: str | None,
    note: str | None = None,
) -> Text:
    """Nothing has this name.

    A name is looked up in the body above, the parameters and dims of the item, the items of the
    file, what `use` brings, and the built-in layers and functions (`weft ops` lists them).
    """
    if note is None and kind == "layer" and suggestion is None:
        note = "`weft ops WORD` searches the vocabulary"
    return Text(
        f"unknown {kind} `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "nothing has this name",
        help=note,
        absent=name,
    )


@message(
    "W0202",
    bad=(
        "block f(x: f32[n, d], mask: bool[n, t] = none) {\n"
        "    if mask == none { return x -> dense(t) }\n"
        "    return x\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
    good=(
        "block f(x: f32[n, d], mask: bool[n, t] = none) {\n"
        "    if mask == none { return x -> dense(d) }\n"
        "    return x\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
)
def unbound_size(span: Span | None, name: str, argument: str, declared: Span) -> Text:
    """A size is named in the type of an argument that was not given, so it has no value."""
    return Text(
        f"the size `{name}` has no value",
        label=f"`{argument}`, which would bind it, is not given",
        labels=(Label(declared, "declared here"),),
        help=f"use it where `{argument} != none`",
    )


@message(
    "W0203",
    bad=(
        "block f(x) { return a=x, b=x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    r = f(x)\n    output y = r.c\n}\n"
    ),
    good=(
        "block f(x) { return a=x, b=x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    r = f(x)\n    output y = r.b\n}\n"
    ),
)
def unknown_attribute(
    span: Span | None,
    name: str,
    owner: str,
    known: tuple[str, ...],
    suggestion: str | None,
    hint: str | None = None,
) -> Text:
    """A value has nothing of this name.

    `.name` reads a result of a call, a parameter, net or weight of a net, a name of a namespace,
    or `shape`, `rank` and `dtype` of a tensor.
    """
    return Text(
        f"{owner} has no `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "nothing has this name",
        help=f"it has {', '.join(f'`{k}`' for k in known)}" if known else hint,
    )


@message(
    "W0204",
    bad="block f(x) { return x -> relu }\nblock f(x) { return x -> tanh }\n",
    good="block f(x) { return x -> relu }\nblock g(x) { return x -> tanh }\n",
)
def defined_twice(span: Span | None, name: str, what: str, first: Span) -> Text:
    """Two items of a file, or two parameters of an item, have the same name."""
    return Text(
        f"the {what} `{name}` is defined twice",
        label="defined again here",
        labels=(Label(first, "first defined here"),),
    )


@message(
    "W0205",
    bad="model M() {\n    inpt x: f32[batch, 8]\n    output y = x\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x\n}\n",
)
def unknown_clause(
    span: Span | None,
    word: str,
    place: str,  # "a model"
    known: tuple[str, ...],
    suggestion: str | None,
    # How the suggested clause is written.
    form: str | None = None,
    # Whether the word names a layer.
    layer: bool = False,
    # Where the word is a clause.
    elsewhere: tuple[str, ...] = (),
) -> Text:
    """No clause begins with this word here.

    `name = value` binds a name; a word without `=` is a clause, and its words are fixed.
    """
    if place == "a file":
        title = f"no item begins with `{word}`"
    else:
        title = f"`{word}` is not a clause of {place}"
    if elsewhere:
        label = f"this is a clause of {' and of '.join(elsewhere)}"
    elif suggestion and not layer:
        label = f"did you mean `{suggestion}`?"
    else:
        label = "no statement begins with a layer" if layer else "unknown word"
    advice: str | None
    if layer:
        advice = f"`{word}` is a layer: apply it and bind the result, `y = x -> {word}`"
    elif form is not None:
        advice = f"write `{form}`"
    elif not elsewhere and suggestion is None and (meant := advise(word)) is not None:
        advice = meant
    elif place == "a block" and word in _OF_MODELS:
        advice = _OF_MODELS[word]
    elif suggestion and place == "a file":
        advice = None
    elif suggestion or not known:
        advice = f"to bind a name, write `{word} = …`"
    else:
        advice = f"{place} has {', '.join(f'`{k}`' for k in known)}"
    return Text(title, label=label, help=advice)


_OF_MODELS = {
    "input": "a block takes tensors as arguments: `block name(x: f32[n, c], …) { … }`",
    "output": "a block gives its result with `return`",
}
"""How a block says what a model has a clause for."""


@message(
    "W0206",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4)\n}\n"
        "net m = M() -> prune(channels=50%)\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> dense(4)\n}\nnet m = M()\n"
    ),
)
def not_available(
    span: Span | None,
    word: str,
    purpose: str,  # "draws random numbers inside a graph"
    advice: str = "this version of Weft refuses it rather than leave it out",
) -> Text:
    """The word belongs to the language, but this version of Weft cannot do it yet.

    Nothing that a spec asks for is left out in silence.
    """
    return Text(f"`{word}` is not available yet", label=f"`{word}` will {purpose}", help=advice)


@message(
    "W0207",
    bad="model M() {\n    input x: f32[batch, 8]\n    output = x -> relu\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n",
)
def clause_word_bound(span: Span | None, word: str, place: str, written: str) -> Text:
    """The item has a clause of this name, so `word = value` is most likely meant as the clause."""
    return Text(
        f"`{word}` is a clause of {place}",
        label="a clause is written without `=`",
        help=f"write `{written}`, or choose another name",
    )


@message(
    "W0208",
    bad="model M() {\n    input x: f32[batch, 8]\n    param p = zeros\n    output y = x\n}\n",
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    param p: f32[8] = zeros\n"
        "    output y = x + p\n}\n"
    ),
)
def malformed_clause(span: Span | None, word: str, expected: str, form: str) -> Text:
    """A clause is not written in the form that its word asks for."""
    return Text(f"`{word}` is written differently", label=expected, help=f"write `{form}`")


@message(
    "W0212",
    bad=(
        'data digits {\n    source sklearn("digits")\n'
        "    split random(seed=0), train=80%, val=20%\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x + digits\n}\n"
    ),
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x + 1\n}\n",
)
def no_value(span: Span | None, found: str, definition: Span) -> Text:
    """An item is named where a value is needed.

    Data sets, trains, variants and sweeps are named by the items that build on them (`on digits`,
    `of fit`); expressions hold values, layers, models and nets.
    """
    return Text(f"{found} is not a value", labels=(Label(definition, "defined here"),))


@message(
    "W0213",
    bad="block f(x: float32[n, d]) {\n    return x -> relu\n}\n",
    good="block f(x: f32[n, d]) {\n    return x -> relu\n}\n",
)
def unknown_type(span: Span | None, name: str, suggestion: str | None) -> Text:
    """No type has this name.

    Tensors: `f64 f32 f16 bf16 i64 i32 i16 i8 u8 bool` with dims, or `tensor[…]` for any of them.
    Known when compiling: `int float bool str list layer`.
    """
    return Text(
        f"unknown type `{name}`",
        label=f"did you mean `{suggestion}`?" if suggestion else "",
        help=(
            "tensors are f32[…], f16, bf16, f64, i64, i32, i16, i8, u8, bool[…] or tensor[…]; "
            "known values are int, float, bool, str, list or layer"
        ),
    )


@message(
    "W0214",
    bad=(
        "let a = b + 1\nlet b = a + 1\nmodel M() {\n    input x: f32[batch, 8]\n"
        "    output y = x * a\n}\n"
    ),
    good=(
        "let a = b + 1\nlet b = 1\nmodel M() {\n    input x: f32[batch, 8]\n"
        "    output y = x * a\n}\n"
    ),
)
def circular_value(span: Span | None, name: str) -> Text:
    """The value of a `let`, a net or a parameter of a data item needs itself."""
    return Text(f"`{name}` needs its own value", label="it is read again while it is computed")


@message(
    "W0215",
    bad="model M() {\n    input x: f32\n    output y = x -> relu\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> relu\n}\n",
)
def type_has_no_dims(span: Span | None, name: str, expected: str) -> Text:
    """A type of compile-time values carries dims, or a tensor's type lacks them where they are
    needed: every input and weight has a shape, `f32[]` is a single number."""
    return Text(f"the type `{name}` {expected}")
