"""A pool of workers on Ray: tasks go to whoever is free; a lost worker is started anew, its tasks are asked again."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fraudit.cluster.worker import Job, Worker
from fraudit.errors import ArtifactError, FrauditError, PluginError, UsageError
from fraudit.types import Meter

LOST = 20  # times that one worker may be started anew, and one task asked again
WAITING = 2  # tasks a worker has: one it does and one that waits

Call = tuple[str, tuple[Any, ...]]  # method of Worker, its arguments


class Bill:
    """Questions to boxes with a meter, by all workers together."""

    def __init__(self) -> None:
        self.meters: dict[Any, Meter] = {}

    def count(self, box: Any, questions: int) -> None:
        """Before they are sent."""
        self.meters.setdefault(box, Meter()).count(questions)

    def sent(self, box: Any) -> int:
        """So far."""
        return self.meters[box].sent if box in self.meters else 0


class Counted:
    """What a worker tells the bill by, which it finds by name: a worker that is started anew needs nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, box: Any, questions: int) -> None:
        ray = _ray()
        ray.get(ray.get_actor(self.name).count.remote(box, questions))


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise PluginError("--engine ray needs the package ray", "pip install 'fraudit[ray]'") from error
    return ray


class RayPool:
    """Workers of one job.

    Args:
        job: what each opens. workers: how many; 0 takes as many as the cluster has cores for.
        address: of a cluster (`auto`: the one that runs here); '' starts one on this machine.
    Raises:
        PluginError: Ray is not installed. ArtifactError: no cluster at the address.
    """

    def __init__(self, job: Job, workers: int = 0, address: str = "") -> None:
        if workers < 0:
            raise UsageError(f"--workers: expected at least 1, found {workers}")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of an audit is told to anybody
        self._ray = _ray()
        self._started = not self._ray.is_initialized()
        if self._started:
            try:
                self._ray.init(
                    address=address or None,
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    **({} if address else {"num_cpus": max(workers, os.cpu_count() or 1)}),
                )
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ArtifactError(
                    f"no Ray cluster at '{address}': {str(error).splitlines()[0][:200]}",
                    "start one with `ray start --head`, or leave --address out",
                ) from error
        cores = float(self._ray.cluster_resources().get("CPU", 1))
        self.size = workers or max(1, int(cores // job.threads))
        kind = self._ray.remote(
            num_cpus=min(job.threads, max(1, int(cores // self.size))),
            max_restarts=LOST,
            max_task_retries=LOST,
        )(Worker)
        name = f"fraudit-bill-{uuid.uuid4().hex}"
        self._bill = self._ray.remote(num_cpus=0)(Bill).options(name=name).remote()
        self.actors = [kind.remote(job, Counted(name)) for _ in range(self.size)]

    def sent(self, box: Any) -> int:
        """Questions that all workers together sent to a box with a meter, those of lost workers among them."""
        return int(self._ray.get(self._bill.sent.remote(box)))

    def share(self, value: Any) -> Any:
        """A place that stands for `value` among a call's arguments: a machine fetches it once, its workers share it."""
        return self._ray.put(value)

    def run(self, calls: Sequence[Call], only: int = 0) -> Iterator[tuple[int, Any]]:
        """(number of the call, its answer), as they come.

        Args:
            only: how many workers may be asked; 0 is all.
        Raises:
            FrauditError: what a worker raised. ArtifactError: a task's worker was lost again and again.
        """
        ray, actors = self._ray, self.actors[: only or None]
        under_way: dict[Any, tuple[int, int]] = {}
        waiting = list(enumerate(calls))[::-1]

        def give(at: int) -> None:
            number, (method, arguments) = waiting.pop()
            under_way[getattr(actors[at], method).remote(*arguments)] = (number, at)

        for at in list(range(len(actors))) * WAITING:
            if waiting:
                give(at)
        while under_way:
            (done, *_), _rest = ray.wait(list(under_way), num_returns=1)
            number, at = under_way.pop(done)
            try:
                answer = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                cause = error.cause
                raise (cause if isinstance(cause, FrauditError) else error) from None
            except ray.exceptions.RayError as error:
                raise ArtifactError(
                    f"the workers were lost: {str(error).splitlines()[0][:200]}",
                    "the same command goes on from what is stored (--store)",
                ) from error
            if waiting:
                give(at)
            yield number, answer

    def ordered(
        self, calls: Sequence[Call], told: Callable[[int], None] | None = None, only: int = 0
    ) -> list[Any]:
        """All answers in the order of the calls; `told`: the number of each call that is done."""
        answers: list[Any] = [None] * len(calls)
        for number, answer in self.run(calls, only):
            answers[number] = answer
            if told:
                told(number)
        return answers

    def close(self) -> None:
        """Let the workers go, and the cluster where it was started here."""
        for actor in (*self.actors, self._bill):
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()
