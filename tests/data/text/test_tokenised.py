import numpy as np

from clew.data.text.tokenised import Tokenised
from clew.firings import Held


def test_each_piece_once_and_its_documents():
    text = Tokenised.of([["a", " b"], ["a"]])
    assert text.pieces == ("a", " b") and text.kinds.tolist() == [0, 1, 0]
    assert text.documents.tolist() == [0, 2, 3] and text.document.tolist() == [0, 0, 1] and len(text) == 3


def test_ids_that_read_alike_are_one_piece():
    text = Tokenised.read(Held(np.array([7, 9, 8]), [0, 3], {7: "a", 8: "a"}, {}))
    assert text.pieces == ("a", "<9>") and text.kinds.tolist() == [0, 1, 0]


def test_documents_of_one_text_are_in_one_part_wherever_they_stand():
    one, two = (Tokenised.of(d) for d in ([["a", "b"], ["c"], ["a", "b"]], [["c"], ["x"], ["b", "a"], ["a", "b"]]))
    assert one.parts(3, 1, 1)[0] == one.parts(3, 1, 1)[2] == two.parts(3, 1, 1)[3]
    assert one.parts(3, 1, 1)[1] == two.parts(3, 1, 1)[0]


def test_parts_are_about_as_large_as_their_shares():
    parts = Tokenised.of([[str(i)] for i in range(2000)]).parts(3, 1, 1)
    assert np.allclose(np.bincount(parts) / 2000, (0.6, 0.2, 0.2), atol=0.04)


def test_a_text_without_tokens():
    text = Tokenised.of([])
    assert len(text) == 0 and text.parts(1, 1).tolist() == []


def test_windows_of_a_document_are_in_one_part_and_no_token_looks_beyond_its_own():
    firings = Held(np.arange(60), np.arange(0, 61, 6), {}, {})
    firings.windows = np.arange(0, 61, 2)
    text = Tokenised.read(firings)
    assert len(text.parts(1, 1)) == 30 and (text.parts(1, 1).reshape(10, 3) == text.parts(1, 1)[::3, None]).all()
    assert text.group.tolist() == np.repeat(np.arange(1, 11), 6).tolist() and text.document[2] == 1
