"""MiniStack for tests: a function may do only what its role allows, and every call to AWS is written down.

AUTH is MiniStack's own switch: each function gets credentials of its role, and IAM's rules are followed as on AWS. The
test process cannot see inside another, so the calls go to a file (``tests.audit`` reads it). Run as a module, in place
of ``local.emulator``.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local import patches

CALLS = "calls.jsonl"
SETTLING_SECONDS = 0.02
"""How long a function takes its new settings; half a second otherwise, twice in every test that changes some."""


def calls_file(state_directory: Path) -> Path:
    return state_directory.parent / CALLS


def main() -> None:
    os.environ["AUTH"] = "true"  # read when MiniStack is imported
    import ministack.app
    from ministack.core import iam_evaluator
    from ministack.services import lambda_svc, sts

    patches.apply()
    lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = SETTLING_SECONDS
    iam_evaluator.evaluate_trust_policy = trusting_root(iam_evaluator.evaluate_trust_policy)
    with calls_file(Path(os.environ["STATE_DIR"])).open("a", buffering=1) as file:
        iam_evaluator.enforce = written_down(iam_evaluator.enforce, sts, file.write)
        ministack.app.main()


def trusting_root(trusts: Callable[..., bool]) -> Callable[..., bool]:
    """Lets the account's root assume a function's role, as the service Lambda does, to start the stream API with it."""

    def trusted(document: Any, caller: str, *context: Any) -> bool:
        return caller.endswith(":root") or trusts(document, caller, *context)

    return trusted


def written_down(enforce: Callable[..., Any], sts: Any, write: Callable[[str], object]) -> Callable[..., Any]:
    """Every decision about a caller that has a role; None is a yes.

    What has been allowed once is not looked up again: that takes as long as serving the call.
    """
    allowed = set()

    def enforced(access_key_id: str, iam_action: str, *arguments: Any, **more: Any) -> Any:
        asked = (access_key_id, iam_action, more.get("resource_arn", "*"))
        denied = None if asked in allowed else enforce(access_key_id, iam_action, *arguments, **more)
        if session := sts._sessions.get(access_key_id):
            call = {"caller": session["Arn"], "action": iam_action, "resource": asked[-1], "allowed": denied is None}
            write(json.dumps(call) + "\n")
            if denied is None:
                allowed.add(asked)
        return denied

    return enforced


if __name__ == "__main__":
    main()
