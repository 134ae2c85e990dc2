"""What is in the layers of our images: only files that belong there, and no secret, neither in a file nor in a variable, label or step.
    layers.py IMAGE...          prints every breach, ends with 1 if there is one
    layers.py --bites           makes an image with a secret in each place and ends with 1 unless every one of them is found
"""
import io
import json
import re
import subprocess
import sys
import tarfile

# The whole of a final image: the binary, what it is linked to, certificates of public authorities, names, two folders to write in.
BELONGS = re.compile(
    r"service|provider-sim|lib(64)?/(x86_64-linux-gnu/|aarch64-linux-gnu/)?(ld-linux-[a-z0-9-]+|lib(c|m|gcc_s|pthread|dl|rt))\.so(\.[0-9.]+)?"
    r"|usr/lib/(x86_64|aarch64)-linux-gnu/lib(c|m|gcc_s)\.so\.[0-9]+"
    r"|etc/(passwd|group|nsswitch\.conf|ssl/certs/ca-certificates\.crt)"
)
SECRET_NAME = re.compile(r"(SECRET|PASSWORD|PASSWD|TOKEN|PRIVATE|CREDENTIAL|_KEY\b|DATABASE_URL|REDIS_URL)", re.I)
SECRET_TEXT = [
    re.compile(pattern)
    for pattern in (
        rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64}",  # the words alone are in every TLS library
        rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",
        rb"rzp_live_[A-Za-z0-9]{14}",
        rb"AKIA[0-9A-Z]{16}",
        rb"gh[pousr]_[A-Za-z0-9]{36}",
        rb"(postgres(ql)?|rediss?)://[A-Za-z0-9_.-]*:(?!password@)[A-Za-z0-9_.%+-]{8,}@[A-Za-z0-9]",  # but the settings' own example
    )
]


def docker(*arguments, stdin=None):
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True)
    if done.returncode:
        raise SystemExit(f"docker {' '.join(arguments[:3])}: {done.stderr.decode()}")
    return done.stdout


def look(image):
    """Breaches, and how many files and bytes were looked at."""
    breaches, files, size = [], 0, 0
    archive = tarfile.open(fileobj=io.BytesIO(docker("save", image)))
    manifest = json.load(archive.extractfile("manifest.json"))[0]
    config = json.load(archive.extractfile(manifest["Config"]))
    inside = config.get("config", {})
    for variable in inside.get("Env") or []:
        name, _, value = variable.partition("=")
        if SECRET_NAME.search(name) and not (name.endswith("_FILE") and value.startswith("/run/secrets/")):
            breaches.append(f"variable {name}")
    for name, value in (inside.get("Labels") or {}).items():
        if SECRET_NAME.search(name) or any(text.search(value.encode()) for text in SECRET_TEXT):
            breaches.append(f"label {name}")
    for step in config.get("history", []):
        said = step.get("created_by", "")
        if re.search(r"(SECRET|PASSWORD|TOKEN|_KEY)[A-Z_]*=\S", said) or any(text.search(said.encode()) for text in SECRET_TEXT):
            breaches.append(f"step {said[:60]!r}")
    for layer in manifest["Layers"]:
        contents = tarfile.open(fileobj=archive.extractfile(layer))
        for member in contents:
            name = member.name.removeprefix("./").strip("/")
            if not member.isfile():
                continue
            files, size = files + 1, size + member.size
            if not BELONGS.fullmatch(name):
                breaches.append(f"file {name}")
            content = contents.extractfile(member).read()
            breaches += [f"secret in {name}: {text.pattern[:30]!r}" for text in SECRET_TEXT if text.search(content)]
    return breaches, files, size


def bites():
    """Every kind of breach, planted."""
    key = "-----BEGIN PRIVATE KEY-----\n" + "QUJD" * 24
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in {
            "Dockerfile": 'FROM scratch\nARG BUILD_TOKEN=given-at-build\nENV JWT_SECRET=in-the-image\nLABEL note="AKIAABCDEFGHIJKLMNOP"\n'
            "COPY .env /.env\nCOPY service /service\nCMD [\"/service\"]\n",
            ".env": "PLAIN=1\n",
            "service": f"binary {key} postgres://shop:a-long-password@db/shop\n",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    docker("build", "-q", "-t", "stacktest/leaky", "-", stdin=context.getvalue())
    found = "\n".join(look("stacktest/leaky")[0])
    docker("rmi", "stacktest/leaky")
    wanted = ["variable JWT_SECRET", "label note", "step ", "file .env", "secret in service: b'-----BEGIN", "secret in service: b'(postgres"]
    missed = [text for text in wanted if text not in found]
    if missed:
        raise SystemExit(f"planted and not found: {missed}; found were:\n{found}")
    return len(wanted)


if sys.argv[1:] == ["--bites"]:
    print(f"layers: {bites()} planted secrets, all found")
else:
    broken = 0
    for image in sys.argv[1:]:
        breaches, files, size = look(image)
        for breach in breaches:
            print(f"  - {image}: {breach}")
        broken += len(breaches)
        print(f"layers: {image}: {files} files, {size / 1e6:.1f} MB, {len(breaches)} that do not belong")
    sys.exit(bool(broken))
