"""Random specs whose models have arguments that reach widths, counts, branches and options."""

from __future__ import annotations

import random


def make_spec(seed: int) -> str:
    """A spec with a model `M` that is a function of its seed."""
    return _Writer(random.Random(seed)).write()


class _Writer:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.count = 0

    def write(self) -> str:
        rng = self.rng
        parameters = {
            "width": f"width: int = {rng.choice((4, 6, 8))}",
            "layers": f"layers: int = {rng.choice((1, 2, 3))}",
            "classes": "classes: int = 5",
            "use_bias": f"use_bias: bool = {rng.choice(('true', 'false'))}",
            "p": "p: float = 0.25",
            "eps": "eps: float = 0.001",
            "depths": f"depths: list = {rng.choice(('[1, 2]', '[2, 1, 1]', '[3, 3]'))}",
            "widths": "widths: list = [4, 8, 6]",
            "kind": f'kind: str = "{rng.choice("ab")}"',
            "ratio": "ratio: int = 2",
            "inner": "inner: int = 2 * width",
            "deep": f"deep: bool = {rng.choice(('true', 'false'))}",
        }
        order = ["width", *rng.sample([k for k in parameters if k != "width"], len(parameters) - 1)]
        self.lines = []
        steps = [self.step() for _ in range(rng.randint(2, 5))]
        body = "\n".join(f"    {line}" for step in steps for line in step)
        heads = ("dense(classes)", "dense(5)", "dense(classes, bias=use_bias)")
        return "\n".join(
            [
                BLOCKS,
                f"model M({', '.join(parameters[k] for k in order)}) {{",
                "    input x: f32[batch, 6]",
                f"    x = x -> dense({self.number()}) as stem",
                body,
                f"    output y = x -> {rng.choice(heads)} as head",
                "}",
            ]
        )

    # --- numbers ------------------------------------------------------------------------------

    def number(self, *names: str) -> str:
        rng = self.rng
        base = rng.choice(("width", "inner", *names))
        return rng.choice(
            (
                base,
                base,
                f"2 * {base}",
                f"{base} * ratio",
                f"{base} // 2 + 1",
                f"max({base}, 8)",
                f"min({base}, 7)",
                f"if deep then {base} else 2 * {base}",
                "widths[1]",
                "len(widths) + 3",
                "sum(widths)",
                f"{base} + {base} % 3",
                "if use_bias then 16 else 12",
                "10",
                f"4 * ceil({base} / 4)",
                f"round({base} * 1.5)",
            )
        )

    def turn(self) -> str:
        plain = ("width * 2 ** i", "width + i", "width", "widths[i % 3]", "8 + i")
        return self.rng.choice((*plain, "width * (i + 1)", "if inner > 4 then inner - i else 3"))

    def option(self) -> str:
        return self.rng.choice(
            ("", "", ", bias=use_bias", ", bias=not use_bias", ", bias=(width > 5)")
        )

    # --- steps --------------------------------------------------------------------------------

    def step(self) -> list[str]:
        self.count += 1
        makers = (
            self.layer,
            self.layer,
            self.block,
            self.loop,
            self.loop,
            self.branch,
            self.branch,
            self.lists,
            self.norm,
            self.act,
            self.nested,
            self.copies,
            self.param,
            self.residual,
        )
        return self.rng.choice(makers)(f"s{self.count}")

    def layer(self, name: str) -> list[str]:
        return [f"x = x -> dense({self.number()}{self.option()}) as {name}"]

    def block(self, name: str) -> list[str]:
        kind = self.rng.randrange(4)
        if kind == 0:
            return [f"x = x -> mlp({self.number()}, {self.number()}, p=p) as {name}"]
        if kind == 1:
            return [f"x = x -> mlp({self.number()}, {self.number()}, use_bias) as {name}"]
        if kind == 2:
            return [f"x = x -> stack({self.number()}, layers) as {name}"]
        return [f"x = x -> choice({self.number()}, kind) as {name}"]

    def loop(self, name: str) -> list[str]:
        count = self.rng.choice(("layers", "layers", "3", "layers + 1", "len(widths)"))
        inner = self.rng.choice(
            (
                f"x -> dense({self.turn()}) as {name}[i]",
                f'x -> dense({self.turn()}) as "{name}_{{i + 1}}"',
                f"x -> mlp({self.turn()}, width, use_bias) as {name}[i]",
                f"(x -> mlp({self.turn()}, 6) as {name}[i]) -> relu",
            )
        )
        lines = [f"for i in 0..{count} {{ x = {inner} }}"]
        if self.rng.random() < 0.3:
            lines = [f"for i in 0..{count} {{", f"    x = {inner}", "    x = x * 1.5", "}"]
        return lines

    def branch(self, name: str) -> list[str]:
        tests = ("deep", "use_bias", "width > 5", "layers == 2", 'kind == "a"', "p > 0.3")
        test = self.rng.choice((*tests, "len(depths) > 2", "not deep and width > 4"))
        other = self.rng.choice(("", f"dense(7) as {name}", f"layer_norm as {name}_n"))
        rest = f" else {{ x = x -> {other} }}" if other else ""
        return [f"if {test} {{ x = x -> dense({self.number()}) as {name} }}{rest}"]

    def lists(self, name: str) -> list[str]:
        items = self.rng.choice(("widths", "[width, 2 * width]", "depths"))
        more = self.rng.choice(("1", "n", "width"))
        return [f"for n, w in enumerate({items}) {{ x = x -> dense(w + {more}) as {name}[n] }}"]

    def nested(self, name: str) -> list[str]:
        return [
            "for s, depth in enumerate(depths) {",
            f'    for j in 0..depth {{ x = x -> mlp(width * (s + 1), 4) as "{name}.{{s}}"[j] }}',
            "}",
        ]

    def copies(self, name: str) -> list[str]:
        count = self.rng.choice(("layers", "2", "len(depths)"))
        return [f"x = x -> dense(width) as {name}_in -> {count} * (mlp(width, width)) as {name}"]

    def norm(self, name: str) -> list[str]:
        return [f"x = x -> layer_norm(eps=eps) as {name} -> dropout(p)"]

    def act(self, name: str) -> list[str]:
        return ["x = x -> relu", "x = x * p" if self.rng.random() < 0.4 else "x = x + eps"]

    def param(self, name: str) -> list[str]:
        return [f"x = x -> dense({self.number()}) as {name}_in", f"x = x -> scaled as {name}"]

    def residual(self, name: str) -> list[str]:
        inner = f"x -> dense({self.number()}) as {name}_a -> relu"
        return [
            f"x = x -> dense(width) as {name}_in",
            f"x = x + ({inner} -> dense(width{self.option()}) as {name}_b)",
        ]


BLOCKS = """
block mlp(x: f32[n, k], out: int, hidden: int = 4, bias: bool = true, p: float = 0.1) {
    h = x -> dense(hidden, bias=bias) as up -> gelu -> dropout(p)
    return h -> dense(out) as down
}
block stack(x: f32[n, k], out: int, count: int = 2) {
    for i in 0..count { x = x -> mlp(out, 3 + i) as layers[i] }
    return x
}
block choice(x: f32[n, k], out: int, kind: str = "a") {
    if kind == "a" { return x -> dense(out) as lin }
    return x -> mlp(out) as mlp -> tanh
}
block scaled(x: f32[n, k]) {
    param scale: f32[k] = ones
    return x * scale
}
"""
