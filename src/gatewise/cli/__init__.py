"""The command line: one file per command. A command is imported when it runs, and heavy modules when it needs them."""

import gc
import shlex
import sys
import warnings
from importlib import import_module
from typing import Any, NoReturn

import click

from gatewise._version import __version__
from gatewise.cli.commands import COMMANDS as COMMANDS
from gatewise.cli.endings import (
    Stopped,
    describe,
    flush_output,
    ignore_signals,
    prepare_streams,
    raise_dropped,
    stop_on_signals,
)
from gatewise.errors import GatewiseError, printable


class Commands(click.Group):
    """The commands. Here, and nowhere else, an exception becomes one line on stderr and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"gatewise.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them without an import."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the command as it was typed; reports name it. Errors as in `invoke`."""
        ctx.obj = shlex.join(("gatewise", *args))
        try:
            return super().parse_args(ctx, args)
        except (click.NoSuchOption, click.BadOptionUsage) as error:
            print(f"gatewise: {_usage(error)}", file=sys.stderr)
            ctx.exit(2)
        except BrokenPipeError:
            ctx.exit(0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command: the exit code of a GatewiseError, 130 after Ctrl-C, 0 where the reader has closed the pipe."""
        try:
            return super().invoke(ctx)
        except GatewiseError as error:
            message = str(error)
            code = error.exit_code
        except click.UsageError as error:
            message = _usage(error)
            code = 2
        except KeyboardInterrupt:
            message = "stopped"
            code = 130
        except BrokenPipeError:
            ctx.exit(0)
        print(f"gatewise: {message}", file=sys.stderr)
        ctx.exit(code)


def _usage(error: click.UsageError) -> str:
    """What is wrong with the words of a command, and where its help is."""
    command = "gatewise"
    options: list[str] = []
    if error.ctx is not None:
        command = error.ctx.command_path
        options = [option for parameter in error.ctx.command.params for option in parameter.opts]
    message = error.format_message().removesuffix(".")
    if "unexpected extra argument" in message and "-m" in options:  # the extra word may be meant as the model
        message += "; a model is given with -m"
    if not message.endswith("?"):
        message += "."
    return printable(f"{message} See {command} --help", 500)


@click.group(
    "gatewise",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
@click.version_option(__version__, message="gatewise %(version)s", help="Print the version and exit.")
def program() -> None:
    """The glass-box LSTM: train models of texts and series on the CPU, and inspect every gate.

    \b
    gatewise train imdb --recipe tutorial                train the tutorial's model into models/imdb-tutorial
    gatewise evaluate -m models/imdb-tutorial imdb       accuracy on the test data
    gatewise predict -m models/imdb-tutorial "A text."   label and probability
    gatewise explain -m models/imdb-tutorial "A text."   attribution per word, gates per step
    gatewise predict "A text."                           with the bundled sentiment model
    gatewise predict -i reviews.csv -o predicted.csv     the rows of a table
    """


def main() -> None:
    """The program. Exit codes: 0; 2 for bad input, usage or output; 130 after Ctrl-C; 143 after SIGTERM; and 0 where
    the reader of the output has closed the pipe, as `head` does.
    """
    warnings.showwarning = _show_warning
    # Under python -W error a warning would end the program with a traceback. Here it is a line in any case.
    if any(action == "error" for action, *_ in warnings.filters):
        for category in (UserWarning, RuntimeWarning):
            warnings.filterwarnings("default", category=category)
    code: Any = 1
    try:
        stop_on_signals()
        if missing := prepare_streams():
            _end(missing)
        try:
            program(prog_name="gatewise")
        except SystemExit as end:
            code = end.code
            raise
        except OSError as error:
            flush_output()
            _end(describe(error))
        finally:
            ignore_signals()
            output_error = flush_output()
            raise_dropped()
            if output_error and not code:
                _end(output_error)
    except Stopped as stopped:
        _end("stopped", stopped.exit_code)
    except RuntimeError as error:
        # Python 3.11 wraps what leaves a `__set_name__`, which runs while a module with a class is imported.
        if not isinstance(error.__cause__, Stopped):
            raise
        _end("stopped", error.__cause__.exit_code)
    finally:
        gc.freeze()  # the interpreter ends now: it need not search all objects for garbage once more


def _end(message: str, code: int = 2) -> NoReturn:
    print(f"gatewise: {message}", file=sys.stderr)
    sys.exit(code)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"gatewise: warning: {printable(message, 500)}", file=sys.stderr)
