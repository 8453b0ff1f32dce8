from __future__ import annotations

import os
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from kiro_local.aws.server import EmbeddedAws
from kiro_local.aws.session import loopback_session
from kiro_local.faults import ENDINGS
from kiro_worker.runner.sandbox.environment import network_variables

Make = Callable[..., str]
Eventually = Callable[..., Any]


@pytest.fixture
def build(embedded: EmbeddedAws, project: Make, eventually: Eventually) -> Callable[..., dict[str, Any]]:
    """Runs a buildspec and returns the finished build."""

    def run(buildspec: str, files: dict[str, str] | None = None, **request: Any) -> dict[str, Any]:
        settings = request.pop("settings", {})
        name = project(buildspec, files, **settings)
        started = embedded.client("codebuild").start_build(projectName=name, **request)["build"]
        assert started["buildStatus"] == "IN_PROGRESS"
        return dict(eventually(lambda: finished(embedded, started["id"])))

    return run


def finished(aws: EmbeddedAws, build_id: str) -> dict[str, Any]:
    build = aws.client("codebuild").batch_get_builds(ids=[build_id])["builds"][0]
    return dict(build) if build["buildComplete"] else {}


def exported(build: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in build["exportedEnvironmentVariables"]}


def phases(build: dict[str, Any]) -> dict[str, str]:
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}


def log(build: dict[str, Any]) -> list[str]:
    return Path(urllib.parse.urlparse(build["logs"]["deepLink"]).path).read_text().splitlines()


def spec(*, exports: str = "", variables: str = "", **commands: str) -> str:
    lines = ["version: 0.2", "env:", f"  exported-variables: [{exports}]", f"  variables: {{{variables}}}", "phases:"]
    for phase, command in commands.items():
        lines += [f"  {phase}:", "    commands:", *(f"      - |\n        {line}" for line in command.split("\n"))]
    return "\n".join(lines)


def test_phases_share_one_shell(build: Callable[..., dict[str, Any]]) -> None:
    done = build(
        spec(
            exports="OUTCOME, WHERE, UNSET",
            install="export OUTCOME=started; mkdir inner; cd inner",
            pre_build='later() { export OUTCOME="$OUTCOME then $1"; }',
            build="later built",
            post_build="export WHERE=$(basename $PWD)",
        )
    )
    assert done["buildStatus"] == "SUCCEEDED"
    assert exported(done) == {"OUTCOME": "started then built", "WHERE": "inner"}
    assert set(phases(done)) == {
        "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD",
        "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
    }  # fmt: skip
    assert done["currentPhase"] == "COMPLETED"
    assert done["endTime"] >= done["startTime"]


def test_build_starts_in_unpacked_source(build: Callable[..., dict[str, Any]]) -> None:
    done = build(
        spec(
            exports="CONTENT, HERE",
            build='export CONTENT="$(cat folder/file.txt)"; export HERE=$([ $PWD = $CODEBUILD_SRC_DIR ] && echo yes)',
        ),
        {"folder/file.txt": "from the source"},
    )
    assert exported(done) == {"CONTENT": "from the source", "HERE": "yes"}


def test_builds_do_not_share_top_level_files(embedded: EmbeddedAws, project: Make, eventually: Eventually) -> None:
    text = spec(
        exports="CONTENT", build='export CONTENT="$(cat file.txt *.left)"; echo changed > file.txt; echo old > a.left'
    )
    name = project(text, {"file.txt": "new"})
    for _ in range(2):
        started = embedded.client("codebuild").start_build(projectName=name)["build"]
        assert exported(eventually(lambda build=started["id"]: finished(embedded, build))) == {"CONTENT": "new"}


def test_host_environment_is_not_inherited(
    build: Callable[..., dict[str, Any]], embedded: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in network_variables(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    done = build(spec(build="env | sed 's/=.*//' | sort | sed 's/^/name:/'\necho HOME is $HOME"))
    names = {line.removeprefix("name:") for line in log(done) if line.startswith("name:")}
    assert "SECRET_OF_THE_HOST" not in names
    others = {name for name in names if not name.startswith("CODEBUILD_")}
    assert others == {
        "PATH", "HOME", "LANG", "PWD", "CI", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL",
    }  # fmt: skip
    assert f"HOME is {embedded.workspace}" in "\n".join(log(done))


def test_build_reaches_package_indexes_as_the_host_does(
    build: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/etc/corporate.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", ".example")
    monkeypatch.setenv("PIP_INDEX_URL", "https://ann:secret@index.example/simple")
    done = build(spec(build='echo "$NODE_EXTRA_CA_CERTS $HTTPS_PROXY $NO_PROXY ${PIP_INDEX_URL:-withheld}"'))
    expected = "/etc/corporate.pem http://proxy.example:3128 .example,127.0.0.1,localhost withheld"
    assert expected in "\n".join(log(done))


def test_precedence_of_variables(
    build: Callable[..., dict[str, Any]],
) -> None:
    done = build(
        spec(exports="A, B, C", variables="A: spec, B: spec, C: spec", build="true"),
        settings={"variables": {"B": "project", "C": "project"}},
        environmentVariablesOverride=[{"name": "C", "value": 'it\'s "the" $caller\nand more', "type": "PLAINTEXT"}],
    )
    assert exported(done) == {"A": "spec", "B": "project", "C": 'it\'s "the" $caller\nand more'}


@pytest.mark.parametrize("override", [[], [{"name": "AGENT_USER", "value": "own", "type": "PLAINTEXT"}]])
def test_agent_user_leaves_root_home_closed(
    build: Callable[..., dict[str, Any]], override: list[dict[str, str]]
) -> None:
    done = build(
        spec(exports="AGENT_USER", build="true"),
        settings={"variables": {"AGENT_USER": "own"}},
        environmentVariablesOverride=override,
    )
    assert exported(done) == {"AGENT_USER": "reachable"}


def test_secrets_and_parameters_are_resolved(embedded: EmbeddedAws, build: Callable[..., dict[str, Any]]) -> None:
    embedded.client("ssm").put_parameter(Name="/p", Value="from ssm", Type="String")
    embedded.client("secretsmanager").create_secret(Name="s", SecretString='{"k": "from the secret"}')
    done = build(
        spec(exports="P, S", build="true"),
        environmentVariablesOverride=[
            {"name": "P", "value": "/p", "type": "PARAMETER_STORE"},
            {"name": "S", "value": "s:k", "type": "SECRETS_MANAGER"},
        ],
    )
    assert exported(done) == {"P": "from ssm", "S": "from the secret"}


def test_missing_secret_is_named(build: Callable[..., dict[str, Any]]) -> None:
    done = build(
        spec(build="true"), environmentVariablesOverride=[{"name": "S", "value": "missing", "type": "SECRETS_MANAGER"}]
    )
    assert done["buildStatus"] == "FAILED"
    assert (
        "SECRETS_MANAGER missing cannot be read: ResourceNotFoundException"
        in done["phases"][-2]["contexts"][0]["message"]
    )


def test_python3_is_the_running_interpreter(build: Callable[..., dict[str, Any]]) -> None:
    done = build(spec(exports="EXE", build="export EXE=$(python3 -c 'import sys; print(sys.executable)')"))
    assert Path(exported(done)["EXE"]).parent == Path(sys.executable).parent


def test_post_build_runs_after_failed_build(build: Callable[..., dict[str, Any]]) -> None:
    done = build(
        spec(
            exports="AFTER, SUCCEEDING",
            build="false\necho never",
            post_build="export AFTER=yes SUCCEEDING=$CODEBUILD_BUILD_SUCCEEDING",
        )
    )
    assert done["buildStatus"] == "FAILED"
    assert exported(done) == {"AFTER": "yes", "SUCCEEDING": "0"}
    assert phases(done)["BUILD"] == "FAILED"
    assert phases(done)["POST_BUILD"] == "SUCCEEDED"
    context = next(phase for phase in done["phases"] if phase["phaseType"] == "BUILD")["contexts"][0]
    assert context == {
        "statusCode": "COMMAND_EXECUTION_ERROR",
        "message": "Error while executing command: false. Reason: exit status 1",
    }
    assert "never" not in log(done)


@pytest.mark.parametrize("phase", ["install", "pre_build"])
def test_failed_preparation_skips_build(build: Callable[..., dict[str, Any]], phase: str) -> None:
    done = build(spec(**{phase: "exit 4", "build": "echo built", "post_build": "echo after"}))
    assert done["buildStatus"] == "FAILED"
    assert phases(done)[phase.upper()] == "FAILED"
    assert "BUILD" not in phases(done)
    assert "POST_BUILD" not in phases(done)


def test_exit_keeps_exported_variables(build: Callable[..., dict[str, Any]]) -> None:
    done = build(spec(exports="A, B", build="export A=kept\nexit 7", post_build='export B="after $A"'))
    assert done["buildStatus"] == "FAILED"
    assert exported(done) == {"A": "kept", "B": "after kept"}


def test_finally_runs_after_failure(build: Callable[..., dict[str, Any]]) -> None:
    done = build("version: 0.2\nphases: {build: {commands: ['false'], finally: ['echo last']}}")
    assert done["buildStatus"] == "FAILED"
    assert "last" in log(done)


def test_command_cannot_read_the_next_one(build: Callable[..., dict[str, Any]]) -> None:
    done = build(spec(exports="READ", build="cat\nexport READ=next"))
    assert exported(done) == {"READ": "next"}


def test_output_is_streamed_and_logged(
    embedded: EmbeddedAws, build: Callable[..., dict[str, Any]], build_lines: list[tuple[str, str]]
) -> None:
    done = build(spec(build="echo out\necho err >&2"))
    assert {"out", "err"} <= set(log(done))
    assert (done["id"], "out") in build_lines
    events = embedded.client("logs").get_log_events(
        logGroupName=done["logs"]["groupName"], logStreamName=done["logs"]["streamName"]
    )["events"]
    assert done["logs"]["groupName"] == "/aws/codebuild/builder"
    assert "out" in [event["message"] for event in events]


def test_slow_build_times_out(build: Callable[..., dict[str, Any]]) -> None:
    done = build(spec(build="sleep 600"), timeoutInMinutesOverride=5)
    assert done["buildStatus"] == "TIMED_OUT"
    assert phases(done)["BUILD"] == "TIMED_OUT"


def test_stopped_build_leaves_no_process(embedded: EmbeddedAws, project: Make, eventually: Eventually) -> None:
    client = embedded.client("codebuild")
    name = project(spec(build="sleep 600 & echo pid $!\nsleep 600"))
    build_id = client.start_build(projectName=name)["build"]["id"]
    logs = embedded.builds.get(build_id)
    assert logs is not None
    process = eventually(lambda: next((int(line[4:]) for line in logs.logs.last_lines if line.startswith("pid ")), 0))
    stopped = client.stop_build(id=build_id)["build"]
    assert stopped["buildStatus"] == "STOPPED"
    assert stopped["buildComplete"]
    eventually(lambda: not alive(process))


def alive(process: int) -> bool:
    # A killed process remains as a zombie until its parent has waited for it.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


@pytest.mark.parametrize(
    ("buildspec", "code"), [("version: 0.2\nphases: {biuld: {}}", "YAML_FILE_ERROR"), ("{", "YAML_FILE_ERROR")]
)
def test_invalid_buildspec_fails_first(build: Callable[..., dict[str, Any]], buildspec: str, code: str) -> None:
    done = build(buildspec)
    assert done["buildStatus"] == "FAILED"
    assert done["phases"][-2]["phaseType"] == "DOWNLOAD_SOURCE"
    assert done["phases"][-2]["contexts"][0]["statusCode"] == code


def test_missing_source_fails_download(embedded: EmbeddedAws, project: Make, eventually: Eventually) -> None:
    name = project(spec(build="true"))
    embedded.client("s3").delete_object(Bucket="sources", Key="builder.zip")
    build_id = embedded.client("codebuild").start_build(projectName=name)["build"]["id"]
    done = eventually(lambda: finished(embedded, build_id))
    assert done["buildStatus"] == "FAILED"
    assert "sources/builder.zip cannot be read: NoSuchKey" in done["phases"][-2]["contexts"][0]["message"]


def test_token_starts_one_build(embedded: EmbeddedAws, project: Make) -> None:
    client = embedded.client("codebuild")
    name = project(spec(build="true"))
    first = client.start_build(projectName=name, idempotencyToken="t")["build"]["id"]
    assert client.start_build(projectName=name, idempotencyToken="t")["build"]["id"] == first
    with pytest.raises(ClientError) as error:
        client.start_build(projectName=name, idempotencyToken="t", timeoutInMinutesOverride=9)
    assert error.value.response["Error"]["Code"] == "InvalidInputException"
    assert client.list_builds_for_project(projectName=name)["ids"] == [first]


def test_overrides_are_build_s_own(embedded: EmbeddedAws, build: Callable[..., dict[str, Any]]) -> None:
    overrides = {
        "imageOverride": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci:1",
        "imagePullCredentialsTypeOverride": "SERVICE_ROLE",
        "computeTypeOverride": "BUILD_GENERAL1_XLARGE",
        "timeoutInMinutesOverride": 2160,
    }
    done = build(spec(exports="IMAGE", build='export IMAGE="$CODEBUILD_BUILD_IMAGE"'), **overrides)
    assert exported(done) == {"IMAGE": overrides["imageOverride"]}
    shown = {key: done["environment"][key] for key in ("image", "imagePullCredentialsType", "computeType", "type")}
    assert shown == {
        "image": overrides["imageOverride"],
        "imagePullCredentialsType": "SERVICE_ROLE",
        "computeType": "BUILD_GENERAL1_XLARGE",
        "type": "ARM_CONTAINER",
    }
    assert done["timeoutInMinutes"] == 2160
    [project] = embedded.client("codebuild").batch_get_projects(names=["builder"])["projects"]
    assert (project["environment"]["image"], project["environment"]["computeType"]) == ("any", "BUILD_GENERAL1_SMALL")


@pytest.mark.parametrize(
    "overrides",
    [
        {"computeTypeOverride": "BUILD_GENERAL1_HUGE"},
        {"computeTypeOverride": "MEDIUM"},
        {"computeTypeOverride": "BUILD_LAMBDA_1GB"},
        {"timeoutInMinutesOverride": 4},
        {"timeoutInMinutesOverride": 2161},
        {"imageOverride": " "},
        {"imagePullCredentialsTypeOverride": "MINE"},
        {"imageOverride": "aws/codebuild/standard:7.0", "imagePullCredentialsTypeOverride": "SERVICE_ROLE"},
    ],
    ids=str,
)
def test_impossible_override_starts_nothing(embedded: EmbeddedAws, project: Make, overrides: dict[str, Any]) -> None:
    name = project(spec(build="true"))
    client = loopback_session().client(
        "codebuild", endpoint_url=embedded.endpoint_url, config=Config(parameter_validation=False)
    )
    with pytest.raises(ClientError) as error:
        client.start_build(projectName=name, **overrides)
    assert error.value.response["Error"]["Code"] == "InvalidInputException"
    assert client.list_builds_for_project(projectName=name)["ids"] == []


def test_unknown_project_is_not_found(embedded: EmbeddedAws) -> None:
    with pytest.raises(ClientError) as missing:
        embedded.client("codebuild").start_build(projectName="missing")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_unknown_builds_are_listed(embedded: EmbeddedAws) -> None:
    answer = embedded.client("codebuild").batch_get_builds(ids=["a:b"])
    assert answer["builds"] == []
    assert answer["buildsNotFound"] == ["a:b"]


def test_build_reaches_embedded_aws(embedded: EmbeddedAws, build: Callable[..., dict[str, Any]]) -> None:
    embedded.client("ssm").put_parameter(Name="/p", Value="reached", Type="String")
    program = "import boto3; print(boto3.client('ssm').get_parameter(Name='/p')['Parameter']['Value'])"
    done = build(spec(exports="GOT", build="export GOT=$(python3 get.py)"), {"get.py": program})
    assert exported(done) == {"GOT": "reached"}, log(done)


def test_stopping_ends_running_builds(deploy_project: Callable[..., str], eventually: Eventually) -> None:
    with EmbeddedAws() as aws:
        name = deploy_project(aws, spec(build="echo pid $$\nsleep 600"))
        build_id = aws.client("codebuild").start_build(projectName=name)["build"]["id"]
        running = aws.builds.get(build_id)
        assert running is not None
        process = eventually(
            lambda: next((int(line[4:]) for line in running.logs.last_lines if line.startswith("pid ")), 0)
        )
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.parametrize("name", [name for name, ending in ENDINGS.items() if ending.phase])
def test_given_ending_names_its_phase(embedded: EmbeddedAws, project: Make, eventually: Eventually, name: str) -> None:
    builder, ending = project(spec(exports="OUTCOME", build="export OUTCOME=ran")), ENDINGS[name]

    def build() -> dict[str, Any]:
        started = embedded.client("codebuild").start_build(projectName=builder)["build"]["id"]
        return dict(eventually(lambda: finished(embedded, started)))

    embedded.builds.end_next_as(ending)
    done = build()
    assert done["buildStatus"] == ending.status
    described = {phase["phaseType"]: phase for phase in done["phases"]}
    failed = [phase for phase, found in described.items() if found.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED"]
    assert failed == [ending.phase]
    assert described[ending.phase]["durationInSeconds"] == ending.seconds
    contexts = described[ending.phase].get("contexts", [])
    assert contexts == ([{"statusCode": ending.code, "message": ending.message}] if ending.code else [])
    assert exported(done) == ({"OUTCOME": "ran"} if name == "upload-failed" else {})
    assert build()["buildStatus"] == "SUCCEEDED", "only one build is to end that way"


REPORT = "\nreports:\n  tests:\n    files: ['*.xml']\n    base-directory: made"


@pytest.mark.parametrize(("command", "status"), [("true", "FAILED"), ("mkdir made; touch made/a.xml", "SUCCEEDED")])
def test_declared_report_needs_file(build: Callable[..., dict[str, Any]], command: str, status: str) -> None:
    done = build(spec(exports="OUTCOME", build=command, post_build="export OUTCOME=Succeeded") + REPORT)
    assert done["buildStatus"] == phases(done)["UPLOAD_ARTIFACTS"] == status
    assert phases(done)["POST_BUILD"] == "SUCCEEDED"
    assert exported(done) == {"OUTCOME": "Succeeded"}
