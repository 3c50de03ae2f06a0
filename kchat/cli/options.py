"""The options that commands share, and how they become :class:`~kchat.config.settings.Settings`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from kchat.cli.param_types import SECONDS, SECONDS_OR_ZERO, TransportName
from kchat.cli.stderr import speaker
from kchat.config import url_options
from kchat.config.settings import Settings
from kchat.config.tls import TlsOptions
from kchat.errors import SettingsError
from kchat.transports import TRANSPORTS

F = TypeVar("F", bound=Callable[..., Any])

_BROKER = (
    click.option(
        "--room",
        metavar="NAME",
        show_default="profile's, else chat",
        envvar="KCHAT_ROOM",
        help="The room.",
    ),
    # No `envvar` for these two: settings read KCHAT_PROFILE and KCHAT_URL themselves, each at its own rank.
    click.option(
        "--profile",
        metavar="NAME",
        show_default="the one in use",
        help="Use a profile.",
    ),
    click.option(
        "--url",
        metavar="URL",
        show_default="profile's, else local://",
        help="Such as amqp://user@host:5672/vhost; ';' joins several.",
    ),
    click.option("--host", metavar="HOST", envvar="KCHAT_HOST", help="Host; ',' joins several."),
    click.option(
        "--rmq-username",
        metavar="ACCOUNT",
        envvar="KCHAT_RMQ_USERNAME",
        help="Account on the broker, not your name in the room.",
    ),
    click.option("--ask-password", "-W", is_flag=True, help="Ask for its password."),
    click.option(
        "--rmq-password",
        metavar="PASSWORD",
        envvar="KCHAT_RMQ_PASSWORD",
        help="Its password; better in the environment.",
    ),
    click.option(
        "--port", type=int, metavar="N", show_default="5672 on AMQP", envvar="KCHAT_PORT", help="Port."
    ),
    click.option("--vhost", metavar="NAME", show_default="/", envvar="KCHAT_VHOST", help="Virtual host."),
    click.option(
        "--transport",
        type=TransportName(),
        metavar="KIND",
        envvar="KCHAT_TRANSPORT",
        help=f"One of: {', '.join(TRANSPORTS)}.",
    ),
    click.option(
        "--project", metavar="ID", envvar="KCHAT_PROJECT", help="Google Cloud project, for Pub/Sub."
    ),
    click.option("--tls", is_flag=True, envvar="KCHAT_TLS", help="Encrypt the connection."),
    click.option(
        "--tls-ca",
        metavar="FILE",
        envvar="KCHAT_TLS_CA",
        help="CAs to trust instead of the system's (PEM).",
    ),
    click.option("--tls-cert", metavar="FILE", envvar="KCHAT_TLS_CERT", help="Your certificate (PEM)."),
    click.option(
        "--tls-key", metavar="FILE", envvar="KCHAT_TLS_KEY", help="Its private key, if in another file."
    ),
    click.option(
        "--tls-pin",
        metavar="sha256:HEX",
        envvar="KCHAT_TLS_PIN",
        help="Trust only this server certificate (SHA-256).",
    ),
    click.option(
        "--tls-insecure",
        is_flag=True,
        envvar="KCHAT_TLS_INSECURE",
        help="Do not check the server's certificate (unsafe).",
    ),
)


def broker_options(function: F) -> F:
    """Add the options that name a room and its broker. Click hands them over as keyword arguments."""
    for option in reversed((*_BROKER, connect_timeout_option)):
        function = option(function)
    return function


def _seconds_option(name: str, default: float, text: str, *, zero: bool = False) -> Callable[[F], F]:
    """A decorator that adds an option ``--name`` with a number of seconds."""
    return click.option(
        f"--{name}",
        type=SECONDS_OR_ZERO if zero else SECONDS,
        default=default,
        show_default=True,
        metavar="SECONDS",
        envvar=f"KCHAT_{name.upper().replace('-', '_')}",
        help=text,
    )


connect_timeout_option = _seconds_option("connect-timeout", 5.0, "Timeout for connecting.")
confirm_timeout_option = _seconds_option("confirm-timeout", 10.0, "Timeout for a confirmation.")
heartbeat_option = _seconds_option("heartbeat", 10.0, "Interval of heartbeats; 0 for none.", zero=True)


def username_option(function: F) -> F:
    """Add ``--username``."""
    return click.option(
        "--username",
        metavar="NAME",
        envvar="KCHAT_USERNAME",
        show_default="profile's, else login name",
        help="Your name.",
    )(function)


def wait_option(function: F) -> F:
    """Add ``--wait``."""
    return click.option(
        "--wait",
        is_flag=True,
        envvar="KCHAT_WAIT",
        help="Instead of exiting, retry until a broker answers.",
    )(function)


def quiet_option(function: F) -> F:
    """Add ``--quiet``."""
    return click.option("--quiet", "-q", is_flag=True, help="Print only errors on standard error.")(function)


def to_settings(
    *,
    room: str | None,
    profile: str | None,
    url: str | None,
    transport: str | None,
    host: str | None,
    port: int | None,
    vhost: str | None,
    project: str | None,
    rmq_username: str | None,
    rmq_password: str | None,
    ask_password: bool,
    tls: bool,
    tls_ca: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_pin: str | None,
    tls_insecure: bool,
    connect_timeout: float,
    **more: Any,
) -> Settings:
    """The typed value of :func:`broker_options`. ``more`` goes to :meth:`~kchat.config.settings.Settings.resolve`.

    Raises:
        kchat.errors.SettingsError: they make no sense.
    """
    refuse_misplaced_urls()
    source = click.get_current_context().get_parameter_source
    typed = ParameterSource.COMMANDLINE
    if profile is not None:
        # What is typed beats what stands in the environment; two of them typed contradict each other.
        if source("rmq_username") is typed:
            raise SettingsError(
                f"the profile {profile!r} names the account, and so does --rmq-username",
                hint="leave one of them out",
            )
        transport, host, vhost, project = (
            value if source(name) is typed else None
            for name, value in (
                ("transport", transport),
                ("host", host),
                ("vhost", vhost),
                ("project", project),
            )
        )
        port = port if source("port") is typed else None
    elif transport is None and source("rmq_username") is typed and not (url or project):
        # An account typed on the command line means a broker with a host; one in the environment only fills in.
        host = "localhost" if host is None else host
    if "heartbeat" in more and source("heartbeat") is ParameterSource.DEFAULT:
        del more["heartbeat"]
    if ask_password:
        rmq_password = _ask_password()
    options = TlsOptions(ca=tls_ca, cert=tls_cert, key=tls_key, pin=tls_pin, insecure=tls_insecure)
    # Of the environment, a profile takes nothing but the wish for TLS.
    for_profile = TlsOptions(
        ca=tls_ca if source("tls_ca") is typed else None,
        cert=tls_cert if source("tls_cert") is typed else None,
        key=tls_key if source("tls_key") is typed else None,
        pin=tls_pin if source("tls_pin") is typed else None,
        insecure=tls_insecure and source("tls_insecure") is typed,
    )
    settings = Settings.resolve(
        url=url,
        transport=transport,
        host=host,
        port=port,
        vhost=vhost,
        username=rmq_username,
        password=rmq_password,
        project=project,
        profile=profile,
        profile_password=rmq_password if ask_password or source("rmq_password") is typed else None,
        profile_tls=for_profile if tls or for_profile else None,
        room=room,
        # What is typed or in the environment comes before the URL's, and that before the default.
        connect_timeout=connect_timeout if source("connect_timeout") is not ParameterSource.DEFAULT else None,
        tls=options if tls or options else None,
        **more,
    )
    for broker in settings.brokers:
        by = url_options.lowers_trust(broker) or ("--tls-insecure" if settings.tls.insecure else "")
        if by and broker.encrypted:
            speaker(quiet=False)(
                f"kchat: warning: whether {broker} is the right server is not checked ({by})"
            )
    return settings


_URL_OPTIONS = {"url", "management_url", "address", "text", "rmq_password"}
"""Options whose values may be URLs with an account, or are not names that are shown."""


def refuse_misplaced_urls() -> None:
    """Refuse a URL with a password where a name belongs: a room's name, say, is shown to everybody.

    Raises:
        kchat.errors.SettingsError: there is one.
    """
    from kchat.config.masking import holds_password

    context = click.get_current_context()
    for option in context.command.params:
        value = context.params.get(str(option.name))
        if not isinstance(option, click.Option) or option.name in _URL_OPTIONS or not isinstance(value, str):
            continue
        if "//" in value and holds_password(value):
            raise SettingsError(
                f"{max(option.opts, key=len)} takes a name, and was given a URL with a password",
                hint="the broker's URL goes to --url",
            )


def _ask_password() -> str:
    """The password, typed at the terminal; standard input may be the messages."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        raise SettingsError(
            "the password cannot be asked for without a terminal", hint="set KCHAT_RMQ_PASSWORD"
        ) from None
    return str(click.prompt("Password", hide_input=True, err=True))
