"""The names of all AWS resources of one environment: ``kiro-worker-<environment>-…``.

The CDK app deploys these names, the command line and the embedded environment look them up, and operators type them.
This module uses only the standard library, because it is the one module of ``kiro_worker`` that ``infra`` imports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ENVIRONMENTS: Final = ("test", "staging", "production")
CORE_STACK: Final = "KiroWorkerCore"
WORKFLOW_STACK: Final = "KiroWorkerWorkflow"

# Limits in minutes that the CDK app compares with the build's timeout.
SETUP_MINUTES: Final = 30
TEST_MINUTES: Final = 30
AGENT_TURN_MINUTES: Final = 45
"""The default of ``agent.timeoutMinutes``."""
QUEUE_MINUTES: Final = 30
"""How long a build may wait for a machine."""

_ANY_ENVIRONMENT: Final = "<env>"
_EXECUTION: Final = re.compile(rf":execution:kiro-worker-({'|'.join(ENVIRONMENTS)})(?:-clean-up)?:")


@dataclass(frozen=True)
class Names:
    """The names in ``environment``, one of :data:`ENVIRONMENTS`."""

    environment: str

    @property
    def prefix(self) -> str:
        return f"kiro-worker-{self.environment}"

    @property
    def core_stack(self) -> str:
        return f"{CORE_STACK}-{self.environment}"

    @property
    def workflow_stack(self) -> str:
        return f"{WORKFLOW_STACK}-{self.environment}"

    @property
    def state_machine(self) -> str:
        return self.prefix

    @property
    def clean_up_state_machine(self) -> str:
        return f"{self.prefix}-clean-up"

    @property
    def build_project(self) -> str:
        return self.prefix

    @property
    def schedule(self) -> str:
        return self.prefix

    @property
    def schedule_dead_letter_queue(self) -> str:
        return f"{self.prefix}-schedule-dlq"

    @property
    def status_rule(self) -> str:
        return f"{self.prefix}-execution-ended"

    @property
    def core_layer(self) -> str:
        return f"{self.prefix}-core"

    @property
    def locks_table(self) -> str:
        return f"{self.prefix}-locks"

    @property
    def records_table(self) -> str:
        return f"{self.prefix}-records"

    @property
    def configuration_parameter(self) -> str:
        return f"/kiro-worker/{self.environment}/github-project-config"

    @property
    def github_token_secret(self) -> str:
        return self.secret("github-token")

    @property
    def git_credentials_secret(self) -> str:
        return self.secret("git-credentials")

    @property
    def kiro_api_key_secret(self) -> str:
        return self.secret("kiro-api-key")

    @property
    def test_secrets_prefix(self) -> str:
        """How the names of all secrets for setup begin."""
        return f"{self.prefix}-tests-"

    @property
    def build_log_group(self) -> str:
        return f"/aws/codebuild/{self.build_project}"

    @property
    def executions_log_group(self) -> str:
        # The prefix /aws/vendedlogs/ keeps the group out of the account's log resource policy, whose size is limited:
        # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
        return f"/aws/vendedlogs/states/{self.state_machine}"

    def secret(self, kind: str) -> str:
        """The name of a secret; ``kind`` is ``github-token``, ``git-credentials`` or ``kiro-api-key``."""
        return f"{self.prefix}-{kind}"

    def function(self, step: str) -> str:
        """The name of a step's function; ``step`` is its folder, such as ``fetch_work_item``."""
        return f"{self.prefix}-{step.replace('_', '-')}"

    def function_log_group(self, step: str) -> str:
        return f"/aws/lambda/{self.function(step)}"

    def artifacts_bucket(self, account: str, region: str) -> str:
        return f"{self.prefix}-artifacts-{account}-{region}"

    def report_group(self, kind: str) -> str:
        """The name of a CodeBuild report group; ``kind`` is ``tests`` or ``coverage``."""
        return f"{self.build_project}-{kind}"


ANY_NAMES: Final = Names(_ANY_ENVIRONMENT)
"""The names for texts that are written where the environment is not known: see :func:`with_environment`."""


def with_environment(text: str, execution_arn: str) -> str:
    """``text`` with the environment of an execution in place of ``<env>``, so that people can copy its commands.

    An execution of another state machine changes nothing.
    """
    found = _EXECUTION.search(execution_arn)
    return text.replace(_ANY_ENVIRONMENT, found[1]) if found else text
