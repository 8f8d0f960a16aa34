"""What ``sam local invoke`` would start a container with. No container is needed to tell; SAM CLI's interpreter is.

    .tools/sam/bin/python tests/emulator/sam_local.py template.yaml environment.json

It prints, as JSON, each function's handler and its environment. These parts of SAM CLI are not for others to use, but
its version is pinned (``requirements/sam.in``).
"""

import json
import sys
from pathlib import Path

from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider


def main(template: str, environment: str) -> None:
    stacks, _ = SamLocalStackProvider.get_stacks(template)
    provider = SamFunctionProvider(stacks)
    runner = LocalLambdaRunner(
        local_runtime=None,
        function_provider=provider,
        cwd=".",
        real_path=".",
        env_vars_values=json.loads(Path(environment).read_text()),
        debug_context=None,
    )
    configurations = [runner.get_invoke_config(function) for function in provider.get_all()]
    started = {c.name: {"handler": c.handler, "environment": c.env_vars.resolve()} for c in configurations}
    print(json.dumps(started))


if __name__ == "__main__":
    main(*sys.argv[1:])
