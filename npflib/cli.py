"""The command line: ``npf train``, and the commands that an installed package adds (group ``npf.commands``)."""

import logging
import sys
from importlib.metadata import entry_points
from typing import Any

import click

from npflib import experiments, profiles
from npflib.regimes import REGIMES


class _Count(click.IntRange):
    """A number in digits alone, as --seeds takes them: Python reads 1_0 as 10."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "_" in str(value) or not str(value).isascii():
            self.fail(f"{value!r} is not a valid integer, in digits alone.", param, ctx)
        return super().convert(value, param, ctx)


def _seeds(_context: click.Context, _parameter: click.Parameter, text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.removeprefix("-").isdigit() and len(part) < 1000 for part in parts):
        raise click.BadParameter(f"{text[:80]!r} is not a list of whole numbers like 0,1,2.")
    return [int(part) for part in parts]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Neural path features and the neural path kernel: runs and ledger of the companion."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)


for _entry in entry_points(group="npf.commands"):
    main.add_command(_entry.load(), _entry.name)


@main.command()
@click.option("--experiment", required=True, type=click.Choice([*experiments.PAPER, *experiments.COMPANION]))
@click.option("--regime", required=True, help=f"One of the experiment's: {', '.join(REGIMES)}, FLNPF-stage-1, ….")
@click.option("--profile", default="quick", show_default=True, type=click.Choice(list(profiles.PROFILES)))
@click.option("--seeds", callback=_seeds, help="Comma-separated, e.g. 0,1,2. Default: the profile's.")
@click.option("--epochs", type=_Count(min=1), help="At most so many epochs; the record says so.")
@click.option("--build", default="", help="Build folder. Default: the profile's own.")
@click.option("--device", default=None, help="cpu, cuda, … Default: CUDA where there is one.")
@click.option(
    "--precision", default="float32", show_default=True, help="bfloat16 for a convolutional network's products."
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
def train(experiment: str, regime: str, profile: str, quiet: bool, **options: Any) -> None:
    """Train one regime of one experiment, all seeds at once. Repeat an interrupted command to go on."""
    from npflib import training

    try:
        records = training.ensure(experiment, regime, profile, progress=not quiet, **options)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("\nInterrupted. The same command goes on from the last finished epoch.", err=True)
        sys.exit(130)
    for record in records:
        click.echo(
            f"{record.experiment} {record.regime} seed {record.seed}: peak {100 * record.peak:.2f} % "
            f"(epoch {record.peak_epoch}), final {100 * record.final:.2f} %, {record.epochs} epochs, "
            f"{record.seconds:.0f} s, {record.data['title']}"
        )
