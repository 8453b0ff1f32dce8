from __future__ import annotations

from kiro_worker.runner.report.artifacts import ArtifactLocation


def test_location_can_use_build_id() -> None:
    environment = {"CODEBUILD_BUILD_ID": "kiro-worker-test:../5f2c", "ARTIFACTS_BUCKET_NAME": "b"}

    assert ArtifactLocation.from_environment(environment, None).url == "s3://b/runs/..-5f2c/1/"
