"""Settings, as the template's parameters hand them to the functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from copilotedge.values import dataclass

AUDIENCE = "copilotedge"


@dataclass(frozen=True, slots=True)
class Settings:
    """One field an environment variable, of the same name in capitals; ``template.yaml`` describes each.

    Empty variables count as unset.
    """

    stack_name: str = "copilotedge"
    table_name: str = ""
    turn_worker_function: str = ""
    websocket_endpoint: str = ""
    workers_ai_base_url: str = ""
    api_token_secret_arn: str = ""
    auth_mode: str = "jwt"
    signing_keys_secret_arn: str = ""
    token_issuer: str = ""
    token_audience: str = AUDIENCE
    model: str = "@cf/meta/llama-3.1-8b-instruct"
    fallback_model: str = ""
    allowed_models: str = ""
    model_endpoint: str = "chat-completions"
    model_timeout_seconds: float = 30.0
    model_max_tries: int = 3
    max_answer_tokens: int = 1024
    longest_answer_tokens: int = 4096
    max_answer_characters: int = 90_000
    max_instruction_characters: int = 24_000
    enable_conversations: bool = True
    default_conversation_id: str = ""
    automatic_titles: bool = False
    inactivity_hours: float = 24.0
    history_window_messages: int = 40
    history_window_characters: int = 24_000
    max_stored_messages: int = 1000
    max_queued_messages: int = 20
    max_message_characters: int = 10_000
    max_request_bytes: int = 1_048_576
    max_messages_per_request: int = 100
    max_nesting_depth: int = 32
    max_history_page: int = 100
    rate_limit_per_minute: int = 60
    tokens_per_day: int = 0
    total_tokens_per_day: int = 0
    max_sockets_per_user: int = 20
    max_sockets_per_conversation: int = 100
    lease_seconds: float = 20.0
    max_attempts: int = 4
    rest_time_budget_seconds: float = 25.0
    stream_time_budget_seconds: float = 840.0
    cors_allow_origins: str = "*"
    price_table: str = ""
    response_cache_seconds: int = 0
    response_cache_max_temperature: float = 0.5
    page_notice: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ``ValueError`` naming the variable that does not parse."""
        given = {f.name: environment.get(f.name.upper(), "") for f in fields(cls)}
        return cls(**{name: _parse(name, text, getattr(cls(), name)) for name, text in given.items() if text})

    @property
    def models(self) -> frozenset[str]:
        """That answer here, by name; none where any may be asked."""
        allowed = frozenset(name.strip() for name in self.allowed_models.split(",")) - {""}
        return allowed | {self.model, self.fallback_model} - {""} if allowed else allowed

    def allows(self, model: str) -> bool:
        """Whether a request or a conversation may name the model; "" names none."""
        return not model or not self.models or model in self.models

    def model_for(self, *named: str) -> str:
        """The first that is named and allowed, else the deployment's own.

        A request that names another is refused (see ``questions.check``); what was stored before the setting was
        narrowed is passed over.
        """
        return next((model for model in named if model and self.allows(model)), self.model)

    @property
    def websocket_url(self) -> str:
        """Where clients connect; the same address as the management endpoint, with the WebSocket scheme."""
        return self.websocket_endpoint.replace("http", "ws", 1)

    @property
    def snapshot_messages(self) -> int:
        """Messages that a snapshot reads: the window, and an exchange that a regeneration leaves out of it."""
        return self.history_window_messages + 2

    @property
    def inactivity_ms(self) -> int:
        return int(self.inactivity_hours * 3_600_000)

    @property
    def lease_ms(self) -> int:
        return int(self.lease_seconds * 1000)


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _parse(name: str, text: str, default: Any) -> Any:
    try:
        return _BOOLEANS[text.lower()] if isinstance(default, bool) else type(default)(text)
    except (ValueError, KeyError) as exc:
        raise ValueError(f"{name.upper()} must be {type(default).__name__}, not {text!r}") from exc
