"""Everything that can go wrong, as the callers of the core see it.

::

    CopilotEdgeError                 code
    ├── InvalidRequest               invalid_request, invalid_json, unknown_type, ...     the caller's input
    │   └── RequestTooLarge          message_too_large, request_too_large, frame_too_large
    ├── Unauthenticated              token_missing, token_invalid, token_expired, token_not_yet_valid
    ├── Forbidden                    read_only, not_owner
    ├── NotFound                     not_found, route_not_found
    ├── MethodNotAllowed             method_not_allowed
    ├── Conflict                     turn_running, message_id_reused, nothing_to_regenerate
    ├── LimitExceeded                rate_limited, token_budget_spent, too_many_sockets
    │   └── QueueFull                queue_full
    ├── ConversationsDisabled        conversations_disabled
    ├── TurnFailed                   turn_failed, turn_cancelled, answer_restarted
    ├── AnswerPending                answer_pending          (no answer yet; it will be in the log)
    ├── ModelError                   the model's side
    │   ├── ModelRequestRejected     model_request_rejected, unknown_model, model_request_too_large
    │   ├── ModelNotAllowed          model_not_allowed       (operator's account or token)
    │   ├── ModelQuotaExhausted      model_quota_exhausted   (daily allocation)
    │   ├── ModelOutOfCapacity       model_out_of_capacity
    │   ├── ModelTimeout             model_timeout
    │   ├── ModelUnavailable         model_unavailable       (5xx, connection refused or reset)
    │   └── ModelInterrupted         model_interrupted       (cut after the first token)
    ├── StateChanged                 a lost compare-and-swap: read again and decide again (never reaches a client)
    │   └── StillTelling             still_telling           a moment too early: as above (never reaches a client)
    ├── ReceiptExists                the message id was taken before (never reaches a client)
    ├── Fenced                       the turn is no longer ours (never reaches a client)
    │   └── Closing                  a clear has ended it; it is ours to announce that (never reaches a client)
    └── StoreUnavailable             store_unavailable

``code`` is stable and for programs; the text is for people. The edge maps class to HTTP status once (``http_errors``).
"""

from __future__ import annotations


class CopilotEdgeError(Exception):
    """Base of all our errors. ``retry_after`` is in seconds."""

    code = "internal_error"

    def __init__(self, message: str, *, code: str = "", retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.retry_after = retry_after


class InvalidRequest(CopilotEdgeError):
    code = "invalid_request"


class RequestTooLarge(InvalidRequest):
    code = "request_too_large"


class Unauthenticated(CopilotEdgeError):
    code = "token_invalid"


class Forbidden(CopilotEdgeError):
    code = "not_owner"


class NotFound(CopilotEdgeError):
    code = "not_found"


class MethodNotAllowed(CopilotEdgeError):
    """``allowed`` are the methods that the path does have."""

    code = "method_not_allowed"

    def __init__(self, message: str, *, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(CopilotEdgeError):
    code = "conflict"


class LimitExceeded(CopilotEdgeError):
    """``limit`` is the number that was reached; ``retry_after`` (s) tells when there is room again."""

    code = "rate_limited"

    def __init__(self, message: str, *, code: str = "", retry_after: int | None = None, limit: int = 0) -> None:
        super().__init__(message, code=code, retry_after=retry_after)
        self.limit = limit


class QueueFull(LimitExceeded):
    code = "queue_full"


class ConversationsDisabled(CopilotEdgeError):
    code = "conversations_disabled"


class TurnFailed(CopilotEdgeError):
    code = "turn_failed"


class AnswerPending(CopilotEdgeError):
    code = "answer_pending"


class ModelError(CopilotEdgeError):
    """The model gave no (whole) answer. ``detail`` is for the operator's log only."""

    code = "model_error"

    def __init__(self, message: str, *, code: str = "", retry_after: int | None = None, detail: str = "") -> None:
        super().__init__(message, code=code, retry_after=retry_after)
        self.detail = detail


class ModelRequestRejected(ModelError):
    code = "model_request_rejected"


class ModelNotAllowed(ModelError):
    code = "model_not_allowed"


class ModelQuotaExhausted(ModelError):
    code = "model_quota_exhausted"


class ModelOutOfCapacity(ModelError):
    code = "model_out_of_capacity"


class ModelTimeout(ModelError):
    code = "model_timeout"


class ModelUnavailable(ModelError):
    code = "model_unavailable"


class ModelInterrupted(ModelError):
    code = "model_interrupted"


class StateChanged(CopilotEdgeError):
    code = "state_changed"


class StillTelling(StateChanged):
    """What happened last is still being told; in a moment it will have been."""

    code = "still_telling"


class ReceiptExists(CopilotEdgeError):
    code = "receipt_exists"


class Fenced(CopilotEdgeError):
    code = "fenced"


class Closing(Fenced):
    code = "closing"


class StoreUnavailable(CopilotEdgeError):
    code = "store_unavailable"
