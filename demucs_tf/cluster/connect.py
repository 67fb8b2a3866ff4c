"""To a Ray cluster, in limited time; and whether its nodes are as this machine is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from demucs_tf.cluster.settings import LOCAL
from demucs_tf.errors import DemucsTFError
from demucs_tf.utils.text import printable

# What has to be the same everywhere, for the stems to be.
PACKAGES = ("demucs-tf", "ray", "tensorflow")


class ConnectError(DemucsTFError):
    """A cluster can't be reached, or a node is not as this machine."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster."""

    id: str
    host: str
    resources: Mapping[str, float]


@dataclass(frozen=True)
class Probed:
    """What a node was found to have.

    Attributes:
        node: which.
        versions: of this machine's packages and the node's; None: not there.
        unseen: paths that this machine sees and the node does not.
        error: why nothing is known of it.
    """

    node: Node
    versions: dict[str, tuple[str | None, str | None]]
    unseen: list[str]
    error: str = ""


def import_ray() -> Any:
    """Ray.

    Raises:
        ConnectError: it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ConnectError(
            "--ray needs Ray, which is not installed: pip install 'demucs-tf[cluster]', on every "
            "node."
        ) from error
    return ray


def connect(address: str, timeout: float, *, noisy: bool = False) -> bool:
    """Connect this process to a cluster; what it is connected to already stays.

    Args:
        address: "local" starts one on this machine; "auto", or HOST:PORT.
        timeout: how long the cluster may take to answer, in seconds.
        noisy: show what Ray and the workers print.

    Returns:
        whether it was this call that connected.

    Raises:
        ConnectError: Ray is not installed, or the cluster does not answer or has another version.
    """
    ray = import_ray()
    if ray.is_initialized():
        return False
    if address != LOCAL:
        _check_address(address, timeout)
        _try(address, timeout)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody was asked
    level = "INFO" if noisy else "ERROR"
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # Nobody looks at the dashboard of a Ray that ends with the command.
        own = {"include_dashboard": False} if address == LOCAL else {}
        ray.init(address=address, log_to_driver=noisy, logging_level=level, **own)
        if current_thread() is main_thread():
            for number, handler in before.items():  # Ray has its own, which end the process
                signal.signal(number, handler)
    except Exception as error:
        raise ConnectError(_refused(address, str(error))) from error
    return True


def _check_address(address: str, timeout: float) -> None:
    if os.path.exists(address):
        raise ConnectError(
            f"--ray {address}: expected an address, found a file: put --ray behind the tracks, or "
            "write --ray=local."
        )
    if "://" in address:
        raise ConnectError(
            f"--ray {address}: expected HOST:PORT, auto or local. From outside of a cluster, send "
            "the command to it: ray job submit -- demucs-tf separate ... --ray auto"
        )
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConnectError(f"--ray {address}: expected HOST:PORT, auto or local.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except (OSError, OverflowError) as error:
        raise ConnectError(_silent(address, timeout, str(error))) from error


_IMPORT = 5.0  # seconds, to start Python and import Ray
# Ray waits minutes for an address that does not answer, and then ends the process.
_TRY = (
    "import ray, sys\n"
    "try:\n"
    "    ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')\n"
    "except Exception as error:\n"
    "    print(' '.join(str(error).split()))\n"
    "    sys.exit(3)\n"
)


def _try(address: str, timeout: float) -> None:
    """Connect in a process that can be ended."""
    command = [sys.executable, "-c", _TRY, address]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout + _IMPORT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ConnectError(_silent(address, timeout, "it is no Ray cluster, or busy")) from error
    if done.returncode:
        said = done.stdout.strip().splitlines() if done.returncode == 3 else []
        raise ConnectError(_refused(address, said[-1] if said else "Ray ended the process"))


def _silent(address: str, timeout: float, reason: str) -> str:
    return (
        f"--ray {address}: no answer within {timeout:g} s ({reason}). Check the address, a "
        "firewall, and `ray status` there; --ray-timeout gives it more time."
    )


def _refused(address: str, reason: str) -> str:
    reason = printable(" ".join(reason.split()), 400).rstrip(".")
    if "ersion mismatch" in reason or "different versions" in reason:
        return (
            f"--ray {address}: the cluster has another version of Ray or Python than this process "
            f"({reason}). Install the same everywhere."
        )
    return f"--ray {address}: can't connect: {reason}. `ray start --head` starts a cluster."


def living_nodes() -> dict[str, Node]:
    """The nodes that are alive, by their ids."""
    import ray

    return {
        each["NodeID"]: Node(each["NodeID"], each["NodeManagerHostname"], each["Resources"])
        for each in ray.nodes()
        if each["Alive"]
    }


def probe(nodes: Iterable[Node], paths: Mapping[str, Any], timeout: float) -> list[Probed]:
    """Ask nodes which versions they have, and what they see.

    Args:
        nodes: which.
        paths: that this machine sees, with their sizes; of folders None.
        timeout: for all of them, in seconds.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def look(packages: tuple[str, ...], paths: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Sent as it is: the node may not have this package."""
        import os
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, Any] = {"Python": ".".join(platform.python_version_tuple()[:2])}
        for name in packages:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = None
        unseen = [
            path
            for path, size in paths.items()
            if not os.path.exists(path) or (size is not None and os.path.getsize(path) != size)
        ]
        return found, unseen

    here, _ = look(PACKAGES, {})
    asked = {}
    for node in nodes:
        strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
        task = ray.remote(look).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
        asked[node.id] = (node, task.remote(PACKAGES, dict(paths)))
    references = [reference for _, reference in asked.values()]
    ready, _ = ray.wait(references, num_returns=len(references), timeout=timeout)
    answers = []
    for node, reference in asked.values():
        if reference not in ready:
            answers.append(Probed(node, {}, [], f"no answer within {timeout:g} s"))
            continue
        try:
            there, unseen = ray.get(reference)
        except Exception as error:  # whatever is wrong with the node
            answers.append(Probed(node, {}, [], " ".join(str(error).split())[-300:]))
            continue
        both = {name: (here[name], there[name]) for name in here}
        answers.append(Probed(node, both, unseen))
    return answers


def check_node(probed: Probed) -> None:
    """Refuse a node that would give other stems, or none.

    Raises:
        ConnectError: it has other versions, does not see what it needs, or does not answer.
    """
    host = probed.node.host
    if probed.error:
        raise ConnectError(f"the node {host} does not answer: {probed.error}. Check `ray status`.")
    wrong = [
        f"{name} {there or 'is missing'}, and {here or 'none'} here"
        for name, (here, there) in probed.versions.items()
        if here != there
    ]
    if wrong:
        raise ConnectError(
            f"the node {host} has other versions: {'; '.join(wrong)}. Install the same everywhere."
        )
    if probed.unseen:
        raise ConnectError(
            f"the node {host} does not see {probed.unseen[0]}, as this machine does. Put it on a "
            "disk that all nodes share, at the same path, or in a store (s3://...)."
        )


def disconnect() -> None:
    """Let go of the cluster."""
    import ray

    with suppress(Exception):
        ray.shutdown()


def sample_of(paths: Iterable[Path | None], most: int = 20) -> dict[str, int]:
    """Some paths with their sizes: one of each folder, for `probe`."""
    chosen: dict[Path, Path] = {}
    for path in paths:
        if path is not None and len(chosen) < most and path.is_file():
            chosen.setdefault(path.parent, path)
    return {str(path): path.stat().st_size for path in chosen.values()}
