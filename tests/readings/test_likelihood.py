"""What a model thinks of running text, against its own table."""

import pytest

from clew.readings.likelihood import documents, next_tokens, predictions
from tests.measures.bigram_model import ID, bigram_model, text


def test_running_text_is_predicted_where_it_counts():
    model = bigram_model({"of": {"France": 3.0}})
    windows = text(model, "the capital of France", "in Rome")
    (batch,) = windows.batches()
    assert next_tokens(batch).tolist() == [ID["capital"], ID["of"], ID["France"], ID["Rome"]]
    assert documents(batch).tolist() == [0, 0, 0, 1]
    row = predictions(model, batch)[2]
    assert float(row.exp().sum()) == pytest.approx(1.0) and int(row.argmax()) == ID["France"]
