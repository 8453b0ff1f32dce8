from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.builds.causes import explain
from kiro_worker.builds.description import BuildDescription, Phase
from kiro_worker.models import BuildResult

AS_CAUSE = {
    "Id": "kiro-worker-test:1",
    "Arn": "arn:b",
    "BuildStatus": "FAILED",
    "ProjectName": "kiro-worker-test",
    "Logs": {"DeepLink": "https://log"},
    "Phases": [
        {"PhaseType": "SUBMITTED", "PhaseStatus": "SUCCEEDED", "DurationInSeconds": 0},
        {
            "PhaseType": "PROVISIONING",
            "PhaseStatus": "FAILED",
            "DurationInSeconds": 7,
            "Contexts": [{"StatusCode": "CLIENT_ERROR", "Message": "no image"}, {"StatusCode": "", "Message": ": "}],
        },
        {"PhaseType": "COMPLETED", "StartTime": 1790000000000},
    ],
    "Environment": {
        "Image": "acme/image:1",
        "ComputeType": "BUILD_GENERAL1_SMALL",
        "EnvironmentVariables": [{"Name": "EXECUTION_ARN", "Value": "arn:e", "Type": "PLAINTEXT"}],
    },
    "Source": {"Location": "assets/worker.zip"},
    "TimeoutInMinutes": 60,
    "QueuedTimeoutInMinutes": 30,
    "ExportedEnvironmentVariables": [{"Name": "OUTCOME", "Value": "TestsFailed"}],
}


def camel(value: Any) -> Any:
    """As boto3 returns it, with times as objects."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: camel(item) for key, item in value.items()}
    if isinstance(value, list):
        return [camel(item) for item in value]
    return datetime.datetime.now(datetime.UTC) if isinstance(value, int) and value > 10**12 else value


def test_cause_and_api_describe_same_build() -> None:
    described = BuildDescription.from_cause(json.dumps({"Build": AS_CAUSE}))
    assert described == BuildDescription.from_api(camel(AS_CAUSE))
    assert described is not None
    assert described.failed_phase == Phase("PROVISIONING", "FAILED", 7, "CLIENT_ERROR: no image")
    assert (described.image, described.timeout_minutes, described.queue_timeout_minutes) == ("acme/image:1", 60, 30)
    assert described.exported("OUTCOME") == "TestsFailed"
    assert described.started_with(EXECUTION_ARN="arn:e")
    assert not described.started_with(EXECUTION_ARN="arn:other")
    assert BuildResult.from_description(described).stopping_outcome == "TestsFailed"


@pytest.mark.parametrize("length", range(0, len(json.dumps({"Build": AS_CAUSE})), 37))
def test_truncated_cause_describes_nothing(length: int) -> None:
    assert BuildDescription.from_cause(json.dumps({"Build": AS_CAUSE})[:length]) is None


def keys(value: Any) -> set[str]:
    """Every key in ``value``, at any depth."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (set(value) if isinstance(value, dict) else set()).union(*map(keys, inner))


KEYS = st.sampled_from(sorted(keys(AS_CAUSE)))
# Few and shallow values, because a build is read part by part.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(AS_CAUSE)), JSON, max_size=4))
def test_strange_build_is_read_and_explained(build: Any) -> None:
    described = BuildDescription.from_cause(json.dumps({"Build": {**build, "Id": "b:1"}}))
    assert described is not None
    assert explain(described).text
    BuildResult.from_description(described)
