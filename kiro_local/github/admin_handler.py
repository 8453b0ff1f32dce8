"""The stand-in's own endpoints under ``/_stand_in/``: its faults, and the log of its requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kiro_local.github.base_handler import JSON_LIMIT
from kiro_local.github.faults import Fault, FaultKind

if TYPE_CHECKING:
    from kiro_local.github.base_handler import BaseHandler


def answer_admin(http: BaseHandler, resource: str) -> None:
    """Answer a request for ``faults`` or ``requests``."""
    raw = http.whole_body(JSON_LIMIT)
    backend = http.backend
    match http.command, resource:
        case "GET", "faults":
            http.send_json(200, [fault.to_dict() for fault in backend.faults.pending()])
        case "DELETE", "faults":
            backend.faults.clear()
            http.send_json(200, [])
        case "POST", "faults":
            _add_fault(http, raw)
        case "GET", "requests":
            http.send_json(200, [vars(request) for request in backend.requests])
        case _:
            http.send_json(404, {"message": "Not Found"})


def _add_fault(http: BaseHandler, raw: bytes) -> None:
    # A web page cannot send this content type to another origin without a preflight request.
    if http.headers.get_content_type() != "application/json":
        http.send_json(415, {"message": "the content type must be application/json"})
        return
    try:
        fault = Fault.from_dict(json.loads(raw))
    except (ValueError, TypeError, AttributeError) as error:
        http.send_json(400, {"message": str(error), "kinds": [str(kind) for kind in FaultKind]})
        return
    http.backend.faults.add_fault(fault)
    http.send_json(201, fault.to_dict())
