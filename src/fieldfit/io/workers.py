"""Who does the tasks of a step: the step's own process, or workers of dask distributed on one machine or on several nodes.

Which of them is the site's choice and changes no result, so that it stands in a rule's threads and resources, which a profile sets, and
not in the configuration. A scheduler of dask runs what anybody sends it: connections are encrypted, with credentials that live as long as
the step.
"""

import importlib.util
import itertools
import logging
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dask

from fieldfit.types import InputError

PACKAGES = ("distributed", "cryptography", "dask_jobqueue")
MB = 10**6
AHEAD = 4  # tasks a worker that are at work or done before their turn
# Workers keep freed memory for the next chunk: given back to the system at once, as dask has it, each chunk is twice as slow.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**28)}  # bytes; the first is the largest that glibc takes
NO_ROUTES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
NO_PAGES = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}


def in_turn(task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """The results of a task for each item, made here one after the other."""
    return map(task, items)


@dataclass(frozen=True)
class Workers:
    """count: of them; run: (task, items) -> the task's result for each item, in their order; memory: bytes that each has, 0 if not known."""

    count: int
    run: Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]] = in_turn
    memory: int = 0


ALONE = Workers(1)


@contextmanager
def workers(threads: int, resources: Mapping[str, Any], folder: Path, logs: Path) -> Iterator[Workers]:
    """Those that a rule's threads and resources ask for.

    threads: processes on this machine, which share the rule's mem_mb with the step's own; 1: that alone. resources: `dask_cluster: slurm` and
    `dask_workers: N` for N jobs of one core and mem_mb each, with the site's settings from dask's own configuration (jobqueue.slurm).
    folder: where credentials and what workers keep for themselves lie meanwhile; every node sees it. logs: a folder for the jobs' output,
    unless the site has one.
    Raises InputError when a package is missing, the resources make no sense, or worker after worker dies of a task.
    """
    kind, count, memory = resources.get("dask_cluster"), int(resources.get("dask_workers", 0)), int(resources.get("mem_mb", 0)) * MB
    if (kind or count) and (kind != "slurm" or count < 1):
        raise InputError(f"resources of the rule: dask_cluster is {kind!r} and dask_workers {count}, expected slurm and a number, or neither")
    if not kind and threads == 1:
        yield ALONE
        return
    missing = [name for name in PACKAGES if not importlib.util.find_spec(name)]
    if missing:
        raise InputError(f"workers are asked for, and {', '.join(missing)} is not installed; expected them: uv sync --extra cluster")
    hands = hired(count, memory, folder, logs) if kind else hired(threads, memory // (threads + 1), folder)
    with hands as found:
        yield found


@contextmanager
def hired(count: int, memory: int, folder: Path, logs: Path | None = None) -> Iterator[Workers]:
    """Processes on this machine, or jobs of Slurm when there is a folder for their `logs`; memory: bytes of each. folder: as above."""
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.WARNING)
    os.environ.update({name: value for name, value in MEMORY.items() if name not in os.environ})
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder.absolute(), prefix=".workers-", ignore_cleanup_errors=True) as own,
        dask.config.set(NO_ROUTES),
        _slurm(count, memory, own, logs) if logs else _local(count, memory, own) as cluster,
        Client(cluster, set_as_default=False, direct_to_workers=True) as client,
    ):
        logging.info("%d workers asked for of %s", count, client.scheduler.address)
        yield Workers(count, partial(_run, client, count), memory)


def _run(client: Any, count: int, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Results in the order of the items, a few of which are at work ahead of the one that is asked for: what they make has to wait in memory.

    A task whose worker was lost goes to another one, as often as dask allows it.
    """
    from distributed import KilledWorker

    ahead = (client.submit(partial(_answer, task), item, pure=False) for item in items)
    waiting = deque(itertools.islice(ahead, AHEAD * count))
    try:
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(itertools.islice(ahead, 1))
            if isinstance(found, InputError):
                raise found
            yield found
    except KilledWorker as error:
        raise InputError(
            f"{error.allowed_failures + 1} workers died one after the other of one task (the last: {error.last_worker.address}), expected it to fit "
            "their memory: give the rule more mem_mb, or look into their logs"
        ) from None


def _answer(task: Callable[[Any], Any], item: Any) -> Any:
    """The task's result, or the message that it ends with: raised in a worker, that would be a traceback in its log as well."""
    try:
        return task(item)
    except InputError as error:
        return error


def _local(count: int, memory: int, folder: str) -> Any:
    """Processes on this machine, out of reach of others."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        memory_limit=memory or "auto",
        host="127.0.0.1",
        security=True,
        protocol="tls://",
        local_directory=folder,
        silence_logs=logging.ERROR,
        scheduler_kwargs=NO_PAGES,
    )


def _slurm(count: int, memory: int, folder: str, logs: Path) -> Any:
    """Jobs of Slurm, with the site's own settings."""
    from dask_jobqueue.slurm import SLURMCluster
    from distributed import Security

    site, made = dask.config.get("jobqueue.slurm"), Security.temporary().get_tls_config_for_role("worker")
    kept = {name: Path(folder, f"{name}.pem") for name in ("ca_file", "cert", "key")}
    for name, path in kept.items():  # in a folder that is nobody else's to read
        path.write_text(made[name])
    roles = {f"tls_{role}_{name}": str(kept[name]) for role in ("scheduler", "worker", "client") for name in ("cert", "key")}
    return SLURMCluster(
        n_workers=count,
        cores=1,
        processes=1,
        memory=f"{memory} B" if memory else None,  # None: the site's
        security=Security(tls_ca_file=str(kept["ca_file"]), require_encryption=True, **roles),
        log_directory=site["log-directory"] or str(logs),
        silence_logs=logging.ERROR,
        scheduler_options=site["scheduler-options"] | NO_PAGES,
    )
