"""What every script does around its step: threads, log, the entry of the config, and one message for bad input."""

import contextlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask

from fieldfit.config.load import load_entry
from fieldfit.io.whole import remove_unfinished
from fieldfit.provenance import checksum_file
from fieldfit.types import InputError

AHEAD = 60.0  # s: what the clocks of a file server and a node may differ by


@dataclass(frozen=True)
class Job:
    """Paths of a rule and its entry. output: the first product; inputs by name as in the rule; resources: what the job was given, by name."""

    input: Any
    output: Path
    entry: Any
    params: Any
    wildcards: Any
    threads: int
    resources: Any


@contextlib.contextmanager
def step(snakemake: Any, section: str) -> Iterator[Job]:
    """Run a step: cap torch and dask at the rule's threads, write the log, and end a bad input with its one message and status 1."""
    if "torch" in sys.modules:  # only where the step uses it: it takes seconds to import
        sys.modules["torch"].set_num_threads(snakemake.threads)
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=log, filemode="w", level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
    began = time.perf_counter()
    entry = load_entry(section, dict(snakemake.params.entry)) if section else None
    for output in map(Path, snakemake.output):
        remove_unfinished(output)
        remove_unfinished(checksum_file(output))
    for product in map(Path, snakemake.input):
        _dated_back(product)
    try:
        with dask.config.set(scheduler="threads", num_workers=snakemake.threads):
            yield Job(
                snakemake.input, Path(snakemake.output[0]), entry, snakemake.params, snakemake.wildcards, snakemake.threads, snakemake.resources
            )
    except InputError as error:
        logging.error("%s", error)
        print(f"fieldfit: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception:
        logging.exception("failed")
        raise
    logging.info("%s in %.1f s", snakemake.output[0], time.perf_counter() - began)


def _dated_back(product: Path) -> None:
    """Give a product made while the clock was ahead the present time: what is made from it would be older, and made again at every call."""
    ahead = product.stat().st_mtime - time.time() if product.parts[0] == "results" and product.is_file() else 0.0
    if ahead > AHEAD:
        logging.warning("%s: its time lies %.0f s ahead of the clock; it has the present one now", product, ahead)
        with contextlib.suppress(OSError):
            os.utime(product)
