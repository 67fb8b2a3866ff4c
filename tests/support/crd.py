"""Checks a Kubernetes manifest by the schema of its kind: `python -m tests.support.crd FILE CRD`.

The schema of KubeRay is in its repository, ray-operator/config/crd/bases/ray.io_rayjobs.yaml.
Fields that it does not know are errors, which Kubernetes would drop without a word.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml


def errors_of(manifest: dict[str, Any], crd: dict[str, Any]) -> list[str]:
    """What is wrong with a manifest, a line each."""
    from jsonschema import Draft7Validator

    version = str(manifest["apiVersion"]).rpartition("/")[2]
    found = [each for each in crd["spec"]["versions"] if each["name"] == version]
    if manifest["kind"] != crd["spec"]["names"]["kind"] or not found:
        return [f"{manifest['kind']} {version} is not what the schema is of"]
    schema = found[0]["schema"]["openAPIV3Schema"]
    _strict(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return [
        f"{'.'.join(map(str, error.path))}: {error.message}"
        for error in Draft7Validator(schema).iter_errors(manifest)
    ]


def _strict(schema: Any) -> None:
    """Make JSON Schema of Kubernetes' dialect, without fields that are not listed."""
    if isinstance(schema, list):
        for each in schema:
            _strict(each)
    if not isinstance(schema, dict):
        return
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
    listed = schema.get("type") == "object" and isinstance(schema.get("properties"), dict)
    if listed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for each in list(schema.values()):
        _strict(each)


if __name__ == "__main__":
    files = [yaml.safe_load(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3]]
    wrong = errors_of(*files)
    print(*(wrong or ["no error"]), sep="\n")
    sys.exit(bool(wrong))
