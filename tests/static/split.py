"""Puts what has a schema in Kubernetes itself apart from what other projects define."""
import sys

import yaml

for name in sys.argv[1:]:
    with open(name) as file:
        documents = [document for document in yaml.safe_load_all(file) if document]
    core = [d for d in documents if not d["apiVersion"].startswith(("keda.sh/", "monitoring.coreos.com/"))]
    with open(name.replace(".yaml", ".core.yaml"), "w") as file:
        yaml.safe_dump_all(core, file)
