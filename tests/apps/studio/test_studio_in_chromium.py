"""The studio as a person meets it: in a real browser, over the real server, with a small model."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from clew.circuits.circuit import Circuit
from clew.labels import Labels
from clew.report import Report, Row
from tests.apps.atlases import HOSTILE, atlas
from tests.apps.studio.conftest import KEY, KEYS, MODEL, NUMBER
from tests.stage import ASKED as CAPITAL
from tests.stage import CAPITALS, ORDINARY, dictionary

NEURONS = f"model={MODEL}&units=neurons&sites=neuron.1"
FEATURES = f"model={MODEL}&units=features&through=sae.safetensors"
FRANCE = "neuron.1/0"
"""The neuron without which the model does not know the capital of France."""
ASKED = "The capital of France is"
CONTROLS = ("button", "link", "textbox", "combobox", "radio", "checkbox", "slider", "searchbox")
VIEWS = (
    "start",
    "circuit?path=number.json",
    f"unit?{NEURONS}&address={FRANCE}",
    f"prompt?{NEURONS}&text={ASKED}",
    f"change?{NEURONS}",
    "verify",
    "verify?path=number.report.json",
    "runs",
)


def ask(page: Any) -> None:
    """Fill the first question in and send it."""
    page.get_by_role("combobox", name="Model", exact=True).select_option(MODEL)
    page.get_by_role("radio", name="Neurons").check()
    page.get_by_role("combobox", name="Behaviour").select_option(NUMBER)
    page.get_by_text("Method and size").click()
    page.get_by_role("textbox", name="Keep the strongest").fill("8")
    page.get_by_role("checkbox", name="Also weigh the edges").uncheck()
    page.get_by_role("button", name="Find the circuit").click()


def test_an_empty_folder_asks_a_first_question_whose_circuit_comes(visit, empty):
    page = visit(empty).at()
    assert "Nothing has been found here yet" in page.locator("main").inner_text()
    ask(page)
    page.wait_for_url("**#circuit?path=*")
    page.get_by_role("heading", level=1).wait_for()
    found = [path for path in empty.glob("*.json") if json.loads(path.read_text()).get("format") == "clew circuit"]
    assert len(found) == 1
    assert len(json.loads(found[0].read_text())["nodes"]["unit"]) == 8


def test_the_whole_thread_from_an_empty_folder_to_what_a_unit_does(visit, empty):
    (empty / NUMBER).unlink()  # nothing but a model
    page = visit(empty).at()
    page.get_by_role("combobox", name="Model", exact=True).select_option(MODEL)
    page.get_by_role("radio", name="Heads").check()
    page.get_by_role("radio", name="Prompts of my own").check()
    for name, text in zip(
        ("Prompt", "What it answers", "The same with one thing changed", "What it answers there"),
        (*KEYS, *KEY),
        strict=True,
    ):
        page.get_by_role("textbox", name=name, exact=True).fill(text.strip())
    page.get_by_text("Method and size").click()
    page.get_by_role("checkbox", name="Also weigh the edges").uncheck()
    assert page.get_by_role("textbox", name="Save as").input_value() == "the-keys-to-the-small-heads"
    page.get_by_role("button", name="Find the circuit").click()
    page.wait_for_url("**#circuit?path=the-keys-to-the-small-heads.json")
    page.locator("#graph .node[tabindex='0']").press("Enter")
    page.get_by_role("button", name="Open the unit").click()
    page.get_by_role("heading", level=1, name="head.3/0").wait_for()
    page.get_by_role("link", name="Turn it off").click()
    page.get_by_text("head 0 of layer 3").wait_for()
    assert page.get_by_role("textbox", name="Prompt").input_value() == KEYS[0]  # that of the circuit
    page.get_by_role("textbox", name="Tokens to write").fill("1")
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("list", name="logit difference before and after").wait_for()
    before, after = (text.removeprefix(KEYS[0]) for text in page.locator(".written").all_inner_texts())
    assert before == KEYS[1] and after != before
    assert page.locator("datalist option").first.get_attribute("value") == "head.3/0"  # the units of the circuit
    page.get_by_role("button", name="The patch prompt").click()
    assert page.get_by_role("textbox", name="Prompt").input_value() == KEY[0]
    said = page.get_by_role("region", name="Before and after").inner_text()
    assert "1 prompt, " in said
    values = page.get_by_role("list", name="logit difference before and after").locator(".value b").all_inner_texts()
    assert len(values) == 2 and values[0] != values[1]


def test_the_folder_is_listed_by_kind_and_a_malformed_file_says_why(visit, folder):
    page = (one := visit(folder)).at()
    said = page.get_by_role("region", name="What is here").inner_text()
    for heading in ("Circuits", "Reports", "Edits", "Dictionaries", "Behaviours", "Models", "Cannot be read"):
        assert heading in said
    assert "cut.json is not JSON" in said
    page = one.at("circuit?path=cut.json")
    assert "cut.json is not JSON" in page.get_by_role("alert").inner_text()


def test_a_unit_shows_what_it_does_and_where_a_text_of_ones_own_fires(visit, folder):
    page = visit(folder).at(f"unit?{NEURONS}&address={FRANCE}")
    page.get_by_role("heading", level=1, name=FRANCE).wait_for()
    assert "Nobody has named it here" in page.locator("main").inner_text()
    page.get_by_role("textbox", name="Text").fill(ASKED)
    page.get_by_role("button", name="See where it fires").click()
    page.locator(".heat mark").first.wait_for()
    heat = {mark.inner_text().strip(): mark.get_attribute("title") for mark in page.locator(".heat mark").all()}
    assert "France" in heat


def test_a_unit_that_is_not_there_is_refused_beside_what_asked(visit, folder):
    page = (one := visit(folder)).at(f"unit?{NEURONS}&address=neuron.1/9999")
    assert "9999" in page.get_by_role("alert").inner_text()
    one.wrong.clear()  # a browser reports the status 400


def test_a_prompt_shows_what_fires_the_lens_and_a_pattern(visit, folder):
    page = visit(folder).at(f"prompt?{NEURONS}")
    page.get_by_role("textbox", name="Text").fill(ASKED)
    page.get_by_role("textbox", name="Text").press("Control+Enter")
    page.get_by_role("radio", name="3: France").click()
    assert FRANCE in page.get_by_role("table", name="Units that fire here").inner_text()
    assert "Paris" in page.get_by_role("table", name="The next token").inner_text()
    lens = page.get_by_role("region", name="The likeliest token by layer and position")
    assert "Paris" in lens.get_by_role("row").nth(1).inner_text()
    page.get_by_role("combobox", name="Layer").select_option("2")
    page.wait_for_url("**layer=2**")
    page.get_by_role("region", name="The attention pattern").get_by_role("button", name="is").click()
    page.get_by_text("looks at “France” (3)").wait_for()


def test_a_unit_off_changes_what_the_model_writes(visit, folder):
    page = visit(folder).at(f"change?{NEURONS}")
    page.get_by_role("textbox", name="Unit").fill(FRANCE)
    page.get_by_role("button", name="Add").click()
    page.get_by_role("textbox", name="Prompt").fill(ASKED)
    page.get_by_role("textbox", name="Tokens to write").fill("1")
    page.get_by_role("combobox", name="Also measure").select_option(NUMBER)
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("list", name="logit difference before and after").wait_for()
    before, after = (text.removeprefix(ASKED).strip() for text in page.locator(".written").all_inner_texts())
    assert before == "Paris"
    assert after != "Paris"
    page.get_by_role(
        "heading", level=3, name="on the patch prompts"
    ).last.wait_for()  # each comes as soon as it is known
    measured = page.get_by_role("region", name="Before and after").get_by_role("heading", level=3).all_inner_texts()
    assert [" on the patch prompts, " in heading for heading in measured if "held-out" in heading] == [False, True]
    page.get_by_role("textbox", name="Name").fill("no-france")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved as no-france.safetensors").wait_for()
    assert (folder / "no-france.safetensors").exists()
    assert FRANCE in page.url.replace("%2F", "/")


def test_edits_of_a_file_are_made(visit, folder):
    page = visit(folder).at("change?file=shift.safetensors&model=" + MODEL)
    assert "shift.safetensors as it is" in page.get_by_role("list").first.inner_text()


def test_a_report_is_drawn_with_its_intervals_and_notes(visit, folder):
    page = visit(folder).at("verify?path=number.report.json")
    page.get_by_role("heading", name="faithfulness").wait_for()
    assert page.get_by_role("list", name="faithfulness").get_by_role("listitem").count() == 1
    page.get_by_role("heading", name="What to know of these numbers").wait_for()
    page.get_by_role("heading", name="How this was made").wait_for()


def test_a_run_is_cancelled_and_keeps_the_command_that_repeats_it(visit, empty):
    page = visit(empty).at()
    ask(page)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Runs").click()
    run = page.get_by_role("article").first
    run.get_by_role("button", name="Cancel").click()
    run.get_by_text("cancelled", exact=True).wait_for()
    assert f"clew find {MODEL} {NUMBER}" in run.inner_text()
    run.get_by_role("button", name="Take off the list").click()
    page.get_by_text("Nothing has run yet").wait_for()


def test_the_whole_is_walked_by_keys_alone(visit, folder):
    page = visit(folder).at()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to what is shown"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for key, view in zip("234567", ("number in", "Unit", "Prompt", "Change", "Verify", "Runs"), strict=True):
        page.keyboard.press(key)
        page.get_by_role("heading", level=1, name=view).wait_for()
        page.locator("h1:focus").wait_for()
        assert page.title() == f"{page.locator('h1').inner_text()} – clew"
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.get_by_role("heading", level=1, name="Prompt").wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog", name="Keys").wait_for(state="hidden")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.matches('input, select, textarea')")


def test_every_control_has_a_name_and_views_have_their_landmarks(visit, folder):
    page = (one := visit(folder)).at()
    for view in VIEWS:
        one.at(view)
        page.wait_for_timeout(300)
        for role in ("banner", "main"):
            assert page.get_by_role(role).count() == 1
        assert page.get_by_role("navigation", name="Views").get_by_role("link").count() == 7
        assert page.locator("h1").count() == 1
        tree = page.locator("body").aria_snapshot()
        assert not [line for line in tree.splitlines() if line.strip(" -:") in CONTROLS], tree


def test_nothing_is_wider_than_a_phone(visit, folder):
    page = (one := visit(folder, viewport={"width": 390, "height": 844})).at()
    for view in VIEWS:
        one.at(view)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view


def test_a_first_question_stands_over_what_there_is_on_a_phone(visit, empty):
    page = visit(empty, viewport={"width": 390, "height": 844}).at()
    asked, held = (page.get_by_role("region", name=name).bounding_box() for name in ("A question", "What is here"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert asked["y"] + asked["height"] <= held["y"] and held["width"] > 300


def test_the_clock_of_a_run_goes_on_while_it_tells_nothing(visit, empty):
    page = (one := visit(empty)).page
    texts = dict.fromkeys(("result", "error", "left"))
    times = {"done": 0, "total": 1000, "seconds": 3.0, "started": 1.0}
    run = {"id": "a", "verb": "find", "title": "A search", "said": "opening the model", "command": "", "resumes": False}
    page.route("**/api/runs", lambda route: route.fulfill(json=[{**run, **texts, **times, "state": "running"}]))
    page.route("**/api/runs/events", lambda route: route.fulfill(content_type="text/event-stream", body=": quiet\n\n"))
    page.clock.install()
    one.at("runs")
    page.get_by_text("0 %, 3 s so far").wait_for()
    page.clock.run_for(30_000)
    page.get_by_text("0 %, 33 s so far").wait_for()


def test_shares_of_a_report_stand_on_one_scale_from_0_to_1_and_say_what_they_mean(visit, empty):
    rows = (Row("faithfulness", 0.855, 0.8, 0.9), Row("completeness", 0.125, 0.1, 0.15), Row("norm", 40.0, 30.0, 50.0))
    Report("a circuit", rows, ()).save(empty / "r.json")
    page = visit(empty).at("verify?path=r.json")
    lists = {name: page.get_by_role("list", name=name, exact=True) for name in ("faithfulness", "completeness", "norm")}
    spots = {name: found.locator("circle").bounding_box()["x"] for name, found in lists.items()}
    assert spots["completeness"] < spots["faithfulness"]
    ends = {name: found.locator(".ends text").all_text_contents() for name, found in lists.items()}
    assert ends == {"faithfulness": ["0", "1"], "completeness": ["0", "1"], "norm": ["0", "50"]}
    said = page.get_by_role("region", name="What was measured").inner_text()
    assert "1 is the whole model" in said and "0 is ideal" in said


def test_a_name_that_is_given_in_the_circuit_is_saved_and_leads_to_the_unit(visit, folder):
    page = visit(folder).at("circuit?path=number.json")
    node = page.locator("#graph .node[tabindex='0']")
    node.focus()
    node.press("Enter")
    page.get_by_role("button", name="Rename").first.click()
    page.get_by_role("textbox", name="Name of").fill("number of the subject")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_text("Saved in number.json").first.wait_for()
    labels = json.loads((folder / "number.json").read_text())["labels"]
    (address,) = (address for address, said in labels.items() if said[0]["text"] == "number of the subject")
    page.get_by_role("button", name="Open the unit").click()
    page.get_by_role("heading", level=1, name=address).wait_for()
    page.get_by_text("number of the subject").first.wait_for()
    page.get_by_role("link", name="number", exact=False).last.wait_for()
    page.get_by_role("textbox", name="Name", exact=True).fill("plural or singular")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("plural or singular").first.wait_for()
    assert "plural or singular" in (folder / "number.json").read_text()


def test_a_unit_opens_by_the_names_of_the_studio_though_these_come_late(visit, folder):
    page, held = (one := visit(folder)).page, list[Any]()
    page.route("**/api/about", lambda route: held.append(route))
    one.at("circuit?path=number.json")
    node = page.locator("#graph .node[tabindex='0']")
    node.focus()
    node.press("Enter")
    page.get_by_role("button", name="Open the unit").click()
    held[0].continue_()
    page.get_by_role("heading", level=1, name="resid.2/").wait_for()


def test_a_circuit_that_was_written_meanwhile_is_not_overwritten(visit, folder):
    page = (one := visit(folder)).at("circuit?path=number.json")
    node = page.locator("#graph .node[tabindex='0']")
    node.focus()
    text = (folder / "number.json").read_text()
    (folder / "number.json").write_text(text + "\n")
    node.press("Enter")
    page.get_by_role("button", name="Rename").first.click()
    page.get_by_role("textbox", name="Name of").fill("lost")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.get_by_role("alert").wait_for()
    assert "number.json" in page.get_by_role("alert").inner_text()
    assert "lost" not in (folder / "number.json").read_text()
    one.wrong.clear()  # a browser reports the status 409


def test_a_circuit_is_verified_from_its_page_and_the_report_opens(visit, folder):
    page = visit(folder).at("circuit?path=number.json")
    page.get_by_role("main").get_by_role("link", name="Verify").click()
    page.get_by_role("button", name="Measure").click()
    page.get_by_role("link", name="Open number.faithfulness").click()
    page.get_by_role("heading", name="faithfulness").first.wait_for()
    page.get_by_role("heading", name="How this was made").wait_for()


def test_two_circuits_are_held_side_by_side(visit, folder):
    (folder / "other.json").write_text((folder / "number.json").read_text())
    page = visit(folder).at("circuit?path=number.json")
    page.get_by_role("combobox", name="Compare with").select_option("other.json")
    page.wait_for_url("**with=other.json**")
    page.get_by_role("button", name="both", exact=True).wait_for()


SLOW = """addEventListener("hashchange", (event) => {
  if (!event.isTrusted) return;
  event.stopImmediatePropagation();
  setTimeout(() => dispatchEvent(new HashChangeEvent("hashchange")), 600);
});"""
"""The browser tells of a step late, as on a busy machine: after what is looked at was due to be written into the address."""


def held(studio, script):
    """The page of a circuit under a script, just when a node was held, which is still to be written into the address."""
    studio.page.add_init_script(script)
    page = studio.at("circuit?path=number.json")
    page.locator("#graph .node[tabindex='0']").press("Enter")
    return page


def test_a_step_to_another_view_is_not_undone_by_what_the_circuit_still_writes(visit, full):
    page = held(visit(full), SLOW)
    page.evaluate("location.hash = '#runs'")
    page.get_by_role("heading", level=1, name="Runs").wait_for(timeout=5000)
    assert page.evaluate("location.hash") == "#runs"


LATE = """const real = setTimeout;
window.late = [];
window.setTimeout = (then, wait, ...more) => {
  if (wait !== 250) return real(then, wait, ...more);
  document.documentElement.dataset.late = late.push(then);
};"""
"""What is due to be written into the address in a quarter of a second is not written until one says so; the page tells when
something is due. (The page's policy forbids what `wait_for_function` evaluates on its second try.)"""


def test_what_the_circuit_writes_too_late_is_not_written_into_another_view(visit, full):
    page = held(visit(full), LATE)
    page.locator("html[data-late]").wait_for(state="attached")
    page.evaluate("location.hash = '#runs'")
    page.get_by_role("heading", level=1, name="Runs").wait_for()
    page.evaluate("late.forEach((then) => then())")
    assert page.evaluate("location.hash") == "#runs"


IN_SIGHT = """(element) => {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}"""


def test_the_run_that_a_question_begins_comes_into_sight(visit, folder):
    studio = visit(folder, viewport={"width": 1000, "height": 700})
    studio.page.route("**/api/runs/events", lambda route: None)  # no news of it: it waits
    page = studio.at()
    ask(page)
    run = page.locator(".begun")
    run.wait_for()
    page.locator(".begun:focus").wait_for()
    assert run.evaluate(IN_SIGHT)
    assert run.get_by_role("progressbar").count() == run.get_by_role("button", name="Cancel").count() == 1


def test_verify_has_one_door_and_it_takes_the_circuit_along(visit, full):
    page = visit(full).at("circuit?path=number.json")
    page.locator("#graph .node").first.wait_for()
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Verify").click()
    page.get_by_role("heading", level=1, name="Verify").wait_for()
    page.locator("main form button.main:enabled").wait_for()
    for name, value in (("What is measured", "number.json"), ("On", NUMBER), ("Model", MODEL)):
        assert page.get_by_role("combobox", name=name, exact=True).input_value() == value
    assert page.get_by_role("radio", name="Features").is_checked()


def test_a_unit_without_an_index_shows_what_its_circuit_knows_and_an_index_can_be_made(visit, folder):
    capitals = [f"{CAPITAL.format(land)} {city}" for land, city in CAPITALS.items()]
    lines = [*ORDINARY, *capitals, f"{KEYS[0]} are old .", f"{KEY[0]} is old ."]
    (folder / "text.txt").write_text("\n\n".join(lines))
    (node, *_) = Circuit.load(folder / "number.json")
    address = node.address.partition("@")[0]
    page = visit(folder).at(f"unit?{FEATURES}&address={address}")
    fires = page.get_by_role("region", name="When it fires")
    fires.get_by_text("In the prompts of the circuit").wait_for()
    assert "key" in fires.locator(".chip").first.inner_text()
    assert "key" in fires.locator(".example mark").first.inner_text()
    assert fires.get_by_role("combobox", name="Text to read").input_value() == "text.txt"
    fires.get_by_role("button", name="Make an index").click()
    fires.get_by_role("img", name="firings from").wait_for()
    assert fires.locator(".histogram rect").count() >= 1
    assert fires.locator(".example mark").count() >= 1
    assert fires.get_by_role("button", name="Make an index").count() == 0
    near = page.get_by_role("region", name="Nearest units").get_by_role("link")
    near.first.click()
    page.wait_for_url(lambda url: address not in url.replace("%2F", "/"))


def test_a_method_that_does_not_suit_says_why_and_its_help_is_read_as_code(visit, folder):
    dictionary("resid.1", 76).save(folder / "lower.safetensors")
    page = visit(folder).at()
    page.get_by_text("Method and size").click()
    page.get_by_role("combobox", name="Model", exact=True).select_option(MODEL)
    method = page.get_by_role("combobox", name="Method")
    unfit = {option.inner_text() for option in method.locator("option:disabled").all()}
    assert {"eap: of components only", "edges: starts from a circuit", "causal tracing: starts from facts"} <= unfit
    assert page.locator(".hint code", has_text="steps").count() == 1
    page.get_by_role("radio", name="Components").check()
    method.select_option("eap")
    page.get_by_role("radio", name="Features").check()
    assert method.input_value() == ""  # what no longer suits is let go
    for name in ("sae.safetensors", "lower.safetensors"):
        page.get_by_role("checkbox", name=name).check()
    page.get_by_text("There are dictionaries at layers 1, 2.").wait_for()


def test_time_left_is_told_in_words(visit, empty):
    known = {"id": "a", "verb": "find", "title": "a search", "state": "running", "said": "at it", "command": "clew"}
    far = {"done": 300, "total": 1000, "seconds": 60.0, "left": 118.0, "started": 1.0, "resumes": False}
    run = {**known, **far, "result": None, "error": None}
    studio = visit(empty)
    studio.page.route("**/api/runs", lambda route: route.fulfill(json=[run]))
    studio.page.route("**/api/runs/events", lambda route: None)
    page = studio.at("runs")
    page.get_by_text("about 2 minutes left").wait_for()


def test_a_result_gets_the_name_that_it_is_given(visit, empty):
    page = visit(empty).at()
    page.get_by_role("combobox", name="Model", exact=True).select_option(MODEL)
    page.get_by_role("radio", name="Heads").check()
    page.get_by_role("combobox", name="Behaviour").select_option(NUMBER)
    assert page.get_by_role("textbox", name="Save as").input_value() == "number-small-heads"
    page.get_by_role("textbox", name="Save as").fill("mine")
    page.get_by_text("Kept as mine.json").wait_for()
    page.get_by_role("button", name="Find the circuit").click()
    page.wait_for_url("**#circuit?path=mine.json")
    assert (empty / "mine.json").exists()


def test_a_model_that_is_put_into_the_folder_is_offered_without_a_reload(visit, empty):
    page = visit(empty).at()
    shutil.copytree(empty / MODEL, empty / "another")
    page.get_by_role("combobox", name="Model", exact=True).focus()
    page.get_by_role("option", name="another", include_hidden=True).wait_for(state="attached")


def test_a_circuit_is_drawn_before_it_is_known_what_else_is_here(visit, full):
    studio = visit(full)
    studio.page.route("**/api/about", lambda route: None)
    studio.page.route("**/api/items", lambda route: None)
    page = studio.at("circuit?path=number.json")
    page.locator("#graph .node").first.wait_for()
    page.get_by_role("heading", level=1, name="number in").wait_for()


PICTURE = "<img src=x onerror=window.pwned=1>"
"""What would run if a text of a file became a part of the page."""


def hostile(folder: Path) -> str:
    """A circuit of that name, titles, labels, tokens and prompts, a behaviour and a malformed file; the circuit's file."""
    found = Circuit.load(folder / "number.json")
    units = sorted({node.address.partition("@")[0] for node in found})
    tables = {"top_tokens": {unit: [PICTURE] for unit in units}, "examples": {unit: [f"«{PICTURE}»"] for unit in units}}
    prompts = {"example": {"clean": PICTURE, "patch": PICTURE, "answers": [PICTURE], "patch_answers": [PICTURE]}}
    words = [PICTURE] * (1 + int(np.max(found.position)))
    made = {**found.provenance, "prompts": prompts, "behaviour": PICTURE, "method": PICTURE}
    more = found.with_details(title=PICTURE, metric=PICTURE, tokens=words, **tables)
    replace(more, labels=Labels.of(dict.fromkeys(units, PICTURE)), provenance=made).save(folder / f"{PICTURE}.json")
    shutil.copy(folder / NUMBER, folder / f"{PICTURE}.jsonl")
    (folder / f"{PICTURE}.report.json").write_text('{"format": "clew report", ')
    (folder / "text.txt").write_text(PICTURE)
    return f"{PICTURE}.json"


def test_what_files_hold_is_shown_as_text_and_never_run(visit, folder):
    path = hostile(folder)
    unit = Circuit.load(folder / path)[0].address.partition("@")[0]
    one = visit(folder)
    page = one.at()
    edits = json.dumps([{"kind": "zero", "address": unit}])
    for view, more in (
        ("start", {}),
        ("circuit", {"path": path}),
        ("circuit", {"path": path, "with": "number.json"}),
        ("unit", {"address": unit}),
        ("change", {"edits": edits, "prompt": PICTURE}),
        ("verify", {"claim": path}),
    ):
        one.at(f"{view}?{FEATURES}&{urlencode(more)}")
        page.get_by_text(PICTURE).first.wait_for(state="attached")
        if "with" in more:
            page.get_by_role("button", name="both", exact=True).wait_for()
        if view == "circuit":
            page.locator("#graph .node[tabindex='0']").press("Enter")
            page.locator("#card .label", has_text=PICTURE).first.wait_for()
        assert page.locator("img").count() == 0, view
        assert page.evaluate("window.pwned === undefined"), view


def test_an_atlas_is_browsed_its_circuits_open_and_what_was_chosen_is_there_again(visit, folder):
    atlas(8).save(folder / "found")
    (folder / "found" / "circuits").mkdir()
    shutil.copy(folder / "number.json", folder / "found" / "circuits" / "4.json")
    page = (one := visit(folder, viewport={"width": 390, "height": 844})).at()
    page.get_by_role("link", name="Behaviours of tiny").click()
    page.get_by_role("heading", level=1, name="Behaviours of tiny").wait_for()
    page.get_by_role("button", name=HOSTILE).click()
    assert page.get_by_role("article").get_by_role("heading", level=2).inner_text() == HOSTILE
    assert page.evaluate("document.documentElement.scrollWidth") <= 390 and page.locator("img").count() == 0
    tree = page.locator("body").aria_snapshot()
    assert not [line for line in tree.splitlines() if line.strip(" -:") in CONTROLS], tree
    page.wait_for_url("**id=4")
    page.get_by_role("link", name="Open the circuit").click()
    page.locator("#graph .node").first.wait_for()
    assert page.url.endswith("#circuit?path=found%2Fcircuits%2F4.json")
    page.go_back()
    assert page.get_by_role("article").get_by_role("heading", level=2).inner_text() == HOSTILE
    page = one.at("start")
    assert "found/circuits" not in page.get_by_role("region", name="What is here").inner_text()
