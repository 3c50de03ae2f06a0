"""``kchat certify``."""

from __future__ import annotations

from pathlib import Path

import click

from kchat.cli.help import Command
from kchat.cli.param_types import whole_number


@click.command(name="certify", cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="The broker's name or address for clients; can be repeated. localhost is always added.",
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="ACCOUNT",
    help="Make a client certificate for this account, too; can be repeated.",
)
@click.option(
    "--days",
    type=whole_number(1, 3650),
    metavar="N",
    default=825,
    show_default=True,
    help="Days that the certificates are valid.",
)
@click.option("--renew", is_flag=True, help="Replace existing certificates.")
def command(folder: Path, hosts: tuple[str, ...], clients: tuple[str, ...], days: int, renew: bool) -> int:
    """Make certificates in FOLDER for a broker with TLS, signed by a new CA.

    It writes ca.pem, ca-key.pem, server.pem and server-key.pem. Later, --client alone signs more client certificates with
    the same CA. Only you can read the private keys. Clients without ca.pem can trust the server by its pin (--tls-pin).

    \b
    Examples:
      kchat certify tls --host broker.example
      kchat certify tls --host 192.0.2.7 --client ada --days 90
      kchat certify tls --client bob                     # later, from the same CA
      docker compose -f compose/rabbitmq-tls.yml up -d   # a RabbitMQ with them
    """
    from kchat.hosting.certificates import make_client, make_server

    if hosts or not clients or not (folder / "server.pem").exists():
        made = make_server(folder, hosts, days=days, renew=renew)
        click.echo(f"server   {made.certificate}, key {made.key}")
        click.echo(f"         for {', '.join(made.names)}; until {made.until:%Y-%m-%d}")
        click.echo(f"CA       {made.ca}: give it to clients, for --tls-ca; or")
        click.echo(f"pin      {made.pin}: for --tls-pin")
    for name in clients:
        made = make_client(folder, name, days=days, renew=renew)
        click.echo(f"client   {made.certificate}, key {made.key}: for {name}'s --tls-cert and --tls-key")
    return 0
