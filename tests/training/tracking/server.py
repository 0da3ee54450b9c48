"""As much of a W&B server as the real client needs to begin, feed, resume and finish a run."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = {"id": "e", "name": "clinic"}


@dataclass
class Kept:
    """What the server has of a run."""

    settings: dict[str, Any]  # of the mutation that made it
    lines: dict[str, dict[int, str]] = field(default_factory=dict)  # file -> offset -> line
    completed: int = 0

    def of(self, name: str) -> list[dict[str, Any]]:
        """The lines of a file, without holes."""
        lines = self.lines.get(name, {})
        assert sorted(lines) == list(range(len(lines)))
        return [json.loads(lines[n]) for n in sorted(lines)]

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.of("wandb-history.jsonl")

    @property
    def summary(self) -> dict[str, Any]:
        return self.of("wandb-summary.json")[-1]


class Server:
    """Listens on a port of its own; `runs` is by id, `said` is all that was sent, as text."""

    def __init__(self) -> None:
        self.runs: dict[str, Kept] = {}
        self.said: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # clients are killed in the tests
                    super().handle()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                server.said.append(f"{self.path} {body.decode('utf-8', 'replace')}")
                answer = json.dumps(server.answer(self.path, body)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_PUT = do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.lock = threading.Lock()
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        with self.lock:
            if path.endswith("/file_stream"):
                return self.stream(path.split("/")[-2], json.loads(body))
            if path != "/graphql":
                return {}
            asked = json.loads(body)
            found = getattr(self, asked.get("operationName", ""), lambda _: {})(asked["variables"])
            return {"data": found}

    def stream(self, run: str, sent: dict[str, Any]) -> dict[str, Any]:
        kept = self.runs[run]
        for name, part in (sent.get("files") or {}).items():
            lines = kept.lines.setdefault(name, {})
            for n, line in enumerate(part["content"], part["offset"]):
                lines[n] = line
        kept.completed += bool(sent.get("complete"))
        return {}

    def RunResumeStatus(self, asked: dict[str, Any]) -> dict[str, Any]:
        kept = self.runs.get(asked["name"])
        if kept is None:
            return {"model": {"id": "p", "name": asked["project"], "entity": ENTITY}}
        history = kept.history
        bucket = {
            "id": asked["name"],
            "name": asked["name"],
            "summaryMetrics": json.dumps(kept.summary),
            "displayName": kept.settings["displayName"],
            "logLineCount": 0,
            "historyLineCount": len(history),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(h) for h in history[-1:]]),
            "eventsTail": "[]",
            "config": kept.settings["config"],
            "tags": [],
            "notes": None,
            "wandbConfig": '{"t": 1}',
        }
        model = {"id": "p", "name": asked["project"], "entity": ENTITY, "bucket": bucket}
        return {"model": model}

    def UpsertBucket(self, asked: dict[str, Any]) -> dict[str, Any]:
        new = asked["name"] not in self.runs
        kept = self.runs.setdefault(asked["name"], Kept(asked))
        bucket = {
            "id": asked["name"],
            "name": asked["name"],
            "displayName": kept.settings["displayName"],
            "description": None,
            "config": kept.settings["config"],
            "sweepName": None,
            "project": {"id": "p", "name": asked["project"], "entity": ENTITY},
            "historyLineCount": len(kept.history),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def CreateRunFiles(self, asked: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": n, "uploadUrl": f"{self.url}/upload/{n}"} for n in asked["files"]]
        made = {"runID": asked["run"], "uploadHeaders": [], "files": files}
        return {"createRunFiles": made}
