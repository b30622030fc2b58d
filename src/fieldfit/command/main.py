"""The command `fieldfit`: what is asked before a run and after it. Everything that computes is Snakemake's.

A verb is a module with `add(verbs)`, which says its arguments and sets `run`: parsed arguments -> exit status. What takes time to import is
imported when a verb runs: `fieldfit --help` and completion should not wait for xarray.
"""

import argparse
import os
import sys
from typing import NoReturn

from fieldfit.command import check, completion, explain, init, show, status, verify
from fieldfit.types import InputError, nearest

VERBS = (init, check, status, show, explain, verify, completion)
EXAMPLES = """examples:
  fieldfit init cooling --experiment ports                      a folder for a new experiment
  fieldfit check                                                its configuration and its raw files, nothing is run
  fieldfit status                                               how far the night is, and its alarms
  fieldfit show results/magis/my_run/gradiometer.nc             what is in a product
  fieldfit explain results/magis/my_run/gradiometer.nc          where it comes from, and the command that makes it again
  fieldfit verify                                               whether the products are what they were when they were written
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are told as those of the input are."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; `{self.prog} --help` has examples")


def parser() -> argparse.ArgumentParser:
    """The whole command line; what it parses knows it as `parser`."""
    found = _Parser(
        "fieldfit",
        description=(__doc__ or "").split("\n")[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = found.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    for verb in VERBS:
        verb.add(verbs)
    found.set_defaults(parser=found)
    return found


def main(words: list[str] | None = None) -> int:
    """Run the command; 0, or 1 after a message for bad input, or where `check` finds a fault or `verify` a corrupted product."""
    words = sys.argv[1:] if words is None else words
    try:
        status = _run(words)
        sys.stdout.flush()
        return status
    except InputError as error:
        print(f"fieldfit: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `fieldfit show ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    whole = parser()
    verbs = next(action.choices for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    verb = next((word for word in words if not word.startswith("-")), "")
    if verb and verb not in verbs:
        raise InputError(f"no verb '{verb}'{nearest(verb, verbs)} (known: {', '.join(verbs)})")
    asked, left = whole.parse_known_args(words)
    if left:
        known = [option for action in verbs[verb]._actions for option in action.option_strings]
        raise InputError(f"{verb}: unknown argument '{left[0]}'{nearest(left[0], known)}; `fieldfit {verb} --help` has examples")
    return int(asked.run(asked))
