"""``kchat certify``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="certify", short_help="Make certificates for a broker with TLS.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Name or address by which clients reach the broker; may be repeated. localhost is always one of them.",
)
@click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="ACCOUNT",
    help="Make a client's certificate for this account too; may be repeated.",
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=825, show_default=True, help="How long they are valid."
)
@click.option("--renew", is_flag=True, help="Replace certificates that are there.")
def command(folder: Path, hosts: tuple[str, ...], clients: tuple[str, ...], days: int, renew: bool) -> int:
    """Make certificates in FOLDER for a broker with TLS, signed by a small CA of their own.

    It writes ca.pem, server.pem and server-key.pem, and ca-key.pem, by which more can be signed later: with --client
    alone, only those clients' certificates are made. Private keys are readable by you alone. The pin is what a
    client that has no ca.pem can trust the server by.

    \b
    Examples:
      kchat certify tls --host broker.example
      kchat certify tls --host 192.0.2.7 --client ada
      kchat certify tls --client bob                     # later, from the same CA
      docker compose -f compose/rabbitmq-tls.yml up -d   # a RabbitMQ with them
    """
    from kchat.hosting.certificates import make_client, make_server, require

    require()
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
