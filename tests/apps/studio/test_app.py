def test_the_page_and_what_it_loads_are_served_and_nothing_else(client):
    assert client.get("/").text.startswith("<!doctype html>")
    assert client.get("/studio.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/studio.css").status_code == 200
    for name in ("/sources.sha256", "/page.py", "/api/nothing", "/docs"):
        assert client.get(name).status_code == 404


def test_a_wrong_request_is_answered_with_a_sentence(client):
    found = client.post("/api/prompt", json={"view": "x", "text": 3})
    assert (found.status_code, found.json()) == (400, {"error": "body.text: Input should be a valid string (given: 3)"})
    assert (
        "body.more is no field"
        in client.post("/api/prompt", json={"view": "x", "text": "a", "more": 1}).json()["error"]
    )
    assert client.post("/api/prompt", json={"view": "x", "text": "a"}).status_code == 404
