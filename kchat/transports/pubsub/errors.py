"""The one place where what Google's client raises becomes an AMQP error.

======================================  ====================================  ==========================
what happened                           raised                                can it pass by itself?
======================================  ====================================  ==========================
unreachable, connection lost            ``RecoverableConnectionError``        yes: connect again
no answer in time to a publish          :class:`PublishTimedOut`              yes
no credentials, or expired ones         :class:`NoCredentials` 530            no: log in
no permission                           ``AccessRefused`` 403                 no
no such topic or subscription           ``NotFound`` 404                      no: declare it
already there with other settings       ``PreconditionFailed`` 406            no
over a quota                            ``ResourceError`` 506                 yes, later
a message over the limit                ``ContentTooLarge`` 311               no
what Pub/Sub, or its emulator, lacks    :class:`NotSupported` 540             no
the driver is not installed             :class:`MissingDriver`                no: install it
======================================  ====================================  ==========================

Nothing of google is imported here: by the time that there is an error to translate, it has been.
"""

from __future__ import annotations

import re

from amqp.exceptions import (
    AccessRefused,
    AMQPError,
    InternalError,
    IrrecoverableChannelError,
    NotAllowed,
    NotFound,
    PreconditionFailed,
    RecoverableConnectionError,
    ResourceError,
)

LOGIN = "gcloud auth application-default login"
"""The command that gives a person's machine credentials (https://cloud.google.com/docs/authentication)."""

_TEXT_LIMIT = 300
_NETWORK = re.compile(r"connection|timed out|max retries|resolve", re.IGNORECASE)


class MissingDriver(ImportError):
    """google-cloud-pubsub is not installed; the text has the command that installs it."""

    def __init__(self) -> None:
        super().__init__(
            'google-cloud-pubsub is not installed; install it with: pip install "kombu-chat[pubsub]"'
        )


class NotSupported(IrrecoverableChannelError):
    """AMQP asks for what Pub/Sub, or the emulator that stands in for it, does not have."""

    code = 540


class NoCredentials(NotAllowed):
    """Google's client found no Application Default Credentials, or expired ones; the text has the command to run."""

    def __init__(self, reason: str) -> None:
        self.meaning = f"no usable Google Cloud credentials ({_short(reason)})"
        super().__init__(f"{self.meaning}; run: {LOGIN}")


class PublishTimedOut(RecoverableConnectionError):
    """The service did not answer a publish in time. The message may or may not have arrived."""


def is_transient(exc: BaseException) -> bool:
    """Whether the same call may succeed a moment later: what Google's own client retries, but for the time limit."""
    from google.api_core import exceptions as google
    from google.auth.exceptions import TransportError

    return isinstance(
        exc,
        (
            google.Aborted,
            google.InternalServerError,  # of INTERNAL
            google.ResourceExhausted,
            google.ServiceUnavailable,
            google.Unknown,
            TransportError,
        ),
    ) and not _is_about_credentials(str(exc))


def is_unreachable(exc: BaseException) -> bool:
    """Whether no connection to the service could be made, rather than that it answered badly."""
    from google.api_core import exceptions as google
    from google.auth.exceptions import TransportError

    return isinstance(exc, (google.ServiceUnavailable, TransportError))


def is_answer(exc: BaseException) -> bool:
    """Whether the service itself said this, to an account that it knows."""
    from google.api_core import exceptions as google

    if isinstance(exc, (google.DeadlineExceeded, google.Unauthenticated)) or is_unreachable(exc):
        return False
    return isinstance(exc, google.GoogleAPICallError)


def timed_out(exc: BaseException | None) -> bool:
    """Whether there was no answer in time."""
    from google.api_core import exceptions as google

    return isinstance(exc, google.DeadlineExceeded)


def is_there_already(exc: BaseException | None) -> bool:
    """Whether something was not created because it exists."""
    from google.api_core import exceptions as google

    return isinstance(exc, google.AlreadyExists)


def translate(exc: BaseException, doing: str) -> AMQPError:
    """An error of Google's client as the AMQP error that a caller can act on.

    Arguments:
        exc: what was raised by google-api-core, google-auth or gRPC.
        doing: what for, such as ``"publish to chat"``; the text begins with it.

    Returns:
        amqp.exceptions.AMQPError: see the table above.
    """
    import grpc  # type: ignore[import-untyped]  # it has no types
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    if isinstance(exc, AMQPError):
        return exc
    if isinstance(exc, grpc.RpcError):
        exc = google.from_grpc_error(exc)  # type: ignore[no-untyped-call]  # it has no types
    if isinstance(exc, google.RetryError) and exc.cause is not None:
        exc = exc.cause
    text = _short(getattr(exc, "message", None) or str(exc) or type(exc).__name__)
    refused = isinstance(exc, auth.GoogleAuthError) and not isinstance(exc, auth.TransportError)
    if refused or isinstance(exc, google.Unauthenticated) or _is_about_credentials(text):
        return NoCredentials(text)
    for kind, mapped in (
        (google.PermissionDenied, AccessRefused),
        (google.NotFound, NotFound),
        (google.AlreadyExists, PreconditionFailed),
        (google.MethodNotImplemented, NotSupported),
        (google.ResourceExhausted, ResourceError),
        (google.BadRequest, PreconditionFailed),  # INVALID_ARGUMENT and FAILED_PRECONDITION
        ((google.ServiceUnavailable, google.DeadlineExceeded, google.Cancelled), RecoverableConnectionError),
        ((google.Aborted, google.Unknown, google.InternalServerError), RecoverableConnectionError),
        (auth.TransportError, RecoverableConnectionError),
    ):
        if isinstance(exc, kind):
            return mapped(f"{doing}: {text}")
    return InternalError(f"{doing}: {type(exc).__name__}: {text}")


def _is_about_credentials(text: str) -> bool:
    """For gRPC, a token that could not be fetched is an unavailable service, whether network or account is to blame."""
    return "metadata from plugin failed" in text and not _NETWORK.search(text)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_LIMIT else line[: _TEXT_LIMIT - 1] + "…"
