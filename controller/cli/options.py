"""Options that several commands share, so that they are spelt and explained alike everywhere."""

from pathlib import Path

import click

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The controller's data directory [HOMEPORT_DATA_DIR; /var/lib/homeport for root, else "
    "~/.local/share/homeport].",
)
cluster_option = click.option(
    "--cluster", default="default", show_default=True, metavar="NAME", help="The cluster to look at."
)
output_option = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or JSON in ECS's own shapes for scripts.",
)
listen_option = click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where the controller serves [HOMEPORT_LISTEN; 127.0.0.1:8480].",
)
allow_plain_http_option = click.option(
    "--allow-plain-http",
    is_flag=True,
    default=None,
    help="Serve beyond loopback without TLS: nothing then hides what is said.",
)
tls_option = click.option(
    "--tls",
    type=click.Choice(["off", "auto"]),
    help="auto: serve HTTPS with a certificate of an authority of the controller's own.",
)
tls_certificate_option = click.option(
    "--tls-certificate", metavar="FILE", help="Serve HTTPS with this certificate; it needs --tls-key."
)
tls_key_option = click.option("--tls-key", metavar="FILE", help="The private key of that certificate.")
tls_authority_option = click.option(
    "--tls-authority", metavar="FILE", help="What clients must trust for it, if it is no public one."
)
tls_name_option = click.option(
    "--tls-name",
    metavar="NAME,…",
    help="Names and addresses for the automatic certificate beside those of the machine.",
)
public_url_option = click.option(
    "--public-url",
    metavar="URL",
    help="The URL that agents and clients use, where it is not the one that they called.",
)
database_url_option = click.option(
    "--database-url",
    metavar="URL",
    help="SQLAlchemy URL of the store [HOMEPORT_DATABASE_URL; SQLite in the data directory].",
)
aws_profile_option = click.option(
    "--aws-profile",
    metavar="NAME",
    help="The AWS profile with which secrets are read and roles assumed; default is whatever the SDK finds "
    "[HOMEPORT_AWS_PROFILE; AWS is never asked].",
)
log_format_option = click.option(
    "--log-format", type=click.Choice(["text", "json"]), help="How log lines look."
)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="The least severe level that is logged.",
)
