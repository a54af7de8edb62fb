"""Documentation of the options that the modules which talk to Xero share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the connection to Xero: ``app`` are those of the app alone."""

    DOCUMENTATION = r"""
options:
  token_file:
    description:
      - File on the host that holds the refresh token, written by C(playbooks/connect_xero.yml).
      - Its mode must be V(0600). A token that Xero rotates is stored in it before it is used, also in check mode.
      - Without it the module asks for a token by client credentials, which suits a custom connection.
    type: path
  tenant_id:
    description:
      - Tenant id of the organisation to use.
      - Without it the only connected organisation is used; with several connected organisations it is required.
    type: str
  organisation:
    description:
      - Name that the organisation must have, exactly.
      - Without it the name is not compared.
    type: str
  allow_non_demo:
    description:
      - Allow an organisation that is not a demo company. Then O(organisation) is required.
    type: bool
    default: false
  forbidden_tenant_ids:
    description:
      - Tenant ids that are never talked to beyond reading the organisation, for example that of production.
    type: list
    elements: str
    default: []
  calls_per_minute:
    description:
      - Calls that Xero allows in a minute for this app and organisation.
    type: int
    default: 60
  daily_reserve:
    description:
      - Calls of the day's quota that are left for others.
    type: int
    default: 0
  recent_calls:
    description:
      - RV(api.recent) of the module that talked to the same organisation just before, so that both together keep to O(calls_per_minute).
      - Ages, in seconds, of the replies that it got in its last minute.
    type: list
    elements: float
    default: []
  log_dir:
    description:
      - Folder on the host for the log of requests, one JSON object a line; never tokens, bodies or personal data.
      - Without it, C(/var/log/dev_refresh) for root and C(dev_refresh) in the user's state folder for others.
    type: path
  log_keep:
    description:
      - Number of runs whose logs are kept.
    type: int
    default: 30
"""

    APP = r"""
options:
  client_id:
    description:
      - Client id of the Xero app.
    type: str
    required: true
  client_secret:
    description:
      - Client secret of the Xero app.
    type: str
    required: true
  api_url:
    description:
      - Base address of Xero's API. Another one than the default serves a sandbox.
    type: str
    default: https://api.xero.com
  identity_url:
    description:
      - Base address of Xero's identity server, which gives tokens.
    type: str
    default: https://identity.xero.com
"""
