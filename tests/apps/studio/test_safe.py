import pytest
from starlette.testclient import TestClient

from clew.apps.studio.app import app_of
from clew.apps.studio.safe import POLICY
from tests.apps.studio.conftest import ADDRESS

TOKEN = "a-long-enough-token"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Host": "evil.example"}, "is not this studio"),
        ({"Host": "127.0.0.1.evil.example:8765"}, "is not this studio"),
        ({"Host": "localhost:99999999"}, "is not this studio"),
        ({"Origin": "http://evil.example"}, "another site"),
        ({"Origin": "null"}, "another site"),
        ({"Origin": "https://127.0.0.1:8765"}, "another site"),
        ({"Sec-Fetch-Site": "cross-site"}, "Sec-Fetch-Site"),
        ({"Sec-Fetch-Site": "same-site"}, "Sec-Fetch-Site"),
    ],
)
def test_what_comes_from_elsewhere_is_refused(client, headers, says):
    found = client.get("/api/items", headers=headers)
    assert found.status_code == 403 and says in found.json()["error"]


def test_our_own_pages_may_ask(client):
    assert client.get("/api/items", headers={"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert client.get("/api/items", headers={"Host": "localhost:8765"}).status_code == 200
    assert client.get("/api/items", headers={"Host": "[::1]:8765"}).status_code == 200


def test_what_changes_something_needs_a_header_that_no_form_sends(client):
    assert client.delete("/api/views/none", headers={"X-Clew": ""}).status_code == 403
    assert client.delete("/api/views/none").status_code == 404


def test_large_requests_are_refused_whatever_they_say_of_their_size(client, desk):
    big = b'{"view": "' + b"x" * desk.limits.body + b'"}'
    assert client.post("/api/prompt", content=big).status_code == 413
    assert client.post("/api/prompt", content=iter([big[:100], big[100:]])).status_code == 413


def test_every_answer_says_what_a_page_may_do(client):
    for path in ("/", "/api/items", "/api/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY and headers["x-content-type-options"] == "nosniff"


def test_elsewhere_a_token_is_needed(desk):
    with pytest.raises(ValueError, match="token"):
        app_of(desk, host="0.0.0.0")
    with pytest.raises(ValueError, match="too short"):
        app_of(desk, host="0.0.0.0", token="short")
    client = TestClient(
        app_of(desk, host="0.0.0.0", token=TOKEN), base_url="http://192.168.0.7:8765", follow_redirects=False
    )
    assert client.get("/api/items").status_code == 403
    assert client.get("/api/items", headers={"Authorization": "Bearer wrong"}).status_code == 403
    assert client.get("/api/items", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/api/items", params={"token": TOKEN}).status_code == 403
    moved = client.get("/", params={"token": TOKEN})
    assert (moved.status_code, moved.headers["location"]) == (303, "/") and "HttpOnly" in moved.headers["set-cookie"]
    assert client.get("/api/items").status_code == 200  # by the cookie
    assert client.get("/api/items", headers={"Host": "evil.example"}).status_code == 403
