"""playbooks/connect_xero.yml from the command line, with a browser that is a thread."""
from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world.postgres_server import free_port

ROOT = Path(__file__).resolve().parents[3]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/identity/connect/authorize\?\S+")


class Run:
    """A run of the playbook whose output is read as it comes; ``browser`` gets the address in a thread of its own."""

    def __init__(self, variables: dict[str, Any], folder: Path, *arguments: str, browser: Callable[[str], None] | None = None) -> None:
        given = folder / "given.json"
        given.write_text(json.dumps(variables))
        inventory = folder / "hosts.ini"
        inventory.write_text("[dev]\ndev1 ansible_connection=local\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/connect_xero.yml", "-i", str(inventory), "-e", f"@{given}", *arguments],
            cwd=ROOT,
            env={
                **kept,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                # as versions before 2.21 do: whatever a module was given may be shown
                "ANSIBLE_INJECT_INVOCATION": "1",
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self.asked = threading.Event()
        self.commands: set[str] = set()
        self._browser = browser
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            found = ADDRESS.search(line)
            if found and not self.asked.is_set():
                self.asked.set()
                if self._browser is not None:
                    threading.Thread(target=self._browser, args=(found[0],), daemon=True).start()

    def _watch(self) -> None:
        """Note every command line and environment on the machine while the playbook runs."""
        while self.process.poll() is None:
            for entry in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        text = (entry / name).read_text(errors="replace")
                    except OSError:
                        continue
                    if "XERO_SANDBOX_CLIENT_SECRET" not in text:  # the sandbox itself is told its secret so
                        self.commands.add(text)
            time.sleep(0.05)

    def end(self) -> tuple[int, str]:
        code = self.process.wait(90)
        self._reader.join(10)
        return code, self.output


@pytest.fixture
def variables(params: dict[str, Any]) -> dict[str, Any]:
    """Return what an inventory would say."""
    return {
        **{f"xero_seed_{name}": params[name] for name in ("client_id", "client_secret", "token_file", "api_url", "identity_url")},
        "xero_connect_login_url": params["login_url"],
        "xero_connect_redirect_port": free_port(),
        "xero_connect_deadline": 30,
    }


def consent(address: str) -> None:
    """Open the address and follow the redirections, as a browser does."""
    urllib.request.urlopen(address, timeout=10).read()


def changed(output: str) -> int:
    return int(re.findall(r"changed=(\d+)", output)[-1])


def test_check_connect_and_again(variables: dict[str, Any], tmp_path: Path, token_path: Path, sandbox: Any) -> None:
    """And no secret is shown at the highest verbosity, in process lists, or left in files."""
    codes: list[str] = []

    def browser(address: str) -> None:
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{query['redirect_uri']}?code=foreign-code&state=foreign", timeout=10)
        opener = urllib.request.build_opener(type("Watch", (urllib.request.HTTPRedirectHandler,), {"redirect_request": watch}))
        opener.open(address, timeout=10).read()

    def watch(self: Any, request: Any, reply: Any, status: int, message: str, headers: Any, target: str) -> Any:
        codes.append(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query))["code"])
        return urllib.request.HTTPRedirectHandler.redirect_request(self, request, reply, status, message, headers, target)

    code, output = Run(variables, tmp_path, "--check").end()
    assert (code, changed(output)) == (0, 1), output
    assert "Would print the address" in output
    assert not token_path.parent.exists()

    run = Run(variables, tmp_path, "-vvvvv", "--diff", browser=browser)
    code, output = run.end()
    assert (code, changed(output)) == (0, 1), output
    assert "wrong state" in output
    assert re.search(rf"^ *xero_seed_token_file: {token_path}$", output, re.MULTILINE)
    assert re.search(rf"^ *xero_seed_tenant_id: {sandbox.tenant_id}$", output, re.MULTILINE)
    assert output.index("CONSENT NEEDED") < output.index("The consent has arrived")
    token = json.loads(token_path.read_text())["refresh_token"]
    written = output + "".join(run.commands)
    for secret in (token, variables["xero_seed_client_secret"], *codes, "foreign-code"):
        assert secret not in written
    assert "code_verifier" in output  # its name, with its value hidden
    assert codes
    assert [path for path in token_path.parent.iterdir() if token in path.read_text()] == [token_path]

    code, output = Run(variables, tmp_path).end()
    assert (code, changed(output)) == (0, 0), output
    assert "works: nothing to do" in output
    assert sandbox.tenant_id in output


def test_a_denied_consent(variables: dict[str, Any], tmp_path: Path, token_path: Path, sandbox: Any) -> None:
    sandbox.set(consent="deny")
    code, output = Run(variables, tmp_path, browser=consent).end()
    assert code == 2
    assert "The consent was denied in the browser" in output
    assert "Traceback" not in output
    assert not token_path.parent.exists()


def test_nobody_consents(variables: dict[str, Any], tmp_path: Path, token_path: Path) -> None:
    code, output = Run({**variables, "xero_connect_deadline": 1}, tmp_path).end()
    assert code == 2
    assert "No consent came within 1 seconds" in output
    assert not token_path.parent.exists()


def test_a_port_in_use(variables: dict[str, Any], tmp_path: Path) -> None:
    """Nobody is shown an address that leads nowhere."""
    with socket.create_server(("127.0.0.1", variables["xero_connect_redirect_port"])):
        run = Run(variables, tmp_path)
        code, output = run.end()
    assert code == 2
    assert f"Port {variables['xero_connect_redirect_port']} of this machine is in use" in output
    assert not run.asked.is_set()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"xero_seed_client_secret": "a-wrong-secret-of-an-app"}, "refused the app's client id or secret", marks=pytest.mark.full),
        ({"xero_seed_token_file": ""}, "xero_seed_token_file is empty"),
    ],
)
def test_variables_that_cannot_work(variables: dict[str, Any], tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    run = Run({**variables, **changes}, tmp_path)
    code, output = run.end()
    assert code == 2
    assert words in " ".join(output.split())
    assert not run.asked.is_set()


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.full), signal.SIGKILL])
def test_an_ended_run_lets_go_of_the_port(variables: dict[str, Any], tmp_path: Path, token_path: Path, how: signal.Signals) -> None:
    """The next run would meet it, and its browser's answer would go astray."""
    run = Run(variables, tmp_path)
    assert run.asked.wait(60), run.output
    run.process.send_signal(how)
    run.process.wait(20)
    give_up = time.monotonic() + 5
    while True:
        try:
            socket.create_server(("127.0.0.1", variables["xero_connect_redirect_port"]), reuse_port=False).close()
            break
        except OSError:
            assert time.monotonic() < give_up, "something still listens"
            time.sleep(0.1)
    assert not token_path.exists()
