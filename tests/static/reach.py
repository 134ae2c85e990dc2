"""Who may reach whom in the cluster: NetworkPolicies are evaluated for every pair of pods, and the answer must be the list below, no more
and no less. Prints what differs, ends with 1 if anything does."""
import sys
from pathlib import Path

import yaml

SERVICES = {"redirector", "webhooks", "notifier", "cashback-sync", "cron", "admin"}
CALLERS = {"webhooks", "notifier", "cashback-sync"}

# From, to, port. A pod of ours by its name, `@namespace` for any pod of another namespace, `world` for an address outside.
WANTED = (
    {(name, "@kube-system", 53) for name in SERVICES | {"migrate"}}
    | {("@monitoring", name, 9090) for name in SERVICES}
    | {("@ingress-nginx", name, 8080) for name in ("redirector", "webhooks", "admin")}
    | {(name, "world", 443) for name in CALLERS | {"cron"}}
    | {("notifier", "world", port) for port in (465, 587)}
)
DEV = (
    {(name, "postgres", 5432) for name in SERVICES | {"migrate"}}
    | {(name, "redis", 6379) for name in SERVICES}
    | {(name, "provider-sim", 8080) for name in CALLERS}
    | {("provider-sim", "webhooks", 8080), ("provider-sim", "@kube-system", 53)}
)
# Managed ones, at the addresses that the overlay names.
PROD = {(name, "10.20.0.0/16", 5432) for name in SERVICES | {"migrate"}} | {(name, "10.20.0.0/16", 6379) for name in SERVICES}


def selects(selector, labels):
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        has, values = labels.get(term["key"]), term.get("values", [])
        holds = {"In": has in values, "NotIn": has not in values, "Exists": has is not None, "DoesNotExist": has is None}[term["operator"]]
        if not holds:
            return False
    return True


def pods(documents):
    """Labels by name; the ends outside stand beside them."""
    found = {}
    for document in documents:
        if document["kind"] in ("Deployment", "StatefulSet", "Job"):
            found[document["metadata"]["name"]] = document["spec"]["template"]["metadata"]["labels"]
    return found


def ends(peers, ours):
    """The ends that a rule's `to` or `from` names."""
    if peers is None:
        return {"anybody"}
    found = set()
    for peer in peers:
        if "ipBlock" in peer:
            inside = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"}
            everywhere = peer["ipBlock"]["cidr"] == "0.0.0.0/0" and set(peer["ipBlock"].get("except", [])) == inside
            found.add("world" if everywhere else peer["ipBlock"]["cidr"])
        elif "namespaceSelector" in peer:
            labels = peer["namespaceSelector"].get("matchLabels", {})
            found.add("@" + labels.get("kubernetes.io/metadata.name", "anything"))
        else:
            found |= {name for name, labels in ours.items() if selects(peer["podSelector"], labels)}
    return found


def allowed(policies, ours, kind, side):
    """(pod, other end, port) that some policy of this kind lets through; pods that no policy of the kind selects may do anything."""
    lets, closed = set(), set()
    for spec in policies:
        if kind not in spec["policyTypes"]:
            continue
        for name, labels in ours.items():
            if not selects(spec["podSelector"], labels):
                continue
            closed.add(name)
            for rule in spec.get(kind.lower(), []):
                for end in ends(rule.get(side), ours):
                    lets |= {(name, end, port["port"]) for port in rule.get("ports", [{"port": "any"}])}
    return lets | {(name, "anybody", "any") for name in ours.keys() - closed}


def reachable(documents):
    ours = pods(documents)
    policies = [document["spec"] for document in documents if document["kind"] == "NetworkPolicy"]
    out = allowed(policies, ours, "Egress", "to")
    into = {(end, name, port) for name, end, port in allowed(policies, ours, "Ingress", "from")}
    # Inside both must agree; at the border the one side that is ours decides.
    both = {way for way in out if way[1] in ours and way in into}
    return both | {way for way in out if way[1] not in ours} | {way for way in into if way[0] not in ours}


broken = 0
for overlay, more in (("dev", DEV), ("prod", PROD)):
    text = Path(sys.argv[1], f"{overlay}.yaml").read_text()
    found = reachable([document for document in yaml.safe_load_all(text) if document])
    for way in sorted(found - WANTED - more, key=str):
        print(f"  - {overlay}: {way[0]} may reach {way[1]}:{way[2]}")
    for way in sorted((WANTED | more) - found, key=str):
        print(f"  - {overlay}: {way[0]} cannot reach {way[1]}:{way[2]}")
    broken += len(found ^ (WANTED | more))
    print(f"reach: {overlay}: {len(found)} ways, {len(found ^ (WANTED | more))} wrong")
sys.exit(bool(broken))
