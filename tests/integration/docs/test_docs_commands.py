"""Every command in the documentation can be given, and what it names exists; the chief ones are really run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from world.lifecycle import World

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROGRAMS = ("ansible", "ansible-doc", "ansible-playbook", "ansible-vault", "cp", "make", "python", "python3", "ssh", "sudo", "journalctl", "systemctl")


def page_name(value: Any) -> str | None:
    """Return a page's name for the id of a test."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else None


def commands() -> list[tuple[Path, str]]:
    """Return every command with its page: lines of shell blocks, and what stands between backticks and begins with a program."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```(?:sh)?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            lines = [line.partition("  #")[0].partition(" # ")[0].strip() for line in block.splitlines()]
            found += [(page, part.strip()) for line in lines for part in line.split("&&") if part.split() and _program(part) in PROGRAMS]
        inline = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        found += [(page, part) for part in re.findall(r"`([^`\n]+)`", inline) if " " in part and _program(part) in PROGRAMS]
    return sorted(set(found))


def _program(text: str) -> str:
    return Path(text.split()[0]).name


def variables() -> set[str]:
    """Return the roles' variables."""
    names: set[str] = set()
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            names.update(entry.get("options") or {})
    return names


@pytest.mark.parametrize(("page", "command"), commands(), ids=page_name)
def test_what_a_command_names_is_there(page, command):
    words = shlex.split(command.replace("…", ""))
    words = words[1:] if words[0] == "sudo" else words
    program = _program(words[0])
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert [word for word in words[1:] if "=" not in word and word not in targets] == []
    elif program == "ansible-playbook":
        _check_playbook(words[1:])
    elif program == "ansible-doc":
        kind, name = words[words.index("-t") + 1], words[-1]
        assert (ROOT / ("library" if kind == "module" else "roles") / (f"{name}.py" if kind == "module" else name)).exists()
    else:
        for word in words[1:]:
            if re.match(r"(tests|demo|contrib|inventory/(demo|example)|requirements|docs)[/\w.-]*$", word) and "/" in word:
                assert (ROOT / word).exists(), word


def _check_playbook(words: list[str]) -> None:
    """Check playbook, inventory, options and variables of a command line."""
    from ansible.cli.playbook import PlaybookCLI

    cli = PlaybookCLI(["ansible-playbook", *words])
    cli.init_parser()
    given = cli.parser.parse_args(words)
    for name in given.args:
        assert (ROOT / name).exists(), name
    for name in given.inventory or []:
        assert (ROOT / name.replace("inventory/mine", "inventory/example")).exists(), name
    for pair in given.extra_vars:
        assert pair.split("=")[0] in variables(), pair


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                yield page, target


@pytest.mark.parametrize(("page", "target"), list(links()), ids=page_name)
def test_links_lead_somewhere(page, target):
    assert (page.parent / target).exists()


def test_variables_in_the_documentation_exist():
    known = variables() | {"database_restore_working_name"}
    for page in PAGES:
        for name in re.findall(r"`((?:database_restore|app_migrate|app_services|xero_seed|xero_connect|host_environment)_[a-z_]+)\b", page.read_text()):
            assert name in known or (ROOT / "library" / f"{name}.py").exists(), f"{page.name}: {name}"


def test_paths_in_the_documentation_exist():
    for page in PAGES:
        for name in re.findall(r"`((?:tests|playbooks|roles|library|module_utils|plugins|demo|inventory|contrib|\.github)/[\w./-]+)`", page.read_text()):
            path = name.replace("inventory/mine", "inventory/example")
            assert (ROOT / path).exists(), f"{page.name}: {name}"


def test_the_tests_that_contributing_runs_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for folder, words in re.findall(r"pytest (\S+) -k \"(\w+)\"", text):
        assert any(f"def test_{words}" in path.read_text() or words in path.read_text() for path in (ROOT / folder).glob("test_*.py")), words


def test_workflows_fit_their_schema():
    files = [str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def shell() -> Iterator[tuple[str, str]]:
    """Yield every piece of shell of the workflows and every script, with where it is."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                if "run" in step:
                    # what GitHub puts in is no shell
                    yield f"{path.name}: {step.get('name')}", "#!/bin/bash -e\n" + re.sub(r"\$\{\{.*?\}\}", "given", step["run"])
    for path in sorted((ROOT / ".ci").iterdir()):
        yield str(path.relative_to(ROOT)), path.read_text()


def test_the_shell_of_workflows_and_scripts_is_sound():
    for where, text in shell():
        done = subprocess.run([str(BIN / "shellcheck"), "-"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{where}: {done.stdout}"


def test_workflows_and_units_name_what_is_there():
    """The nightly command is a string in a file that nobody runs by day."""
    for path in (ROOT / ".github/workflows/refresh.yml", ROOT / "contrib/systemd/dev-refresh.service"):
        text = path.read_text().replace("\\\n", " ")
        for line in re.findall(r"ansible-playbook (.+)", text):
            words = [word for word in shlex.split(line) if not word.startswith("$")]
            assert (ROOT / next(word for word in words if word.endswith(".yml"))).exists()
            for pair in re.findall(r"-e (\w+)=", line):
                assert pair in variables()
    assert (ROOT / ".github/workflows/ci.yml").read_text().count(".ci/run") == 1


def ansible(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs in the project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PG", "DEV_REFRESH"))}
    more = {"PATH": f"{BIN}:{kept.get('PATH', '')}", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200", **environment}
    return subprocess.run(
        [str(BIN / program), *words], cwd=ROOT, env={**kept, **more}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False
    )


def test_the_example_inventory_loads_and_decrypts(tmp_path):
    password = tmp_path / "password"
    password.write_text("example-password\n")
    done = ansible("ansible-inventory", "-i", "inventory/example", "--list", "--vault-password-file", str(password))
    assert done.returncode == 0, done.stderr
    hosts = json.loads(done.stdout)["_meta"]["hostvars"]
    assert {name: host["xero_seed_mapping"]["contacts"]["table"] for name, host in hosts.items()} == {
        "dev1.example.com": "client_client",
        "dev2.example.com": "client_client",
        "legacy-dev.example.com": "company_company",
    }
    known = variables()
    for name in hosts["dev2.example.com"]:
        assert name in known or name.startswith(("ansible_", "vault_")), name
    assert "WARNING" not in ansible("ansible-inventory", "-i", "inventory/example", "--graph").stderr


def test_a_secret_is_encrypted_as_the_readme_says(tmp_path):
    password = tmp_path / "password"
    password.write_text("a password\n")
    done = ansible("ansible-vault", "encrypt_string", "--vault-password-file", str(password), "--name", "vault_xero_seed_client_secret", "the secret")
    assert done.stdout.startswith("vault_xero_seed_client_secret: !vault |")


def test_documentation_of_modules_and_roles_is_shown():
    names = sorted(path.stem for path in (ROOT / "library").glob("*.py"))
    shown = ansible("ansible-doc", "--json", "-t", "module", *names)
    assert shown.returncode == 0, shown.stderr
    assert sorted(json.loads(shown.stdout)) == names
    assert "xero_seed_client_id" in ansible("ansible-doc", "-t", "role", "-r", "roles", "xero_seed").stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Start a demo world of the tests' own."""
    started = World(tmp_path_factory.mktemp("world"))
    started.start()
    yield started
    started.remove()


@pytest.mark.full
def test_an_administrator_with_the_readme_s_rights_is_enough(world):
    """The README's statements are carried out as they stand, and the guard is content; the check and the status are really run."""
    server = json.loads(world.file.read_text())["postgres"]
    statements = re.search(r"```sql\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert statements is not None
    session = psycopg2.connect(
        host=server["host"], port=server["port"], user=server["superuser"], password=server["superuser_password"], dbname="postgres"
    )
    session.autocommit = True
    with session.cursor() as cursor:
        for statement in statements[1].replace("…", "a-long-password").splitlines():
            # the demo's world has the app's role
            if not statement.startswith("CREATE ROLE jobs_app"):
                cursor.execute(statement)
    session.close()
    admin = {"database_restore_admin_user": "dev_refresh", "database_restore_admin_password": "a-long-password"}
    checked = ansible("ansible-playbook", "restore_dev.yml", "--check", "-e", json.dumps(admin), DEV_REFRESH_WORLD=str(world.folder))
    assert checked.returncode == 0, checked.stdout
    assert "What a run would do" in checked.stdout
    status = ansible("ansible-playbook", "playbooks/status_dev.yml", DEV_REFRESH_WORLD=str(world.folder))
    assert status.returncode == 0, status.stdout
