"""The rows of the demo app's production database: a workshop's clients and jobs, with the mess of real life.

All of it follows from a seed and from the age of the database in weeks: an older database has every row of a younger one, some of them
changed, and new rows after them. Nothing is read or written here.
"""
from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

CLIENTS = 400
JOBS = 620
NEW_CLIENTS_A_WEEK = 4
NEW_JOBS_A_WEEK = 9
FIRST_JOB_NUMBER = 91001
NAMESPACE = uuid.UUID("6f1b0c5e-7d0e-4c57-9a3e-2b1f6a0d9c44")
FIRST_DAY = date(2023, 2, 6)


def _words(text: str) -> list[str]:
    """Return the words of ``text``, an underscore within a word as a space."""
    return [word.replace("_", " ") for word in text.split()]


_FAMILIES = _words(
    "Anderson Baker Campbell Davies Edwards Fraser Gibson Harris Irving Jackson Kerr Lawson Mitchell Nelson O'Brien Parata Quinn Robertson Singh Taylor "
    "Ulrich Van_der_Berg Walker Xu Young Zimmerman Ngata Tamahori Fa'asavalu Patel"
)
_TRADES = _words(
    "Engineering Joinery Plumbing Roofing Transport Marine Dairy Vineyards Electrical Fabrication Fencing Signs Motors Landscapes Brewing Kitchens Catering "
    "Orchards Logistics Stainless"
)
_FORMS = ("Ltd", "Limited", "& Sons", "Group", "(2019) Ltd", "Partnership")
_THINGS = _words(
    "Balustrade Bench Gate Trailer_frame Hopper Splash-back Ducting Brackets Conveyor Tank Hand_rail Rangehood Sign_frame Boat_fuel_tank Trolley Shelving "
    "Stair_stringers Exhaust Cowling Machine_guard"
)
_DOINGS = ("make and fit", "repair", "supply only", "modify", "laser cut and fold", "site measure", "polish", "urgent repair")
_STREETS = ("Great South Road", "Queen Street", "Ōtāhuhu Lane", "Princes Wharf", "Church Street", "Neilson Street")
_STATUSES = ("quoting", "approved", "in_progress", "completed", "archived")

_MESSY_NAMES = (
    "<Test> do not use",
    "Smith & Sons <Auckland> Ltd",
    'The "Best" Kitchens Ltd',
    "Rock 'n' Roll Cafe",
    "Café Müller GmbH",
    "Ngāti Whātua Ōrākei Trust",
    "Sørensen & Ångström A/S",
    "株式会社サンプル",
    "Double  Space   Holdings",
    "  Leading Space Ltd",
    "Trailing Space Ltd   ",
    "Tab\tBetween Ltd",
    "Line\nBreak Ltd",
    "Zero\u200bWidth Ltd",
    "No\u00a0Break Space Ltd",
    "Cafe\u0301 Decomposed",
    "Back\\slash Ltd",
    "100% Steel; DROP Ltd",
    "Percent %s Ltd",
    "Emoji \U0001f6e0 Works",
    "cash sale",
    "CASH SALE",
    ".",
    ("Amalgamated Consolidated International Manufacturing and Distribution Holdings of the South Pacific " * 3)[:255],
    ("Amalgamated Consolidated International Manufacturing and Distribution Holdings of the South Pacific " * 3)[:240].rstrip() + " (North)",
)
_TWICE = ("Harbour City Motors Ltd", "Tui Fabrication", "J Smith", "Aotea Fencing Ltd", "Brown Joinery")
"""Names that two clients have, letter for letter."""
_ALIKE = (("Green Valley Dairy Ltd", "GREEN VALLEY DAIRY LTD"), ("Pukeko Signs", "Pukeko  Signs "), ("Rāwhiti Marine", "Rawhiti Marine"))
"""Names of two clients each that are the same to Xero, or to us."""
_NAMELESS = ("", "   ")
SPECIAL_CLIENTS = len(_MESSY_NAMES) + 2 * len(_TWICE) + 2 * len(_ALIKE) + len(_NAMELESS)

_BAD_EMAILS: tuple[Callable[[str], str], ...] = (
    lambda word: "n/a",
    lambda word: f"{word}@",
    lambda word: f"{word} at example.com",
    lambda word: f"{word}@example.com; accounts@example.com",
    lambda word: f"{word}..office@example.com",
    lambda word: f" {word}@example.com ",
    lambda word: "x" * 240 + "@example.com",
    lambda word: "",
)


@dataclass(frozen=True, slots=True)
class Client:
    """A row of client_client."""

    id: uuid.UUID
    name: str
    email: str | None
    phone: str | None
    address: str | None
    is_account_customer: bool
    xero_contact_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """A row of job_job."""

    id: uuid.UUID
    job_number: int
    name: str
    client_id: uuid.UUID | None
    manager_id: uuid.UUID | None
    status: str
    delivery_date: date | None
    estimate: Decimal | None
    xero_project_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Note:
    """A row of job_note."""

    job_id: uuid.UUID
    text: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A row of staff_member, as it was in the release that production runs."""

    id: uuid.UUID
    email: str
    name: str
    password: str
    wage_rate: Decimal
    is_active: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of config_setting."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Token:
    """A row of integration_token."""

    provider: str
    access_token: str
    refresh_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ProductionData:
    """All rows of the production database."""

    members: list[Member]
    clients: list[Client]
    jobs: list[Job]
    notes: list[Note]
    settings: list[Setting]
    tokens: list[Token]

    def xero_ids(self) -> set[str]:
        """Return every Xero id in it: each is production's and must never reach a live dev database."""
        ids = {client.xero_contact_id for client in self.clients} | {job.xero_project_id for job in self.jobs}
        return {xero_id for xero_id in ids if xero_id is not None}


def make_production_data(*, seed: int = 1, weeks: int = 0, clients: int = CLIENTS, jobs: int = JOBS) -> ProductionData:
    """Return the rows of the database ``weeks`` after it had ``clients`` clients and ``jobs`` jobs; equal arguments give equal rows."""
    if clients < SPECIAL_CLIENTS + 10 or jobs < 20:
        raise ValueError(f"The demo's production database has at least {SPECIAL_CLIENTS + 10} clients and 20 jobs")
    members = [_member(seed, number) for number in range(12)]
    made_clients = [_client(seed, number) for number in range(clients + weeks * NEW_CLIENTS_A_WEEK)]
    # a job can only be for a client who was there when the job came in
    made_jobs = [
        _job(seed, number, made_clients[:clients] if number < jobs else made_clients, members, weeks) for number in range(jobs + weeks * NEW_JOBS_A_WEEK)
    ]
    notes = [Note(job.id, f"Rang about {job.name[:40]}", job.created_at + timedelta(days=2)) for job in made_jobs[::3]]
    settings = [Setting("company_name", "Demo Workshop Ltd"), Setting("xero_sync_enabled", "true"), Setting("xero_tenant_id", _xero_id(seed, "tenant", 0))]
    random_token = _random(seed, "token").randbytes
    tokens = [Token("xero", random_token(40).hex(), random_token(32).hex(), _moment(seed, "token", 0))]
    return ProductionData(members, made_clients, made_jobs, notes, settings, tokens)


def _client(seed: int, number: int) -> Client:
    """Return client ``number``: the special ones come first, then ordinary ones."""
    rng = _random(seed, "client", number)
    special = [*_MESSY_NAMES, *_TWICE, *_TWICE, *(name for pair in _ALIKE for name in pair), *_NAMELESS]
    # an ordinary client's name holds the number, so that no two are the same
    name = special[number] if number < len(special) else f"{rng.choice(_FAMILIES)} {rng.choice(_TRADES)} {number} {rng.choice(_FORMS)}"
    word = "".join(character for character in name.lower() if character.isascii() and character.isalnum())[:20] or "office"
    email: str | None = f"{word}@example.com"
    if rng.random() < 0.12:
        email = None
    elif rng.random() < 0.08:
        email = rng.choice(_BAD_EMAILS)(word)
    phone: str | None = f"0{rng.choice('34679')} {rng.randrange(200, 999)} {rng.randrange(1000, 9999)}"
    if rng.random() < 0.2:
        phone = rng.choice([None, "", f"021 {rng.randrange(100000, 999999)} (after 5pm, ask for the foreman, not the office, not on Fridays)"])
    address: str | None = f"{rng.randrange(1, 400)} {rng.choice(_STREETS)}\nAuckland {rng.randrange(1010, 1072)}"
    if rng.random() < 0.25:
        address = rng.choice([None, "", "PO Box 1 <private bag>", "Unit 4, behind the big shed. " * 25])
    return Client(
        id=_key(seed, "client", number),
        name=name,
        email=email,
        phone=phone,
        address=address,
        is_account_customer=rng.random() < 0.7,
        xero_contact_id=_xero_id(seed, "contact", number) if rng.random() < 0.92 else None,
        created_at=_moment(seed, "client", number),
    )


def _job(seed: int, number: int, clients: list[Client], members: list[Member], weeks: int) -> Job:
    """Return job ``number``; one in forty has moved on with each week that passed."""
    rng = _random(seed, "job", number)
    name = f"{rng.choice(_THINGS)} {rng.choice(_DOINGS)}"
    chance = rng.random()
    if chance < 0.02:
        name = f"{name} <urgent> & \"check\" O'Brien's  drawing "
    elif chance < 0.04:
        name = (f"{name} as per drawing, with all fittings, powder coated, delivered to site " * 4)[:255]
    elif chance < 0.06:
        name = f"Čistič, naïve façade {name}"
    # every nameless client has a job, and so have some clients who share a name
    client: Client | None = clients[number] if number < SPECIAL_CLIENTS and number % 2 else rng.choice(clients)
    if number in (1, 3):
        client = next(client for client in clients[number // 2 :] if not client.name.strip())
    if 0.1 < chance < 0.125:
        client = None
    delivery: date | None = FIRST_DAY + timedelta(days=rng.randrange(0, 1500))
    if rng.random() < 0.15:
        delivery = rng.choice([None, date(1999, 12, 31), date(2099, 1, 1)])
    estimate: Decimal | None = Decimal(rng.randrange(5_000, 4_000_000)) / 100
    if rng.random() < 0.2:
        estimate = rng.choice([None, Decimal("0.00"), Decimal("0.00"), Decimal("99999999.99"), Decimal("0.01")])
    status = rng.choice(_STATUSES)
    if any((number + week) % 40 == 0 for week in range(1, weeks + 1)):
        status, name = "completed", f"{name} (done)"[:255]
    return Job(
        id=_key(seed, "job", number),
        job_number=FIRST_JOB_NUMBER + number,
        name=name,
        client_id=client.id if client else None,
        manager_id=rng.choice(members).id if rng.random() < 0.8 else None,
        status=status,
        delivery_date=delivery,
        estimate=estimate,
        xero_project_id=_xero_id(seed, "project", number) if rng.random() < 0.8 else None,
        created_at=_moment(seed, "job", number),
    )


def _member(seed: int, number: int) -> Member:
    """Return one of the workshop's people."""
    rng = _random(seed, "member", number)
    family = rng.choice(_FAMILIES)
    return Member(
        id=_key(seed, "member", number),
        email=f"person{number}@workshop.example",
        name=f"{rng.choice(('Aroha', 'Ben', 'Chloe', 'Dev', 'Emma', 'Finn', 'Grace', 'Hemi'))} {family}",
        password=f"pbkdf2_sha256$1000000${rng.randbytes(8).hex()}${rng.randbytes(32).hex()}",
        wage_rate=Decimal(rng.randrange(2500, 6000)) / 100,
        is_active=number < 10,
    )


def _random(seed: int, *what: str | int) -> random.Random:
    """Return the chances for one row, the same every time."""
    return random.Random(f"{seed}:{':'.join(map(str, what))}")  # noqa: S311 -- nothing secret is made


def _key(seed: int, entity: str, number: int) -> uuid.UUID:
    """Return the primary key of a row."""
    return uuid.uuid5(NAMESPACE, f"{seed}:{entity}:{number}")


def _xero_id(seed: int, entity: str, number: int) -> str:
    """Return an id that production's Xero organisation gave."""
    return str(uuid.uuid5(NAMESPACE, f"{seed}:production organisation:{entity}:{number}"))


def _moment(seed: int, entity: str, number: int) -> datetime:
    """Return when a row was made."""
    hours = _random(seed, entity, number, "made").randrange(0, 24 * 900)
    return datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC) + timedelta(hours=hours)
