"""The connection is cut, the controller or everything on the host is killed, in each phase: one rerun ends in the undisturbed state."""

from __future__ import annotations

import os
import signal

import pytest
from hosts_links import SEEDING, SLOW, Running, converges, modules_of, wait_until_gone

MOMENTS = ["pg_refresh remote1 stage", "manage.py migrate --noinput", "pg_refresh remote1 swap", SEEDING]


@pytest.mark.full
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ["cut", "controller", "host"])
def test_a_rerun_converges_whatever_ends_the_run_and_when(refreshed, fleet, world, ssh_host, moment, how):
    world.new_dump()
    fleet.hosts["remote1"]["ansible_port"] = ssh_host.host_vars()["ansible_port"]
    run = Running(fleet, SLOW)
    run.wait_for(moment)
    if how == "cut":
        ssh_host.stop()
    elif how == "controller":
        os.kill(run.process.pid, signal.SIGKILL)
    else:
        for pid in modules_of(ssh_host):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    run.end()
    wait_until_gone(ssh_host)
    if how == "cut":
        ssh_host.restart()
    converges(fleet, world, ssh_host)
