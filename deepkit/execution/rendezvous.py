"""The meeting of the workers of a cluster before TensorFlow connects them: who is there, and with which versions.

TensorFlow itself waits without an end for a worker that does not come, and trains with workers of other versions. Here
the chief listens on its own address until all others have said what they are, and answers with the verdict. Then all
close their sockets, and TensorFlow's servers take the same ports.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from deepkit._version import __version__
from deepkit.execution.errors import ClusterError
from deepkit.utils.cluster import Cluster, split_address
from deepkit.utils.console import echo
from deepkit.utils.errors import make_error

TIMEOUT = "DEEPKIT_CLUSTER_TIMEOUT"
_DEFAULT_TIMEOUT = 300.0
_RETRY = 0.25
_PROGRESS_SECONDS = 10.0
_MAX_MESSAGE = 2**20
_GREETING = "deepkit"


def timeout_seconds() -> float:
    """Return how long the workers wait for each other, from `DEEPKIT_CLUSTER_TIMEOUT`.

    Raises:
        ValueError: The variable is not a positive number.
    """
    text = os.environ.get(TIMEOUT, "")
    try:
        seconds = float(text) if text else _DEFAULT_TIMEOUT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        hint = f"use a number of seconds, such as {TIMEOUT}=600"
        raise make_error(ValueError, f"{TIMEOUT}={text}: expected a positive number", hint=hint)
    return seconds


def versions() -> dict[str, str]:
    """Return the versions that all workers must have in common."""
    packages = {name: version(name) for name in ("tensorflow", "keras")}
    return {"deepkit": __version__, "python": platform.python_version(), **packages}


def meet(cluster: Cluster, facts: Mapping[str, str] | None = None, seconds: float | None = None) -> None:
    """Wait until all workers of a cluster are there, and compare what each says about itself with the chief.

    Args:
        cluster: The cluster.
        facts: What must be equal on all workers, by name; None for `versions()`.
        seconds: How long to wait; None for `timeout_seconds()`.

    Raises:
        ClusterError: The port of this worker is in use, a worker did not come in time, or the workers differ.
    """
    self_facts = {
        "index": cluster.index,
        "addresses": list(cluster.addresses),
        **(versions() if facts is None else facts),
    }
    deadline = time.monotonic() + (timeout_seconds() if seconds is None else seconds)
    with _listen(cluster) as server:
        problem = (
            _receive_all(cluster, server, self_facts, deadline)
            if cluster.is_chief
            else _report(cluster, self_facts, deadline)
        )
    if problem:
        raise ClusterError(**problem)


@contextlib.contextmanager
def _listen(cluster: Cluster) -> Iterator[socket.socket]:
    """Bind the port of this worker, on all interfaces as TensorFlow does."""
    host, port = split_address(cluster.address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
            server.listen(len(cluster.addresses))
        except OSError as error:
            raise ClusterError(
                f"{cluster.describe(cluster.index)} cannot listen on port {port}: {error.strerror}",
                hint="stop the process that uses the port, or use another port in the address of this worker",
            ) from error
        yield server


def _receive_all(
    cluster: Cluster, server: socket.socket, self_facts: Mapping[str, Any], deadline: float
) -> dict[str, str] | None:
    """Wait for the other workers, answer each with the verdict, and return the problem if there is one."""
    connections: dict[int, socket.socket] = {}
    facts: dict[int, Mapping[str, Any]] = {0: self_facts}
    progress = _Progress(cluster)
    with contextlib.ExitStack() as stack:
        while len(facts) < len(cluster.addresses) and time.monotonic() < deadline:
            server.settimeout(_RETRY)
            progress.show([index for index in range(len(cluster.addresses)) if index not in facts])
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            stack.enter_context(connection)
            received = _read(connection)
            if received is None:  # a port scanner, or a doctor
                continue
            index = received.get("index")
            if not isinstance(index, int) or index in facts or not 0 < index < len(cluster.addresses):
                _send(connection, {"problem": _duplicate(index)})
                continue
            connections[index], facts[index] = connection, received
        problem = _missing(cluster, facts) or _difference(cluster, facts)
        for connection in connections.values():
            _send(connection, {"problem": problem})
    return problem


def _report(cluster: Cluster, self_facts: Mapping[str, Any], deadline: float) -> dict[str, str] | None:
    """Tell the chief about this worker, and return the problem that the chief found, if there is one."""
    progress = _Progress(cluster)
    while time.monotonic() < deadline:
        progress.show([0])
        try:
            with socket.create_connection(split_address(cluster.addresses[0]), timeout=_RETRY * 8) as connection:
                _send(connection, {"greeting": _GREETING, **self_facts})
                answer = _read(connection, max(1.0, deadline - time.monotonic() + _PROGRESS_SECONDS))
                if answer is not None:
                    problem: dict[str, str] | None = answer["problem"]
                    return problem
        except OSError:
            pass
        time.sleep(_RETRY)
    return {
        "problem": f"{cluster.describe(cluster.index)} cannot reach the chief, {cluster.describe(0)}",
        "hint": f"start the same command on all hosts, check the address and the firewall, or set {TIMEOUT}",
    }


def _missing(cluster: Cluster, facts: Mapping[int, object]) -> dict[str, str] | None:
    missing = [cluster.describe(index) for index in range(len(cluster.addresses)) if index not in facts]
    if not missing:
        return None
    return {
        "problem": f"{len(facts)} of {len(cluster.addresses)} workers are there; missing: {', '.join(missing)}",
        "hint": f"start the same command on all hosts, check the addresses and the firewall, or set {TIMEOUT}",
    }


def _difference(cluster: Cluster, facts: Mapping[int, Mapping[str, Any]]) -> dict[str, str] | None:
    """Return the first difference between a worker and the chief."""
    for index, answer in sorted(facts.items()):
        for name, expected in facts[0].items():
            if name != "index" and answer.get(name) != expected:
                return {
                    "problem": f"{cluster.describe(index)} has {name} {answer.get(name)}, and the chief has {expected}",
                    "hint": "install the same versions on all hosts, and list the same addresses in the same order",
                }
    return None


def _duplicate(index: object) -> dict[str, str]:
    problem = f"a worker with the number {index} is there already, or does not belong to the cluster"
    return {"problem": problem, "hint": "give each process its own number, from 0"}


class _Progress:
    """Prints for which workers this one waits, every ten seconds."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._next = time.monotonic() + _RETRY * 4

    def show(self, missing: list[int]) -> None:
        """Print the missing workers if it is time."""
        if missing and time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            echo(f"waiting for {', '.join(self._cluster.describe(index) for index in missing)}")


def _send(connection: socket.socket, content: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the other end has gone, which its own timeout explains
        connection.sendall(json.dumps(content).encode() + b"\n")


def _read(connection: socket.socket, seconds: float = 5.0) -> dict[str, Any] | None:
    """Return the message of the other end; None if it sends none, or none of deepkit's."""
    connection.settimeout(seconds)
    content = b""
    try:
        while not content.endswith(b"\n") and len(content) < _MAX_MESSAGE:
            part = connection.recv(65536)
            if not part:
                return None
            content += part
        message = json.loads(content)
    except (OSError, ValueError):
        return None
    return message if isinstance(message, dict) and ("problem" in message or message.get("greeting")) else None
