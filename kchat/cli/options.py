"""The options that commands share, and how they become :class:`~kchat.config.settings.Settings`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from kchat.cli.param_types import SECONDS, SECONDS_OR_ZERO, TransportName
from kchat.cli.stderr import write_line
from kchat.config.settings import Settings
from kchat.errors import SettingsError
from kchat.transports import TRANSPORTS
from kchat.transports.tls import TlsOptions

F = TypeVar("F", bound=Callable[..., Any])


def _option(name: str, metavar: str | None, text: str, *short: str, **more: Any) -> Callable[[F], F]:
    """A decorator that adds ``--name``, which ``KCHAT_NAME`` sets too; without a metavar it is a switch."""
    value = {"is_flag": True} if metavar is None else {"metavar": metavar}
    variable = f"KCHAT_{name.upper().replace('-', '_')}"
    return click.option(f"--{name}", *short, help=text, **{"envvar": variable, **value, **more})


def _seconds(name: str, default: float, text: str, **more: Any) -> Callable[[F], F]:
    return _option(
        name, "SECONDS", text, **{"type": SECONDS, "default": default, "show_default": True, **more}
    )


COLOR = {"auto": None, "always": True, "never": False}
"""The values of :data:`color_option`, as displays take them."""


def complete_rooms(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """For ``shell_complete``: the rooms that are known here."""
    from kchat.cli.completion import rooms

    return rooms(context, incomplete)


def complete_profiles(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """For ``shell_complete``: the profiles."""
    from kchat.cli.completion import profiles

    return profiles(incomplete)


connect_timeout_option = _seconds("connect-timeout", 5.0, "Timeout for connecting.")
confirm_timeout_option = _seconds("confirm-timeout", 10.0, "Timeout for a confirmation.")
heartbeat_option = _seconds("heartbeat", 10.0, "Interval of heartbeats; 0 for none.", type=SECONDS_OR_ZERO)
username_option = _option("username", "NAME", "Your name.", "-u", show_default="profile's, else login name")
wait_option = _option("wait", None, "Instead of exiting, retry until a broker answers.")
verbose_option = click.option(
    "--verbose", "-v", is_flag=True, help="Also print the queue and each attempt to connect."
)
color_option = _option(
    "color",
    "WHEN",
    "auto, always or never.",
    type=click.Choice(list(COLOR)),
    default="auto",
    show_default=True,
)
utc_option = _option("utc", None, "Times in UTC.")
date_option = _option("date", None, "A date for each message.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print only errors on standard error.")

_PLACE = ("transport", "host", "port", "vhost", "project")
"""Options that name a broker by its parts."""

_TIMES = ("connect_timeout", "confirm_timeout", "heartbeat")

_BROKER = (
    _option(
        "room",
        "NAME",
        "The room.",
        "-r",
        show_default="profile's, else chat",
        shell_complete=complete_rooms,
    ),
    # Settings read KCHAT_PROFILE and KCHAT_URL themselves, each at its own rank.
    _option(
        "profile",
        "NAME",
        "Use a profile.",
        show_default="the one in use",
        envvar=None,
        shell_complete=complete_profiles,
    ),
    _option(
        "url",
        "URL",
        "Such as amqp://user@host:5672/vhost; ';' joins several.",
        show_default="profile's, else local://",
        envvar=None,
    ),
    _option("host", "HOST", "Host; ',' joins several."),
    _option("rmq-username", "ACCOUNT", "Account on the broker, not your name in the room."),
    click.option("--ask-password", "-W", is_flag=True, help="Ask for its password."),
    _option("rmq-password", "PASSWORD", "Its password; better in the environment."),
    _option("port", "N", "Port.", type=int, show_default="5672 on AMQP"),
    _option("vhost", "NAME", "Virtual host.", show_default="/"),
    _option(
        "transport", "KIND", f"One of: {', '.join(TRANSPORTS.built_in)}.", type=TransportName(TRANSPORTS)
    ),
    _option("project", "ID", "Google Cloud project, for Pub/Sub."),
    _option("tls", None, "Encrypt the connection."),
    _option("tls-ca", "FILE", "CAs to trust instead of the system's (PEM)."),
    _option("tls-cert", "FILE", "Your certificate (PEM)."),
    _option("tls-key", "FILE", "Its private key, if in another file."),
    _option("tls-pin", "sha256:HEX", "Trust only this server certificate (SHA-256)."),
    _option("tls-insecure", None, "Do not check the server's certificate (unsafe)."),
    connect_timeout_option,
)


def broker_options(function: F) -> F:
    """Add the options that name a room and its broker. Click hands them over as keyword arguments."""
    for option in reversed(_BROKER):
        function = option(function)
    return function


_TAKEN_BY_SERVER = ("host", "port", "tls-cert", "tls-key")
"""Options that mean the web server where there is one: the broker's have ``broker-`` in front."""


def broker_options_beside_server(function: F) -> F:
    """As :func:`broker_options_of_rooms`, for a command that is itself a server: ``--broker-host`` and so on."""

    def renamed(option: Callable[[F], F]) -> Callable[[F], F]:
        def decorate(decorated: F) -> F:
            decorated = option(decorated)
            added: click.Option = decorated.__click_params__[-1]  # type: ignore[attr-defined] # Click's
            if added.opts[0].removeprefix("--") in _TAKEN_BY_SERVER:
                added.opts[0] = f"--broker-{added.opts[0].removeprefix('--')}"
            return decorated

        return decorate

    for option in reversed(_BROKER[1:]):
        function = renamed(option)(function)
    return room_option(function)


class _RoomName(click.ParamType):  # type: ignore[type-arg]  # generic since Click 8.4 only
    """A room's name. A variable holds one, which may have spaces in it."""

    name = "room"
    envvar_list_splitter = "\0"


def _first_room(context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> str | None:
    """The first of several rooms, as a command with one has it; ``rooms`` are all, each once."""
    context.params["rooms"] = tuple(dict.fromkeys(given))
    return given[0] if given else None


room_option = _option(
    "room",
    "NAME",
    "The room; may be repeated.",
    "-r",
    show_default="profile's, else chat",
    shell_complete=complete_rooms,
    multiple=True,
    type=_RoomName(),
    callback=_first_room,
)
"""The room, once or more; the keyword argument ``rooms`` has all of them."""


def broker_options_of_rooms(function: F) -> F:
    """As :func:`broker_options`; the room's may be repeated, and there is a keyword argument ``rooms`` with all of them."""
    for option in reversed(_BROKER[1:]):
        function = option(function)
    return room_option(function)


def to_settings(**options: Any) -> Settings:
    """The typed value of :func:`broker_options`, and of the timeouts that a command has besides. Nothing is contacted.

    Raises:
        kchat.errors.SettingsError: they are not valid, or contradict each other.
    """
    refuse_misplaced_urls()
    settings = resolve(options, _ask_password)
    for broker in settings.brokers:
        by = broker.transport.urls.lowers_trust(broker) or ("--tls-insecure" if settings.tls.insecure else "")
        if by and broker.encrypted:
            write_line(f"kchat: warning: whether {broker} is the right server is not checked ({by})")
    return settings


def resolve(options: Mapping[str, Any], ask_password: Callable[[], str]) -> Settings:
    """As :func:`to_settings`, and nothing is said.

    Arguments:
        options: their values by their names.
        ask_password: called where ``--ask-password`` is given.
    """
    source = click.get_current_context().get_parameter_source
    given = {name: value for name, value in options.items() if source(name) is not ParameterSource.DEFAULT}
    typed = {name: value for name, value in given.items() if source(name) is ParameterSource.COMMANDLINE}
    profile = given.get("profile")
    if profile is not None and "rmq_username" in typed:
        raise SettingsError(
            f"the profile {profile!r} names the account, and so does --rmq-username",
            hint="leave one of them out",
        )
    # What is typed has priority over the environment, of which a profile takes nothing but the wish for TLS.
    place: dict[str, Any] = {name: (given if profile is None else typed).get(name) for name in _PLACE}
    if "rmq_username" in typed and not any(map(given.get, ("profile", "transport", "url", "project"))):
        # An account typed on the command line means a broker with a host; one in the environment only fills in.
        place["host"] = given.get("host", "localhost")
    asked = given.get("ask_password", False)
    password = ask_password() if asked else given.get("rmq_password")
    tls, profile_tls = _tls(given), _tls(typed)
    return Settings.resolve(
        url=given.get("url"),
        **place,
        account=given.get("rmq_username"),
        password=password,
        profile=profile,
        use_profile=True,
        profile_password=password if asked or "rmq_password" in typed else None,
        profile_tls=profile_tls if given.get("tls") or profile_tls else None,
        room=given.get("room"),
        tls=tls if given.get("tls") or tls else None,
        # What is typed or in the environment comes before the URL's, and that before the default.
        **{name: given[name] for name in _TIMES if name in given},
    )


def refuse_lone_room(settings: Settings, result: str) -> None:
    """Refuse a room that no other process can reach, and say what would come of it.

    Raises:
        kchat.errors.SettingsError: it is one.
    """
    if settings.transport.in_one_process:
        raise SettingsError(
            f"a {settings.broker.scheme}:// room ends with this process, so {result}", hint="it is for tests"
        )


def _tls(options: dict[str, Any]) -> TlsOptions:
    files = {name: options.get(f"tls_{name}") for name in ("ca", "cert", "key", "pin")}
    return TlsOptions(**files, insecure=options.get("tls_insecure", False))


_URL_OPTIONS = {
    *("url", "management_url", "address", "text", "template", "line_format", "rmq_password"),
    *("source", "target", "archive_name", "query"),
}
"""Options whose values may be URLs with an account, or are not shown as names."""


def refuse_misplaced_urls() -> None:
    """Refuse a URL with a password where a name belongs: everyone sees a room's name, for example.

    Raises:
        kchat.errors.SettingsError: there is one.
    """
    from kchat.config.masking import holds_password

    context = click.get_current_context()
    for option in context.command.params:
        value = context.params.get(str(option.name))
        values = [value, *(context.params.get("rooms") or ())] if option.name == "room" else [value]
        if not isinstance(option, click.Option) or option.name in _URL_OPTIONS:
            continue
        if any(isinstance(each, str) and "//" in each and holds_password(each) for each in values):
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
