"""The chat page as one document: nothing else has to be public, and opening it costs one request.

Its sources in ``functions/web`` are ES modules, style sheets and the HTML around them. They are put together once a
cold start: the sheets become one, in the order in which the HTML names them; the modules become one, each after those
that it imports, without their ``import`` and ``export`` words. So no two modules may declare the same name, and a
module imports only from its siblings; tests hold them to that.
"""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64encode
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from copilotedge.settings import Settings
from copilotedge.values import dataclass

SOURCES = Path(__file__).parent.parent / "web"

_STYLES = re.compile(r'(?:<link rel="stylesheet" href="[\w-]+\.css">\s*)+')
_SHEET = re.compile(r'href="([\w-]+\.css)"')
_SCRIPT = '<script type="module" src="app.js"></script>'
_IMPORT = re.compile(r'^import \{[\w\s,]+\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|const|function) )", re.MULTILINE)

_DENIED = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation",
    "gyroscope", "hid", "idle-detection", "local-fonts", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
"""Of what browsers let pages do, everything but writing to the clipboard, which copies code."""


@dataclass(frozen=True, slots=True)
class File:
    """``etag`` changes with the text; ``gzipped`` is the same text, a third as long."""

    text: str
    content_type: str
    etag: str
    gzipped: bytes


@lru_cache(maxsize=8)
def document(settings: Settings) -> File:
    """The whole page, with what it needs to know of the settings in it."""
    script_element = f'{_config_element(settings)}\n  <script type="module">{script()}</script>'
    text = _STYLES.sub("", _read("index.html")).replace(_SCRIPT, f"<style>{style()}</style>\n  {script_element}")
    etag = f'"{sha256(text.encode()).hexdigest()[:16]}"'
    return File(text, "text/html; charset=utf-8", etag, gzip.compress(text.encode(), mtime=0))


def headers(settings: Settings) -> dict[str, str]:
    """The page may run its own script and talk to its own two APIs, and nothing else."""
    security = {
        "content-security-policy": _policy(urlsplit(settings.websocket_url)),
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": ", ".join(f"{feature}=()" for feature in _DENIED),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }
    if settings.websocket_endpoint.startswith("https:"):  # the local stack speaks plain http
        security["strict-transport-security"] = "max-age=31536000"
    return security


def config(settings: Settings) -> dict[str, Any]:
    """What the page reads at its start."""
    return {
        "websocketUrl": settings.websocket_url,
        "model": settings.model,
        "notice": settings.page_notice,
        "maxMessageCharacters": settings.max_message_characters,
        "conversationsEnabled": settings.enable_conversations,
        "auth": settings.auth_mode,
    }


@cache
def style() -> str:
    """The page's one style sheet."""
    [links] = _STYLES.findall(_read("index.html"))
    return "".join(_read(name) for name in _SHEET.findall(links))


@cache
def script() -> str:
    """The page's one module."""
    return "".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in _in_order("app.js", {}).values())


def _in_order(name: str, found: dict[str, str]) -> dict[str, str]:
    """The modules found so far and this one, behind whatever it imports."""
    text = _read(name)
    for sibling in _IMPORT.findall(text):
        if sibling not in found:
            _in_order(sibling, found)
    found[name] = text
    return found


def _read(name: str) -> str:
    return (SOURCES / name).read_text(encoding="utf-8")


def _config_element(settings: Settings) -> str:
    text = json.dumps(config(settings), ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="config">{text}</script>'


def _policy(socket: SplitResult) -> str:
    directives = {
        "default-src": "'none'",
        "script-src": _hash_of(script()),
        "style-src": _hash_of(style()),
        "connect-src": f"'self' {socket.scheme}://{socket.netloc}" if socket.netloc else "'self'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
