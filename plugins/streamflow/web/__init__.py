"""The pages on months in Airflow's UI, as the plugin registers them.

Every Airflow process imports plugins, and only the API server serves pages: so nothing of them is imported before the
first request.
"""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import conf

PREFIX = "/streamflow"


class LazyApp:
    """An ASGI application that is built when the first request comes."""

    def __init__(self) -> None:
        self._app: Any = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request; anything but HTTP is turned away."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        if self._app is None:
            import asyncio

            await asyncio.to_thread(self._build)
        await self._app(scope, receive, send)

    def _build(self) -> None:
        from streamflow.web.app import create_app

        with self._lock:
            if self._app is None:
                self._app = create_app()


def base_path() -> str:
    """Return the path that Airflow is served under (``[api] base_url``), without a slash at its end."""
    return urlsplit(conf.get("api", "base_url", fallback=None) or "").path.rstrip("/")


FASTAPI_APP = {"name": "StreamFlow", "app": LazyApp(), "url_prefix": PREFIX}

# With url_route Airflow shows the pages in a frame, beside its navigation. Without one, Airflow 3.3.2 makes a button of
# the entry that leads nowhere (<button href="…">).
EXTERNAL_VIEW = {
    "name": "StreamFlow",
    "href": f"{base_path()}{PREFIX}/",
    "url_route": "streamflow",
    "destination": "nav",
    "nav_top_level": True,
}
