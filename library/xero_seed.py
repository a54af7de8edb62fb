#!/usr/bin/python
"""Make every client and job of a database exist in a Xero organisation."""
from __future__ import annotations

DOCUMENTATION = r"""
---
module: xero_seed
short_description: Make every client and job of a database exist in a Xero organisation
description:
  - Makes every client a contact and every job a project of the connected Xero organisation, and stores their ids in the rows.
  - What is there already is found by stored id, ContactNumber and name, and linked; only what is missing is created.
  - Nothing in Xero is ever changed or deleted.
  - Ids are stored after every reply. A run that dies, or that meets the limit of calls a day, is continued by running the same command again.
  - An organisation that is production is refused, by what is said of it and by the ids that came with the dump.
  - A row that Xero refuses does not keep the others from being seeded; the module fails at the end, with all counts, and the next run tries the row again.
options:
  database:
    description: The database with the clients and jobs. O(login_user) should be the app's own role.
    type: str
    required: true
  dump:
    description:
      - In check mode, a dump that is to be restored into O(database) first; clients and jobs are then read from it.
      - Without check mode it means nothing.
    type: path
  dump_source:
    description:
      - Where O(dump) is. V(controller) if it is on the controller, and would be brought to the host before the restore.
      - The rows of the mapped tables are then read on the controller and go to this module's memory alone.
    type: str
    choices: [host, controller]
    default: host
  dump_excerpt:
    description: For the action plugin. The rows that it has read on the controller.
    type: str
  bin_dir:
    description: Folder of C(pg_restore), for O(dump). Left out, it is searched for.
    type: path
  forecast_reasons:
    description: Why a forecast in check mode cannot be exact, for example because migrations are pending. Each becomes an entry of RV(forecast_reasons).
    type: list
    elements: str
    default: []
  calls_before:
    description: In check mode, calls of the day's quota that a run makes before this module, for instance to look at the organisation.
    type: int
    default: 0
  run_id:
    description: Id of the run, the same in all its tasks. If a newer run has taken the database over, the module fails.
    type: str
  progress_file:
    description: File to which progress is appended, as lines of JSON.
    type: path
extends_documentation_fragment:
  - dev_refresh_postgresql
  - dev_refresh_xero
  - dev_refresh_xero.app
  - dev_refresh_mapping
attributes:
  check_mode:
    support: full
    description: Reads rows and organisation and says what a run would do. Writes nothing but the log, and a refresh token that Xero rotates.
  diff_mode:
    support: full
    description: Lists the names of the rows that are created, linked (and to what) and cleared, at most 50 of each entity, all of them with C(-vv).
author:
  - The dev_refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Seed the demo company that the Xero app is connected to
  xero_seed:
    database: app_dev
    login_host: localhost
    login_user: app_owner
    login_password: "{{ database_restore_owner_password }}"
    client_id: "{{ xero_seed_client_id }}"
    client_secret: "{{ xero_seed_client_secret }}"

- name: Seed an organisation of our own from an app with other tables
  xero_seed:
    database: app_dev
    login_host: localhost
    login_user: app_owner
    login_password: "{{ database_restore_owner_password }}"
    client_id: "{{ xero_seed_client_id }}"
    client_secret: "{{ xero_seed_client_secret }}"
    tenant_id: 5f1d1a5e-6a3b-4a3e-9d6c-0c0f3c9e7b21
    organisation: Example Ltd (Dev)
    allow_non_demo: true
    forbidden_tenant_ids: [0d1c9f64-2f60-4d6e-8b35-6f0d4d0c8a11]
    mapping:
      contacts: {table: company_company, where: "NOT archived"}
      projects: {client: company_id, order_by: created_at}
"""

RETURN = r"""
complete:
  description: Whether nothing remains to be done, and the day's calls suffice for the verification.
  returned: always
  type: bool
  sample: true
forecast:
  description: In check mode V(exact) if the next run reports the same, else V(estimate). Null otherwise.
  returned: always
  type: str
  sample: null
forecast_reasons:
  description: Why the forecast is an estimate.
  returned: always
  type: list
  elements: str
  sample: []
organisation:
  description: The organisation.
  returned: always
  type: dict
  sample: {tenant_id: 5f1d1a5e-6a3b-4a3e-9d6c-0c0f3c9e7b21, name: Demo Company (NZ), is_demo_company: true}
contacts:
  description:
    - What became of the clients. C(linked) got the id of a contact that was there, C(created) of one that this run made.
    - C(stale) rows held an id that the organisation does not have. C(skipped) cannot be in Xero by rule, C(failed) were refused.
  returned: always
  type: dict
  sample: {total: 412, already_linked: 0, linked: 30, created: 380, stale: 0, skipped: 0, failed: 2, remaining: 0}
projects:
  description: The same for the jobs.
  returned: always
  type: dict
  sample: {total: 620, already_linked: 0, linked: 0, created: 612, stale: 0, skipped: 8, failed: 0, remaining: 0}
unclaimed:
  description: Contacts and projects of the organisation that belong to no row. They are left alone.
  returned: always
  type: dict
  sample: {contacts: 3, projects: 0}
failures:
  description: The first 50 rows that were refused; all of them are in the log.
  returned: always
  type: list
  elements: dict
  sample: [{entity: contacts, key: "17", name: Acme, reason: The contact name Acme is already assigned to another contact.}]
skips:
  description: The first 50 rows that were skipped; all of them are in the log.
  returned: always
  type: list
  elements: dict
  sample: [{entity: projects, key: "9", reason: it has no client}]
left_out:
  description: How often an optional field was not sent because Xero would have refused it.
  returned: always
  type: dict
  sample: {email: 7}
estimate:
  description:
    - What was foreseen before the first write. C(calls) that write, C(verification) calls after them, and the minutes that the writing calls take.
    - Nobody can know beforehand when the minute of Xero's limit turns. Where that matters, C(minutes_least) and C(minutes) are up to a minute apart.
  returned: always
  type: dict
  sample: {calls: 620, verification: 5, minutes_least: 9.3, minutes: 10.3}
api:
  description: Calls to Xero. C(recent) are the ages of the replies of the last minute, for O(recent_calls) of the next module.
  returned: always
  type: dict
  sample:
    {calls: 634, writes: 620, retries: 0, rate_limited: 0, seconds_waited: 571.2, minute_remaining: 12, day_remaining: 366, per_minute: [60, 60], recent: [0.4]}
seconds:
  description: Duration in seconds.
  returned: always
  type: float
  sample: 583.0
resume_after:
  description: Time after which to run again, if the day's limit ended the run.
  returned: always
  type: str
  sample: null
msg:
  description: What happened, in one sentence.
  returned: always
  type: str
  sample: Seeded in the organisation "Demo Company (NZ)" - contacts of 412 clients, 380 created, 30 linked.
findings:
  description: Everything that keeps the seed from being safe, each with its remedy.
  returned: when it was refused
  type: list
  elements: str
  sample: ["The organisation \"Example Ltd\" is not a demo company."]
"""

import sys

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.reporting import run_module
from ansible.module_utils.dev_refresh.seed import OPTIONS, seed
from ansible.module_utils.dev_refresh.seeding.result import LISTED


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)

    shown = (sys.maxsize if module._verbosity >= 2 else LISTED) if module._diff else 0
    run_module(module, lambda: seed(module.params, check_mode=module.check_mode, diff=shown, warn=module.warn))


if __name__ == "__main__":
    main()
