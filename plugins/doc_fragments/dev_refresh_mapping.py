"""Documentation of the options that say which tables hold clients and jobs."""
from __future__ import annotations


class ModuleDocFragment:
    """Options of module_utils/dev_refresh/mapping.py."""

    DOCUMENTATION = r"""
options:
  entities:
    description:
      - What is seeded. Jobs become projects under the contacts of their clients.
    type: list
    elements: str
    choices: [contacts, projects]
    default: [contacts, projects]
  mapping:
    description:
      - Which tables and columns hold clients and jobs, and how they become contacts and projects.
      - Every entry has a default; C(fields) is replaced as a whole.
    type: dict
    default: {}
    suboptions:
      contacts:
        description:
          - The clients.
        type: dict
        default: {}
        suboptions:
          table:
            description: The table, or C(schema.table).
            type: str
            default: client_client
          key:
            description: The column of the key.
            type: str
            default: id
          xero_id:
            description: The column of the Xero id. It must be nullable, or text.
            type: str
            default: xero_contact_id
          tenant_id:
            description: The column of the tenant id that the Xero id belongs to, if there is one.
            type: str
          where:
            description: SQL condition that tells which rows belong in Xero. Left out, all do.
            type: str
          number:
            description:
              - The ContactNumber, with C({key}) for the key. What is longer than 50 characters is replaced by a hash.
              - Where keys are not UUIDs and several apps share an organisation, give it a text of its own, such as C(myapp-{key}).
            type: str
            default: "{key}"
          email_policy:
            description:
              - What becomes of e-mail addresses. V(drop) sends none, so that nobody outside gets mail from a development organisation.
              - V(rewrite) replaces the domain by O(mapping.contacts.email_domain); V(keep) sends them as they are.
            type: str
            choices: [keep, drop, rewrite]
            default: drop
          email_domain:
            description: The domain for O(mapping.contacts.email_policy=rewrite).
            type: str
          fields:
            description:
              - "Column, or dictionary C({sql: <expression>}), of each of C(name), C(email), C(phone) and C(address)."
              - Left out, the columns of these names; those that the table lacks are left out with a warning.
            type: dict
      projects:
        description:
          - The jobs.
        type: dict
        default: {}
        suboptions:
          table:
            description: The table, or C(schema.table).
            type: str
            default: job_job
          key:
            description: The column of the key.
            type: str
            default: id
          xero_id:
            description: The column of the Xero id. It must be nullable, or text.
            type: str
            default: xero_project_id
          tenant_id:
            description: The column of the tenant id that the Xero id belongs to, if there is one.
            type: str
          client:
            description: The column that points at the client's key.
            type: str
            default: client_id
          where:
            description: SQL condition that tells which rows belong in Xero. Left out, all do.
            type: str
          name_template:
            description: The project's name, with C({number}) and C({name}) of the job. It is cut to 100 characters, never in the number.
            type: str
            default: "Job {number}: {name}"
          order_by:
            description: Column, descending, that tells which jobs come first when the day's quota is short.
            type: str
          fields:
            description:
              - "Column, or dictionary C({sql: <expression>}), of each of C(number), C(name), C(deadline) and C(estimate)."
              - Left out, C(job_number), C(name) and C(delivery_date), and no estimate; a C(delivery_date) that the table lacks is left out with a warning.
            type: dict
"""
