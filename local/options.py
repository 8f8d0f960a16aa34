"""What the developer asked for, in environment variables."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.errors import LocalStackError


@dataclass(frozen=True)
class Options:
    """`parameters` are template parameters and go over all others. At most one of the Workers AI settings is used."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    workers_ai_base_url: str | None = None
    cloudflare_account_id: str | None = None
    cloudflare_api_token: str | None = None
    model_path: Path | None = None

    @property
    def small_model(self) -> bool:
        """Whether the stack brings a model of its own."""
        return not (self.workers_ai_base_url or self.cloudflare)

    @property
    def cloudflare(self) -> bool:
        """Whether Cloudflare's own Workers AI answers."""
        return bool(self.cloudflare_account_id and self.cloudflare_api_token and not self.workers_ai_base_url)


def from_environment(environment: Mapping[str, str]) -> Options:
    """Reads PARAMS, WORKERS_AI_BASE_URL, CLOUDFLARE_* and AI_MODEL_PATH. Raises LocalStackError for a wrong PARAMS."""
    model_path = environment.get("AI_MODEL_PATH")
    return Options(
        parameters=parse_parameters(environment.get("PARAMS", "")),
        workers_ai_base_url=environment.get("WORKERS_AI_BASE_URL") or None,
        cloudflare_account_id=environment.get("CLOUDFLARE_ACCOUNT_ID") or None,
        cloudflare_api_token=environment.get("CLOUDFLARE_API_TOKEN") or None,
        model_path=Path(model_path).absolute() if model_path else None,
    )


def parse_parameters(text: str) -> dict[str, str]:
    """`Name=Value Other="two words"` as a mapping."""
    pairs = [word.partition("=") for word in shlex.split(text)]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise LocalStackError(f"PARAMS wants Name=Value, not {' '.join(wrong)!r}")
    return {name: value for name, _, value in pairs}
