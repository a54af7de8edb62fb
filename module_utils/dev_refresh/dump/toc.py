"""The archive's list of contents: its entries, and which of them don't belong in a development database.

Read from the archive itself, since the listing of ``pg_restore -l`` is ambiguous for names with spaces, and has neither columns nor dependencies.
"""
from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from .header import ArchiveReader, DamagedArchiveError, Header, parse_header, toc_path

_CODECS = {
    "UTF8": "utf-8",
    "SQL_ASCII": "utf-8",
    "LATIN1": "iso8859-1",
    "LATIN2": "iso8859-2",
    "LATIN9": "iso8859-15",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "KOI8R": "koi8-r",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
    "EUC_CN": "gb2312",
}
_MOST_ENTRIES = 50_000_000
_SECTIONS = {2: "pre-data", 3: "data", 4: "post-data"}

# those that only pg_restore itself needs; it restores them with or without a list
_SPECIAL = frozenset({"ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES"})
_ALLOWED = frozenset(
    {
        "SCHEMA", "EXTENSION", "TYPE", "SHELL TYPE", "DOMAIN", "FUNCTION", "PROCEDURE", "AGGREGATE", "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY",
        "CAST", "COLLATION", "CONVERSION", "TRANSFORM", "ACCESS METHOD", "PROCEDURAL LANGUAGE", "TEXT SEARCH PARSER", "TEXT SEARCH DICTIONARY",
        "TEXT SEARCH TEMPLATE", "TEXT SEARCH CONFIGURATION", "TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "SEQUENCE OWNED BY", "DEFAULT",
        "TABLE ATTACH", "TABLE DATA", "SEQUENCE SET", "MATERIALIZED VIEW DATA", "CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT", "INDEX",
        "INDEX ATTACH", "STATISTICS", "STATISTICS DATA", "TRIGGER", "RULE", "POLICY", "ROW SECURITY", "COMMENT", "ACL", "DEFAULT ACL",
        "SECURITY LABEL", "BLOB", "BLOBS", "BLOB METADATA", "BLOB COMMENTS",
    }
)
_FOREIGN = {
    "SUBSCRIPTION": "it would subscribe to production",
    "SUBSCRIPTION TABLE": "it belongs to a subscription",
    "PUBLICATION": "development publishes nothing",
    "PUBLICATION TABLE": "it belongs to a publication",
    "PUBLICATION TABLES IN SCHEMA": "it belongs to a publication",
    "EVENT TRIGGER": "only a superuser may create it",
    "FOREIGN DATA WRAPPER": "it reaches other servers",
    "SERVER": "it reaches another server",
    "USER MAPPING": "it holds the login of another server",
    "FOREIGN TABLE": "it reads another server",
}
_THERE = frozenset({("SCHEMA", "public"), ("EXTENSION", "plpgsql"), ("PROCEDURAL LANGUAGE", "plpgsql")})
_ABOUT = frozenset({"COMMENT", "ACL", "SECURITY LABEL", "TABLE DATA", "ROW SECURITY", "STATISTICS DATA"})
_COPY = re.compile(r'COPY\s+((?:"(?:[^"]|"")*"|[^\s".(])+)(?:\.((?:"(?:[^"]|"")*"|[^\s".(])+))?\s*(?:\((.*)\)\s*)?FROM stdin;\n\Z', re.DOTALL)
_IDENTIFIER = re.compile(r'\s*("(?:[^"]|"")*"|[^\s",]+)\s*(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class TocEntry:
    """One entry of the list. ``copy`` is its COPY statement as bytes (empty: no data, or INSERTs); ``definition`` may hold a password."""

    dump_id: int
    kind: str
    schema: str
    name: str
    owner: str
    has_data: bool
    copy: bytes
    definition: str
    dependencies: tuple[int, ...]
    offset: int | None = None
    """Where its data begin in the file."""
    file_name: str = ""
    """The file with its data in a dump that is a directory."""
    section: str = ""
    """``pre-data``, ``data`` or ``post-data``; empty for what belongs to the entry before it, such as a comment."""
    access_method: str = ""
    """The access method of a table, as far as the archive says it."""

    @property
    def full_name(self) -> str:
        """``schema.name``, or the name alone where there is no schema."""
        return f"{self.schema}.{self.name}" if self.schema else self.name

    def __repr__(self) -> str:
        return f"TocEntry({self.dump_id}, {self.kind} {self.full_name})"


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that will be skipped, and why."""

    kind: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """Where a COPY statement writes to."""

    schema: str
    table: str
    columns: tuple[str, ...]


def read_archive(path: str) -> tuple[Header, list[TocEntry], int]:
    """Return the header, all entries in the archive's order, and where the list ends; raises DamagedArchiveError and OSError."""
    with open(toc_path(path), "rb") as file:
        reader = ArchiveReader(file)
        header = parse_header(reader, directory=toc_path(path) != path)
        count = reader.integer()
        if not 0 <= count <= _MOST_ENTRIES:
            raise DamagedArchiveError(f"it claims {count} entries")
        entries = list(_entries(reader, header, count))
        return header, entries, file.tell()


def _entries(reader: ArchiveReader, header: Header, count: int) -> Iterator[TocEntry]:
    """Read ``count`` entries; the layout is that of WriteToc in pg_backup_archiver.c."""
    version = header.version
    for _ in range(count):
        dump_id = reader.integer()
        has_data = reader.integer() != 0
        reader.raw(), reader.raw()  # the OIDs of its catalogue and of itself
        name, kind = reader.text(), reader.text()
        if not kind or dump_id <= 0:
            raise DamagedArchiveError("an entry of its list of contents makes no sense")
        section = _SECTIONS.get(reader.integer(), "") if version >= (1, 11) else ""
        definition = reader.text()
        reader.raw()  # DROP statement
        copy = reader.raw() or b""
        schema = reader.text()
        reader.raw()  # tablespace
        access_method = reader.text() if version >= (1, 14) else ""
        if version >= (1, 16):
            reader.integer()  # kind of relation
        owner = reader.text()
        reader.raw()  # WITH OIDS
        dependencies: list[int] = []
        while (dependency := reader.raw()) is not None:
            if not dependency.isdigit():
                raise DamagedArchiveError("a dependency in its list of contents makes no sense")
            dependencies.append(int(dependency))
        file_name, offset = "", None
        if header.format == "directory":
            file_name = reader.text()
        else:
            offset = reader.offset()
        if kind == "ENCODING":
            reader.encoding = _CODECS.get(_quoted(definition), "utf-8")
        keep = kind in ("TABLE", "DATABASE", "ENCODING", "TABLE ATTACH")
        kept = definition if keep else ""
        yield TocEntry(dump_id, kind, schema, name, owner, has_data, copy, kept, tuple(dependencies), offset, file_name, section, access_method)


def encoding_of(entries: Sequence[TocEntry]) -> str:
    """Return the encoding of the dump's text as PostgreSQL names it, empty if it is not said."""
    return next((_quoted(entry.definition) for entry in entries if entry.kind == "ENCODING"), "")


def locale_of(entries: Sequence[TocEntry]) -> str:
    """Return the locale of the source database, empty if it is not said."""
    definition = next((entry.definition for entry in entries if entry.kind == "DATABASE"), "")
    match = re.search(r"\bLOCALE = '((?:[^']|'')*)'", definition) or re.search(r"\bLC_COLLATE = '((?:[^']|'')*)'", definition)
    return match[1] if match else ""


def skipped(entries: Sequence[TocEntry]) -> dict[int, Entry]:
    """Return the entries that don't belong in a development database, or are there already, by their dump id."""
    found: dict[int, Entry] = {}
    foreign: set[int] = set()
    there: set[int] = set()
    for entry in entries:
        why = _FOREIGN.get(entry.kind)
        if why is None and entry.kind == "EXTENSION" and entry.name.endswith("_fdw"):
            why = "it reaches other servers"
        if why is not None:
            foreign.add(entry.dump_id)
        elif (entry.kind, entry.name) in _THERE:
            why = "every new database has it"
            there.add(entry.dump_id)
        elif entry.kind == "COMMENT" and entry.name.startswith("EXTENSION "):
            why = "the extension brings its own, and only its owner may set it"
        if why is not None:
            found[entry.dump_id] = Entry(entry.kind, entry.full_name, why)
    _add_dependents(entries, found, foreign, there)
    return found


def _add_dependents(entries: Sequence[TocEntry], found: dict[int, Entry], foreign: set[int], there: set[int]) -> None:
    """Add what cannot be made without the foreign ones, and remarks on what is there already."""
    by_id = {entry.dump_id: entry for entry in entries}
    grew = True
    while grew:
        grew = False
        for entry in entries:
            if entry.dump_id in found:
                continue
            cause = next((by_id[number] for number in entry.dependencies if number in foreign), None)
            if cause is None and entry.kind in _ABOUT:
                cause = next((by_id[number] for number in entry.dependencies if number in there), None)
            if cause is not None:
                found[entry.dump_id] = Entry(entry.kind, entry.full_name, f"it needs {cause.kind} {cause.full_name}, which is skipped")
                if cause.dump_id in foreign:
                    foreign.add(entry.dump_id)
                grew = True


def unknown_kinds(entries: Sequence[TocEntry]) -> list[str]:
    """Return the kinds of entries of which we don't know whether they belong in a development database."""
    return sorted({entry.kind for entry in entries} - _ALLOWED - _SPECIAL - _FOREIGN.keys())


def list_text(entries: Sequence[TocEntry], skip: Container[int]) -> str:
    """Return the list for ``pg_restore --use-list``: everything but what is skipped, in the archive's order."""
    return "".join(f"{e.dump_id}; {e.kind} {' '.join(e.full_name.split())}\n" for e in entries if e.dump_id not in skip and e.kind not in _SPECIAL)


def copy_target(statement: bytes, encoding: str = "utf-8") -> CopyTarget | None:
    """Return where a COPY statement of pg_dump writes to, or None if it is not of that form."""
    match = _COPY.match(statement.decode(encoding, "replace"))
    if match is None:
        return None
    first, second, listed = match.groups()
    schema, table = (_unquote(first), _unquote(second)) if second is not None else ("", _unquote(first))
    return CopyTarget(schema, table, tuple(_unquote(word) for word in _IDENTIFIER.findall(listed or "")))


def codec(entries: Sequence[TocEntry]) -> str:
    """Return Python's name for the encoding of the dump's text."""
    return _CODECS.get(encoding_of(entries), "utf-8")


def _unquote(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


def _quoted(definition: str) -> str:
    """Return the text between the first two apostrophes."""
    parts = definition.split("'")
    return parts[1] if len(parts) > 2 else ""
