from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.models import StepEvent
from kiro_worker.observability import MASK, holds_secret, redact, step
from tests.secret_shapes import KNOWN, SHAPES, WRAPS, Shown, survives, written

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "gho_0123456789abcdefghijABCDEFGHIJ012345",
        "ghs_0123456789abcdefghijABCDEFGHIJ012345",
        "github_pat_0123456789abcdefghij_ABCDEFGHIJ0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "ksk_0123456789abcdef",
    ],
)
def test_tokens_are_redacted_wherever_they_stand(secret: str) -> None:
    for text in (secret, f"token={secret},", f"https://x.example/?t={secret}", f"Authorization: Bearer {secret}"):
        assert secret not in redact(text)


def test_passwords_in_addresses_are_redacted_and_the_address_stays_readable() -> None:
    assert redact("fatal: https://git:hush@github.example/x.git") == "fatal: https://[redacted]@github.example/x.git"


@given(st.text(min_size=6), st.text(), st.text())
def test_the_very_values_never_survive_in_any_common_encoding(secret: str, before: str, after: str) -> None:
    encoded = secret.encode("utf-8", "replace")
    for form in (secret, quote(secret, safe="", errors="replace"), base64.b64encode(encoded).decode()):
        if form not in before + "[redacted]" + after and form not in redact(""):
            shown = redact(f"{before}{form}{after}", [secret])
            assert form not in shown or form in redact(before, [secret]) + "[redacted]" + redact(after, [secret])


AROUND = st.sampled_from(
    ["", " ", "token=", '"', "x ", "\n", "é•▸ ", "url: https://host.example/a ", "'", "(", "50% ", "\\\\"]
)


@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data(), before=AROUND, after=AROUND)
def test_no_secret_of_any_shape_survives(shape: str, data: st.DataObject, before: str, after: str) -> None:
    shown = data.draw(SHAPES[shape])

    output = redact(f"{before}{shown.text}{after}")

    assert not survives(shown, output)
    assert MASK in output


@given(KNOWN, WRAPS, WRAPS, AROUND, AROUND)
@example("p4ss/w0rd+of=the&worker", b"", b"", "", "")
@example('"\\\\"\\<&>%25\'/+ab', b"git:", b"\n", "", "")
def test_what_is_known_survives_in_no_encoding(
    secret: str, inner_before: bytes, inner_after: bytes, before: str, after: str
) -> None:
    for encoding, text in written(secret, inner_before, inner_after).items():
        output = redact(f"{before}{text}{after}", ["another-secret-of-ours", secret])
        known = text if encoding == "plain" else written(secret)[encoding].rstrip("=")
        assert secret not in output, encoding
        assert text not in output, encoding
        assert not survives(Shown(text, known[1:-1] if "base64" in encoding else known, 14), output), encoding
        assert holds_secret(text, [secret]), encoding


@given(st.text(max_size=300), st.lists(KNOWN, max_size=3))
def test_lines_may_come_one_by_one_or_all_at_once(text: str, secrets: list[str]) -> None:
    assert redact(text, secrets) == "\n".join(redact(line, secrets) for line in text.split("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "npm https://registry.example.org:443/@types/node",
        "git clone ssh://git@github.com/acme/shop.git",
        "see https://host.example/a and write to me@host.example",
        "basic authentication, bearer authorization, security token service",
        "e83c5163316f89bfbde7d9ab23ca2e25604af290 (HEAD -> main)",
        "The session token expired; the secret key is read from the vault",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redact(text, ["p4ss/w0rd+of=the&worker"]) == text


@pytest.mark.parametrize(
    "text", ["://a:" * 20_000, "://" * 30_000, "aws_secret_access_key = " * 5000, "\\\\" * 60_000, "%25" * 30_000]
)
def test_no_text_makes_it_slow(text: str) -> None:
    started = time.perf_counter()

    redact(text, ["p4ss/w0rd+of=the&worker", '\\\\\\"quoted\\\\\\', "%%%%%%%%%%"])

    assert time.perf_counter() - started < 5


@dataclass
class Context:
    aws_request_id: str = "request-1"
    function_name: str = "kiro-worker-test-validate-work-item"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:x"


@pytest.fixture(autouse=True)
def powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "validate_work_item")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "KiroWorker")


def call(run: Any) -> Any:
    event = {
        "executionArn": ARN,
        "redriveCount": 0,
        "executionInput": {},
        "state": "ValidateWorkItem",
        "document": {"item": {"id": "PVTI_1"}},
    }
    return step(run)(event, Context())  # type: ignore[arg-type]  # the parts of a context that are read


def test_every_line_says_which_execution_item_and_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(lambda event: {"state": event.state}) == {"state": "ValidateWorkItem"}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["begins", "ends"]
    for line in lines:
        assert (line["execution"], line["item"], line["step"]) == (ARN, "PVTI_1", "ValidateWorkItem")


def test_an_error_keeps_its_name_is_counted_and_loses_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(event: StepEvent) -> dict[str, Any]:
        raise WorkItemInvalid("the branch ghp_0123456789abcdefghij is missing", "push it")

    with pytest.raises(WorkItemInvalid, match="push it") as caught:
        call(refuse)
    output = capsys.readouterr().out
    assert "ghp_0123" not in str(caught.value) + output
    metric = next(line for text in output.splitlines() if "_aws" in (line := json.loads(text)))
    assert (metric["WorkItemInvalid"], metric["step"]) == ([1.0], "ValidateWorkItem")
