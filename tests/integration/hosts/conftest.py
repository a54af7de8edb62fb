"""Whole runs on hosts that are reached over a connection."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hosts_fleet import Fleet
from ssh_target import SshTarget, missing
from world.lifecycle import World


@pytest.fixture(scope="session")
def ssh_possible() -> None:
    """Skip, saying why, where there can be no SSH target."""
    reason = missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Make a world that no other test file sees."""
    folder = tmp_path_factory.mktemp("world")
    made = World(folder)
    made.start()
    yield made
    made.remove()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def ssh_host(ssh_possible: None) -> Iterator[SshTarget]:
    """Start a host that has nothing but a Python."""
    # a socket's path must be short
    folder = Path(tempfile.mkdtemp(prefix="ssh_"))
    target = SshTarget(folder)
    target.start()
    yield target
    target.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fleet(world: World, ssh_host: SshTarget) -> Fleet:
    """Return the world with that one host."""
    return reached_by_ssh(world, ssh_host)


@pytest.fixture(scope="module")
def refreshed(world: World, ssh_host: SshTarget) -> None:
    """Refresh the host once, so that it has its packages and a live database."""
    done = reached_by_ssh(world, ssh_host).run()
    assert done.code == 0, done.output


def reached_by_ssh(world: World, host: SshTarget) -> Fleet:
    """Return the world with one host, whose dump is on the controller."""
    ours = {
        "host_environment_dir": str(host.home / "environment"),
        "database_restore_dump_source": "controller",
        "database_restore_incoming_dir": str(host.home / "incoming"),
    }
    return Fleet(world, {"remote1": {**host.host_vars(), **ours}})
