from clew.explain.explainers.phrases import MARK, phrases
from tests.explain.known import known, unit
from tests.explain.reader import perfect
from tests.readings.asking.scripted import scripted


def asked(**options):
    asks = perfect()
    (prose,) = phrases(known().firings, [unit("months")], known().table, asks=asks, **options)[unit("months")]
    assert prose.text == "months"
    return asks.answers.asked[0].messages


def test_it_is_shown_the_strongest_tokens_and_those_that_follow():
    task, *_, last = asked(examples=4)
    fires, follows, _, *texts = last.content.split("\n")
    assert MARK in task.content and fires.startswith('Fires on: "') and fires.count('"') == 8
    assert follows.startswith('Followed by: "') and len(texts) == 4 and all("<<" in text for text in texts)


def test_what_is_promoted_is_shown_where_it_is_known():
    assert 'Makes more likely: " the", " of"' in asked(promoted={unit("months"): [" the", " of"]})[-1].content
    assert "Makes more likely" not in asked(promoted={"resid.9/9": [" x"]})[-1].content


def test_a_bare_label_is_taken_and_rambling_is_not():
    def first(said):
        asks = scripted(lambda q: said)
        return phrases(known().firings, [unit("months")], asks=asks)[unit("months")][0].text, asks.count.unread

    assert first("names of months") == ("names of months", 0) and first('LABEL: "say and"') == ("say and", 0)
    assert first("Hm.\nI do not know.") == ("", 1)
