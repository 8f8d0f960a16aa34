"""The local stack: MiniStack, a model, the template deployed, and the stream API beside it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.bridges import bridge
from local.endpoints import Endpoints
from local.host import Ports
from local.logs import Logs
from local.ministack import EMULATOR, MiniStack
from local.model import LONGEST_ANSWER_TOKENS, Model
from local.options import Options
from local.places import LOCAL
from local.sam import Sam
from local.stream_api import STREAM_API, StreamApi
from local.tokens import local_token

PREFERRED_PORTS = {"aws": 4566, "model": 4577, STREAM_API: 4588}
EXECUTE_API = "/_aws/execute-api"  # where MiniStack serves all APIs, by id
SMALL_MODEL_HISTORY_CHARACTERS = 12_000  # about 3,000 tokens: well within the model's context


def quiet(_: str) -> None:
    """Says nothing."""


class Stack:
    """One local stack. Stacks with other directories and other preferred ports do not touch each other."""

    def __init__(
        self,
        directory: Path = LOCAL,
        *,
        name: str = "copilotedge",
        build: Path | None = None,
        preferred_ports: Mapping[str, int] = PREFERRED_PORTS,
        emulator: str = EMULATOR,
        say: Callable[[str], None] = quiet,
    ) -> None:
        self.directory = directory
        self.name = name
        self.endpoints_file = directory / "endpoints.json"
        self._ports = Ports(directory / "ports.json", preferred_ports)
        self._say = say
        self.ministack = MiniStack(directory, self._ports, emulator)
        self.sam = Sam(directory, build or directory / "build")
        self.stream_api = StreamApi(directory, self._ports, self.sam.output)

    def up(self, options: Options) -> Endpoints:
        """Starts what does not run, deploys, and tells where it is reached. Raises LocalStackError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        model = Model(self.directory, self._ports, options.model_path)
        with self._step("Starting MiniStack"):
            self.ministack.start()
        self._start_model(model, options)
        with self._step("Building the functions"):
            self.sam.build()
        return self.deploy(self._parameters(model, options) | dict(options.parameters))

    def deploy(self, parameters: Mapping[str, str]) -> Endpoints:
        """Deploys what is built with these template parameters. Raises LocalStackError."""
        with self._step("Deploying the template"):
            self.sam.deploy(self.ministack.endpoint, self.name, parameters)
            outputs = bridge(self.client, self.name)
        with self._step("Starting the stream API"):
            self.stream_api.install()
            self.start_stream_api()
        if warning := outputs.get("Warning"):
            self._say(f"WARNING: {warning}")
        endpoints = self._endpoints(outputs, parameters)
        endpoints.write(self.endpoints_file)
        return endpoints

    def start_stream_api(self) -> None:
        """Starts it afresh, with the settings that its function has now. Raises LocalStackError."""
        self.stream_api.start(self.client, self.ministack.endpoint, f"{self.name}-{STREAM_API}")

    def down(self) -> None:
        """Ends every process of the stack. Its data stays."""
        self.endpoints_file.unlink(missing_ok=True)
        self.stream_api.stop()
        Model(self.directory, self._ports, None).stop()
        self.ministack.stop()

    def client(self, service: str) -> Any:
        """A boto3 client of the stack. Typed Any: which client it is, boto3 tells only by the literal name."""
        return self.ministack.session().client(service, endpoint_url=self.ministack.endpoint)  # type: ignore[call-overload]

    def logs(self) -> Logs:
        """What the functions log."""
        return Logs(self.client("logs"), self.name, {STREAM_API: self.stream_api.log})

    def _start_model(self, model: Model, options: Options) -> None:
        if not options.small_model:
            model.stop()
            return
        if not model.fetched():
            with self._step("Downloading the model's weights (93 MB)"):
                model.fetch()
        with self._step(f"Starting the model {model.name}"):
            model.start()

    def _parameters(self, model: Model, options: Options) -> dict[str, str]:
        return self._places() | self._model_parameters(model, options)

    def _places(self) -> dict[str, str]:
        return {"WebSocketEndpointBase": self.ministack.endpoint + EXECUTE_API}

    def _model_parameters(self, model: Model, options: Options) -> dict[str, str]:
        if options.workers_ai_base_url:
            token = options.cloudflare_api_token
            return {"WorkersAiBaseUrl": options.workers_ai_base_url} | ({"CloudflareApiToken": token} if token else {})
        if options.cloudflare_account_id and options.cloudflare_api_token:
            return {
                "CloudflareAccountId": options.cloudflare_account_id,
                "CloudflareApiToken": options.cloudflare_api_token,
            }
        return {
            "WorkersAiBaseUrl": model.base_url,
            "Model": model.name,
            "MaxAnswerTokens": str(LONGEST_ANSWER_TOKENS),
            "LongestAnswerTokens": str(LONGEST_ANSWER_TOKENS),
            "HistoryWindowCharacters": str(SMALL_MODEL_HISTORY_CHARACTERS),
            "PageNotice": model.notice,
            "AutomaticTitles": "false",  # it cannot sum up; the first words are better titles than its own
        }

    def _endpoints(self, outputs: Mapping[str, str], parameters: Mapping[str, str]) -> Endpoints:
        apis = self.ministack.endpoint + EXECUTE_API
        http_url = f"{apis}/{outputs['HttpApiId']}"
        cloudflare = f"https://api.cloudflare.com/client/v4/accounts/{parameters.get('CloudflareAccountId', '')}/ai"
        return Endpoints(
            http_url=http_url,
            websocket_url=f"{apis.replace('http', 'ws', 1)}/{outputs['WebSocketApiId']}/live",
            stream_url=self.stream_api.url,
            chat_page_url=http_url + "/",
            aws_endpoint_url=self.ministack.endpoint,
            table_name=outputs["TableName"],
            stack_name=self.name,
            workers_ai_base_url=parameters.get("WorkersAiBaseUrl") or cloudflare,
            token=local_token(self.client, outputs),
        )

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        started = time.monotonic()
        self._say(f"{title} ...")
        yield
        self._say(f"{title}: {time.monotonic() - started:.1f} s")
