"""Print what is in an image as a CycloneDX 1.5 document: runs inside it, `python3 - IMAGE REVISION < sbom.py`.

Debian's packages from dpkg's records, Python's from their metadata, and the project itself. No clock, no serial number:
the same image gives the same bytes.
"""

import json
import sys
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import quote

DPKG = Path("/var/lib/dpkg/status")


def main() -> None:
    image, revision = sys.argv[1:]
    components = sorted([*debian(), *python()], key=lambda part: part["purl"])
    print(json.dumps({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "container", "name": image, "version": revision, "licenses": [{"license": {"id": "Apache-2.0"}}],
        }},
        "components": components,
    }, indent=1))  # fmt: skip


def debian():
    """Installed packages; their licences are in /usr/share/doc/<package>/copyright."""
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    distro = system["ID"].strip('"')
    for record in DPKG.read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in record.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            name, version = fields["Package"], fields["Version"]
            purl = f"pkg:deb/{distro}/{name}@{quote(version)}?arch={fields['Architecture']}"
            yield {"type": "library", "name": name, "version": version, "purl": purl}


def python():
    for package in distributions():
        name, version = package.metadata["Name"], package.version
        part = {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{quote(version)}",
        }
        licence = package.metadata.get("License-Expression")
        if licence:
            part["licenses"] = [{"expression": licence}]
        elif package.metadata.get("License"):
            part["licenses"] = [{"license": {"name": package.metadata["License"].splitlines()[0][:200]}}]
        yield part


main()
