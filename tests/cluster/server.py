"""A small HTTP server on a free port of this machine, for what asks a dashboard."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@contextmanager
def serving(
    replies: Mapping[str, Any], secret: str | None = None, date: str | None = None
) -> Iterator[str]:
    """Serve `replies` (path -> JSON), with 401 to those without `secret`; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = not secret or self.headers.get("Authorization") == f"Bearer {secret}"
            found = self.path in replies
            self.send_response(401 if not known else 200 if found else 404)
            self.end_headers()
            if known and found:
                self.wfile.write(json.dumps(replies[self.path]).encode())

        def date_time_string(self, timestamp=None):
            return date or super().date_time_string(timestamp)

        def log_message(self, *_):  # type: ignore[override]
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
