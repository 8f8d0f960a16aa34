"""What follows a failed try of a model call: a wait, the fallback model, or the end. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from copilotedge.errors import ModelError, ModelInterrupted, ModelOutOfCapacity, ModelTimeout, ModelUnavailable

RETRYABLE = (ModelOutOfCapacity, ModelTimeout, ModelUnavailable)
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0
MAX_RETRY_AFTER_SECONDS = 30
"""A model that asks for a longer wait is not tried again: a person is waiting for the answer."""


class Attempts:
    """The tries of one model call. ``model`` is to be asked next; set ``began`` once text has gone out."""

    def __init__(self, model: str, fallback_model: str, max_tries: int, random: Callable[[], float]) -> None:
        self.model = model
        self.began = False
        self._fallback_model = fallback_model if fallback_model != model else ""
        self._max_tries = max_tries
        self._tries = 1
        self._random = random
        self._first_failure: ModelError | None = None

    def wait_after(self, failure: ModelError) -> float:
        """Seconds before the next try. Raises what the caller is to hear where there is no next try.

        That is ``ModelInterrupted`` after the first token, else how the model that was asked for failed.
        """
        if self.began:
            detail = f"{failure.code}: {failure.detail}"
            raise ModelInterrupted("The model's answer broke off.", detail=detail) from failure
        if self._may_retry(failure):
            self._tries += 1
            return max(failure.retry_after or 0, self._backoff())
        if self._may_fall_back(failure):
            self._fall_back(failure)
            return 0.0
        if self._first_failure:
            raise self._first_failure from failure
        raise failure

    def _may_retry(self, failure: ModelError) -> bool:
        patient = (failure.retry_after or 0) <= MAX_RETRY_AFTER_SECONDS
        return isinstance(failure, RETRYABLE) and self._tries < self._max_tries and patient

    def _may_fall_back(self, failure: ModelError) -> bool:
        return bool(self._fallback_model) and (isinstance(failure, RETRYABLE) or failure.code == "unknown_model")

    def _fall_back(self, failure: ModelError) -> None:
        self.model, self._fallback_model = self._fallback_model, ""
        self._tries = 1
        self._first_failure = failure

    def _backoff(self) -> float:
        """Full jitter, so that turns which failed together do not come back together."""
        return self._random() * min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** (self._tries - 2))
