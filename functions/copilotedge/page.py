"""The chat page: static files beside the code, and what they need to know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from copilotedge.settings import Settings

_FILES = Path(__file__).parent.parent / "web"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    """One of the page's files. ``etag`` changes with its text."""

    text: str
    content_type: str
    etag: str


def file(name: str) -> File | None:
    """None for any name that is not one of the page's files."""
    return _files().get(name)


@cache
def _files() -> dict[str, File]:
    return {path.name: _read(path) for path in _FILES.iterdir() if path.suffix in _TYPES}


def _read(path: Path) -> File:
    text = path.read_text(encoding="utf-8")
    return File(text, _TYPES[path.suffix], f'"{sha256(text.encode()).hexdigest()[:16]}"')


def config(settings: Settings) -> dict[str, Any]:
    """What the page reads at its start."""
    return {
        "websocketUrl": settings.websocket_url,
        "model": settings.model,
        "notice": settings.page_notice,
        "maxMessageCharacters": settings.max_message_characters,
        "conversationsEnabled": settings.enable_conversations,
    }


def headers(settings: Settings) -> dict[str, str]:
    """The page may run its own scripts and talk to its own two APIs, and nothing else."""
    socket = urlsplit(settings.websocket_url)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": f"'self' {socket.scheme}://{socket.netloc}" if socket.netloc else "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }
