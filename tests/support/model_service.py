"""The services behind the agents, on loopback: each answers every request alike, in its vendor's own form."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Answer(NamedTuple):
    """An answer of a service: its status and body."""

    status: int
    body: str
    content_type: str = "application/json"


def _json(status: int, document: Any) -> Answer:
    return Answer(status, json.dumps(document))


def _events(*events: tuple[str, dict[str, Any]]) -> Answer:
    text = "".join(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in events)
    return Answer(200, text, "text/event-stream")


def _anthropic(status: int, kind: str, message: str) -> Answer:
    return _json(status, {"type": "error", "error": {"type": kind, "message": message}})


def _openai(status: int, code: str, message: str) -> Answer:
    return _json(status, {"error": {"message": message, "type": code, "param": None, "code": code}})


def _google(status: int, name: str, message: str, *details: Any) -> Answer:
    return _json(status, {"error": {"code": status, "message": message, "status": name, "details": details}})


_OK_ANTHROPIC: Final = _events(
    (
        "message_start",
        {
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-5",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 1000, "output_tokens": 1},
            }
        },
    ),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "OK"}}),
    ("content_block_stop", {"index": 0}),
    ("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 5}}),
    ("message_stop", {}),
)
_SAID: Final = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "OK", "annotations": []}],
}
_OK_OPENAI: Final = _events(
    ("response.created", {"response": {"id": "resp_1", "status": "in_progress", "output": []}}),
    ("response.output_item.added", {"output_index": 0, "item": {**_SAID, "content": [], "status": "in_progress"}}),
    ("response.output_item.done", {"output_index": 0, "item": _SAID}),
    (
        "response.completed",
        {
            "response": {
                "id": "resp_1",
                "status": "completed",
                "output": [_SAID],
                "usage": {
                    "input_tokens": 40,
                    "input_tokens_details": {"cached_tokens": 0},
                    "output_tokens": 2,
                    "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": 42,
                },
            }
        },
    ),
)


def _google_answer(text: str) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 40, "candidatesTokenCount": 2, "totalTokenCount": 42},
        "modelVersion": "gemini-2.5-flash",
    }


_OK_GOOGLE: Final = _google_answer("OK")
_SIMPLE: Final = _google_answer('{"complexity_reasoning": "short", "complexity_score": 5}')
"""The answer to the Gemini CLI's own question which model the prompt needs."""

ANSWERS: Final = {
    ("claude", "works"): _OK_ANTHROPIC,
    ("claude", "key"): _anthropic(401, "authentication_error", "invalid x-api-key"),
    ("claude", "plan"): _anthropic(
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or"
        " purchase credits.",
    ),
    ("claude", "model"): _anthropic(404, "not_found_error", "model: no-such-model"),
    ("claude", "busy"): _anthropic(529, "overloaded_error", "Overloaded"),
    ("codex", "works"): _OK_OPENAI,
    ("codex", "key"): _openai(401, "invalid_api_key", "Incorrect API key provided: sk-xx."),
    ("codex", "plan"): _openai(
        429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details."
    ),
    ("codex", "model"): _openai(404, "model_not_found", "The model `no-such-model` does not exist."),
    ("codex", "busy"): _openai(429, "rate_limit_exceeded", "Rate limit reached for gpt-5. Please try again in 10s."),
    ("gemini", "works"): Answer(200, f"data: {json.dumps(_OK_GOOGLE)}\r\n\r\n", "text/event-stream"),
    ("gemini", "key"): _google(
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
    ),
    ("gemini", "plan"): _google(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}],
        },
    ),
    ("gemini", "model"): _google(404, "NOT_FOUND", "models/no-such-model is not found for API version v1beta."),
    ("gemini", "busy"): _google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}
"""What the service of an agent answers, by agent and case."""


class ModelService(NamedTuple):
    """A service that runs: its address, and the keys that requests carried."""

    url: str
    keys: list[str]


@contextmanager
def model_service(answer: Answer) -> Iterator[ModelService]:
    """Run a service that gives every request this answer."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = self.headers
            keys.append(headers.get("x-api-key") or headers.get("x-goog-api-key") or headers.get("Authorization") or "")
            status, body, content_type = answer
            if self.headers.get("Upgrade") and status == 200:
                # Without WebSockets, Codex sends the same request over HTTP.
                status, body = 426, "{}"
            content = body.encode()
            if ":generateContent" in self.path and status == 200:
                content, content_type = json.dumps(_SIMPLE).encode(), "application/json"
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_POST  # noqa: N815  # the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore clients that close their connection."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield ModelService(f"http://127.0.0.1:{server.server_port}", keys)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
