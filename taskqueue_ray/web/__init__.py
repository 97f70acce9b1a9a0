"""The web application: pages for people, `/api/v1` for programs. `create_app` makes it."""

from taskqueue_ray.web.app import create_app as create_app
from taskqueue_ray.web.options import WebOptions as WebOptions
