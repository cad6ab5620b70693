"""`weft new`: a commented spec to start from, or a copy of a published network."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

import specs
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import bad_file, unknown_item
from compiler.report.suggestions import did_you_mean
from compiler.system.files import write_text
from compiler.text.tree.strings import write_spec_string
from weft.cli.printing import say


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("new")
    def new_command(
        name: Annotated[str, typer.Argument(metavar="NAME", help="The file to write: NAME.weft.")],
        template: Annotated[
            str, typer.Option("--template", "-t", help="image, table or text.")
        ] = "image",
        model: Annotated[
            str | None,
            typer.Option("--model", "-m", help="A published network instead: resnet50, bert_base."),
        ] = None,
    ) -> None:
        """Write a commented starter spec that builds as it is, or a copy of a published network.

        Examples:

            weft new mynet

            weft new prices --template table

            weft new writer --template text

            weft new encoder --model bert_base
        """
        path = _name_file(name)
        if model is not None:
            text = _copy_model(model)
        else:
            own = f"{template}.weft"  # a template that reads a file reads itself
            text = _find("template", template).read_text(encoding="utf-8")
            text = text.replace(f'"{own}"', write_spec_string(path.name))
        if path.exists():
            raise CompileError([bad_file(None, str(path), "it exists already")])
        try:
            write_text(path, text)
        except OSError as error:
            raise CompileError([bad_file(None, str(path), error.strerror or str(error))]) from error
        say(f"wrote {path}; next: weft {'show' if model is not None else 'build'} {path}")


def _name_file(name: str) -> Path:
    """The file of a spec that is called so.

    Raises:
        CompileError: no spec can be called that.
    """
    path = Path(name)
    if path.suffix not in ("", ".weft"):
        reason = f"a spec is a file `NAME.weft`, and `{path.suffix}` is another ending"
    elif not path.name.removesuffix(".weft").strip("."):
        reason = "a spec is a file `NAME.weft`, and this has no name"
    else:
        return path.with_suffix(".weft")
    raise CompileError([bad_file(None, name, reason)])


def _find(kind: str, name: str) -> Traversable:
    """The file of a template or model.

    Raises:
        CompileError: there is none of that name.
    """
    folder = files(specs) / f"{kind}s"
    known = tuple(sorted(p.name.removesuffix(".weft") for p in folder.iterdir()))
    if name not in known:
        suggestion = did_you_mean(name, known)
        raise CompileError([unknown_item(None, kind, name, known, suggestion)])
    return folder / f"{name}.weft"


def _copy_model(name: str) -> str:
    """The text of a model with the blocks of the file that it uses, but not its nets and
    deployments: those of the library stay where they are."""
    text = _find("model", name).read_text(encoding="utf-8")
    used = re.match(r'use "(\w+)\.weft"\n\n', text)
    if used is None:
        return text
    items = _copy_model(used[1]).split("\n\n")
    kept = [item for item in items if not re.match(r"(##[^\n]*\n)*(net|deploy) ", item)]
    return "\n\n".join([*(item.strip("\n") for item in kept), text[used.end() :]])
