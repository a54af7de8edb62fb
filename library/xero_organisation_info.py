#!/usr/bin/python
# MIT License (see LICENSE)
"""Ansible module: look at the connected Xero organisation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xero_organisation_info
short_description: Read which Xero organisation is connected and whether it may be seeded
version_added: "0.1.0"
description:
  - Gets a token, lists the organisations that the Xero app is connected to, chooses one and reads it, in two calls of the API.
  - Compares it with what the options allow and returns, or fails with, everything that speaks against it at once.
  - Changes nothing, neither in Xero nor on the host, but for a refresh token that Xero rotated and the log.
  - What needs the dump or the database beside the organisation, that is, whether the ids that came with the dump exist in it, M(xero_seed) looks at.
options:
  entities:
    description:
      - What is to be seeded; the scopes of the app are compared with it.
    type: list
    elements: str
    choices: [contacts, projects]
    default: [contacts, projects]
  read_only:
    description:
      - Ask only for the scopes that reading needs.
    type: bool
    default: false
  fail_on_findings:
    description:
      - Fail when something speaks against the organisation or it cannot be read.
      - Without it the module succeeds and RV(findings) says why.
    type: bool
    default: true
  run_id:
    description:
      - Id of the run, for the name of the log.
    type: str
extends_documentation_fragment:
  - dev_refresh_xero
  - dev_refresh_xero.app
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
requirements:
  - Python 3.11 or later
  - xero-python
seealso:
  - module: xero_seed
author:
  - the dev-refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Refuse what is not a demo company
  xero_organisation_info:
    client_id: "{{ xero_seed_client_id }}"
    client_secret: "{{ xero_seed_client_secret }}"

- name: See what speaks against an organisation that is no demo company
  xero_organisation_info:
    client_id: "{{ xero_seed_client_id }}"
    client_secret: "{{ xero_seed_client_secret }}"
    token_file: /etc/dev_refresh/xero_token.json
    tenant_id: 4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4
    organisation: Workshop Development
    allow_non_demo: true
    fail_on_findings: false
  register: xero
"""

RETURN = r"""
organisation:
  description: The organisation; null if it could not be read.
  type: dict
  returned: always
  sample:
    tenant_id: 4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4
    name: Demo Company (NZ)
    is_demo_company: true
    short_code: "!Qj35V"
    country: NZ
    currency: NZD
    created: "2026-09-12T03:06:54Z"
connection:
  description: The connection of the app with it; null if it could not be read.
  type: dict
  returned: always
  sample: {tenant_id: 4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4, name: Demo Company (NZ), connected: "2026-09-12T03:10:00Z"}
connected:
  description: All organisations that the app is connected to.
  type: list
  elements: dict
  returned: always
  sample: [{tenant_id: 4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4, name: Demo Company (NZ), connected: "2026-09-12T03:10:00Z"}]
scopes:
  description: Scopes of the token; empty if Xero did not tell them.
  type: list
  elements: str
  returned: always
  sample: [accounting.contacts, accounting.settings.read, projects]
limits:
  description: The limits and what is left of them; null where Xero did not tell it.
  type: dict
  returned: always
  sample: {calls_per_minute: 60, minute_remaining: 59, day_remaining: 4999, daily_reserve: 0}
resume_after:
  description: Where the day's calls are used up, the time after which to run again; else null.
  type: str
  returned: always
  sample: null
findings:
  description: Everything that speaks against the organisation, each with its remedy.
  type: list
  elements: str
  returned: always
  sample: []
api:
  description: What was asked of Xero; RV(api.recent) is for the option O(recent_calls) of the next module.
  type: dict
  returned: always
  sample:
    calls: 2
    writes: 0
    retries: 0
    rate_limited: 0
    seconds_waited: 0.0
    minute_remaining: 59
    day_remaining: 4999
    per_minute: [2]
    recent: [0.4, 0.1]
msg:
  description: One sentence.
  type: str
  returned: always
  sample: '"Demo Company (NZ)" (4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4), a demo company, 4999 calls left today'
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.mapping import ENTITIES
from ansible.module_utils.dev_refresh.reporting import run_module
from ansible.module_utils.dev_refresh.xero.inspection import inspect
from ansible.module_utils.dev_refresh.xero.options import XERO_OPTIONS


def main() -> None:
    """Look and report."""
    module = AnsibleModule(
        argument_spec={
            **XERO_OPTIONS,
            "entities": {"type": "list", "elements": "str", "choices": list(ENTITIES), "default": list(ENTITIES)},
            "read_only": {"type": "bool", "default": False},
            "fail_on_findings": {"type": "bool", "default": True},
            "run_id": {"type": "str"},
        },
        supports_check_mode=True,
    )
    run_module(module, lambda: inspect(module.params))


if __name__ == "__main__":
    main()
