"""The sandbox as an ASGI application, and its saving."""
from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from .admin import Admin
from .service import Service
from .world import World

SAVE_SECONDS = 0.5
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def make_app(world: World, state_file: Path | None = None) -> Starlette:
    """Return the application; with a state file, changes are saved in the background and at the end."""
    world.state_file = state_file

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(_save_often(world, state_file)) if state_file else None
        try:
            yield
        finally:
            if task is not None and state_file is not None:
                task.cancel()
                world.save(state_file)

    routes = [Mount("/sandbox", routes=Admin(world).routes()), Route("/{path:path}", Service(world), methods=METHODS)]
    return Starlette(routes=routes, lifespan=lifespan)


async def _save_often(world: World, state_file: Path) -> None:
    """Save what has changed, now and then: seldom enough to cost less than a tenth of the time."""
    saved, pause = -1, SAVE_SECONDS
    while True:
        await asyncio.sleep(pause)
        if world.changes != saved:
            saved, start = world.changes, time.monotonic()
            world.save(state_file)
            pause = max(SAVE_SECONDS, 10 * (time.monotonic() - start))
