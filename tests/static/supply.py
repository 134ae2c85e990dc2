"""What `cargo deny check bans licenses sources` would say, for machines without it: deny.toml is read, Cargo.lock is judged. Advisories need a
database from outside and are in neither. Prints every breach, ends with 1 if there is one."""
import json
import subprocess
import sys
import tomllib
from pathlib import Path

from license_expression import LicenseSymbol, LicenseWithExceptionSymbol, get_spdx_licensing

DENY = tomllib.loads(Path("deny.toml").read_text())
LOCK = tomllib.loads(Path("Cargo.lock").read_text())["package"]
SPDX = get_spdx_licensing()
breaches = []
checked = 0


def rule(holds, text):
    global checked
    checked += 1
    if not holds:
        breaches.append(text)


def metadata(*arguments):
    return json.loads(subprocess.run(["cargo", "metadata", "--locked", "--format-version", "1", *arguments], capture_output=True, text=True, check=True).stdout)


def allowed(expression, allow):
    """Whether the expression can be met by licences of the list."""
    if isinstance(expression, (LicenseSymbol, LicenseWithExceptionSymbol)):
        return str(expression.render()) in allow
    choices = [allowed(part, allow) for part in expression.args]
    return any(choices) if expression.operator.strip() == "OR" else all(choices)


def licences(packages, allow, exceptions):
    for package in packages:
        wider = [licence for entry in exceptions if entry["crate"] == package["name"] for licence in entry["allow"]]
        # What was written before there was a standard: a slash for “or”.
        text = (package["license"] or "").replace("/", " OR ")
        try:
            holds = text and allowed(SPDX.parse(text, validate=True), [*allow, *wider])
        except Exception as error:
            holds, text = False, f"{text} ({error})"
        rule(holds, f"licence of {package['name']} {package['version']}: {text or 'none'}")


def sources(packages):
    """Everything is ours or from the one registry, with a sum."""
    registries = {package["source"] for package in packages if package.get("source")}
    rule(len(registries) == 1, f"crates come from {sorted(registries)}")
    for package in packages:
        source = package.get("source")
        rule(source is None or source.startswith("registry+"), f"{package['name']} comes from {source}")
        rule(source is None or "checksum" in package, f"{package['name']} has no sum")


def bans(found, denied):
    """What is denied is not there, or only below the crates that may use it."""
    names = {package["id"]: package["name"] for package in found["packages"]}
    users = {}
    for node in found["resolve"]["nodes"]:
        for dependency in node["dependencies"]:
            users.setdefault(names[dependency], set()).add(names[node["id"]])
    present = set(names.values())
    for entry in denied:
        wrappers = set(entry.get("wrappers", []))
        holds = entry["crate"] not in present or (wrappers and users.get(entry["crate"], set()) <= wrappers)
        rule(holds, f"{entry['crate']} is used by {sorted(users.get(entry['crate'], []))}: {entry['reason']}")
    for package in found["packages"]:
        if package["source"] is None:
            for dependency in package["dependencies"]:
                rule(dependency["req"] != "*" or dependency["path"], f"{package['name']} takes any version of {dependency['name']}")


found = metadata(*(word for target in DENY["graph"]["targets"] for word in ("--filter-platform", target)))
licences(found["packages"], DENY["licenses"]["allow"], DENY["licenses"].get("exceptions", []))
sources(LOCK)
bans(found, DENY["bans"]["deny"])
for breach in breaches:
    print(f"  - {breach}")
print(f"supply: {checked} rules checked, {len(breaches)} broken, {len(found['packages'])} crates")
sys.exit(bool(breaches))
