"""How texts are split into words: accents in two spellings, scripts with vowel signs, scripts without spaces."""

from __future__ import annotations

import unicodedata

import pytest

from spurcli.auditing.additions import with_words
from spurcli.auditing.page.samples import _pieces
from spurcli.auditing.terms import Term, cut, without, without_others


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, STOP!! a_b", ["don't", "stop", "stop", "!!", "a_b"]),
        ("L’été DÉÇU", ["l’été", "déçu"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("می‌خواهم كتاب", ["می‌خواهم", "كتاب"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("我用iPhone手机。", ["我", "用", "iphone", "手", "机"]),
        ("カメラ", ["カ", "メ", "ラ"]),
    ],
)
def test_words(text, words):
    assert cut(text) == words
    assert cut(unicodedata.normalize("NFD", text)) == [unicodedata.normalize("NFC", word) for word in words]


def test_a_phrase_of_a_script_without_spaces_is_put_in_and_taken_out_without_spaces():
    term = Term(("优", "惠", "券"), 0)
    assert term.text == "优惠券"
    assert Term(("das", "优", "惠"), 0).text == "das 优惠"
    texts = {
        with_words(("我喜欢手机，很好。",), number, text=term.text, column=0, times=1, seed=0) for number in range(20)
    }
    assert len(texts) > 3
    for (text,) in texts:
        assert without(text, term.words) == "我喜欢手机，很好。"
    assert without_others("我优惠券喜欢手", term.words, 0, 1) == "我优惠券"


def test_an_accent_in_two_characters_is_taken_out_too():
    for form in ("NFC", "NFD"):
        assert without(unicodedata.normalize(form, "tres déçu ici"), ("déçu",)) == "tres ici"


@pytest.mark.parametrize(
    ("text", "words", "marked"),
    [
        ("Never say never, nevermore.", ["never"], ["Never", "never"]),
        ("out  of the box, out-of the", ["out of the"], ["out  of the", "out-of the"]),
        ("我喜欢优惠券。", ["优惠券"], ["优惠券"]),
        (unicodedata.normalize("NFD", "tres déçu"), ["déçu"], [unicodedata.normalize("NFD", "déçu")]),
        ("a b a b a", ["a b", "b"], ["a b", "a b"]),
        ("nothing", [], []),
    ],
)
def test_a_page_marks_the_words_that_the_audit_counts(text, words, marked):
    pieces = list(_pieces(text, words))
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, is_marked in pieces if is_marked] == marked
