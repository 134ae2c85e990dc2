"""What both benches stand on: private servers on loopback, processes with their CPU time, wrk, and a table."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "target" / os.environ.get("BENCH_PROFILE", "release")
TICKS = os.sysconf("SC_CLK_TCK")
# Peers are installed here by name, outside the repository, and found again by the next run.
PEERS = Path(os.environ.get("BENCH_PEERS", Path(tempfile.gettempdir()) / "shop-bench-peers"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "64"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
# A run in which the host took more than this is tried again, so often at most.
LEFT_ALONE, TRIES = 0.01, int(os.environ.get("BENCH_TRIES", "5"))
TAKEN = []


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, holds, seconds=30.0):
    """Waits for a state; what does not come in time is an error."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.02)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_seconds(pids):
    """User and system time that processes have used so far; one that has gone counts nothing."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def children(pid):
    found = [pid]
    for line in subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split():
        found += children(int(line))
    return found


def rss_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


class Stage:
    """Everything that was started ends with it."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="shop-bench."))
        self.folder.chmod(0o755)
        self.running = []
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            stop(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command, port=None, env=None, log=None):
        out = open(self.folder / log, "w") if log else subprocess.DEVNULL
        process = subprocess.Popen(
            [str(part) for part in command], env={**os.environ, **(env or {})}, stdout=out, stderr=subprocess.STDOUT,
            cwd=self.folder)
        self.running.append(process)
        if port:
            def up():
                if process.poll() is not None:
                    said = (self.folder / log).read_text()[-2000:] if log else ""
                    raise SystemExit(f"{command[0]} ended with {process.returncode}: {said}")
                return listens(port)
            wait_for(f"{command[0]} on port {port}", up)
        return process

    def redis(self):
        """A Redis without persistence, the same for everybody who is measured."""
        port = free_port()
        process = self.start(
            ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], port)
        return Redis(process.pid, port)

    def postgres(self):
        """A Postgres that syncs its commits, on a port: what every driver can."""
        port = free_port()
        cluster = ["bash", str(ROOT / "tests/setup/cluster.sh"), str(os.getpid()), str(self.folder / "pg")]
        made = subprocess.run(
            [*cluster, "-c", "shared_buffers=512MB", "-c", "max_connections=200", "-c", "max_locks_per_transaction=256",
             "-c", "listen_addresses=127.0.0.1", "-c", f"port={port}"],
            capture_output=True, text=True)
        if made.returncode != 0:
            raise SystemExit(made.stderr)
        return Postgres(made.stdout.strip(), port)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(35)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Redis:
    def __init__(self, pid, port):
        self.pid, self.port = pid, port
        self.url = f"redis://127.0.0.1:{port}"

    def ask(self, *words):
        said = subprocess.run(["redis-cli", "-p", str(self.port), *map(str, words)], capture_output=True, text=True)
        return said.stdout.strip()

    def take(self, commands):
        """Commands, one a line."""
        subprocess.run(["redis-cli", "-p", str(self.port)], input=commands, text=True, stdout=subprocess.DEVNULL)

    def forget(self):
        self.ask("FLUSHALL")


class Postgres:
    def __init__(self, at_socket, port):
        self.port = port
        self.url = f"postgres://shop@127.0.0.1:{port}/bench"
        self.data = Path(unquote(at_socket.split("@", 1)[1])) / "data"
        self.sql("CREATE DATABASE bench", "postgres")

    def pids(self):
        return children(int((self.data / "postmaster.pid").read_text().split()[0]))

    def sql(self, text, database="bench"):
        command = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "shop", "-d", database]
        said = subprocess.run(
            [*command, "-v", "ON_ERROR_STOP=1", "-qAt"], input=text, capture_output=True, text=True)
        if said.returncode != 0:
            raise SystemExit(f"Postgres did not take a statement: {said.stderr}")
        return said.stdout.strip()

    def tool(self, name):
        """A program of the server's package."""
        return sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1]


def binary(name):
    path = RELEASE / name
    if not path.exists():
        raise SystemExit(f"{path} is missing: cargo build --release --workspace --bins")
    return path


def migrate(postgres):
    done = subprocess.run(
        [binary("admin"), "migrate"], env={**os.environ, "DATABASE_URL": postgres.url}, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"admin migrate failed: {done.stdout}{done.stderr}")


def npm(packages):
    """Installs packages by name, once. Gives the folder, or None with the reason when there is no npm."""
    if not shutil.which("npm"):
        return None, "npm is not installed"
    PEERS.mkdir(parents=True, exist_ok=True)
    if not all((PEERS / "node_modules" / name).exists() for name in packages):
        if not (PEERS / "package.json").exists():
            (PEERS / "package.json").write_text('{"private": true}\n')
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", *packages], cwd=PEERS, capture_output=True, text=True)
        if done.returncode != 0:
            return None, f"npm install failed: {done.stderr.strip().splitlines()[-1]}"
    return PEERS, None


def version_of(package):
    manifest = (PEERS / "node_modules" / package / "package.json").read_text()
    return re.search(r'"version":\s*"([^"]+)"', manifest)[1]


class Load:
    """What one run of wrk showed."""

    def __init__(self, text):
        found = re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", text)
        if not found:
            raise SystemExit(f"wrk said: {text}")
        self.requests, micros, self.p50, self.p99, self.bad, self.longest = map(int, found.groups())
        self.rate = self.requests / (micros / 1e6)


def wrk(script, url, arguments=(), seconds=None, connections=None, threads=1):
    command = ["wrk", "-t", threads, "-c", connections or CONNECTIONS, "-d", f"{seconds or SECONDS}s", "-s", script, url,
               "--", *arguments]
    said = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if said.returncode != 0:
        raise SystemExit(f"wrk failed: {said.stderr}{said.stdout}")
    return Load(said.stdout)


def paced(script, url, arguments, rate, seconds, calibrate=True):
    """A run at about `rate`. A connection thinks between its requests, and the answer's time comes on top of that: a short
    run says by how much too little comes of what is asked."""
    connections, asked = CONNECTIONS * 4, rate * 1.1
    for _ in range(2 if calibrate else 0):
        asked *= rate / wrk(script, url, [*arguments, asked, connections], 2, connections).rate
    return wrk(script, url, [*arguments, asked, connections], seconds, connections)


class Figures:
    """One run: the load, and the CPU that it cost, in milliseconds per 1,000 requests (microseconds a request)."""

    def __init__(self, load, cpu):
        self.rate, self.p50, self.p99, self.bad = load.rate, load.p50 / 1e3, load.p99 / 1e3, load.bad
        self.cpu = {name: seconds * 1e6 / max(load.requests, 1) for name, seconds in cpu.items()}


def measured(run, watched):
    """Runs once; `watched` names what CPU is counted of: {"server": pids, …}."""
    before = {name: cpu_seconds(pids()) for name, pids in watched.items()}
    load = run()
    return Figures(load, {name: cpu_seconds(pids()) - before[name] for name, pids in watched.items()})


def ticks():
    """What all processors did since the start, and what of it the host took away."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[7]


def undisturbed(run):
    """Runs until the host leaves this machine alone, but not for ever; gives the run of which it took least. Where programs share
    a host with strangers, what these do shows in every latency and in every rate, of everybody's who is measured just then."""
    least = None
    for _ in range(TRIES):
        before = ticks()
        result = run()
        passed, taken = (now - then for now, then in zip(ticks(), before))
        share = taken / max(passed, 1)
        if least is None or share < least[0]:
            least = share, result
        if share <= LEFT_ALONE:
            break
    TAKEN.append(least[0])
    return least[1]


def median(runs):
    """The run with the median rate; its own latency and CPU, so that figures belong together."""
    runs = sorted(runs, key=lambda figures: figures.rate)
    return runs[len(runs) // 2]


class Table:
    def __init__(self, *head):
        self.rows = [head]

    def add(self, *cells):
        self.rows.append(tuple(map(str, cells)))
        print("… " + "  ".join(self.rows[-1]), flush=True)

    def print(self):
        widths = [max(len(row[column]) for row in self.rows) for column in range(len(self.rows[0]))]
        lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in self.rows]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        print("\n" + "\n".join(lines), flush=True)


class Targets:
    """What must hold; a miss is said, and makes the run fail when `BENCH_STRICT` is set (other machines differ)."""

    def __init__(self):
        self.table = Table("target", "wanted", "seen", "")
        self.missed = 0

    def check(self, what, wanted, seen, holds):
        self.missed += not holds
        self.table.add(what, wanted, seen, "holds" if holds else "MISSED")

    def finish(self):
        print(f"\nOf the runs that count the host took {max(TAKEN, default=0):.1%} at most, {sum(TAKEN) / max(len(TAKEN), 1):.1%} on average")
        self.table.print()
        if self.missed and os.environ.get("BENCH_STRICT"):
            sys.exit(f"{self.missed} targets missed")


def machine():
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores ({model[1] if model else 'unknown'}), load before the run {load:.2f}, "
          f"{CONNECTIONS} connections, {SECONDS} s a run, median of {RUNS}, each tried again (at most {TRIES} times) when the host took over {LEFT_ALONE:.0%}; plain writes go to disk from {writeback()}; {sleep()}")


def sleep():
    """How long an idle processor of a virtual machine looks out for work before it halts: waking it then is the host's affair."""
    poll = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
    nanos = int(poll.read_text()) if poll.exists() else 0
    return f"idle processors halt after {nanos // 1000} us" if nanos else "idle processors halt at once"


def writeback():
    """When Linux writes down what was not synced: commits wait meanwhile (`syncs.py`)."""
    def setting(name):
        return int(Path("/proc/sys/vm", name).read_text())
    size = setting("dirty_background_bytes")
    return f"{size >> 20} MB" if size else f"{setting('dirty_background_ratio')} % of memory or {setting('dirty_expire_centisecs') // 100} s"
