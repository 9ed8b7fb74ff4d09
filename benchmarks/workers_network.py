"""The links between the workers of the benchmark: loopback, or two network namespaces with a pair of devices.

The namespaces need root and `ip` of iproute2. They are removed at the end, also after an error.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COUNTERS = Path("/proc/net/dev")  # those of the network namespace of the process that reads it
ADDRESSES = ("10.9.0.1", "10.9.0.2")
PORT = 2222
BURST, LATENCY = "256kb", "50ms"  # of the rate limit: a burst holds several of the packets that TCP sends at once
SECONDS = 20  # for a command of `ip` or `tc`


class LinkError(RuntimeError):
    """A link cannot be made on this machine."""


@dataclass(frozen=True)
class Link:
    """Two places for workers, and the connection between them.

    Args:
        hosts: Address of each worker, without a port.
        prefixes: Start of the command line of each worker.
        is_shared: Whether the counters hold the bytes of both workers.
    """

    hosts: tuple[str, str]
    prefixes: tuple[tuple[str, ...], tuple[str, ...]]
    is_shared: bool

    def addresses(self, offset: int) -> tuple[str, ...]:
        """Return an address with a port for each worker.

        Args:
            offset: Number of the training on this link; each has its own ports.
        """
        if self.is_shared:
            return tuple(f"{host}:{port}" for host, port in zip(self.hosts, _free_ports(), strict=True))
        return tuple(f"{host}:{PORT + offset}" for host in self.hosts)


LOOPBACK = Link(("127.0.0.1", "127.0.0.1"), ((), ()), is_shared=True)


def _free_ports() -> list[int]:
    with socket.socket() as first, socket.socket() as second:
        for item in (first, second):
            item.bind(("127.0.0.1", 0))
        return [first.getsockname()[1], second.getsockname()[1]]


def sent_bytes() -> dict[str, int]:
    """Return the bytes that each network device of this namespace has sent."""
    return {device: sent for device, (_, sent) in parse_counters(COUNTERS.read_text()).items()}


def parse_counters(text: str) -> dict[str, tuple[int, int]]:
    """Return the received and the sent bytes of each network device.

    Args:
        text: Content of `/proc/net/dev`.

    Examples:
        >>> parse_counters(
        ...     "head|x\\nhead|x\\n lo: 70 1 0 0 0 0 0 0 90 1 0 0 0 0 0 0\\n"
        ... )
        {'lo': (70, 90)}
    """
    devices = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.rpartition(":")
        fields = numbers.split()
        devices[name.strip()] = int(fields[0]), int(fields[8])
    return devices


def namespaces_problem() -> str:
    """Return why this process cannot make network namespaces; an empty text if it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "not measured: network namespaces need root"
    if shutil.which("ip") is None:
        return "not measured: `ip` is not installed; it is part of iproute2"
    return ""


@contextlib.contextmanager
def network_namespaces(gigabits: float | None = None) -> Iterator[Link]:
    """Make two network namespaces with a pair of devices between them, and remove them after a `with` block.

    Args:
        gigabits: Rate limit in each direction in Gbit/s; None for none.

    Raises:
        LinkError: A command failed.
    """
    names = tuple(f"deepkit-{os.getpid()}-{index}" for index in range(2))
    devices = tuple(f"dk{os.getpid()}x{index}" for index in range(2))
    with contextlib.ExitStack() as stack:
        for name in names:
            _run("ip", "netns", "add", name)
            stack.callback(_remove, name)
        _run("ip", "link", "add", devices[0], "netns", names[0], "type", "veth",
             "peer", "name", devices[1], "netns", names[1])  # fmt: skip
        for name, device, address in zip(names, devices, ADDRESSES, strict=True):
            _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", device)
            for item in ("lo", device):
                _run("ip", "-n", name, "link", "set", item, "up")
            if gigabits is not None:
                _run("tc", "-n", name, "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{gigabits:g}gbit",
                     "burst", BURST, "latency", LATENCY)  # fmt: skip
        prefixes = tuple(("ip", "netns", "exec", name) for name in names)
        yield Link(ADDRESSES, (prefixes[0], prefixes[1]), is_shared=False)


def _remove(name: str) -> None:
    """Remove a namespace, and with it its device and the other end."""
    with contextlib.suppress(LinkError):
        _run("ip", "netns", "delete", name)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, timeout=SECONDS, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LinkError(f"`{command[0]}` is not installed; it is part of iproute2") from error
    except subprocess.CalledProcessError as error:
        raise LinkError(f"`{_text(command)}` failed: {error.stderr.strip()}") from error


def _text(command: Sequence[str]) -> str:
    return " ".join(command)
