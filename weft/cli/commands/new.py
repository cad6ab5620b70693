"""`weft new`: a commented spec to start from."""

from __future__ import annotations

from importlib.resources import files
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
    ) -> None:
        """Write a commented starter spec that builds as it is.

        Examples:

            weft new mynet

            weft new prices --template table

            weft new writer --template text
        """
        folder = files(specs) / "templates"
        known = tuple(sorted(p.name.removesuffix(".weft") for p in folder.iterdir()))
        if template not in known:
            suggestion = did_you_mean(template, known)
            raise CompileError([unknown_item(None, "template", template, known, suggestion)])
        path = Path(name if name.endswith(".weft") else f"{name}.weft")
        if path.exists():
            raise CompileError([bad_file(None, str(path), "it exists already")])
        own = f"{template}.weft"  # a template that reads a file reads itself
        text = (folder / own).read_text(encoding="utf-8")
        text = text.replace(f'"{own}"', write_spec_string(path.name))
        try:
            write_text(path, text)
        except OSError as error:
            raise CompileError([bad_file(None, str(path), error.strerror or str(error))]) from error
        say(f"wrote {path}; next: weft build {path}")
