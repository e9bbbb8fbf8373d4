from clew.apps.studio.openapi import FILE, text


def test_the_file_of_which_types_are_made_is_as_the_routes_are():
    renew = "python -m clew.apps.studio.openapi"
    assert FILE.read_text(encoding="utf-8") == text(), (
        f"web/openapi.json is out of date; renew it by {renew}, then npm run types"
    )
