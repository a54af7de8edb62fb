"""The mapping: which tables and columns hold clients and jobs, and how they become contacts and projects."""
from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Any

from .errors import Finding, GuardError

ENTITIES = ("contacts", "projects")
"""Every entity that can be seeded, in the order in which it must be."""

CONTACT_FIELDS: dict[str, str] = {"name": "name", "email": "email", "phone": "phone", "address": "address"}
PROJECT_FIELDS: dict[str, str | None] = {"number": "job_number", "name": "name", "deadline": "delivery_date", "estimate": None}
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")

REQUIRED_FIELDS = {"contacts": ("name",), "projects": ("number", "name")}

MAPPING_OPTIONS: dict[str, Any] = {
    "contacts": {
        "type": "dict",
        "default": {},
        "options": {
            "table": {"type": "str", "default": "client_client"},
            "key": {"type": "str", "default": "id", "no_log": False},
            "xero_id": {"type": "str", "default": "xero_contact_id"},
            "tenant_id": {"type": "str"},
            "where": {"type": "str"},
            "number": {"type": "str", "default": "{key}"},
            "email_policy": {"type": "str", "default": "drop", "choices": ["keep", "drop", "rewrite"]},
            "email_domain": {"type": "str"},
            "fields": {"type": "dict"},
        },
    },
    "projects": {
        "type": "dict",
        "default": {},
        "options": {
            "table": {"type": "str", "default": "job_job"},
            "key": {"type": "str", "default": "id", "no_log": False},
            "xero_id": {"type": "str", "default": "xero_project_id"},
            "tenant_id": {"type": "str"},
            "client": {"type": "str", "default": "client_id"},
            "where": {"type": "str"},
            "name_template": {"type": "str", "default": "Job {number}: {name}"},
            "order_by": {"type": "str"},
            "fields": {"type": "dict"},
        },
    },
}
"""Argument spec of the module option ``mapping`` (its ``options``)."""


@dataclass(frozen=True, slots=True)
class Field:
    """A value of a row: a column, or an SQL expression; ``required`` says that the operator named it."""

    column: str | None
    sql: str | None
    required: bool


@dataclass(frozen=True, slots=True)
class EntityMapping:
    """How the rows of one table become contacts or projects; ``table`` may be ``schema.table``."""

    entity: str
    table: str
    key: str
    xero_id: str
    tenant_id: str | None
    where: str | None
    fields: MappingType[str, Field]
    number: str = "{key}"
    email_policy: str = "drop"
    email_domain: str | None = None
    client: str = "client_id"
    name_template: str = "Job {number}: {name}"
    order_by: str | None = None


@dataclass(frozen=True, slots=True)
class Mapping:
    """The mapping of all entities."""

    contacts: EntityMapping
    projects: EntityMapping

    def entity(self, name: str) -> EntityMapping:
        """Return the mapping of entity ``name``."""
        return {"contacts": self.contacts, "projects": self.projects}[name]


def parse_mapping(raw: MappingType[str, Any] | None) -> Mapping:
    """Return the mapping with its defaults filled in.

    ``raw`` is what the user wrote, possibly after Ansible's argument spec; raises GuardError with every mistake in it.
    """
    findings: list[Finding] = []
    raw = raw or {}
    for name in raw:
        if name not in ENTITIES:
            findings.append(Finding(f'xero_seed_mapping has no entity "{name}"', f"Use one of: {', '.join(ENTITIES)}"))
    contacts = _entity("contacts", raw.get("contacts") or {}, CONTACT_FIELDS, findings)
    projects = _entity("projects", raw.get("projects") or {}, PROJECT_FIELDS, findings)
    if contacts.email_policy == "rewrite" and not contacts.email_domain:
        findings.append(Finding("xero_seed_mapping.contacts.email_policy is rewrite and email_domain is not set", "Set email_domain to a domain of your own"))
    elif contacts.email_domain and not _DOMAIN.fullmatch(contacts.email_domain):
        what = f'xero_seed_mapping.contacts.email_domain is "{contacts.email_domain}", which is no domain'
        findings.append(Finding(what, "Write a domain such as dev.example.org"))
    if "{key}" not in contacts.number:
        findings.append(Finding("xero_seed_mapping.contacts.number does not contain {key}, so contacts could share a number", 'Use a text such as "dev-{key}"'))
    for placeholder in ("{number}", "{name}"):
        if placeholder not in projects.name_template:
            findings.append(Finding(f"xero_seed_mapping.projects.name_template does not contain {placeholder}", 'Use a text such as "Job {number}: {name}"'))
    if findings:
        raise GuardError(findings)
    return Mapping(contacts, projects)


def _entity(name: str, raw: MappingType[str, Any], default_fields: MappingType[str, str | None], findings: list[Finding]) -> EntityMapping:
    """Return the mapping of one entity, adding what is wrong with it to ``findings``."""
    options = MAPPING_OPTIONS[name]["options"]
    for option in raw:
        if option not in options:
            findings.append(Finding(f'xero_seed_mapping.{name} has no option "{option}"', f"Use one of: {', '.join(options)}"))
    chosen = {option: (raw[option] if raw.get(option) is not None else spec.get("default")) for option, spec in options.items() if option != "fields"}
    named = raw.get("fields")
    fields: dict[str, Field] = {}
    for field_name, value in (named if named is not None else default_fields).items():
        where = f"xero_seed_mapping.{name}.fields.{field_name}"
        if field_name not in default_fields:
            findings.append(Finding(f"{where} is not a field of {name}", f"Use one of: {', '.join(default_fields)}"))
        elif value is None:
            continue
        elif isinstance(value, str) and value:
            fields[field_name] = Field(value, None, named is not None)
        elif isinstance(value, MappingType) and set(value) == {"sql"} and isinstance(value["sql"], str) and value["sql"].strip():
            fields[field_name] = Field(None, value["sql"], named is not None)
        else:
            findings.append(Finding(f"{where} is neither a column name nor a dictionary with the one key sql", 'Write a column name, or {sql: "<expression>"}'))
    for field_name in REQUIRED_FIELDS[name]:
        if field_name not in fields:
            findings.append(Finding(f"xero_seed_mapping.{name}.fields has no {field_name}", "Name its column or expression"))
    for option in ("table", "key", "xero_id", "client"):
        if option in chosen and not str(chosen[option]).strip():
            findings.append(Finding(f"xero_seed_mapping.{name}.{option} is empty", "Write a name, or leave the option out"))
    return EntityMapping(entity=name, fields=fields, **chosen)
