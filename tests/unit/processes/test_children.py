"""Child processes, with real ones."""
from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.processes.children import clean_environment, popen_child, run_child
from ansible.module_utils.dev_refresh.processes.parents import read_process

MODULE_UTILS = Path(__file__).resolve().parents[3] / "module_utils"


def runs(pid: int) -> bool:
    return read_process(pid) is not None


def wait_until(condition, seconds=3.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.01)


def wait_for_pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def test_output_and_return_code_are_kept_apart():
    done = run_child(["sh", "-c", "echo out; echo err >&2; exit 3"], deadline=10)
    assert (done.returncode, done.stdout, done.stderr, done.timed_out) == (3, "out\n", "err\n", False)


def test_a_signal_is_a_negative_return_code():
    assert run_child(["sh", "-c", "kill -KILL $$"], deadline=10).returncode == -signal.SIGKILL


def test_input_reaches_the_child_whatever_its_size():
    sizes = []
    done = run_child(["cat"], deadline=20, stdin_bytes=b"x" * 3_000_000, on_stdout=lambda chunk: sizes.append(len(chunk)))
    assert (sum(sizes), done.returncode) == (3_000_000, 0)


def test_input_that_nobody_reads_is_no_failure():
    assert run_child(["true"], deadline=10, stdin_bytes=b"x" * 3_000_000).returncode == 0


def test_the_deadline_ends_the_whole_group(tmp_path):
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    done = run_child(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], deadline=0.3)
    assert done.timed_out
    assert time.monotonic() - started < 2
    assert not runs(wait_for_pid(pid_file))


def test_a_group_that_ignores_sigterm_is_killed(tmp_path):
    pid_file = tmp_path / "pid"
    script = f"trap '' TERM; (trap '' TERM; sh -c 'echo $$ > {pid_file}; exec sleep 60') & wait; sleep 60"
    assert run_child(["sh", "-c", script], deadline=0.3).timed_out
    pid = wait_for_pid(pid_file)
    wait_until(lambda: not runs(pid), 1)


def test_a_grandchild_that_keeps_the_pipes_open_delays_nothing_and_stays(tmp_path):
    """A start command may leave a service running; it must neither be waited for nor killed."""
    pid_file = tmp_path / "pid"
    done = run_child(["sh", "-c", f"sleep 30 & echo $! > {pid_file}; echo started"], deadline=10)
    pid = wait_for_pid(pid_file)
    try:
        assert (done.stdout, done.seconds < 2, runs(pid)) == ("started\n", True, True)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_an_exception_while_reading_ends_the_group():
    class SomethingBrokeError(Exception):
        pass

    def break_down(child):
        pids.append(child.pid)
        raise SomethingBrokeError

    pids: list[int] = []
    with pytest.raises(SomethingBrokeError), popen_child(["sh", "-c", "sleep 60"], deadline=60) as child:
        break_down(child)
    assert not runs(pids[0])


def test_a_child_that_closes_its_output_is_waited_for():
    done = run_child(["sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 5"], deadline=10)
    assert (done.returncode, done.seconds >= 0.3) == (5, True)


@pytest.mark.parametrize(
    ("script", "stalled"),
    [
        ("while True: pass", True),
        ("import time; f = open('/dev/zero', 'rb', 0); end = time.monotonic() + 1.5\nwhile time.monotonic() < end: f.read(10); time.sleep(0.01)", False),
    ],
)
def test_a_child_that_turns_in_a_circle_is_ended(script, stalled):
    """One that reads and does not write yet is not."""
    done = run_child([sys.executable, "-c", script], deadline=20, stall=0.4)
    assert (done.stalled, done.timed_out) == (stalled, False)
    assert (done.returncode == 0) is not stalled
    assert done.seconds < 10


@pytest.mark.parametrize(
    ("argv", "cwd", "words"),
    [
        (["/no/such/program"], None, "no such program"),
        (["/etc/passwd"], None, "may not execute"),
        (["true"], "/no/such/folder", "working directory /no/such/folder does not exist"),
        (["echo", "a\0b"], None, "zero byte"),
    ],
)
def test_what_cannot_be_started_is_explained(argv, cwd, words):
    with pytest.raises(RefreshError, match=words):
        run_child(argv, cwd=cwd, deadline=5)


def test_secrets_are_not_in_the_output_in_any_form():
    secret = 'pa ss"w/örd&1'
    script = "import sys, json, urllib.parse as u; s = sys.argv[1]; print(s, json.dumps(s), u.quote(s, safe=''), u.quote_plus(s)); sys.exit(s)"
    done = run_child([sys.executable, "-c", script, secret], deadline=20, secrets=[secret])
    assert "ss" not in done.stdout + done.stderr
    assert done.stdout == '******** "********" ******** ********\n'


@pytest.mark.parametrize("shift", range(0, 40, 3))
def test_half_a_secret_does_not_stay_where_the_output_was_cut(shift):
    """Only the end of long output is kept: the cut must not leave the end of a secret, which no longer looks like one."""
    secret = "swordfish-0123456789"
    script = f"import sys; sys.stdout.write('{secret} ' * 200 + 'z' * {shift})"
    done = run_child([sys.executable, "-c", script], deadline=20, secrets=[secret], max_output=100 + shift)
    assert done.stdout
    assert not any(secret[start : start + 4] in done.stdout for start in range(len(secret) - 3))


def test_memory_stays_flat_whatever_is_written():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = 0

    def count(chunk: bytes) -> None:
        nonlocal total
        total += len(chunk)

    run_child(["head", "-c", "300000000", "/dev/zero"], deadline=60, on_stdout=count)
    kept = run_child(["head", "-c", "300000000", "/dev/zero"], deadline=60, max_output=10_000)
    assert total == 300_000_000
    assert len(kept.stdout) == 10_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


def test_clean_environment_has_none_of_libpqs_variables():
    cleaned = clean_environment({"PGHOST": "prod", "PATH": "/bin", "LC_ALL": "de_DE"}, PGUSER="me")
    assert cleaned == {"PATH": "/bin", "LC_ALL": "C", "LANGUAGE": "C", "PGUSER": "me"}


def script(body: str) -> str:
    """Return Python source that can import the package as modules do."""
    head = f"import os, signal, sys\nimport ansible.module_utils\nansible.module_utils.__path__.append({str(MODULE_UTILS)!r})\n"
    return head + "from ansible.module_utils.dev_refresh.processes.children import popen_child, run_child\n" + textwrap.dedent(body)


def test_when_we_are_killed_the_guardian_ends_our_children_and_theirs(tmp_path):
    """SIGKILL of the module: nothing of ours can run any more, and the workers of pg_restore --jobs must end all the same."""
    parent_file, worker_file = tmp_path / "parent", tmp_path / "worker"
    body = f"run_child(['sh', '-c', 'echo $$ > {parent_file}; sleep 60 & echo $! > {worker_file}; wait'], deadline=60)"
    module = subprocess.Popen([sys.executable, "-c", script(body)])
    pids = [wait_for_pid(parent_file), wait_for_pid(worker_file)]
    # the child is noted right after its start, which it may outrun
    time.sleep(0.3)
    module.kill()
    module.wait()
    wait_until(lambda: not any(runs(pid) for pid in pids), 1.5)


def test_a_child_that_ended_is_not_signalled_later(tmp_path):
    """Its process id may be someone else's by then."""
    pid_file = tmp_path / "pid"
    body = f"run_child(['sh', '-c', 'sleep 30 & echo $! > {pid_file}'], deadline=9)\nos.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", script(body)], check=False, timeout=20)
    pid = wait_for_pid(pid_file)
    time.sleep(0.8)
    try:
        assert runs(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_sigterm_ends_the_children_too(tmp_path):
    pid_file = tmp_path / "pid"
    body = f"""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
    run_child(['sh', '-c', 'echo $$ > {pid_file}; sleep 60'], deadline=60)
    """
    module = subprocess.Popen([sys.executable, "-c", script(body)])
    pid = wait_for_pid(pid_file)
    module.terminate()
    assert module.wait(5) == 9
    assert not runs(pid)
