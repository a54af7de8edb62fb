"""Start and stop the demo's world: ``python -m world start|stop|status|new-dump|reset|check``."""
from __future__ import annotations

import argparse
import json
import sys

import psycopg2

from .lifecycle import World, default_folder
from .postgres_server import ServerError


def main() -> int:
    """Carry out one action and say what became of it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m world", description=f"The demo's world, in $DEV_REFRESH_WORLD or .demo (now {default_folder()})")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in {
        "start": "start what is not up: PostgreSQL, the sandbox, a first production dump",
        "stop": "stop it; its data stay",
        "status": "say whether it is up (exit code 3 if not)",
        "new-dump": "make the production dump of a week later",
        "reset": "stop it and remove its folder",
        "check": "compare the live database with the organisation, row by row (exit code 1 if they disagree)",
    }.items():
        actions.add_parser(name, help=text, description=text)
    world = World(default_folder())
    try:
        return _do(parser.parse_args().action, world)
    except (ServerError, OSError, psycopg2.Error) as error:
        print(f"The demo's world in {world.folder}: {error}", file=sys.stderr)
        return 1


def _do(action: str, world: World) -> int:
    """Carry out ``action``; return the exit code."""
    if action == "start":
        world.start()
    elif action == "stop":
        world.stop()
        print(f"The demo's world in {world.folder} is stopped")
        return 0
    elif action == "reset":
        world.remove()
        print(f"The demo's world in {world.folder} is gone")
        return 0
    elif action == "new-dump":
        print(world.new_dump())
        return 0
    if not world.is_up:
        print(f"The demo's world in {world.folder} is not up")
        return 3
    told = json.loads(world.file.read_text())
    if action == "check":
        found = world.disagreements()
        print("\n".join(found) or "The database and the organisation agree")
        return 1 if found else 0
    print(f"The demo's world is up in {world.folder}: PostgreSQL on 127.0.0.1:{told['postgres']['port']}, sandbox {told['xero']['url']}, dump {told['dump']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
