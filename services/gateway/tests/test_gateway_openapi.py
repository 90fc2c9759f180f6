"""The OpenAPI document: complete, true to its own examples, and always the same."""

import json
import os
import subprocess
import sys

import pytest

from gateway.openapi import documents
from gateway.schemas.examples import EXAMPLES


def operations(documented):
    for path, methods in documented.document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_every_operation_has_a_summary_an_example_in_every_body_and_the_error_body(documented):
    for name, operation in operations(documented):
        assert operation["summary"], name
        assert operation["description"], name
        assert {"401", "422", "503", "default"} <= set(operation["responses"]), name
        bodies = [*operation["responses"].values(), operation.get("requestBody", {})]
        for body in bodies:
            for media in body.get("content", {}).values():
                assert "example" in media, name
                documented.check(media["example"], media["schema"])


def test_every_error_answer_is_the_house_body_with_a_code_of_its_status(documented):
    for name, operation in operations(documented):
        for status, answer in operation["responses"].items():
            if status.isdecimal() and int(status) >= 400:
                media = answer["content"]["application/json"]
                assert media["schema"] == {"$ref": "#/components/schemas/ErrorBody"}, name
                assert f"`{media['example']['error']['code']}`" in answer["description"], name


def test_every_operation_demands_a_token(documented):
    for name, operation in operations(documented):
        assert operation["security"] == [{"HTTPBearer": []}], name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_example_belongs_to_a_body_and_fits_it(documented, name):
    documented.check(EXAMPLES[name], documented.document["components"]["schemas"][name])


def test_numbers_of_money_and_quantity_are_strings(documented):
    schemas = documented.document["components"]["schemas"]
    for schema in schemas.values():
        for field, value in schema.get("properties", {}).items():
            kinds = {one.get("type") for one in value.get("anyOf", [value])}
            assert "number" not in kinds, field


def test_the_document_is_the_same_in_every_process_and_needs_no_environment():
    code = "from gateway.openapi import documents; import sys; sys.stdout.write(documents()['openapi.json'])"
    environ = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "7", "PORT": "not a number"}
    made = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert made.stdout == documents()["openapi.json"]
    assert json.loads(made.stdout)["openapi"].startswith("3.1")
