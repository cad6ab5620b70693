"""A server on the loopback address that speaks as much of Hugging Face's protocol as downloads of
weights need."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote


@dataclass
class Hub:
    """Repositories: revisions to commits, commits to files. `asked` are the requests so far."""

    address: str = ""
    revisions: dict[tuple[str, str], str] = field(default_factory=dict)
    commits: dict[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, name: str, files: Mapping[str, bytes], revision: str = "main") -> str:
        """Commits files; returns the commit."""
        text = json.dumps([name, {k: hashlib.sha256(v).hexdigest() for k, v in files.items()}])
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.revisions[name, revision] = self.revisions[name, commit] = commit
        self.commits[name, commit] = files
        return commit


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = unquote(self.path).partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        owner, name, *rest = path.removeprefix("/api/models").strip("/").split("/")
        repository = f"{owner}/{name}"
        if not any(repository == known for known, _ in self.hub.revisions):
            return self.fail("RepoNotFound", body)
        revision = rest[1] if len(rest) > 1 else "main"
        commit = self.hub.revisions.get((repository, revision))
        if commit is None:
            return self.fail("RevisionNotFound", body)
        files = self.hub.commits[repository, commit]
        if path.startswith("/api/"):
            names = [{"rfilename": file} for file in files]
            info = {"id": repository, "sha": commit, "siblings": names}
            return self.send(json.dumps(info).encode(), {}, body)
        content = files.get("/".join(rest[2:]))
        if content is None:
            return self.fail("EntryNotFound", body)
        etag = hashlib.sha256(content).hexdigest()
        return self.send(content, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}, body)

    def send(self, content: bytes, headers: Mapping[str, str], body: bool) -> None:
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def fail(self, code: str, body: bool) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
