"""The command `weft`: puts the commands together and ends every run with a status."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from compiler.diagnostics import CompileError
from weft.cli import (
    build,
    check,
    compile_,
    eval_,
    explain,
    fmt,
    new,
    ops,
    run,
    show,
    train,
    verify,
)
from weft.cli.reporting import print_messages

app = typer.Typer(
    name="weft",
    help="Compile model specs: from one .weft file to trained PyTorch code and verified ONNX.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (new, check, fmt, show, compile_, train, eval_, run, verify, build, explain, ops):
    module.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"weft {version('weft')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: exit status 0, 1 for a fault in what was given, 2 for a wrong command line."""
    try:
        app()
    except CompileError as error:
        print_messages(error.messages)
        sys.exit(1)
    except KeyboardInterrupt:
        print("weft: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`weft ops | head`): what is left in the buffer has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
