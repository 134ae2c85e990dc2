"""The rules of deployment that no schema knows. Prints every breach, ends with 1 if there is one."""
import re
import subprocess
import sys
from pathlib import Path

import yaml

SERVICES = ["redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"]
DRAIN_S = 28
breaches = []
checked = 0


def rule(holds, text):
    global checked
    checked += 1
    if not holds:
        breaches.append(text)


def load(path):
    return [document for document in yaml.safe_load_all(Path(path).read_text()) if document]


def settings():
    """Every setting there is, from the generated file; NAME_* are families."""
    keys = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*\*?)=", Path(".env.example").read_text(), re.M)
    return set(keys)


# What the C library under a service reads, and must be told wherever it is deployed (ADR 37).
LIBRARY = {"cashback-sync": {"MALLOC_ARENA_MAX": "1"}}
KNOWN = settings() | {key for told in LIBRARY.values() for key in told}


def read_by():
    """For each service what it reads, and what of that is secret, from the generated reference."""
    reads, secrets = {name: set() for name in SERVICES}, {name: set() for name in SERVICES}
    for line in Path("docs/operations/configuration.md").read_text().splitlines():
        row = re.match(r"\| `([A-Z][A-Z0-9_]*\*?)` \|.*\| ([a-z, -]+) \|$", line)
        if row:
            for name in SERVICES if row[2] == "all" else row[2].split(", "):
                reads[name].add(row[1])
                if "*(secret)*" in line:
                    secrets[name].add(row[1])
    return reads, secrets


READS, SECRETS = read_by()


def library(where, name, environment):
    """The C library under a service is told what it must be told, and no other service's is."""
    told = {key: str(value) for key, value in environment.items() if key.startswith("MALLOC_")}
    rule(told == LIBRARY.get(name, {}), f"{where}: its C library is told {told}")


def given(where, name, keys, absent=()):
    """A service gets every secret that it reads, as a secret, and none that it does not read."""
    for key in set(keys) - set(LIBRARY.get(name, {})):
        rule(key in READS[name] or any(family.endswith("*") and key.startswith(family[:-1]) for family in READS[name]), f"{where} is given {key}, which it does not read")
    for key in SECRETS[name] - set(absent):
        rule(key in keys, f"{where} has no secret {key}")


def known(key):
    key = key.removesuffix("_FILE") if key.removesuffix("_FILE") in KNOWN else key
    return key in KNOWN or any(family.endswith("*") and key.startswith(family[:-1]) for family in KNOWN)


def thresholds():
    lines = Path("docker/notifier-scaling.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def kubernetes(overlay, documents):
    kinds = {}
    for document in documents:
        kinds.setdefault(document["kind"], []).append(document)
    named = lambda kind: {d["metadata"]["name"]: d for d in kinds.get(kind, [])}
    workloads = {**named("Deployment"), **named("StatefulSet")}
    pods = {name: w["spec"]["template"] for name, w in {**workloads, **named("Job")}.items()}

    for name in SERVICES:
        rule(name in workloads, f"{overlay}: {name} is missing")
        rule(name in named("PodDisruptionBudget"), f"{overlay}: {name} has no PodDisruptionBudget")
    for name, template in pods.items():
        spec = template["spec"]
        where = f"{overlay}: {name}"
        context = spec.get("securityContext", {})
        rule(context.get("runAsNonRoot") is True, f"{where} may run as root")
        rule(context.get("seccompProfile", {}).get("type") == "RuntimeDefault", f"{where} has no seccomp profile")
        rule(spec.get("automountServiceAccountToken") is False, f"{where} gets a token of the cluster")
        rule(not spec.get("hostNetwork") and not spec.get("hostPID"), f"{where} is in the host's namespaces")
        for container in spec["containers"]:
            own = container.get("securityContext", {})
            rule(own.get("allowPrivilegeEscalation") is False, f"{where} may gain privileges")
            rule(own.get("readOnlyRootFilesystem") is True, f"{where} may write to its root")
            rule(own.get("capabilities", {}).get("drop") == ["ALL"], f"{where} keeps capabilities")
            rule("memory" in container["resources"]["limits"], f"{where} has no limit of memory")
            rule("cpu" in container["resources"]["requests"], f"{where} asks for no cpu")
            rule(not container["image"].endswith(":latest"), f"{where} runs whatever is latest")
            if overlay == "prod":
                rule(re.search(r":[^/]+$", container["image"]), f"{where} names no version")
            if name in SERVICES or name == "migrate":
                for variable in container.get("env", []):
                    rule(known(variable["name"]), f"{where}: {variable['name']} is no setting")
                    secret = re.search(r"SECRET|KEY$|TOKEN|PASSWORD|_URL$", variable["name"]) and "value" in variable
                    rule(not secret, f"{where}: {variable['name']} is written down")
    for name in SERVICES:
        spec = pods[name]["spec"]
        where = f"{overlay}: {name}"
        given(where, name, {v["name"] for v in spec["containers"][0]["env"]})
        library(where, name, {v["name"]: v.get("value") for v in spec["containers"][0]["env"]})
        rule(spec["terminationGracePeriodSeconds"] > DRAIN_S + 5, f"{where} is killed before its drain ends")
        rule(len(spec.get("topologySpreadConstraints", [])) == 2, f"{where} is not spread")
        container = spec["containers"][0]
        for probe, path in [("livenessProbe", "/healthz"), ("startupProbe", "/healthz"), ("readinessProbe", "/readyz")]:
            found = container[probe]["httpGet"]
            rule(found["path"] == path and found["port"] == "ops", f"{where}: {probe} asks {found}")
        labels = pods[name]["metadata"]["labels"]
        selector = workloads[name]["spec"]["selector"]["matchLabels"]
        rule(selector.items() <= labels.items(), f"{where} selects other pods")
        service = named("Service")[name]["spec"]["selector"]
        rule(service.items() <= labels.items(), f"{where}: its Service selects other pods")
    rule("replicas" not in workloads["notifier"]["spec"], f"{overlay}: KEDA and the Deployment both count notifiers")
    rule("volumeClaimTemplates" in workloads["redirector"]["spec"], f"{overlay}: spooled clicks do not outlive a pod")

    policies = named("NetworkPolicy")
    deny = policies.get("default-deny", {}).get("spec")
    rule(deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, f"{overlay}: nothing is denied by default")
    outward = policies["providers"]["spec"]["podSelector"]["matchExpressions"][0]["values"]
    rule(sorted(outward) == ["cashback-sync", "cron", "notifier", "webhooks"], f"{overlay}: {outward} may call the world")
    rule((overlay == "prod") == ("Secret" not in kinds), f"{overlay}: secrets in the repository")
    rule((overlay == "dev") == ("provider-sim" in pods), f"{overlay}: the simulator")
    for kind in kinds.get("ConfigMap", []):
        for key in kind.get("data", {}):
            rule(known(key), f"{overlay}: {key} is no setting")
    told = {key: value for kind in kinds.get("ConfigMap", []) for key, value in kind.get("data", {}).items()}
    rule("@" in told.get("ALERT_EMAILS", ""), f"{overlay}: nobody is told what a person must look at")
    variables = {variable["name"] for variable in pods["cashback-sync"]["spec"]["containers"][0]["env"]}
    rule("CUELINKS_PUBLISHER_ID" in variables, f"{overlay}: a Cuelinks key of another account would not be noticed")
    backends = [path["backend"]["service"]["name"] for r in named("Ingress")["shop"]["spec"]["rules"] for path in r["http"]["paths"]]
    rule(set(backends) == {"redirector", "webhooks", "admin"}, f"{overlay}: the ingress leads to {backends}")

    wanted = thresholds()
    scaler = named("ScaledObject")["notifier"]["spec"]
    rule(str(scaler["minReplicaCount"]) == wanted["SCALE_MIN"], f"{overlay}: KEDA's least")
    rule(str(scaler["maxReplicaCount"]) == wanted["SCALE_MAX"], f"{overlay}: KEDA's most")
    rule(str(scaler["fallback"]["replicas"]) == wanted["SCALE_FALLBACK"], f"{overlay}: KEDA's fallback")
    formula = scaler["advanced"]["scalingModifiers"]["formula"]
    numbers = re.findall(r"\d+", formula)
    rule(numbers == [wanted[k] for k in ("SCALE_UP_ABOVE", "SCALE_MAX", "SCALE_DOWN_BELOW", "SCALE_MIN")], f"{overlay}: {formula}")
    counts = played(scaler)
    rule(counts == [int(wanted["SCALE_MIN"]), int(wanted["SCALE_MAX"]), int(wanted["SCALE_MIN"])], f"{overlay}: from nothing to 10,000 and back KEDA comes to {counts}")
    names = {trigger["name"] for trigger in scaler["triggers"]}
    rule(names == {"depth", "running"}, f"{overlay}: the formula's triggers are {names}")
    rule(named("ServiceMonitor")["shop"]["spec"]["endpoints"][0]["port"] == "ops", f"{overlay}: metrics")


def played(scaler):
    """The counts that KEDA and the autoscaler of Kubernetes come to while the queues go from nothing to 10,000 and back, one after the other."""
    behavior = scaler["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    window, step = behavior["scaleDown"]["stabilizationWindowSeconds"], scaler["pollingInterval"]
    upper, most, lower, least = map(int, re.findall(r"\d+", scaler["advanced"]["scalingModifiers"]["formula"]))
    depth, running, counts, asked = 0, scaler["minReplicaCount"], [scaler["minReplicaCount"]], []
    for second in range(0, 2400, step):
        depth = max(0, depth + (220 * step if 60 <= second < 160 else 0) - running * 20 * step)
        asked.append((second, most if depth > upper else (least if depth < lower else running)))
        wanted = asked[-1][1]
        if wanted < running:
            # Down to the highest count that was asked for within the window.
            wanted = min(running, max(count for at, count in asked if at > second - window))
        if wanted != running:
            running = wanted
            counts.append(running)
    return counts


def compose(raw):
    services = raw["services"]
    rule(set(services) == {*SERVICES, "edge", "postgres", "redis", "migrate"}, f"compose: {sorted(services)}")
    rule(services["notifier"]["deploy"]["replicas"] == 3, "compose: not three notifiers")
    rule(raw["networks"]["data"].get("internal") is True, "compose: the data network leads outside")
    for name, service in services.items():
        where = f"compose: {name}"
        rule(("ports" in service) == (name == "edge"), f"{where}: published ports")
        rule("privileged" not in service, f"{where} is privileged")
        rule("ALL" in service.get("cap_drop", []), f"{where} keeps capabilities")
        rule("no-new-privileges:true" in service.get("security_opt", []), f"{where} may gain privileges")
        rule("memory" in service["deploy"]["resources"]["limits"], f"{where} has no limit of memory")
        rule("restart" in service, f"{where} is not restarted")
        rule("logging" in service, f"{where} logs without end")
        networks = set(service["networks"])
        rule("edge" not in networks or name == "edge", f"{where} is at the edge")
        if name in ("postgres", "redis"):
            rule(networks == {"data"}, f"{where} can be reached from {networks}")
        if name in (*SERVICES, "migrate"):
            rule(service.get("read_only") is True, f"{where} may write to its root")
            grace = int(str(service["stop_grace_period"]).rstrip("s"))
            rule(grace > DRAIN_S + 5, f"{where} is killed before its drain ends")
            for key, value in service["environment"].items():
                rule(known(key), f"{where}: {key} is no setting")
                if key.endswith("_FILE"):
                    rule(str(value).startswith("/run/secrets/"), f"{where}: {key} is no secret's file")
                    rule(value.rsplit("/", 1)[1] in service["secrets"], f"{where} does not get {value}")
    for name in SERVICES:
        given(f"compose: {name}", name, {key.removesuffix("_FILE") for key in services[name]["environment"]}, ["REDIS_SENTINEL_PASSWORD"])
        library(f"compose: {name}", name, services[name]["environment"])
        rule("depends_on" in services[name], f"compose: {name} starts before what it needs")
    subnet = raw["networks"]["app"]["ipam"]["config"][0]["subnet"]
    for name in ("redirector", "webhooks", "admin"):
        rule(services[name]["environment"]["TRUSTED_PROXIES"] == subnet, f"compose: {name} believes other proxies")


def swarm(raw):
    edge, scaler = raw["services"]["edge"], raw["services"]["scaler"]
    rule(all(port["mode"] == "host" for port in edge["ports"]), "swarm: the edge does not see who comes")
    rule(scaler["read_only"] is True and scaler["cap_drop"] == ["ALL"], "swarm: the scaler keeps capabilities, or writes")
    rule(scaler["networks"] == ["data"] and "ports" not in scaler, "swarm: the scaler can be reached, or leads outside")
    rule("memory" in scaler["deploy"]["resources"]["limits"], "swarm: the scaler has no limit of memory")
    for name, service in (("edge", edge), ("scaler", scaler)):
        rule(service["deploy"]["placement"]["constraints"] == ["node.role == manager"], f"swarm: {name} is anywhere")


def observability(raw, rules, run_books):
    """What watches the shop is closed like the shop itself, and each alert says what to do."""
    for name, service in raw["services"].items():
        where = f"observability: {name}"
        rule("ALL" in service.get("cap_drop", []), f"{where} keeps capabilities")
        rule("no-new-privileges:true" in service.get("security_opt", []), f"{where} may gain privileges")
        rule(service.get("read_only") is True, f"{where} may write to its root")
        rule("memory" in service["deploy"]["resources"]["limits"], f"{where} has no limit of memory")
        rule("logging" in service and "restart" in service, f"{where} logs without end or is not restarted")
        rule(re.fullmatch(r"\$\{[A-Z_]+:-[a-z0-9/.-]+:v?[0-9.]+\}", service["image"]), f"{where} names no version: {service['image']}")
        for port in service.get("ports", []):
            rule(port.startswith("127.0.0.1:"), f"{where} is published to the world")
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("./"):
                rule(Path(source).exists(), f"{where}: {source} is not there")
            rule(mode == ["ro"] or "/" not in source, f"{where} may write to {source}")
    scraped = yaml.safe_load(Path("docker/observability/prometheus/prometheus.yml").read_text())["scrape_configs"][0]
    rule(sorted(scraped["dns_sd_configs"][0]["names"]) == sorted(SERVICES), f"observability: scraped is {scraped}")
    headings = {re.sub(r"[^a-z0-9_ -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", run_books, re.M)}
    for group in rules["groups"]:
        for alert in group["rules"]:
            file, _, anchor = alert["annotations"]["runbook"].partition("#")
            rule(file == "docs/operations/run-books.md" and anchor in headings, f"alert {alert['alert']}: no run book #{anchor}")
            rule(alert["labels"]["severity"] in ("page", "ticket"), f"alert {alert['alert']}: no severity")


def dockerfile(text):
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?", text, re.M)
    rule(stages[-1][1] == "service", "Dockerfile: the last stage is what is built by default")
    rule("FROM scratch AS base" in text, "Dockerfile: something is in the base of the final image")
    rule("USER 65532:65532" in text, "Dockerfile: root")
    rule("--locked" in text, "Dockerfile: not the lock file's versions")
    final = text[text.index(" AS service") :]
    rule("provider-sim" not in final, "Dockerfile: the simulator in a production image")
    rule(not re.search(r"^(ARG|ENV) .*(SECRET|PASSWORD|TOKEN|_KEY)", text, re.M), "Dockerfile: a secret in a layer")


def base_images():
    """Everybody names the same base images, each with a version."""
    pins = dict(re.findall(r"^([A-Z]+_IMAGE) (\S+)$", Path("docker/pin.sh").read_text(), re.M))
    rule(set(pins) == {"RUST_IMAGE", "POSTGRES_IMAGE", "REDIS_IMAGE", "NGINX_IMAGE"}, f"docker/pin.sh: {sorted(pins)}")
    rule(f"ARG RUST_IMAGE={pins['RUST_IMAGE']}\n" in Path("docker/Dockerfile").read_text(), "Dockerfile: another base image than docker/pin.sh")
    composed = Path("docker-compose.prod.yml").read_text()
    run = Path("tests/stack/run.sh").read_text()
    data = Path("k8s/overlays/dev/data.yaml").read_text()
    for name, image in pins.items():
        rule(re.search(r":[0-9]+[0-9.]*-", image), f"{image} is not a version")
        rule(image in run, f"tests/stack/run.sh: not {image}")
        if name != "RUST_IMAGE":
            rule(f"${{{name}:-{image}}}" in composed, f"compose: {name} is not {image}")
        if name in ("POSTGRES_IMAGE", "REDIS_IMAGE"):
            rule(f"image: {image}\n" in data, f"dev: not {image}")


def units():
    for path in sorted(Path("systemd").glob("*.service")):
        text = path.read_text()
        report = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", path], capture_output=True, text=True)
        level = re.search(r"exposure level for .*: ([0-9.]+)", report.stdout)
        rule(level is not None and float(level[1]) <= 1.5, f"{path}: exposure {level and level[1]} {report.stderr.strip()}")
        if "migrate" in path.name:
            continue
        rule("Type=notify" in text and "WatchdogSec=" in text, f"{path}: no watchdog")
        rule("RestartPreventExitStatus=64" in text, f"{path}: wrong settings are tried again and again")
        rule(int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > DRAIN_S + 5, f"{path}: killed before its drain ends")
        environment = dict(re.findall(r"^Environment=([A-Z_]+)=(.*)", text, re.M))
        for key in environment:
            rule(known(key), f"{path}: {key} is no setting")
        library(path, path.stem.removeprefix("shop-").removesuffix("@"), environment)
    names = {path.name for path in Path("systemd").glob("*.service")}
    rule(names == {f"shop-{s}{'@' if s == 'notifier' else ''}.service" for s in SERVICES} | {"shop-migrate.service"}, f"units: {names}")


out = Path(sys.argv[1])
for overlay in ("dev", "prod"):
    kubernetes(overlay, load(out / f"{overlay}.yaml"))
compose(yaml.safe_load(Path("docker-compose.prod.yml").read_text()))
swarm(yaml.safe_load(Path("docker-compose.swarm.yml").read_text()))
observability(
    yaml.safe_load(Path("docker/observability/compose.yml").read_text()),
    yaml.safe_load(Path("docker/observability/prometheus/rules.yml").read_text()),
    Path("docs/operations/run-books.md").read_text(),
)
dockerfile(Path("docker/Dockerfile").read_text())
base_images()
units()
for breach in breaches:
    print(f"  - {breach}")
print(f"deployment: {checked} rules checked, {len(breaches)} broken")
sys.exit(bool(breaches))
