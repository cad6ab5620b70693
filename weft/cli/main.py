"""The command `weft`: finds the command that was asked for and ends every run with a status."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, NoReturn

import click
import typer
from typer.core import TyperGroup

from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import bad_file, file_unreadable, out_of_memory
from compiler.report.suggestions import did_you_mean
from weft.cli.interrupt import STATUS, say_interrupted
from weft.cli.printing import print_messages, say


@cache
def find_commands() -> Mapping[str, str]:
    """The module of each command by the name of the command; there is no list of them."""
    folder = Path(__file__).with_name("commands")
    names = sorted(info.name for info in iter_modules([str(folder)]))
    return {name.removesuffix("_").replace("_", "-"): f"weft.cli.commands.{name}" for name in names}


class Commands(TyperGroup):
    """The commands, each imported when it is asked for: `weft check` needs no backend."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(find_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        module = find_commands().get(cmd_name)
        if module is None:
            return None
        one = typer.Typer(
            add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
        )
        import_module(module).add_to(one)
        return typer.main.get_command(one)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with, with a suggestion where there is none."""
        known = find_commands()
        if args and args[0] not in known and not args[0].startswith("-"):
            close = did_you_mean(args[0], list(known))
            hint = f" Did you mean {close!r}?" if close is not None else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


CRASHED = 3
"""The status of a run that Weft itself broke off."""

app = typer.Typer(
    name="weft",
    cls=Commands,
    help="Compile model specs: from one .weft file to trained PyTorch code and verified ONNX.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        # It reads the metadata through the mail parser, which no other run needs.
        from importlib.metadata import version

        say(f"weft {version('weft')}")
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
    """Runs the command and ends with its status."""
    try:
        run_command()
    except SystemExit as end:
        if sys.argv[1:2] == ["check"] and isinstance(end.code, int):
            _end_at_once(end.code)
        raise


def run_command() -> None:
    """Runs the command that the arguments ask for.

    Raises:
        SystemExit: at the end; status 0, 1 for a fault in what was given, 2 for a wrong command
            line, 3 for a fault of Weft, 130 after an interrupt.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of another encoding, names of none
            stream.reconfigure(errors="backslashreplace")
    for word in sys.argv[1:]:
        # Python holds other bytes as surrogates, which protobuf and ONNX Runtime do not take.
        if any("\ud800" <= char <= "\udfff" for char in word):
            print_messages([file_unreadable(None, word, "its name is not text in UTF-8")])
            sys.exit(1)
    try:
        app()
    except CompileError as error:
        print_messages(error.messages)
        sys.exit(1)
    except KeyboardInterrupt:
        say_interrupted()
        sys.exit(STATUS)
    except SystemExit as end:
        if end.code == STATUS:  # Typer takes the interrupt of a command, and says nothing
            say_interrupted()
        raise
    except BrokenPipeError:
        # The reader went away (`weft ops | head`): what is left in the buffer has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # A folder that cannot be made, a disk that is full, a file that went away meanwhile.
        if error.filename is None and error.errno not in _OF_THE_SYSTEM:
            _report_crash(error)
        reason = error.strerror or str(error)
        print_messages([bad_file(None, str(error.filename or "the output"), reason)])
        sys.exit(1)
    except MemoryError:
        print_messages([out_of_memory(None)])
        sys.exit(1)
    except Exception as error:  # whatever it is, it ends in one line
        _report_crash(error)


_OF_THE_SYSTEM = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO, errno.EMFILE)
"""What the system refuses whatever the file: the disk is full, read-only or broken."""


def _report_crash(error: Exception) -> NoReturn:
    """Ends the process after one line about a fault of Weft, with status 3."""
    # What makes the report is needed by no run that ends well.
    from weft.cli.crash import describe_crash

    print_messages([describe_crash(error)])
    sys.exit(CRASHED)


def _end_at_once(status: int) -> NoReturn:
    """Ends the process and leaves its memory to the system, as mypy does. Python would free every
    object first, which took a fifth of a check; a check has nothing else to wind up."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it was closed before the process began
            with suppress(BrokenPipeError):
                stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
