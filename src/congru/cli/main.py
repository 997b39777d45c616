"""The `congru` program: finds the command, prints one line for wrong input, sets the exit status.

Exit status: 0 done, 1 a check failed, 2 wrong input (one line on standard error), 130 interrupted,
141 the reader of its output (head, less) has left.
A traceback is printed only with ``--debug``.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from congru.errors import CongruError, missing_package
from congru.tasks.registry import TASKS, own_commands
from congru.version import __version__

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

# Command name -> (where its cyclopts App is, one line for the overview).
COMMANDS = {
    "train": ("congru.cli.train:app", "Train a model on your own data."),
    "run": ("congru.cli.run:app", "Run a trained model: generate, forecast, stream."),
    "eval": ("congru.cli.evaluate:app", "Score a trained model on data, beside its baselines."),
    "inspect": ("congru.cli.inspect:app", "See the gates of a model: one offline report."),
    "export": ("congru.cli.export:app", "Write a trained model for another place, proved equal."),
    "serve": ("congru.cli.serve:app", "A page over your models and runs, and a server for programs."),
    "compare": ("congru.cli.compare:app", "Compare GRU, LSTM, RNN and minGRU at the same budget."),
    "sweep": ("congru.cli.sweep:app", "Search for the best settings, with many workers."),
    "bench": (
        "congru.cli.bench:app",
        "Measure how far back each cell learns: equal parameters, equal budget.",
    ),
    "data": ("congru.cli.data:app", "List or fetch public data sets."),
    "convert": ("congru.cli.convert:app", "Turn other models into model folders, or back."),
    "sign": ("congru.cli.sign:app", "Sign a model folder, so that others can tell that it is yours."),
    "verify": ("congru.cli.sign:verify_app", "Check a model folder: whole, and signed by a key you know."),
    "doctor": (
        "congru.cli.doctor:app",
        "Say what is installed, or check a model file.",
    ),
    "demo": ("congru.cli.demo:app", "See in minutes what a task can do: data, training, use, gates."),
}


def build_app() -> App:
    """The overview of all commands, those of the tasks included; none of their modules is imported here."""
    app = App(
        name="congru",
        help="Gated recurrent units: train, run, compare and inspect them.",
        version=__version__,
        suppress_keyboard_interrupt=False,
        help_epilogue="Wrong input: one line and exit status 2. Add --debug for a traceback.",
    )
    for name, (target, summary) in COMMANDS.items():
        app.command(target, name=name, help=summary)
    for name, lines in own_commands(TASKS.values()).items():
        app.command(f"congru.cli.run:{name}", name=name, help=next(iter(lines.values())))
    return app


def one_line(error: CycloptsError) -> str:
    """The message of a parsing error on one line, with what to type next."""
    from pydantic import ValidationError

    cause = error.__cause__
    if isinstance(cause, CongruError):
        return str(cause)
    if isinstance(cause, ValidationError):
        from congru.train.settings import describe_validation_error

        return describe_validation_error(cause)
    command = " ".join(error.command_chain or ())
    text = " ".join(str(error).split())
    return f"{text.rstrip('.')}: see congru {command + ' ' if command else ''}--help"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command in ``argv`` (default: the process's arguments) and exit with its status."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    _escape_what_cannot_be_printed()
    try:
        status = build_app()(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (head, less) has left: nothing more to say
        _say_no_more()
        sys.exit(EXIT_BROKEN_PIPE)
    except (CycloptsError, CongruError, KeyboardInterrupt, OSError) as error:
        if debug:
            raise
        sys.exit(_report(error))
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None or debug:
            raise
        sys.exit(_report(missing))
    sys.exit(status if isinstance(status, int) else 0)


def _escape_what_cannot_be_printed() -> None:
    """A path or a text that the terminal's encoding lacks is printed with escapes, and is no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _say_no_more() -> None:
    """What is still in the buffer of standard output goes nowhere: its reader has left, or its disk is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        print("congru: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    if isinstance(error, CycloptsError):
        text = one_line(error)
    elif isinstance(error, OSError) and not isinstance(error, CongruError):
        text = _line_of_system_error(error)
    else:
        text = str(error)
    print(f"congru: {text}", file=sys.stderr)
    return EXIT_WRONG_INPUT


def _line_of_system_error(error: OSError) -> str:
    """What the system would not do, with the file where it says which."""
    reason = (error.strerror or str(error)).lower()
    if error.filename is None and error.errno == errno.ENOSPC:
        _say_no_more()
        return f"the output cannot be written ({reason}), expected room for it: write it elsewhere"
    what = "the output" if error.filename is None else f"'{os.fsdecode(error.filename)}'"
    return str(
        CongruError(f"{what} cannot be read or written ({reason}): check the path and its permissions")
    )


if __name__ == "__main__":
    main()
