"""`fieldfit init`: the folder of a new experiment, from a template."""

import argparse
from importlib.resources import files
from pathlib import Path
from typing import Any

from fieldfit.command.arguments import FOLDERS, add_path, add_verb
from fieldfit.command.workflow import checkout_of_package, snakemake_command, uv_run
from fieldfit.types import InputError

EXPERIMENTS = {  # name of a template: what it is for, and where its last product lies
    "magis": ("camera shots of a cloud", "magis/my_run/phase.nc"),
    "ports": ("atom counts in two ports of several interferometers", "magis/my_run/gradiometer.nc"),
    "pictures": ("single pictures of fringes", "magis/my_run/phase.nc"),
    "absorption": ("absorption triplets of one camera", "magis/my_run/optical_density.nc"),
    "dune": ("an optical library", "dune/my_detector/visibility.nc"),
    "design": ("a free-form material layout around a shower", "design/my_study/design.nc"),
    "gallery": ("an X-ray scan", "gallery/my_scan/tomogram.nc"),
}
EXAMPLES = """  fieldfit init cooling --experiment ports              config.yaml and README.md, for raw files of your own
  fieldfit init try --experiment ports --demo           the same with simulated raw files: runs as it is
"""


def add(verbs: Any) -> None:
    """The verb `init`."""
    verb = add_verb(verbs, "init", "make the folder of a new experiment", EXAMPLES, run)
    add_path(verb, "folder", "a folder that is empty, or not there yet", FOLDERS)
    listed = "; ".join(f"{name}: {told}" for name, (told, _) in EXPERIMENTS.items())
    verb.add_argument("--experiment", choices=EXPERIMENTS, default="magis", help=f"{listed} (default: magis)", metavar="NAME")
    verb.add_argument("--demo", action="store_true", help="with raw files that are simulated")


def run(asked: argparse.Namespace) -> int:
    print(init(asked.folder, asked.experiment, asked.demo))
    return 0


def init(folder: Path, experiment: str, demo: bool = False) -> str:
    """Write config.yaml and README.md into `folder`; what to do next.

    Raises InputError when the folder is not empty or cannot be made. Nothing that is there is ever overwritten.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        found = "is a file" if not folder.is_dir() else f"holds {min(path.name for path in folder.iterdir())}"
        raise InputError(f"{folder}: {found}, expected an empty folder or one that is not there yet")
    texts = templates(folder, experiment, demo)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (folder / name).open("x") as file:
                file.write(text)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}), expected a folder that can be made") from None
    commands = [line.strip() for line in texts["README.md"].splitlines() if line.startswith("    ")]
    return "\n".join([f"{folder}: {' and '.join(texts)} are written. Next:", f"  cd {folder}", *(f"  {line}" for line in commands)])


def templates(folder: Path, experiment: str, demo: bool) -> dict[str, str]:
    """Text of each file of a new folder by its name."""
    room = files("fieldfit.command") / "templates"
    about, product = EXPERIMENTS[experiment]
    checkout = checkout_of_package()
    defaults = str(checkout / "config/defaults.yaml") if checkout else "config/defaults.yaml of fieldfit"
    place, _, name = product.rpartition("/")
    readme = (room / "README.md").read_text()
    return {
        "config.yaml": (room / f"{experiment}{'.demo' if demo else ''}.yaml").read_text().replace("{defaults}", defaults),
        "README.md": readme.format(
            name=folder.resolve().name,
            about=f"{about[0].upper()}{about[1:]}{', simulated' if demo else ''}, reconstructed by fieldfit.",
            raw="demo" if demo else "data",
            uv=uv_run(folder),
            snakemake=snakemake_command(folder, "config.yaml"),
            place=place,
            product=name,
        ),
    }
