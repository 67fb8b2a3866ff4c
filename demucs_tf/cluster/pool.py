"""The workers on the nodes of a Ray cluster: started, given tracks, waited for, replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from demucs_tf.cluster.connect import Node, check_node, living_nodes, probe
from demucs_tf.cluster.job import Job
from demucs_tf.cluster.queue import Outcome, Task
from demucs_tf.cluster.settings import ClusterSettings
from demucs_tf.cluster.sizes import Size, size_of
from demucs_tf.cluster.worker import About, Worker
from demucs_tf.errors import DemucsTFError, UsageError
from demucs_tf.utils.text import printable

LOOK = 2.0  # seconds between two looks at the nodes
REST = 30.0  # seconds that a node rests which lacks something, and twice as long the next time
_STARTS = 3  # that may fail on a node, one after the other
_ENDING = 10.0  # seconds to remove what is not whole


class ClusterError(DemucsTFError):
    """A cluster can't be reached, or nothing can be done on its nodes."""


@dataclass(eq=False)
class Slot:
    """One worker: starting, idle, or at a task."""

    actor: Any
    node: Node
    ready: bool = False
    task: Task | None = None
    since: float = 0.0  # when it was given the task


@dataclass(eq=False)
class _Place:
    """A node, and how it has done."""

    node: Node
    size: Size
    failures: int = 0
    rested: int = 0
    until: float = 0.0
    given_up: bool = False
    slots: list[Slot] = field(default_factory=list)


class Pool:
    """Workers on all nodes.

    Args:
        job: what they are told.
        settings: how many there are.
        say: called with a line that the user should see.
        paths: what all nodes have to see, see `probe`.
        checked: the ids of nodes that are known to be as this machine is.
        worker: the class; another one in simulations.
    """

    def __init__(
        self,
        job: Job,
        settings: ClusterSettings,
        say: Callable[[str], object],
        paths: dict[str, Any],
        checked: Iterable[str] = (),
        worker: type[Any] = Worker,
    ) -> None:
        self._job, self._settings, self._say = job, settings, say
        self._paths, self._checked = paths, frozenset(checked)
        self._worker = worker
        self._places: dict[str, _Place] = {}
        self._pending: dict[Any, Slot] = {}  # by the reference of what is waited for
        self._numbers = count(1)
        self._looked = -LOOK
        self.about: About | None = None

    def update(self) -> None:
        """Start workers where some are missing, on nodes that are new as well.

        Raises:
            ClusterError: there is no node on which any can start.
        """
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        nodes = living_nodes()
        for name in [name for name in self._places if name not in nodes]:
            del self._places[name]
        new = [node for name, node in nodes.items() if name not in self._places]
        for node in new:
            self._places[node.id] = _Place(node, size_of(node.resources, self._settings))
        self._check([self._places[node.id] for node in new if node.id not in self._checked])
        for place in self._places.values():
            if not place.given_up and time.monotonic() >= place.until:
                while len(place.slots) < place.size.actors:
                    self._start(place)
        usable = [each for each in self._places.values() if each.size.actors and not each.given_up]
        if not usable and not self._pending:
            raise ClusterError(_nothing(self._places.values(), self._settings))

    def _check(self, places: list[_Place]) -> None:
        """Leave out nodes that came later and are not as the others."""
        nodes = [place.node for place in places if place.size.actors]
        for probed in probe(nodes, self._paths, self._settings.ray_timeout) if nodes else ():
            try:
                check_node(probed)
            except DemucsTFError as error:
                self._places[probed.node.id].given_up = True
                self._say(f"warning: {error} It is left out.")

    def _start(self, place: _Place) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        size, node = place.size, place.node
        options = {
            "name": f"demucs-tf {node.host} {next(self._numbers)}",
            "num_cpus": size.cpus,
            "num_gpus": size.gpus,
            "max_concurrency": 2,  # for `stop`
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False),
        }
        threads = None if size.threads >= node.resources.get("CPU", 0) else size.threads
        actor = ray.remote(self._worker).options(**options).remote(self._job, node.host, threads)
        slot = Slot(actor, node)
        place.slots.append(slot)
        self._pending[actor.about.remote()] = slot

    def idle(self) -> list[Slot]:
        """Workers that wait for a task."""
        now = time.monotonic()
        return [
            slot
            for place in self._places.values()
            for slot in place.slots
            if slot.ready and slot.task is None and now >= place.until
        ]

    def give(self, slot: Slot, task: Task) -> None:
        """Let an idle worker do a task."""
        slot.task, slot.since = task, time.monotonic()
        self._pending[slot.actor.separate.remote(task.row, task.attempt)] = slot

    def wait(self, seconds: float) -> list[Outcome]:
        """What became of tasks; waits for the first, and takes what is there besides.

        Workers that have been at a task for longer than they may are ended.

        Raises:
            ClusterError: workers have other models than others.
        """
        import ray

        if not self._pending:
            time.sleep(min(seconds, 0.1))
            return []
        references = list(self._pending)
        ready, rest = ray.wait(references, num_returns=1, timeout=seconds)
        if ready and rest:
            more, _ = ray.wait(rest, num_returns=len(rest), timeout=0)
            ready += more
        found = [self._collect(reference) for reference in ready]
        return [*(outcome for outcome in found if outcome is not None), *self._overdue()]

    def _overdue(self) -> Iterator[Outcome]:
        limit = self._settings.ray_track_timeout
        if limit is None:
            return
        for reference, slot in list(self._pending.items()):
            task = slot.task
            if task is not None and time.monotonic() - slot.since > limit:
                del self._pending[reference]
                self._end(slot)
                died = f"not done within the {limit:g} s of --ray-track-timeout"
                yield Outcome(task, slot.node.host, died=died)

    def _collect(self, reference: Any) -> Outcome | None:
        import ray
        from ray.exceptions import RayError

        slot = self._pending.pop(reference)
        task, slot.task = slot.task, None
        try:
            value = ray.get(reference)
        except RayError as error:
            return self._lost(slot, task, error)
        if task is None:
            self._ready(slot, value)
            return None
        place = self._places.get(slot.node.id)
        if place is not None:
            place.failures = 0
            if not value.of_the_place:
                place.rested = 0
        return Outcome(task, slot.node.host, result=value)

    def _ready(self, slot: Slot, about: About) -> None:
        if self.about is None:
            self.about = about
        if about.model_sha256 != self.about.model_sha256:
            raise ClusterError(
                f"{self._job.name} on {about.node} has other weights than on {self.about.node}: "
                "put the same file on all nodes, or empty their caches."
            )
        slot.ready = True

    def _lost(self, slot: Slot, task: Task | None, error: Any) -> Outcome | None:
        """A worker is gone: with its node, or by what it was doing."""
        from ray.exceptions import ActorDiedError

        self._end(slot)
        place = self._places.get(slot.node.id)
        alone = isinstance(error, ActorDiedError) and slot.node.id in living_nodes()
        alone = alone and "node has died" not in str(error) and not error.preempted
        if task is not None:
            return Outcome(task, slot.node.host, died=_cause(error), with_node=not alone)
        if place is not None and not slot.ready:
            self._not_started(place, error)
        return None

    def _end(self, slot: Slot) -> None:
        """Let another worker take the place of this one."""
        import ray

        with suppress(Exception):  # it may live on where nobody reaches it
            ray.kill(slot.actor)
        place = self._places.get(slot.node.id)
        if place is not None and slot in place.slots:
            place.slots.remove(slot)
        slot.task = None
        self._looked = -LOOK

    def _not_started(self, place: _Place, error: Any) -> None:
        """A worker could not be made."""
        cause = getattr(error, "cause", None)
        if self.about is None and isinstance(cause, DemucsTFError):
            raise cause  # the same on every node
        if self.about is None and isinstance(cause, ValueError):
            raise UsageError(str(cause)) from error
        place.failures += 1
        place.given_up = place.failures >= _STARTS
        if place.given_up:
            self._say(f"warning: {place.node.host} is given up: {_cause(error)}")

    def rest(self, host: str) -> None:
        """Give nothing to a node for a while: something is wrong with it."""
        for place in self._places.values():
            if place.node.host == host and time.monotonic() >= place.until:
                seconds = min(REST * 2**place.rested, 600.0)
                place.rested += 1
                place.until = time.monotonic() + seconds
                self._say(f"warning: {host} rests for {seconds:.0f} s")

    @property
    def busy(self) -> int:
        """How many tasks are in work."""
        return sum(slot.task is not None for slot in self._pending.values())

    @property
    def actors(self) -> int:
        """How many workers are ready."""
        return sum(slot.ready for place in self._places.values() for slot in place.slots)

    def close(self) -> None:
        """Stop all workers; those that are at a track remove what they have of it."""
        import ray

        slots = [slot for place in self._places.values() for slot in place.slots]
        with suppress(Exception):
            for slot in slots:
                slot.actor.stop.remote()
            busy = [reference for reference, slot in self._pending.items() if slot.task]
            if busy:
                ray.wait(busy, num_returns=len(busy), timeout=_ENDING)
            # Those that start as well: one that makes its folder later than this leaves it there.
            ended = [slot.actor.close.remote() for slot in slots]
            if ended:
                ray.wait(ended, num_returns=len(ended), timeout=_ENDING)
        for slot in slots:
            with suppress(Exception):
                ray.kill(slot.actor)
        self._places, self._pending = {}, {}


def _cause(error: Any) -> str:
    """The last line that Ray says of a death, which has the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1] if lines else type(error).__name__
    return printable(reason.partition(" Some common causes")[0], 300)


def _nothing(places: Any, settings: ClusterSettings) -> str:
    nodes = [each.node for each in places]
    told = "; ".join(
        f"{node.host} has {node.resources.get('CPU', 0):g} CPUs, {node.resources.get('GPU', 0):g} "
        "GPUs"
        for node in nodes[:5]
    )
    return (
        f"no worker can be started on any of {len(nodes)} nodes ({told or 'none'}). Check "
        f"--ray-gpus ({settings.ray_gpus}), and the warnings above."
    )
