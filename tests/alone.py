"""A reader in a process of its own, which may not take much memory, wait for another file, or end in anything but an answer."""

import multiprocessing
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import dask

from fieldfit.types import InputError

ROOM = 1 << 30  # bytes beyond what the tests' own process has
SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """refusal: text of an InputError; value: what was read instead; grown: MB of memory at the peak."""

    refusal: str
    value: Any
    grown: float


def alone(read: Callable[[], Any]) -> Answer:
    """The answer of a reader. A pipe that it opens keeps it waiting until it is ended: `fifo` files stand for what must not be read."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_answered, args=(read, theirs))
    process.start()
    theirs.close()
    try:
        assert ours.poll(SECONDS), "no answer: it waits for a file that it should not open"
        answer: Answer = ours.recv()
    except EOFError:
        process.join()
        raise AssertionError(f"died with {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
    return answer


def _answered(read: Callable[[], Any], answer: Connection) -> None:
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal, value = "", None
    with dask.config.set(scheduler="synchronous"):  # threads do not come along into a forked process
        try:
            value = read()
        except InputError as error:
            refusal = str(error)
        except BaseException as error:
            refusal = f"not an InputError: {error!r}"
    answer.send(Answer(refusal, value, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))
    answer.close()
    os._exit(0)
