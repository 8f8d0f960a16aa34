"""Errors as HTTP answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from copilotedge import errors
from copilotedge.http_errors import body_of, headers_of, status_of

STATUSES = {
    "InvalidRequest": 400,
    "RequestTooLarge": 413,
    "Unauthenticated": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "Conflict": 409,
    "LimitExceeded": 429,
    "QueueFull": 429,
    "ConversationsDisabled": 404,
    "TurnFailed": 502,
    "AnswerPending": 504,
    "ModelError": 502,
    "ModelRequestRejected": 400,
    "ModelNotAllowed": 502,
    "ModelQuotaExhausted": 503,
    "ModelOutOfCapacity": 503,
    "ModelTimeout": 504,
    "ModelUnavailable": 502,
    "ModelInterrupted": 502,
    "StoreUnavailable": 503,
    "StateChanged": 500,
    "StillTelling": 500,
    "ReceiptExists": 500,
    "Fenced": 500,
    "Closing": 500,
}
"""Every class of ``errors``; those at 500 never reach a client."""


def kinds(base: type[errors.CopilotEdgeError] = errors.CopilotEdgeError) -> Iterator[type[errors.CopilotEdgeError]]:
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from kinds(kind)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_error_has_a_deliberate_status(kind):
    assert status_of(kind("text")) == STATUSES[kind.__name__]


def test_every_error_has_a_code_of_its_own_that_the_tree_tells():
    codes = [kind("text").code for kind in kinds()]
    assert len(set(codes)) == len(codes)
    assert all(kind.__name__ in errors.__doc__ for kind in kinds())


def test_an_unforeseen_error_is_ours():
    assert status_of(errors.CopilotEdgeError("text")) == 500


def test_a_cancelled_turn_is_no_failure_of_the_gateway():
    assert status_of(errors.TurnFailed("text", code="turn_cancelled")) == 409


@pytest.mark.parametrize(
    ("exc", "kind"),
    [(errors.NotFound("Gone."), "invalid_request_error"), (errors.ModelTimeout("Late."), "server_error")],
)
def test_the_body_is_openais_error(exc, kind):
    assert body_of(exc) == {"error": {"message": exc.message, "type": kind, "param": None, "code": exc.code}}


def test_the_operators_detail_stays_inside():
    assert "inside" not in str(body_of(errors.ModelUnavailable("Sorry.", detail="inside story")))


def test_a_code_can_be_more_precise_than_its_class():
    assert body_of(errors.Conflict("Busy.", code="turn_running"))["error"]["code"] == "turn_running"


def test_a_caller_is_told_when_to_come_back():
    assert headers_of(errors.QueueFull("Full.", retry_after=5)) == {"retry-after": "5"}
    assert headers_of(errors.QueueFull("Full.", retry_after=0)) == {"retry-after": "0"}
    assert headers_of(errors.QueueFull("Full.")) == {}


def test_a_wrong_method_is_told_the_right_ones():
    assert headers_of(errors.MethodNotAllowed("No.", allowed=("GET", "PUT"))) == {"allow": "GET, PUT"}
    assert headers_of(errors.MethodNotAllowed("No.")) == {}
