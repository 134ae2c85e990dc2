"""What being watched costs: the redirector with a tenth of the traces exported and JSON logs on, beside the same one with neither,
by turns in one run. The figure is the server's CPU per 1,000 clicks."""
import http.server
import importlib.util
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from stage import RUNS, Stage, Table, Targets, binary, children, free_port, machine, measured, migrate, wrk

# The catalogue and the load are those of the redirector's own bench.
spec = importlib.util.spec_from_file_location("redirector_bench", HERE.parent / "redirector/bench.py")
clicks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(clicks)


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes traces and counts what came. Its own CPU is not the server's."""
    protocol_version = "HTTP/1.1"
    bytes = 0

    def do_POST(self):
        Collector.bytes += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def redirector(stage, postgres, redis, name, watched):
    port = free_port()
    env = {
        "DATABASE_URL": postgres.url, "REDIS_URL": redis.url, "HTTP_ADDR": f"127.0.0.1:{port}", "OPS_ADDR": "127.0.0.1:0",
        "HTTP_WORKERS": "1", "TRUSTED_PROXIES": "127.0.0.0/8", "REDIRECT_SPOOL_DIR": str(stage.folder / f"spool-{name}"),
        "JWT_SECRET": "a-session-secret-of-decent-length", "QUEUE_MAX_BYTES": str(64 << 30), **watched,
    }
    return stage.start([binary("redirector")], port, env, f"{name}.log"), port


def main():
    machine()
    targets = Targets()
    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    exported = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_address[1]}", "OTEL_TRACES_SAMPLER_ARG": "0.1",
        "RUST_LOG": "info", "LOG_FORMAT": "json",
    }
    with Stage() as stage:
        redis, postgres = stage.redis(), stage.postgres()
        migrate(postgres)
        ids = clicks.catalogue(stage, postgres)
        servers = {
            "not watched": redirector(stage, postgres, redis, "plain", {"RUST_LOG": "off"}),
            "watched": redirector(stage, postgres, redis, "watched", exported),
        }
        load = lambda port, seconds=None: wrk(
            clicks.CLICK, f"http://127.0.0.1:{port}", [stage.folder / "few", clicks.CLIENTS], seconds)
        for _, port in servers.values():
            clicks.location(port, ids[0])
            load(port, 2)
        seen = {name: [] for name in servers}
        for _ in range(max(RUNS, 3)):
            for name, (server, port) in servers.items():
                redis.ask("UNLINK", "queue:clicks")
                figures = measured(lambda: load(port), {"server": lambda: children(server.pid)})
                if figures.bad:
                    sys.exit(f"{name}: {figures.bad} requests failed")
                seen[name].append(figures)
    table = Table("redirector, 1 worker", "requests/s", "p99 ms", "server CPU ms/1,000 (runs)")
    cpu = {}
    for name, runs in seen.items():
        of_runs = sorted(run.cpu["server"] for run in runs)
        cpu[name] = of_runs[len(of_runs) // 2]
        middle = sorted(runs, key=lambda run: run.rate)[len(runs) // 2]
        table.add(name, f"{middle.rate:,.0f}", f"{middle.p99:.2f}", f"{cpu[name]:.1f} ({', '.join(f'{one:.1f}' for one in of_runs)})")
    table.print()
    print(f"{Collector.bytes:,} bytes of traces were taken")
    if not Collector.bytes:
        sys.exit("no trace was exported: nothing was measured")
    ratio = cpu["watched"] / cpu["not watched"]
    targets.check("server CPU, of the one not watched", "<= 1.15", f"{ratio:.3f}", ratio <= 1.15)
    targets.finish()


if __name__ == "__main__":
    main()
