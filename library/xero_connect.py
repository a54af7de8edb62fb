#!/usr/bin/python
# MIT License (see LICENSE)
"""Ansible module: the one-time consent for a Xero app that works with refresh tokens."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xero_connect
short_description: Connect a Xero app by a user's consent and store its refresh token
version_added: "0.1.0"
description:
  - Looks whether the token file on the host works. If it does, its organisations are listed and nothing changes.
  - Otherwise an address is shown at the controller, where the user's browser is. The user opens it, consents at Xero, and the browser is
    sent back to a listener on the controller's loopback addresses.
  - The code that it brings goes to the host, which exchanges it and stores the refresh token there. The token never is on the controller, and neither
    code nor token is in any output.
  - A custom connection (client credentials) needs none of this.
options:
  token_file:
    description:
      - File on the host for the refresh token. It gets mode V(0600) and is written in one step; a folder that is missing gets mode V(0700).
    type: path
    required: true
  scopes:
    description:
      - What the user is asked to allow. V(offline_access) must be among it, since without it there is no refresh token.
      - A stored token that lacks one of them needs a new consent.
    type: list
    elements: str
    default: [offline_access, accounting.contacts, projects, accounting.settings.read]
  redirect_port:
    description:
      - Port on the controller's loopback addresses for the browser to come back to.
      - C(http://localhost:8750/callback), with this port, must be among the app's redirect URIs at developer.xero.com.
    type: int
    default: 8750
  login_url:
    description:
      - Where the user consents. Another address than the default serves a sandbox.
    type: str
    default: https://login.xero.com/identity/connect/authorize
  pkce:
    description:
      - Tie the code to this run by a proof key as well (RFC 7636), beside the client secret.
    type: bool
    default: true
  deadline:
    description:
      - Seconds to wait for the consent.
    type: int
    default: 300
  force:
    description:
      - Ask for a new consent even if the stored token works, for example to connect another organisation.
    type: bool
    default: false
  code:
    description:
      - The authorisation code. It is filled in when the browser comes back; given here, nobody is asked.
    type: str
  code_verifier:
    description:
      - The proof key that belongs to O(code).
    type: str
extends_documentation_fragment:
  - dev_refresh_xero.app
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
    details:
      - Waits for nothing. A stored refresh token is tried, and what Xero gives for it is stored.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
notes:
  - The listener runs in an action plugin, so on the controller whatever the task's host is.
  - Stray answers, those with another C(state), are refused and waited past.
requirements:
  - Python 3.11 or later
  - xero-python
seealso:
  - module: xero_organisation_info
author:
  - the dev-refresh authors (@dev-refresh)
"""

EXAMPLES = r"""
- name: Connect the Xero app
  xero_connect:
    client_id: "{{ xero_seed_client_id }}"
    client_secret: "{{ xero_seed_client_secret }}"
    token_file: /etc/dev_refresh/xero_token.json
  register: xero

- name: Connect one more organisation
  xero_connect:
    client_id: "{{ xero_seed_client_id }}"
    client_secret: "{{ xero_seed_client_secret }}"
    token_file: /etc/dev_refresh/xero_token.json
    force: true
"""

RETURN = r"""
consent_needed:
  description: Whether the user's consent is still needed; after a run without check mode it no longer is.
  type: bool
  returned: success
  sample: false
reason:
  description: Why it is needed, or null.
  type: str
  returned: success
  sample: null
token_file:
  description: The file that holds the token.
  type: str
  returned: success
  sample: /etc/dev_refresh/xero_token.json
connected:
  description: The organisations that the app is connected to. C(is_demo_company) is null where the token may not read it.
  type: list
  elements: dict
  returned: success
  sample:
    - {tenant_id: 4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4, name: Demo Company (NZ), connected: "2026-09-12T03:10:00Z", is_demo_company: true}
scopes:
  description: Scopes of the token; empty if Xero did not tell them or there is none.
  type: list
  elements: str
  returned: success
  sample: [offline_access, accounting.contacts, projects, accounting.settings.read]
inventory:
  description: The lines to copy into the inventory; empty without an organisation.
  type: str
  returned: success
  sample: |-
    xero_seed_token_file: /etc/dev_refresh/xero_token.json
    # Demo Company (NZ), a demo company
    xero_seed_tenant_id: 4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4
msg:
  description: One or two sentences.
  type: str
  returned: always
  sample: >-
    The token is stored in /etc/dev_refresh/xero_token.json. 1 organisation is connected: "Demo Company (NZ)" (4ee62a8e-0df6-4f6c-b5b5-3e2fe1a0c0a4).
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.dev_refresh.reporting import run_module
from ansible.module_utils.dev_refresh.xero.connect import connect
from ansible.module_utils.dev_refresh.xero.connect_options import CONNECT_OPTIONS


def main() -> None:
    """Look or store, and report."""
    module = AnsibleModule(argument_spec=CONNECT_OPTIONS, supports_check_mode=True)
    run_module(module, lambda: connect(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
