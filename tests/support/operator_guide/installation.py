"""Problems with the parameter, the secrets and the deployed resources."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from kiro_worker.config.parameter import parse_configuration
from kiro_worker.config.secrets import load_agent_key, load_git_credentials, load_github_token, require_agent_key
from kiro_worker.names import Names
from tests.support.operator_guide.problem import BY_HAND, Problem, Seen, raised
from tests.support.operator_guide.step import ITEM, Installation, in_step

NAMES: Final = Names("test")
PARAMETER: Final = NAMES.configuration_parameter
TOKEN, CREDENTIALS, KEY = NAMES.github_token_secret, NAMES.git_credentials_secret, NAMES.kiro_api_key_secret
PUT_PARAMETER: Final = f"aws ssm put-parameter --name {PARAMETER} --type String --overwrite --value"


def put_secret(name: str) -> str:
    return f"aws secretsmanager put-secret-value --secret-id {name} --secret-string"


def parameter(text: str) -> Seen:
    return raised(lambda: parse_configuration(text, PARAMETER))


class Secrets:
    """A Secrets Manager whose secret has this text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self, **_: Any) -> dict[str, Any]:
        return {"SecretString": self._text}


def secret(load: Any, name: str, text: str) -> Seen:
    return raised(lambda: load(Secrets(text), name))


def unreadable(code: str, message: str) -> Any:
    """Return a function that reads the GitHub token, which AWS refuses with this error."""
    return in_step("FetchWorkItem", lambda it: it.deny("get_secret_value", code, message))


def described(answer: dict[str, Any]) -> Seen:
    class Described:
        def describe_secret(self, **_: Any) -> dict[str, Any]:
            return answer

    return raised(lambda: require_agent_key(Described(), KEY))  # type: ignore[arg-type]  # a part of the client


def lacks_project(it: Installation) -> None:
    it.aws.batch_get_projects = lambda **_: {"projects": []}  # type: ignore[method-assign]


CONFIGURATION: Final = (
    Problem(
        "The parameter was never created, or has another name",
        "ConfigurationMissing",
        "does not exist",
        PARAMETER,
        PUT_PARAMETER,
        in_step("FetchWorkItem", lambda it: it.deny("get_parameter", "ParameterNotFound", "")),
    ),
    Problem(
        "The parameter is as deployed",
        "ConfigurationMissing",
        'still holds the placeholder "your-org"',
        PARAMETER,
        PUT_PARAMETER,
        partial(parameter, '{"organization":"your-org"}'),
    ),
    Problem(
        "The parameter is not valid JSON",
        "ConfigurationInvalid",
        "is not JSON",
        PARAMETER,
        PUT_PARAMETER,
        partial(parameter, "{organization: acme}"),
    ),
    Problem(
        "A key of the parameter is misspelled",
        "ConfigurationInvalid",
        'unknown key "targetStatus"; did you mean "targetStatusColumn"?',
        PARAMETER,
        PUT_PARAMETER,
        partial(parameter, '{"organization":"acme","repository":"shop","projectNumber":1,"targetStatus":"Ready"}'),
    ),
    Problem(
        "The parameter lacks a key",
        "ConfigurationInvalid",
        '"targetStatusColumn" is missing',
        PARAMETER,
        PUT_PARAMETER,
        partial(parameter, '{"organization":"acme","repository":"shop","projectNumber":1}'),
    ),
    Problem(
        "A key of the parameter has a wrong value",
        "ConfigurationInvalid",
        '"projectNumber": Input should be greater than',
        PARAMETER,
        PUT_PARAMETER,
        partial(
            parameter, '{"organization":"acme","repository":"shop","projectNumber":-1,"targetStatusColumn":"Ready"}'
        ),
    ),
    Problem(
        "A function lacks an environment variable",
        "ConfigurationMissing",
        "missing or empty: LOCKS_TABLE_NAME",
        "the function kiro-worker-test-fetch-work-item",
        "make deploy",
        in_step(
            "FetchWorkItem",
            lambda it: it.variables.update(
                LOCKS_TABLE_NAME="", AWS_LAMBDA_FUNCTION_NAME="kiro-worker-test-fetch-work-item"
            ),
        ),
    ),
)
SECRETS: Final = (
    Problem(
        "A secret does not exist",
        "SecretMissing",
        "does not exist",
        TOKEN,
        f"aws secretsmanager create-secret --name {TOKEN} --secret-string",
        unreadable("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    ),
    Problem(
        "A secret exists, but has no value",
        "SecretMissing",
        "has no value",
        KEY,
        put_secret(KEY),
        partial(described, {"VersionIdsToStages": {}}),
    ),
    Problem(
        "A secret is empty", "SecretEmpty", "is empty", KEY, put_secret(KEY), partial(secret, load_agent_key, KEY, " ")
    ),
    Problem(
        "A secret still holds an example's value",
        "SecretPlaceholder",
        "still holds a placeholder",
        TOKEN,
        put_secret(TOKEN),
        partial(secret, load_github_token, TOKEN, "ghp_your_actual_token"),
    ),
    Problem(
        "The git credentials are not JSON",
        "SecretMalformed",
        'is not JSON of the form {"username":"git","password":"your_token"}',
        CREDENTIALS,
        put_secret(CREDENTIALS),
        partial(secret, load_git_credentials, CREDENTIALS, "git:token"),
    ),
    Problem(
        "A secret was deleted, and can still be restored",
        "SecretPendingDeletion",
        "is scheduled for deletion",
        TOKEN,
        f"aws secretsmanager restore-secret --secret-id {TOKEN}",
        unreadable("InvalidRequestException", "the secret because it was marked for deletion"),
    ),
    Problem(
        "The key that encrypts a secret may not be used",
        "AwsAccessDenied",
        "cannot be read: AWS denies GetSecretValue",
        TOKEN,
        "make deploy",
        unreadable("AccessDeniedException", "Access to KMS is not allowed"),
    ),
)
RESOURCES: Final = (
    Problem(
        "A table does not exist",
        "AwsResourceMissing",
        "AWS does not find what BatchGetItem needs",
        NAMES.records_table,
        "make deploy",
        in_step(
            "FetchWorkItem",
            lambda it: it.deny(
                "batch_get_item",
                "ResourceNotFoundException",
                f"Requested resource not found: Table: {NAMES.records_table}",
            ),
        ),
    ),
    Problem(
        "A role lacks a permission",
        "AwsAccessDenied",
        "AWS denies GetParameter",
        f"arn:aws:ssm:us-east-1:123456789012:parameter{PARAMETER}",
        "make deploy",
        in_step(
            "FetchWorkItem",
            lambda it: it.deny(
                "get_parameter",
                "AccessDeniedException",
                "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: ssm:GetParameter on"
                f" resource: arn:aws:ssm:us-east-1:123456789012:parameter{PARAMETER} because no policy allows it",
            ),
        ),
    ),
    Problem(
        "DynamoDB, or another service of AWS, throttles requests",
        "AwsUnavailable",
        "ProvisionedThroughputExceededException",
        "BatchGetItem",
        f"wait, then {BY_HAND}",
        in_step(
            "FetchWorkItem",
            lambda it: it.deny("batch_get_item", "ProvisionedThroughputExceededException", "The level of throughput"),
        ),
    ),
    Problem(
        "The build project does not exist",
        "BuildProjectMissing",
        "the CodeBuild project kiro-worker-test does not exist",
        NAMES.build_project,
        "make deploy",
        in_step("ValidateWorkItem", lacks_project, {"item": ITEM}),
    ),
    Problem(
        "The deployment does not pin the Kiro CLI",
        "AgentNotPinned",
        "does not set KIRO_CLI_SHA256",
        NAMES.build_project,
        "make deploy ARGS='--context kiroCliUrl=",
        in_step("ValidateWorkItem", lambda it: it.aws.pin.update(KIRO_CLI_SHA256=""), {"item": ITEM}),
    ),
    Problem(
        "A function meets something that the worker does not expect",
        "StepFailed",
        "LookupError: the state document has no item",
        "kiro-worker-test-validate-work-item",
        "aws logs tail /aws/lambda/kiro-worker-test-validate-work-item --since 1h",
        in_step("ValidateWorkItem", lambda _: None, {}),
    ),
)
