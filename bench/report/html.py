"""Pages of one file: no request leaves them, and they follow a light or a dark screen."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from bench.report.colours import COLOURS


def render(package: str, template: str, **values: Any) -> str:
    """A template of `package`, which extends `base.html.j2` of this one.

    Its `gallery` (name -> data URI, width, height) becomes CSS variables.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("bench.report", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(colours=COLOURS, **({"gallery": {}} | values))
