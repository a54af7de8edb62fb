"""Start the sandbox: ``python -m xero_sandbox``."""
from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from .app import make_app
from .organisation import Organisation
from .protocol import DroppableProtocol
from .settings import SettingError
from .tokens import Client
from .world import World

PARENT_POLL_SECONDS = 0.3


class StartError(Exception):
    """The sandbox cannot be started as asked."""


class SandboxUvicorn(uvicorn.Server):
    """A server that tells the world when it is to end."""

    def __init__(self, config: uvicorn.Config, world: World) -> None:
        super().__init__(config)
        self.world = world

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End the server, and calls that hang."""
        self.world.stopping = True
        super().handle_exit(sig, frame)


def parser() -> argparse.ArgumentParser:
    """Return the command line's options."""
    options = argparse.ArgumentParser(prog="xero_sandbox", description="A local HTTP server that behaves like Xero.")
    options.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (default: 127.0.0.1)")
    options.add_argument("--port", type=int, default=8090, help="TCP port; 0 takes a free one (default: 8090)")
    options.add_argument("--state-file", type=Path, help="keep everything in this file; without it, all is forgotten at the end")
    options.add_argument("--config", type=Path, help="JSON file with organisations, clients and settings of a new sandbox")
    options.add_argument("--client-id", help="id of the first app (default: random)")
    options.add_argument("--client-secret", default=os.environ.get("XERO_SANDBOX_CLIENT_SECRET"),
                         help="its secret (default: the variable XERO_SANDBOX_CLIENT_SECRET, else random)")
    options.add_argument("--tenant-id", help="tenant id of the first organisation (default: random)")
    options.add_argument("--organisation", default="Demo Company (Sandbox)", help="name of the first organisation")
    options.add_argument("--not-demo", action="store_true", help="the first organisation is not a demo company")
    options.add_argument("--calls-per-minute", type=int, help="the minute's limit (default: 60)")
    options.add_argument("--calls-per-day", type=int, help="the day's limit (default: 5000)")
    options.add_argument("--latency", type=float, help="seconds that a call takes (default: 0)")
    options.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings", help="any setting, for example minute_mode=rolling")
    options.add_argument("--ready-file", type=Path, help="write a JSON file with url, client_id, client_secret and tenant_id once calls are answered")
    options.add_argument("--ready-fd", type=int, help="write the same to this file descriptor")
    options.add_argument("--exit-with-parent", action="store_true", help="end when the process that started the sandbox ends")
    return options


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line names."""
    values: dict[str, Any] = {
        name: getattr(options, name) for name in ("calls_per_minute", "calls_per_day", "latency") if getattr(options, name) is not None
    }
    for assignment in options.settings:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise StartError(f"--set wants NAME=VALUE, not {assignment!r}")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def make_world(options: argparse.Namespace) -> World:
    """Return the world of the state file, or a new one."""
    world = World()
    if options.state_file and options.state_file.exists():
        world.load(options.state_file)
    elif options.config:
        _configure(world, json.loads(options.config.read_text()))
    if not world.organisations and not options.config:
        organisation = Organisation(options.organisation, is_demo_company=not options.not_demo)
        organisation.tenant_id = (options.tenant_id or organisation.tenant_id).lower()
        world.add_organisation(organisation)
    client = world.tokens.clients.get(options.client_id) if options.client_id else next(iter(world.tokens.clients.values()), None)
    if client is None:
        world.add_client(Client(options.client_id or secrets.token_hex(16).upper(), options.client_secret or secrets.token_urlsafe(36)))
    elif options.client_secret:
        client.client_secret = options.client_secret
    world.settings.change(settings_of(options))
    return world


def _configure(world: World, config: dict[str, Any]) -> None:
    world.settings.change(config.get("settings", {}))
    for row in config.get("organisations", []):
        world.add_organisation(Organisation(**row))
    for row in config.get("clients", []):
        connect = row.pop("connect", True)
        world.add_client(Client(**row), connect=connect)


def ready_facts(world: World, url: str, client_id: str | None) -> dict[str, Any]:
    """Return what a user of the sandbox needs to know; about the first app unless one was named."""
    client = world.tokens.clients.get(client_id or "") or next(iter(world.tokens.clients.values()))
    tenants = world.tokens.tenants_of(client.client_id)
    return {
        "url": url, "pid": os.getpid(), "client_id": client.client_id, "client_secret": client.client_secret, "tenant_id": tenants[0] if tenants else None,
    }


async def serve(options: argparse.Namespace, world: World, listener: socket.socket) -> None:
    """Answer calls until a signal ends the server."""
    # read before anybody is told that we are ready: the parent may end right then
    parent = os.getppid()
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    config = uvicorn.Config(
        make_app(world, options.state_file), http=DroppableProtocol, ws="none", lifespan="on", log_level="warning", access_log=False, server_header=False,
        proxy_headers=False, timeout_graceful_shutdown=2, timeout_keep_alive=75, backlog=256,
    )
    server = SandboxUvicorn(config, world)
    running = asyncio.create_task(server.serve([listener]))
    while not server.started and not running.done():
        await asyncio.sleep(0.01)
    if server.started:
        _announce(options, ready_facts(world, url, options.client_id))
    if options.exit_with_parent:
        while not running.done():
            if os.getppid() != parent:
                server.should_exit = True
            await asyncio.sleep(PARENT_POLL_SECONDS)
    await running


def _announce(options: argparse.Namespace, facts: dict[str, Any]) -> None:
    text = json.dumps(facts)
    if options.ready_file:
        unfinished = options.ready_file.with_suffix(".tmp")
        unfinished.touch(mode=0o600)
        unfinished.write_text(text)
        unfinished.replace(options.ready_file)
    if options.ready_fd is not None:
        os.write(options.ready_fd, text.encode() + b"\n")
        os.close(options.ready_fd)
    if not options.ready_file and options.ready_fd is None:
        print(text, flush=True)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; only loopback addresses are allowed."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise StartError(f"--host must be a loopback address such as 127.0.0.1, not {host!r}") from None
    if not address.is_loopback:
        raise StartError(f"--host must be a loopback address such as 127.0.0.1, not {host}: the sandbox has no protection against strangers")
    # the protocol is named because asyncio switches Nagle's algorithm off only where it is
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
    except OSError as error:
        raise StartError(f"Cannot listen on {address} port {port}: {error.strerror}. Choose another --port.") from None
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox."""
    options = parser().parse_args(arguments)
    try:
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)  # that of an earlier run must not be taken for ours
        listener = listen(options.host, options.port)
        world = make_world(options)
    except (StartError, SettingError, OSError, ValueError, TypeError, KeyError) as error:
        print(f"xero_sandbox: {error}", file=sys.stderr)
        return 2
    # uvicorn raises the signal again once it has shut down in order; that is then an end without error
    signal.signal(signal.SIGTERM, lambda *_: None)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options, world, listener))
    return 0


if __name__ == "__main__":
    sys.exit(main())
