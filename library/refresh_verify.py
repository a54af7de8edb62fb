#!/usr/bin/python
# MIT License (see LICENSE)
"""Ansible module: verify a database against its Xero organisation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: refresh_verify
short_description: Verify that a refreshed database fits its Xero organisation
version_added: "0.1.0"
description:
  - Reads the clients and jobs of the database and the whole lists of contacts and projects of the organisation, works out itself which rows must
    be in Xero, and compares. Changes nothing.
  - Every client in scope with a name, and every job in scope with a number whose client has a contact, must hold the id of a contact that is
    active, or of a project that exists; no id may be held by two rows; none may be one that came with the dump from another organisation.
  - The marker must be of this very database and say that it was seeded in this organisation; no migration of the app may be pending.
  - A name that differs is a note, since people may rename contacts and projects.
options:
  database:
    description: The database to verify.
    type: str
    required: true
  migrations_pending:
    description: Whether migrations of the app are pending, as M(app_command) found out. Left out, this is not judged.
    type: bool
  fail_on_findings:
    description:
      - Fail when something does not fit.
      - Without it the module succeeds and RV(ok) and RV(findings) say so.
    type: bool
    default: true
  run_id:
    description: Id of the run. If a newer run has taken over O(database), the module fails. With it, the database must have a marker.
    type: str
extends_documentation_fragment:
  - dev_refresh_postgresql
  - dev_refresh_xero
  - dev_refresh_xero.app
  - dev_refresh_mapping
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
requirements:
  - Python 3.11 or later
  - psycopg2
  - xero-python
seealso:
  - module: xero_seed
author:
  - the dev-refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Verify the live database
  refresh_verify:
    database: app_dev
    login_host: localhost
    login_user: app_owner
    login_password: "{{ database_restore_owner_password }}"
    client_id: "{{ xero_seed_client_id }}"
    client_secret: "{{ xero_seed_client_secret }}"

- name: Say what does not fit, without failing
  refresh_verify:
    database: app_dev
    login_user: app_owner
    client_id: "{{ xero_seed_client_id }}"
    client_secret: "{{ xero_seed_client_secret }}"
    entities: [contacts]
    migrations_pending: false
    fail_on_findings: false
  register: verified
"""

RETURN = r"""
ok:
  description: Whether everything fits.
  type: bool
  returned: always
  sample: true
findings:
  description: What does not fit, each with the number of rows, the first of their keys, and the remedy.
  type: list
  elements: str
  returned: when both sides could be read
  sample: ["2 jobs have no Xero id: 17, 23. Run playbooks/seed_xero.yml, then verify again."]
notes:
  description: What is worth knowing and no failure.
  type: list
  elements: str
  returned: when both sides could be read
  sample: ["1 contact has another name in Xero than in the database: 5"]
checked:
  description:
    - How many rows there are and how many of them must be in Xero, how many contacts and projects the organisation has, whether there is a
      marker, and whether migrations are pending (null if that was not told).
  type: dict
  returned: when both sides could be read
  sample: {clients: 412, clients_required: 410, contacts: 415, jobs: 620, jobs_required: 612, projects: 612, marker: true, migrations_pending: false}
organisation:
  description: The organisation.
  type: dict
  returned: when both sides could be read
  sample: {tenant_id: 4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4, name: Demo Company (NZ), is_demo_company: true}
api:
  description: What was asked of Xero; RV(api.recent) is for the option O(recent_calls) of the next module.
  type: dict
  returned: when Xero was asked
  sample:
    calls: 5
    writes: 0
    retries: 0
    rate_limited: 0
    seconds_waited: 0.0
    minute_remaining: 55
    day_remaining: 4371
    per_minute: [5]
    recent: [1.4, 1.2, 0.8, 0.7, 0.1]
msg:
  description: One sentence.
  type: str
  returned: always
  sample: 412 clients and 620 jobs fit the organisation "Demo Company (NZ)"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.reporting import run_module
from ansible.module_utils.dev_refresh.verification.run import OPTIONS, verify_refresh


def main() -> None:
    """Verify and report."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    run_module(module, lambda: verify_refresh(module.params))


if __name__ == "__main__":
    main()
