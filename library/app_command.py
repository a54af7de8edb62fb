#!/usr/bin/python
# MIT License (see LICENSE)
"""Ansible module: run one of the app's commands."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_command
short_description: Run a command of the app with secrets in its environment and a deadline
version_added: "0.1.0"
description:
  - Runs a program (never a shell) with a working directory and an environment of its own, in a process group of its own, which is ended
    with everything in it at the deadline, and also when the run that started it is killed.
  - Secrets in the environment appear nowhere, not in the output of the command either.
  - With O(database), it holds that database's lock meanwhile, refuses if a newer run has taken over, and notes in the marker of a staging
    database that it is being changed, so that a command that does not finish is not taken for one that did.
options:
  argv:
    description: The program and its arguments.
    type: list
    elements: str
    required: true
  chdir:
    description: Working directory. Left out, that of the connection.
    type: path
  environment:
    description:
      - Variables for the command, added to those of the connection.
      - Values of 8 and more characters count as secrets, but for variables such as C(PATH), C(PGHOST) or C(DB_NAME), for paths that exist, and for
        O(database). Of a URL its password is a secret of its own.
    type: dict
    default: {}
  secrets:
    description: Further texts that must not be shown.
    type: list
    elements: str
    default: []
  deadline:
    description: Seconds after which the command and all that it started are killed.
    type: int
    default: 3600
  purpose:
    description:
      - V(change) runs it, and not in check mode.
      - V(read) runs a command that changes nothing, also in check mode.
      - V(pending) asks with such a command whether something is pending, also in check mode; see RV(pending).
    type: str
    choices: [change, read, pending]
    default: change
  ok_rc:
    description: Return codes that mean success, unless O(purpose=pending).
    type: list
    elements: int
    default: [0]
  pending_rc:
    description: Return code that means that something is pending; 0 means that nothing is, and any other one fails. Only for O(purpose=pending).
    type: int
    default: 1
  changed:
    description: Whether the command, run for O(purpose=change), counts as a change.
    type: bool
    default: true
  database:
    description: Database that the command changes, live or staging. Left out, no lock is taken and no connection made.
    type: str
  run_id:
    description: The run for which it works. If a newer one has taken over O(database), nothing is run.
    type: str
extends_documentation_fragment:
  - dev_refresh_postgresql
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: partial
    details: In check mode only commands for O(purpose=read) and O(purpose=pending) run.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
author:
  - the dev-refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Ask whether migrations are pending
  app_command:
    argv: [python, manage.py, migrate, --check]
    chdir: /srv/app
    environment: {DATABASE_URL: "{{ app_migrate_database_url }}"}
    purpose: pending
  register: pending

- name: Migrate the staging database
  app_command:
    argv: [python, manage.py, migrate, --noinput]
    chdir: /srv/app
    environment: {DATABASE_URL: "{{ app_migrate_database_url }}"}
    deadline: 1800
    database: jobs_dev_refresh
    run_id: "{{ refresh_run_id }}"
    login_user: postgres
  when: pending.pending
"""

RETURN = r"""
command:
  description: The command as one would type it, without secrets.
  type: str
  returned: always
  sample: python manage.py migrate --noinput
return_code:
  description: Its return code; negative if a signal ended it, null if it was not run.
  type: int
  returned: always
  sample: 0
pending:
  description: For O(purpose=pending), whether something is pending; otherwise null.
  type: bool
  returned: always
  sample: true
stdout_lines:
  description: What it wrote, without secrets; the last megabyte.
  type: list
  elements: str
  returned: always
  sample: ["Applying client.0002_xero... OK"]
stderr_lines:
  description: What it wrote as errors, likewise.
  type: list
  elements: str
  returned: always
  sample: []
seconds:
  description: How long it ran.
  type: float
  returned: always
  sample: 2.4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.commands.run import Command, Target, run_command
from ansible.module_utils.dev_refresh.errors import RefreshError
from ansible.module_utils.dev_refresh.postgres.options import POSTGRESQL_OPTIONS, login_from
from ansible.module_utils.dev_refresh.reporting import run_module


def main() -> None:
    """Run the command and report its output."""
    module = AnsibleModule(
        argument_spec={
            **POSTGRESQL_OPTIONS,
            "argv": {"type": "list", "elements": "str", "required": True},
            "chdir": {"type": "path"},
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "deadline": {"type": "int", "default": 3600},
            "purpose": {"type": "str", "choices": ["change", "read", "pending"], "default": "change"},
            "ok_rc": {"type": "list", "elements": "int", "default": [0]},
            "pending_rc": {"type": "int", "default": 1},
            "changed": {"type": "bool", "default": True},
            "database": {"type": "str"},
            "run_id": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    command = Command(
        argv=params["argv"],
        chdir=params["chdir"],
        environment={name: "" if value is None else str(value) for name, value in params["environment"].items()},
        deadline=params["deadline"],
        ok_rc=params["ok_rc"],
        pending_rc=params["pending_rc"] if params["purpose"] == "pending" else None,
        secrets=[*params["secrets"], *([params["login_password"]] if params["login_password"] else [])],
        harmless=[params["database"]] if params["database"] else [],
    )
    # Ansible would cut every value of the environment, "1" and "true" too, out of each text; only the secrets among them may go
    module.no_log_values = command.hidden()
    target = None
    if params["database"] and params["purpose"] == "change":
        target = Target.of(login_from(params), params["database"], run_id=params["run_id"], maintenance=params["maintenance_db"])

    def work() -> dict[str, object]:
        if not command.argv or not command.argv[0]:
            raise RefreshError("The command is empty. Give the program and its arguments as a list.")
        changes = params["purpose"] == "change" and params["changed"]
        if module.check_mode and params["purpose"] == "change":
            return {"changed": changes, "command": command.text(), "return_code": None, "stdout_lines": [], "stderr_lines": [], "seconds": 0.0, "pending": None}
        return {"changed": changes, **run_command(command, target=target)}

    run_module(module, work)


if __name__ == "__main__":
    main()
