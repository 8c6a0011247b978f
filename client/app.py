"""The ClientApp of an institution: `client.answers` for the patients of the site's own file."""

from client.answers import build_client_app
from client.site_file import site_from_node_config

app = build_client_app(site_from_node_config)
