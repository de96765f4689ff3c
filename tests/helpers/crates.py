"""What a validator of RO-Crates would fetch, from the package rocrate. Run by the validator's Python:
the archive, a folder for the cache; prints the issues.

The context is the one published with RO-Crate 1.1, which rocrate ships up to its release 0.14.
"""

import json
import sys
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import requests
from requests_cache import CachedSession
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate
from urllib3.response import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"


def fill(cache: Path) -> None:
    """Put the context into the cache of the validator."""
    content = files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
    assert json.loads(content)["@id"] == CONTEXT, "requirements-crate.lock has another rocrate"
    kind = {"Content-Type": "application/ld+json"}
    with CachedSession(str(cache), backend="sqlite") as session:
        for accept in ({}, {"Accept": "application/ld+json"}):
            response = requests.Response()
            response.request = session.prepare_request(
                requests.Request("GET", CONTEXT, headers=accept)
            )
            response.status_code, response.url = 200, CONTEXT
            response.headers.update(kind)
            response.raw = HTTPResponse(BytesIO(content), kind, 200, preload_content=False)
            response._content = content
            session.cache.save_response(response)


def main() -> None:
    archive, folder, profile, severity = sys.argv[1:]
    cache = Path(folder, "http")
    fill(cache)
    settings = ValidationSettings(
        rocrate_uri=archive,
        profile_identifier=profile,
        requirement_severity=Severity[severity],
        cache_path=cache,
        offline=True,
    )
    result = validate(settings)
    for issue in result.get_issues():
        print(f"{issue.severity.name} {issue.check.identifier}: {issue.message}")


if __name__ == "__main__":
    main()
