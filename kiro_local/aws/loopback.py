"""moto's own requests stay inside: the state machine interpreter's clients talk to the embedded server and to
nobody else.
"""

from __future__ import annotations

from typing import Any

from moto.core.base_backend import AccountSpecificBackend
from moto.stepfunctions.parser.asl.utils import boto_client

from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import Clients, loopback_session

_ORIGINAL_CLIENT_FOR = boto_client.boto_client_for


def install(replacements: Replacements, clients: Clients) -> None:
    """Replaces ``boto_client_for`` in all of ``moto.stepfunctions.parser``: moto makes a new client a call,
    at the port that an environment variable names. Replaces ``AccountSpecificBackend.get_session``, which
    would read the owner's AWS profile.
    """

    def boto_client_for(region: str, service: str, state_credentials: Any = None) -> Any:
        return clients.get(service)

    replacements.set_everywhere("moto.stepfunctions", "boto_client_for", _ORIGINAL_CLIENT_FOR, boto_client_for)
    session = loopback_session()
    replacements.set(AccountSpecificBackend, "get_session", classmethod(lambda _cls: session))
