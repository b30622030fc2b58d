"""Where the Snakefile lies, and how Snakemake is called from a folder."""

import shlex
from pathlib import Path

from fieldfit.provenance import PACKAGE

CHECKOUT = PACKAGE.parents[1]


def checkout_of_package() -> Path | None:
    """The checkout that the package lies in, None where it is installed without one."""
    return CHECKOUT if (CHECKOUT / "Snakefile").is_file() else None


def uv_run(folder: Path) -> str:
    """`uv run` in the checkout itself, else `uv run --project CHECKOUT`: the environment whose packages a command takes."""
    checkout = checkout_of_package()
    return "uv run" if checkout is None or folder.resolve() == checkout else f"uv run --project {shlex.quote(str(checkout))}"


def snakemake_command(folder: Path, configuration: str, *more: str) -> str:
    """The command that runs the DAG in `folder` with a configuration there."""
    checkout = checkout_of_package()
    inside = folder.resolve() == checkout
    snakefile = "" if inside else f" --snakefile {shlex.quote(str(checkout / 'Snakefile')) if checkout else 'CHECKOUT/Snakefile'}"
    return " ".join([f"{uv_run(folder)} snakemake --cores all{snakefile} --configfile {shlex.quote(configuration)}", *more])
