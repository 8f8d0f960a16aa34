"""What an answer took: charged to who asked, priced, and counted for whoever runs the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from copilotedge import prompts
from copilotedge.errors import ModelError, ModelRequestRejected, StoreUnavailable
from copilotedge.limits import Limits
from copilotedge.models import ModelRequest, Usage
from copilotedge.ports import Log, Metrics
from copilotedge.prices import Prices, dollars
from copilotedge.values import dataclass


@dataclass(frozen=True, slots=True)
class Charge:
    """Tokens, estimated where the model accounts for none, and their cost in nanodollars (None: not known)."""

    usage: Usage = field(default_factory=Usage)
    cost: int | None = None


class Charges:
    """Stateless: one instance serves all users.

    A request that no model could take (a made-up name, too many words) is no failure of the model's: counted apart.
    """

    def __init__(self, limits: Limits, prices: Prices, metrics: Metrics, log: Log) -> None:
        self._limits = limits
        self._prices = prices
        self._metrics = metrics
        self._log = log

    async def charge(self, user: str, asked: ModelRequest, characters: int, usage: Usage, model: str = "") -> Charge:
        """Once for each call of a model, whatever came of it: an answer of so many ``characters``, by ``model``.

        A charge that cannot be written down is logged: an answer that was given is not taken back.
        """
        model = model or asked.model
        taken = usage if usage.total_tokens else prompts.estimated_usage(asked, characters)
        charge = Charge(taken, self._prices.cost(model, taken))
        self._count(charge, model)
        try:
            await self._limits.charge(user, taken.total_tokens)
        except StoreUnavailable as exc:
            self._log.error("charge_failed", error=exc.code)
        return charge

    def count_turn(self, verdict: str, amounts: Mapping[str, float], error: ModelError | None = None) -> None:
        """How an answer ended, one of few ways, what went wrong with the model, and other ``amounts`` of its turn."""
        if error is None:
            self._metrics.count({"Turns": 1, **amounts}, verdict=verdict)
            return
        blamed = "ModelRejections" if isinstance(error, ModelRequestRejected) else "ModelFailures"
        self._metrics.count({"Turns": 1, **amounts, blamed: 1}, verdict=verdict, code=error.code)

    def count_post_failures(self, sockets: int) -> None:
        """Sockets that are there and took a frame no more."""
        if sockets:
            self._metrics.count({"PostFailures": sockets})

    def count_takeover(self) -> None:
        """Somebody goes on with a turn whose holder has let its lease run out."""
        self._metrics.count({"LeaseTakeovers": 1})

    def _count(self, charge: Charge, model: str) -> None:
        """Clients may name any model; those without a price are counted together."""
        amounts: dict[str, float] = {
            "PromptTokens": charge.usage.prompt_tokens,
            "CompletionTokens": charge.usage.completion_tokens,
        }
        if charge.cost is not None:
            amounts["CostUsd"] = dollars(charge.cost)
        self._metrics.count(amounts, model=model if self._prices.knows(model) else "other")
