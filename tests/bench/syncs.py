"""How long a commit waits for this machine's disk: small writes that are synced, as Postgres' log is, beside plain writes, as its
tables are. Linux collects the latter for half a minute by default and then writes them all at once, while syncs wait.

    python3 tests/bench/syncs.py [SECONDS (60)] [MB of plain writes a second (15)] [FOLDER, of the disk to look at]"""
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

BLOCK, LOG, ROUND = 16 << 10, 64 << 20, 0.05
LONG = 0.03


def write_plainly(path, rate, is_over):
    with open(path, "wb", buffering=0) as file:
        while not is_over.wait(ROUND):
            for _ in range(int(rate * 1e6 * ROUND / 8192)):
                file.write(b"t" * 8192)


def sync_often(path, seconds):
    """When each sync began, and how long it took."""
    log = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(log, b"\0" * LOG, 0)
    os.fsync(log)
    syncs, begin, place = [], time.monotonic(), 0
    while (at := time.monotonic() - begin) < seconds:
        os.pwrite(log, b"l" * BLOCK, place)
        os.fdatasync(log)
        syncs.append((at, time.monotonic() - begin - at))
        place = (place + BLOCK) % LOG
        time.sleep(0.001)
    os.close(log)
    return syncs


def main():
    given = dict(enumerate(sys.argv[1:]))
    seconds, rate = float(given.get(0, 60)), float(given.get(1, 15))
    with tempfile.TemporaryDirectory(dir=given.get(2)) as folder:
        is_over = threading.Event()
        beside = threading.Thread(target=write_plainly, args=(Path(folder) / "table", rate, is_over))
        beside.start()
        syncs = sync_often(Path(folder) / "log", seconds)
        is_over.set()
        beside.join()
    took = sorted(took for _, took in syncs)
    print(f"{len(took)} syncs beside {rate:g} MB/s: p50 {took[len(took) // 2] * 1e3:.2f} ms, p99 {took[len(took) * 99 // 100] * 1e3:.2f} ms, "
          f"longest {took[-1] * 1e3:.0f} ms")
    for at, took in syncs:
        if took >= LONG:
            print(f"  {took * 1e3:.0f} ms at {at:.1f} s")


if __name__ == "__main__":
    main()
