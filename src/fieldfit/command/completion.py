"""`fieldfit completion`: what a shell has to read so that it completes verbs, options and products."""

import argparse
from typing import Any

from fieldfit.command.arguments import add_verb

SHELLS = ("bash", "zsh", "tcsh")
PREAMBLE = {  # folders to walk down into, and NetCDF files
    "bash": """_fieldfit_product_files() {
  compgen -d -- "$1"
  compgen -f -X '!*.nc' -- "$1"
}
"""
}
EXAMPLES = """  fieldfit completion bash > ~/.local/share/bash-completion/completions/fieldfit     from the next shell on
  eval "$(fieldfit completion bash)"                                                 in this shell
  fieldfit completion zsh > ~/.zfunc/_fieldfit                                       with ~/.zfunc in fpath, before compinit
"""


def add(verbs: Any) -> None:
    """The verb `completion`."""
    verb = add_verb(verbs, "completion", "the completion script of a shell", EXAMPLES, run)
    verb.add_argument("shell", choices=SHELLS, help="the shell")


def run(asked: argparse.Namespace) -> int:
    print(completion(asked.parser, asked.shell))
    return 0


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script of a command line for bash, zsh or tcsh."""
    import shtab

    return shtab.complete(parser, shell, preamble=PREAMBLE.get(shell, "")).rstrip()
