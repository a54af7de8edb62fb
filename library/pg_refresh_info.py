#!/usr/bin/python
# MIT License (see LICENSE)
"""Ansible module: which dump a development database holds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_refresh_info
short_description: Tell which dump a development database holds and where it was seeded
version_added: "0.1.0"
description:
  - Reads the marker that M(pg_refresh) leaves in a database, and which of the databases beside it are there.
options:
  name:
    description: The live database.
    type: str
    required: true
  owner:
    description: The app's role, which owns the database.
    type: str
    required: true
  owner_password:
    description: Its password.
    type: str
  owner_host:
    description: Host by which the owner connects. Empty for O(login_host).
    type: str
    default: ""
extends_documentation_fragment:
  - dev_refresh_postgresql
attributes:
  check_mode:
    description: Can run in check mode and return the status without changing anything.
    support: full
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
author:
  - the dev-refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Read which dump the development database holds
  pg_refresh_info:
    name: jobs_dev
    login_user: postgres
    owner: jobs_app
    owner_password: "{{ database_restore_owner_password }}"
    owner_host: localhost
  register: database_restore_status
"""

RETURN = r"""
exists:
  description: Whether there is a database of that name.
  type: bool
  returned: success
  sample: true
marker:
  description: What the marker in the database says, or null without one.
  type: dict
  returned: success
  sample: {run_id: 20261122T081500Z-1f3a9c, phase: live, dump_path: /srv/dumps/jobs_2026-11-21.dump, seeded_at: "2026-11-22T08:16:10Z"}
fits:
  description: Whether the marker belongs to the data that is there.
  type: bool
  returned: success
  sample: true
databases:
  description: Those of the live, staging and previous database that exist, with their size in bytes and whether they are open.
  type: dict
  returned: success
  sample: {live: {name: jobs_dev, bytes: 9400000, open: true, note: null}}
verdict:
  description: What it comes to, in one sentence.
  type: str
  returned: success
  sample: Restored, seeded and verified.
next:
  description: What would be next, in one sentence.
  type: str
  returned: success
  sample: nothing, until there is a newer dump; `ansible-playbook restore_dev.yml` brings it in.
summary:
  description: The same in sentences.
  type: list
  elements: str
  returned: success
  sample: ['Database "jobs_dev" holds the dump /srv/dumps/jobs_2026-11-21.dump, made 2026-11-21T02:00:00Z, restored 2026-11-22T08:15:04Z.']
"""

from dataclasses import replace

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.postgres.options import POSTGRESQL_OPTIONS, login_from
from ansible.module_utils.dev_refresh.refresh.status import read_status
from ansible.module_utils.dev_refresh.reporting import run_module


def main() -> None:
    """Read the status and report it."""
    module = AnsibleModule(
        argument_spec={
            **POSTGRESQL_OPTIONS,
            "name": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "owner_password": {"type": "str", "no_log": True},
            "owner_host": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    admin = login_from(params)
    owner = replace(admin, user=params["owner"], password=params["owner_password"] or None, host=params["owner_host"] or admin.host)
    run_module(module, lambda: {"changed": False, **read_status(params["name"], admin, owner, maintenance=params["maintenance_db"])})


if __name__ == "__main__":
    main()
