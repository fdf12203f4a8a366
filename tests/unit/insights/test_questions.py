"""Questions that differ in wording alone have one key, those that differ in the matter do not."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.insights.questions import MAX_TOKENS, key

NEAR = [
    ["Wie lange dauert die Lieferung?", "wie LANGE dauert denn eine lieferung???", "Lieferung dauert wie lange"],
    ["Ist eine Rückgabe möglich?", "ist eine rueckgabe moeglich", "Rückgabe möglich"],
    ["Was kostet der Versand", "Was würde der Versand kosten?", "Hallo, was kostet der Versand bitte"],
    ["Passen die Größen?", "passen die Grössen", "Passen die Groessen?"],
    [
        "Do you ship to Austria?",
        "Hi! Don't you ship to Austria?",
        "Don\u2019t you ship to austria",
        "shipping to Austria",
    ],
    ["What does shipping cost?", "How much are the shipping costs", "what would the shipping cost, please?"],
    ["Wo ist meine Bestellung 4711-2231?", "wo ist meine Bestellung?", "Wo ist meine Bestellung 1234567"],
    ["Did you get my mail from ada@example.org", "did you get my mail from bob.b@example.com?"],
    ["Qué talla", "que talla?"],
]
APART = [
    "Wo ist meine Bestellung?",
    "Wann kommt meine Bestellung?",
    "Was kostet der Versand?",
    "iPhone 15",
    "iPhone 16",
    "Artikel AB12345",
    "Artikel AB12346",
]
SMALL_TALK = [
    "",
    "ok",
    "Danke!",
    "ja bitte",
    "Hello, how are you?",
    "???",
    "👍",
    "12345678",
    "thank you very much",
]

words = st.sampled_from(
    ["lieferung", "Österreich", "return", "policy", "grün", "size", "42", "zahlung", "straße", "coupon", "coupons"]
)
fillers = st.sampled_from(
    ["#12345", "a@b.example", "die", "DER", "bitte", "please", "can", "you", "Hallo", "für", "ist", "don't"]
)
separators = st.sampled_from([" ", "  ", ", ", "! ", " - ", "\n", "? ", "… "])


@pytest.mark.parametrize("questions", NEAR, ids=lambda questions: questions[0])
def test_near_duplicates_come_together(questions: list[str]) -> None:
    assert len({key(question) for question in questions}) == 1
    assert key(questions[0])


def test_different_matters_stay_apart() -> None:
    assert len({key(question) for question in APART}) == len(APART)


@pytest.mark.parametrize("text", SMALL_TALK)
def test_what_asks_for_nothing_has_no_key(text: str) -> None:
    assert key(text) is None


@pytest.mark.parametrize(
    "content",
    [
        {"text": "Wo ist mein Paket?"},
        [{"type": "text", "text": "Wo ist mein Paket?"}, {"type": "image", "url": "x"}],
    ],
)
def test_json_is_asked_for_its_text(content: object) -> None:
    assert key(content) == key("Wo ist mein Paket?")


@pytest.mark.parametrize("content", [None, 3, True, {}, [], {"text": None}, {"choice": "blue"}])
def test_json_without_text_has_no_key(content: object) -> None:
    assert key(content) is None


@given(st.text(max_size=300))
def test_any_text_has_a_short_key_of_plain_words_or_none(text: str) -> None:
    found = key(text)
    if found is not None:
        tokens = found.split(" ")
        assert tokens == sorted(set(tokens))
        assert 1 <= len(tokens) <= MAX_TOKENS
        assert not any(
            unicodedata.combining(sign) or sign != sign.casefold() for sign in unicodedata.normalize("NFKD", found)
        )


@given(st.lists(words, min_size=1, max_size=8), st.data())
def test_order_case_punctuation_and_fillers_do_not_matter(asked: list[str], data: st.DataObject) -> None:
    others = data.draw(st.permutations([*asked, *data.draw(st.lists(fillers, max_size=6))]))
    text = "".join(
        data.draw(st.sampled_from([word, word.upper(), word.title()])) + data.draw(separators) for word in others
    )
    assert key(text) == key(" ".join(asked))


@given(st.lists(words, min_size=1, max_size=5))
def test_saying_it_twice_says_no_more(asked: list[str]) -> None:
    assert key(" ".join([*asked, *asked])) == key(" ".join(asked))


@given(st.text(max_size=80))
def test_how_the_accents_are_encoded_does_not_matter(text: str) -> None:
    assert key(unicodedata.normalize("NFD", text)) == key(unicodedata.normalize("NFC", text))
