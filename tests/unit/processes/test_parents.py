"""The watch over our parents: which processes count, and that their end is ours."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.processes.parents import EXIT_CODE, Process, find_chain, read_process, remove_old_payloads

MODULE_UTILS = Path(__file__).resolve().parents[3] / "module_utils"

PLAYBOOK = ("/venv/bin/python3.11", "/venv/bin/ansible-playbook", "restore_dev.yml")
SHELL = ("/bin/sh", "-c", "/usr/bin/python3 && sleep 0")


def chain(*commands: tuple[str, ...], first: int = 100) -> list[Process]:
    """Return ancestors, the parent first, the last one a child of pid 1."""
    pids = [first - index for index in range(len(commands))]
    return [Process(pid, parent, 50, 1, command) for pid, parent, command in zip(pids, [*pids[1:], 1], commands, strict=True)]


@pytest.mark.parametrize(
    ("commands", "watched"),
    [
        ([SHELL, PLAYBOOK, PLAYBOOK, ("bash",), ("sshd: me@pts/0",)], 3),
        ([SHELL, ("sudo", "-u", "postgres", "/bin/sh"), SHELL, PLAYBOOK, PLAYBOOK, ("make", "demo")], 5),
        ([SHELL, ("python3", "-I", "-m", "ansible", "playbook", "x.yml"), ("python3", "-m", "ansible"), ("cron",)], 3),
        ([SHELL, ("/usr/bin/ansible", "localhost"), ("ansible-runner", "run"), ("bash",), PLAYBOOK], 3),
        ([SHELL, ("sshd: deploy@notty",), ("sshd: deploy [priv]",), ("sshd: /usr/sbin/sshd -D",)], 2),
        ([SHELL, ("sshd-session: deploy@notty",), ("sshd: /usr/sbin/sshd -D",)], 2),
        ([("bash",), ("tmux",)], 1),
        ([("python3", "/root/.ansible/tmp/ansible-tmp-1/AnsiballZ_xero_seed.py"), ("bash",)], 1),
    ],
)
def test_the_chain_goes_up_to_the_controller_or_the_connection(commands, watched):
    found, over = find_chain(chain(*commands))
    assert (len(found), over) == (watched, False)


def test_a_worker_whose_controller_is_gone_is_noticed_at_the_start():
    shell, worker = chain(SHELL, PLAYBOOK)
    leader = Process(worker.pid, 1, worker.pid, 1, PLAYBOOK)
    assert find_chain([shell, leader])[1] is True
    assert find_chain([shell, worker])[1] is False


def runs(pid: int) -> bool:
    return read_process(pid) is not None


def wait_until(condition, seconds=5.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.01)


class Run:
    """A controller with a worker in a session of its own, a shell, a module, and its child with a worker."""

    def __init__(self, folder: Path, module_seconds: float = 60) -> None:
        self.folder = folder
        (folder / "module.py").write_text(f"""
import os
import ansible.module_utils
ansible.module_utils.__path__.append({str(MODULE_UTILS)!r})
from ansible.module_utils.dev_refresh.processes.children import run_child
from ansible.module_utils.dev_refresh.processes.parents import watch_parents
watch_parents(lambda: open("{folder}/hook", "w").write("called"))
open("{folder}/module", "w").write(str(os.getpid()))
run_child(["sh", "-c", "sleep {module_seconds} & echo $! > {folder}/grandchild; echo $$ > {folder}/child; wait"], deadline=90)
open("{folder}/finished", "w").write("finished")
""")
        controller = folder / "ansible-playbook"
        controller.write_text(f"""
import os, subprocess
if os.fork() == 0:
    os.setsid()
    open("{folder}/worker", "w").write(str(os.getpid()))
    os._exit(subprocess.run(["sh", "-c", "echo $$ > {folder}/shell; {sys.executable} {folder}/module.py && sleep 0"], capture_output=True).returncode)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
""")
        self.controller = subprocess.Popen([sys.executable, str(controller)], start_new_session=True)

    def pid(self, name: str) -> int:
        if name == "controller":
            return self.controller.pid
        path = self.folder / name
        wait_until(lambda: path.exists() and path.read_text().strip())
        return int(path.read_text())


@pytest.mark.parametrize("victim", ["controller", "worker", "shell"])
def test_the_end_of_any_of_them_ends_the_module_and_its_children_within_a_second(tmp_path, victim):
    """ansible-core 2.19 starts workers in sessions of their own: killing the controller alone left the module seeding."""
    run = Run(tmp_path)
    ours = [run.pid("module"), run.pid("child"), run.pid("grandchild")]
    time.sleep(0.3)
    assert all(runs(pid) for pid in ours)
    os.kill(run.pid(victim), signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: not any(runs(pid) for pid in ours), 1.0)
    assert time.monotonic() - killed < 1.0
    run.controller.kill()
    run.controller.wait()
    assert (tmp_path / "hook").read_text() == "called"
    assert not (tmp_path / "finished").exists()


def test_it_does_not_fire_while_all_live(tmp_path):
    run = Run(tmp_path, module_seconds=1)
    assert run.controller.wait(20) == 0
    assert (tmp_path / "finished").exists()
    assert not (tmp_path / "hook").exists()


def test_a_result_that_nobody_reads_any_more_ends_the_module(tmp_path):
    """A killed controller's SSH connection may stay (ControlPersist), but the channel's pipe loses its reader."""
    body = f"""
import sys, time
import ansible.module_utils
ansible.module_utils.__path__.append({str(MODULE_UTILS)!r})
from ansible.module_utils.dev_refresh.processes.parents import watch_parents
watch_parents()
print("ready", flush=True)
time.sleep(30)
"""
    module = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE)
    assert module.stdout is not None
    module.stdout.readline()
    time.sleep(0.5)
    assert module.poll() is None
    module.stdout.close()
    assert module.wait(1.5) == EXIT_CODE


def test_a_process_id_used_again_is_another_process():
    mine = read_process(os.getpid())
    assert mine is not None
    assert mine.started > 0
    child = subprocess.Popen(["sleep", "30"])
    first = read_process(child.pid)
    child.kill()
    wait_until(lambda: read_process(child.pid) is None)
    child.wait()
    assert first is not None
    assert first.parent == os.getpid()


def test_folders_of_modules_that_died_while_loading_go_after_a_day(tmp_path, monkeypatch):
    """Catches litter that grows with every run that is interrupted, and a folder that is somebody else's or still in use."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ["ansible_pg_refresh_payload_abc_1", "ansible_xero_seed_payload_x2", "ansible_ansible.builtin.setup_payload_y", "ansible_pg_payload", "mine"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "code.zip").write_text("")
    (tmp_path / "ansible_pg_refresh_payload_link").symlink_to(tmp_path / "mine")
    remove_old_payloads()
    assert len(list(tmp_path.iterdir())) == 6
    remove_old_payloads(now=time.time() + 90_000)
    assert {path.name for path in tmp_path.iterdir()} == {*names[2:], "ansible_pg_refresh_payload_link"}
