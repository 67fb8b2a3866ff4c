"""The manifest for Kubernetes, by the fields that KubeRay documents, and what it runs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from demucs_tf.cli.options import SeparateOptions, made, parsers
from tests.support.crd import errors_of

FOLDER = Path(__file__).parents[2] / "examples" / "kubernetes"
TEXT, WHOLE, BOOL = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
ANY: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def many(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


# https://ray-project.github.io/kuberay/reference/api/ and the API of pods: what is used of them.
# The whole schema is KubeRay's own, see docs/scale.md.
CONTAINER = fields(
    name=TEXT,
    image=TEXT,
    ports=many(fields(containerPort=WHOLE, name=TEXT)),
    resources=fields(
        requests={"type": "object", "additionalProperties": TEXT},
        limits={"type": "object", "additionalProperties": TEXT},
    ),
    env=many(fields(name=TEXT, value=TEXT)),
    envFrom=many(fields(secretRef=fields(name=TEXT))),
    volumeMounts=many(fields(mountPath=TEXT, name=TEXT)),
)
POD = fields(
    spec=fields(
        containers=many(CONTAINER),
        terminationGracePeriodSeconds=WHOLE,
        volumes=many(fields(name=TEXT, emptyDir=fields(sizeLimit=TEXT))),
    )
)
PARAMETERS = {"type": "object", "additionalProperties": TEXT}
GROUP = fields(
    groupName=TEXT,
    replicas=WHOLE,
    minReplicas=WHOLE,
    maxReplicas=WHOLE,
    rayStartParams=PARAMETERS,
    template=POD,
)
JOB = fields(
    apiVersion=TEXT,
    kind=TEXT,
    metadata=ANY,
    spec=fields(
        entrypoint=TEXT,
        shutdownAfterJobFinishes=BOOL,
        ttlSecondsAfterFinished=WHOLE,
        backoffLimit=WHOLE,
        rayClusterSpec=fields(
            rayVersion=TEXT,
            headGroupSpec=fields(rayStartParams=PARAMETERS, template=POD),
            workerGroupSpecs=many(GROUP),
        ),
    ),
)


def schema() -> dict[str, Any]:
    version = {"name": "v1", "schema": {"openAPIV3Schema": copy.deepcopy(JOB)}}
    return {"spec": {"names": {"kind": "RayJob"}, "versions": [version]}}


@pytest.fixture
def job() -> Any:
    return yaml.safe_load((FOLDER / "rayjob.yaml").read_text(encoding="utf-8"))


def test_the_manifest_has_fields_that_there_are(job: Any) -> None:
    assert errors_of(job, schema()) == []


def test_a_field_that_there_is_not_is_found(job: Any) -> None:
    group = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    group["maxReplica"] = group.pop("maxReplicas")
    group["replicas"] = "10"
    where = "spec.rayClusterSpec.workerGroupSpecs.0"
    assert sorted(errors_of(job, schema())) == [
        f"{where}.replicas: '10' is not of type 'integer'",
        f"{where}: Additional properties are not allowed ('maxReplica' was unexpected)",
    ]
    job["kind"] = "RayCluster"
    assert errors_of(job, schema()) == ["RayCluster v1 is not what the schema is of"]


def test_what_it_runs_is_a_command_of_ours(job: Any) -> None:
    program, command, *arguments = job["spec"]["entrypoint"].split()
    assert (program, command) == ("demucs-tf", "separate")
    _, commands = parsers()
    options = made(SeparateOptions, commands["separate"].parse_args(arguments))
    assert options.ray == "auto"
    assert options.resume
    assert options.seed == 0


def test_the_image_has_the_same_ray(job: Any) -> None:
    docker = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    version = job["spec"]["rayClusterSpec"]["rayVersion"]
    assert f"FROM rayproject/ray:{version}-" in docker
    images = [
        container["image"].partition(":")[0]
        for group in (
            job["spec"]["rayClusterSpec"]["headGroupSpec"],
            *job["spec"]["rayClusterSpec"]["workerGroupSpecs"],
        )
        for container in group["template"]["spec"]["containers"]
    ]
    assert {f"docker build -t {image} " in docker for image in images} == {True}
