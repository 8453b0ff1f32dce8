"""Keeps moto's own requests on loopback: its state machine interpreter calls only the embedded server."""

from __future__ import annotations

from typing import Any

from moto.core.base_backend import AccountSpecificBackend
from moto.stepfunctions.parser.asl.utils import boto_client

from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import Clients, loopback_session

_ORIGINAL_CLIENT_FOR = boto_client.boto_client_for


def install(replacements: Replacements, clients: Clients) -> None:
    """Replaces ``boto_client_for`` throughout ``moto.stepfunctions.parser``, which creates a new client for every call
    and takes the port from an environment variable, and ``AccountSpecificBackend.get_session``, which reads the user's
    AWS profile.
    """

    def boto_client_for(region: str, service: str, state_credentials: Any = None) -> Any:
        return clients.get(service)

    replacements.set_everywhere("moto.stepfunctions", "boto_client_for", _ORIGINAL_CLIENT_FOR, boto_client_for)
    session = loopback_session()
    replacements.set(AccountSpecificBackend, "get_session", classmethod(lambda _cls: session))
