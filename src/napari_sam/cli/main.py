"""The command `napari-sam`: one module a command; mistakes get one sentence and exit status 2."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import typer

import napari_sam
from napari_sam.cli.arguments import at_home, plain_warnings
from napari_sam.cli.auto import auto
from napari_sam.cli.batch import batch
from napari_sam.cli.demo import demo
from napari_sam.cli.embed import embed
from napari_sam.cli.evaluate import app as evaluate_app
from napari_sam.cli.export import export
from napari_sam.cli.measure import measure
from napari_sam.cli.models import app as models_app
from napari_sam.cli.pretrain import pretrain
from napari_sam.cli.segment import segment
from napari_sam.cli.several import several
from napari_sam.cli.terminal_bar import shown_import
from napari_sam.cli.train import train
from napari_sam.cli.train_text import train_text
from napari_sam.errors import NapariSamError

__all__ = ["app", "main"]

# Newer versions of typer carry a click of their own: take the class that typer's errors derive from.
ClickException: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
INTERRUPTED = 130

app = typer.Typer(
    name="napari-sam",
    help="Segment Anything for scientific images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(napari_sam.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    verbose: bool = typer.Option(False, "--verbose", help="Show tracebacks of errors (anywhere on the line)."),
) -> None:
    """Segment Anything for scientific images."""


app.command()(demo)
app.add_typer(models_app, name="models")
app.command()(several(segment, suffix=".tif"))
app.command()(several(auto, suffix=".tif"))
app.command()(several(embed, skips=False))
app.command()(several(batch, suffix=".zarr", skips=False))
app.command()(measure)
app.command()(train)
app.command()(train_text)
app.command()(pretrain)
app.command()(export)
app.add_typer(evaluate_app, name="evaluate")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    0: success; 1: some items failed; 2: unusable arguments or input; 130: interrupted by the user.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    verbose = "--verbose" in arguments
    arguments = [at_home(argument) for argument in arguments if argument != "--verbose"]
    command = typer.main.get_command(app)
    try:
        with plain_warnings(), shown_import():
            status = command.main(arguments, prog_name="napari-sam", standalone_mode=False)
        if status == INTERRUPTED:  # newer versions of typer turn the exception into a status
            raise KeyboardInterrupt
        return status if isinstance(status, int) else 0
    except NapariSamError as error:
        if verbose:
            traceback.print_exc()
        else:
            typer.echo(str(error), err=True)
        return 2
    except OSError as error:  # a disk that is full or gone, whatever was being read or written
        if verbose:
            traceback.print_exc()
        else:
            where = f" at {error.filename}" if error.filename else ""
            typer.echo(
                f"The system refused to go on{where} ({error.strerror or error}): check disk and folders.", err=True
            )
        return 2
    except MemoryError as error:
        if verbose:
            traceback.print_exc()
        else:
            typer.echo(
                f"There is not enough memory ({error}): take a smaller image or less demanding settings.", err=True
            )
        return 2
    except ClickException as error:
        typer.echo(_sentence(error), err=True)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("Stopped.", err=True)
        return INTERRUPTED


def _sentence(error: Exception) -> str:
    """Make one line of a mistake in the arguments; the help text, where no arguments were given, stays as it is."""
    message = error.format_message()  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":
        return message
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "napari-sam"
    return f"{' '.join(message.split()).rstrip('.')}: see `{path} --help`."


if __name__ == "__main__":
    raise SystemExit(main())
