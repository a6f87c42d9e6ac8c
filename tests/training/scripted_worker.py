"""A worker that does what the model name of its job says, over the real lines."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from services.host.children import die_with_parent, take_stdout
from services.training.crew.worker_lines import Assignment, read_assignment
from services.training.jobs import Changes, Ending, JobStage, JobState, StopMode, Tree, failed
from services.training.worker import Orders, Outbox, _come_last

RESULT = {"model_name": "scripted", "model_version": 1, "model_digest": "0" * 64, "rounds": 3}
SUCCESS = Ending(JobState.SUCCEEDED, "Done.", result=RESULT)


def metric(name: str, value: float) -> Tree:
    return {"metric": {"name": name, "value": value}}


def main() -> int:
    die_with_parent()
    _come_last()
    lines = take_stdout()
    assignment = read_assignment(sys.stdin.buffer.readline())
    outbox, orders = Outbox(lines), Orders()
    threading.Thread(target=orders.follow, args=(sys.stdin.buffer,), daemon=True).start()
    threading.Thread(target=outbox.tick, daemon=True).start()
    outbox.tell({"stage_started": {"stage": JobStage.FEATURES}}, Changes(stage=JobStage.FEATURES))
    outbox.tell(metric("server", os.getppid()))
    outbox.tell(metric("pid", os.getpid()))
    outbox.end(SCRIPTS[assignment.model_name](assignment, outbox, orders))
    return 0


def succeeds(_assignment: Assignment, outbox: Outbox, _orders: Orders) -> Ending:
    for number in range(5):
        outbox.tell(metric("n", number), Changes(fraction=number / 5))
    return SUCCESS


def progresses(_assignment: Assignment, outbox: Outbox, _orders: Orders) -> Ending:
    """Far more progress than anybody wants, and some of it backwards."""
    for number in range(1000):
        outbox.progress(number / 1000 if number % 7 else 0.0, fold=1, round=number)
        time.sleep(0.001)
    return SUCCESS


def advances(assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    """Comes half the way and is killed; the next attempt goes on from there at once, and to the end."""
    known = 0.0 if assignment.attempt == 1 else 0.5
    for step in range(25):
        outbox.progress(known + 0.5 * step / 25 if step % 5 else 0.0)
        outbox.flush()
    return dies(assignment, outbox, orders) if assignment.attempt == 1 else SUCCESS


def counts(_assignment: Assignment, outbox: Outbox, orders: Orders, pause_seconds: float = 0.005) -> Ending:
    """Tells a number every few milliseconds until told to stop."""
    number = 0
    while orders.mode is None:
        outbox.tell(metric("n", number))
        number += 1
        orders.pause(pause_seconds)
    return SUCCESS if orders.mode is StopMode.KEEP_BEST else Ending(JobState.STOPPED, "Told to.")


def murmurs(assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    """Counts, with pauses."""
    return counts(assignment, outbox, orders, 0.2)


def waits(_assignment: Assignment, _outbox: Outbox, orders: Orders) -> Ending:
    while orders.mode is None:
        orders.pause(60)
    return SUCCESS if orders.mode is StopMode.KEEP_BEST else Ending(JobState.STOPPED, "Told to discard.")


def deaf(_assignment: Assignment, outbox: Outbox, _orders: Orders) -> Ending:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    outbox.tell(metric("deaf", 1))
    while True:
        time.sleep(60)


def dies(_assignment: Assignment, _outbox: Outbox, _orders: Orders) -> Ending:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def dies_once(assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    return dies(assignment, outbox, orders) if assignment.attempt == 1 else SUCCESS


def keeps(assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    """Tells what earlier attempts left in its folder, leaves something, and dies until the third time."""
    if assignment.checkpoint_folder is None:
        return SUCCESS
    folder = Path(assignment.checkpoint_folder)
    outbox.tell(metric("kept", len(list(folder.iterdir()))))
    (folder / f"attempt_{assignment.attempt}").write_bytes(b"done")
    return dies(assignment, outbox, orders) if assignment.attempt < 3 else SUCCESS


def exits(_assignment: Assignment, _outbox: Outbox, _orders: Orders) -> Ending:
    os._exit(3)


def babbles(_assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    outbox._lines.write(b"[LightGBM] [Info] hello\n")
    outbox._lines.flush()
    return waits(_assignment, outbox, orders)


def prints(_assignment: Assignment, _outbox: Outbox, _orders: Orders) -> Ending:
    """A library that prints does not end up among the lines."""
    print("hello")
    sys.stdout.flush()
    os.write(1, b"hello from C\n")
    return SUCCESS


def eats(_assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    eaten = bytearray(os.urandom(1)) * 200_000_000
    outbox.tell(metric("eaten", len(eaten)))
    return waits(_assignment, outbox, orders)


def burns(assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    """Takes time and memory, some of it in a child, tells how much, and is killed the first time."""
    eaten = bytearray(os.urandom(1)) * 60_000_000
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    sum(range(3_000_000))
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    outbox.tell(metric("cpu_seconds", time.process_time() + child.ru_utime + child.ru_stime))
    outbox.tell(metric("eaten", len(eaten)))
    orders.pause(60)
    return dies(assignment, outbox, orders) if assignment.attempt == 1 else SUCCESS


def fosters(_assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    """Has a child with much memory, and leaves it behind."""
    code = "eaten = bytearray(b'x') * 200_000_000; print(flush=True); import time; time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    outbox.tell(metric("child", child.pid))
    orders.pause(60)
    return SUCCESS


def chats(assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    """Logs and prints all kinds of things, waits, logs more, and is killed the first time."""
    from services.host import logs  # which takes a while, and no other script needs it

    logs.write_json_lines("training", "INFO")
    log = logging.getLogger("marketml.chat")
    log.info(
        "Reads /var/lib/canary-folder/deep/rows.parquet of postgresql://canary-user:canary-word@host/name."
    )
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("It is broken.", extra={"fields": {"room": "kitchen"}})
    print("printed with password=canary-word")
    os.write(2, b"\xff\xfe not UTF-8 \x00 and NUL\n\n")
    os.write(2, b"x" * 300_000 + b"\n")
    log.warning("%s", "€" * 5_000)
    outbox.tell(metric("chatted", 1))
    if assignment.attempt > 1:
        orders.pause(60)
    log.info("The last words of attempt %d.", assignment.attempt)
    return dies(assignment, outbox, orders) if assignment.attempt == 1 else SUCCESS


def floods(_assignment: Assignment, outbox: Outbox, orders: Orders) -> Ending:
    """Prints faster than anybody stores."""
    for number in range(30):
        os.write(2, b"".join(b"line %d\n" % line for line in range(200 * number, 200 * number + 200)))
    return SUCCESS


def fails(_assignment: Assignment, _outbox: Outbox, _orders: Orders) -> Ending:
    return failed("FAILED_PRECONDITION", "TOO_LITTLE_DATA", "7 rows are too few.")


SCRIPTS: dict[str, Callable[[Assignment, Outbox, Orders], Ending]] = {
    script.__name__.replace("_", "-"): script
    for script in (
        succeeds,
        progresses,
        advances,
        counts,
        murmurs,
        waits,
        deaf,
        dies,
        dies_once,
        keeps,
        exits,
        babbles,
        prints,
        eats,
        burns,
        fosters,
        chats,
        floods,
        fails,
    )
}

if __name__ == "__main__":
    os._exit(main())
