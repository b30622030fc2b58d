"""Faults on request, in the processes that a test starts with this folder on PYTHONPATH. Nothing happens without FAULTS and FAULTS_TOLD.

FAULTS: `kind=place` with commas between; place is part of a command line, or the end of a path. FAULTS_TOLD: folder; a fault happens once, to
the first process that comes to it, which leaves a file with the fault's kind and its own number there.

kill_mid_write, kill_before_rename, kill_before_checksum: SIGKILL with a dataset half written, all of it written, all but its checksum.
late: a file gets its name 4 s after its job has ended. sleep: a job does nothing for 10 minutes. eat: a job takes 3 GB and sleeps.
hold: a job waits for the file `go` in FAULTS_TOLD before it begins.
"""

import os
import signal
import subprocess
import sys
import time

WANTED = dict(word.split("=") for word in os.environ.get("FAULTS", "").split(",") if word)
MINE = any(".py" in word and "scripts" in word for word in sys.orig_argv)  # the process of a step, not one of Snakemake's own


def happens(kind: str) -> bool:
    """Whether this fault is still to come; it is not afterwards."""
    try:
        told = os.open(os.path.join(os.environ["FAULTS_TOLD"], kind), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    os.write(told, str(os.getpid()).encode())
    os.close(told)
    return True


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watched_rename(rename):
    def watched(source, target, **more):
        place = os.fspath(target)
        for kind, end in (("kill_before_rename", ""), ("kill_before_checksum", ".sha256")):
            if kind in WANTED and place.endswith(WANTED[kind] + end) and happens(kind):
                killed()
        if "late" in WANTED and place.endswith(WANTED["late"]) and happens("late"):
            aside = f"{place}.late"
            rename(source, aside)
            subprocess.Popen(["sh", "-c", 'sleep 4; mv "$0" "$1"', aside, place], start_new_session=True)
            return None
        return rename(source, target, **more)

    return watched


def watched_dataset():
    import h5py

    write = h5py.Dataset.__setitem__

    def watched(self, key, value):
        if self.file.filename.endswith("~" + os.path.basename(WANTED["kill_mid_write"])) and self.ndim > 2 and happens("kill_mid_write"):
            self.file.flush()
            killed()
        return write(self, key, value)

    h5py.Dataset.__setitem__ = watched


if MINE and WANTED:
    os.replace = watched_rename(os.replace)
    if "kill_mid_write" in WANTED and WANTED["kill_mid_write"].split("/")[0] in " ".join(sys.orig_argv):
        watched_dataset()
    if "hold" in WANTED and WANTED["hold"] in " ".join(sys.orig_argv) and happens("hold"):
        while not os.path.exists(os.path.join(os.environ["FAULTS_TOLD"], "go")):
            time.sleep(0.1)
    for slow in ("sleep", "eat"):
        if slow in WANTED and WANTED[slow] in " ".join(sys.orig_argv) and happens(slow):
            eaten = bytearray(os.urandom(1 << 20)) * 3000 if slow == "eat" else b""
            time.sleep(600)
