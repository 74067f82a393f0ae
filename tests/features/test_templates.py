"""Templates: mined once, the same for any order, frozen, and only matched from then on."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lo2dask.errors import InputError, Lo2Error
from lo2dask.features import templates as module
from lo2dask.features.templates import UNSEEN, Templates, check_masks, mine_templates, readable, to_drain
from lo2dask.formats.lo2 import LO2
from lo2dask.formats.registry import FORMATS
from tests.examples import examples
from tests.formats.toys import TOY

HEAD = "DEBUG com.networknt.oauth.Handler doIt - "
MESSAGES = [
    *(f"{HEAD}user {name} logged in from <IP>" for name in ("anna", "bert", "carl")),
    *(f"{HEAD}token {name} expired" for name in ("a", "b", "c", "d")),
    *(f"ERROR com.networknt.Status <init> - code: ERR{n}, message {word}" for n in (12029, 10010) for word in "ab"),
    *(f"at io.undertow.server.{name}(Server.java:<NUM>)" for name in ("Connectors.run", "Http.run")),
    "", "x", "a_b c", "a_d c", "Caused by: java.sql.SQLException",
]  # fmt: skip


def test_order_and_repetition_change_nothing() -> None:
    wanted = mine_templates(MESSAGES)
    for seed in range(5):
        shuffled = random.Random(seed).sample(MESSAGES, len(MESSAGES)) + MESSAGES[:seed]
        assert mine_templates(shuffled) == wanted


def test_messages_of_one_statement_share_a_template() -> None:
    found, ids = mine_templates(MESSAGES)
    text = dict(zip(found.ids, map(readable, found.texts), strict=True))
    assert {text[ids[message]] for message in MESSAGES[:3]} == {f"{HEAD}user <*> logged in from <IP>"}
    assert {text[ids[message]] for message in MESSAGES[3:7]} == {f"{HEAD}token <*> expired"}
    assert len({ids[message] for message in MESSAGES[:7]}) == 2
    # Other errors and other places of the code are other templates.
    assert len({ids[message] for message in MESSAGES[7:11]}) == 2
    assert len({ids[message] for message in MESSAGES[11:13]}) == 2


def test_every_message_has_a_template_and_every_template_a_message() -> None:
    found, ids = mine_templates(MESSAGES)
    assert set(ids) == set(MESSAGES)
    assert set(ids.values()) == set(found.ids)


def test_a_saved_state_matches_the_same(tmp_path: Path) -> None:
    found, ids = mine_templates(MESSAGES)
    found.save(tmp_path / "templates.json")
    loaded = Templates.load(tmp_path / "templates.json")
    assert loaded == found
    assert loaded.match(MESSAGES) == [ids[message] for message in MESSAGES]


def test_what_is_new_is_unseen_and_nothing_is_learned() -> None:
    found, _ = mine_templates(MESSAGES)
    new = "WARN com.other.Logger warn - something else entirely happened here"
    assert found.match([new, new]) == [UNSEEN, UNSEEN]
    assert found.match([f"{HEAD}token zzz expired"]) != [UNSEEN]
    assert found.match([new]) == [UNSEEN]


@pytest.mark.parametrize("content", ["", "{}", '{"settings": {}, "ids": []}'])
def test_a_damaged_state_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "templates.json").write_text(content)
    with pytest.raises(InputError, match="enhance again"):
        Templates.load(tmp_path / "templates.json")
    with pytest.raises(InputError, match="enhance again"):
        Templates.load(tmp_path / "missing.json")


def test_masks_that_are_too_weak_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MESSAGES", 3)
    monkeypatch.setattr(module, "MOST_EVER", 100)
    with pytest.raises(Lo2Error, match=r"4 of 10 messages are still distinct[\s\S]*--mask-file[\s\S]*user 17"):
        check_masks(4, 10, ["user 17", "user 18"])
    check_masks(4, 100, [])
    with pytest.raises(Lo2Error, match="101 of 10,000 messages"):
        check_masks(101, 10_000, [])
    check_masks(3, 3, [])


def test_no_message_at_all() -> None:
    found, ids = mine_templates([])
    assert (found.ids, ids) == ((), {})
    assert found.match(["x"]) == [UNSEEN]


words = st.sampled_from(["user", "anna", "bert", "<NUM>", "ERR12029", "a_b", "é", "-", "code:"])
bodies = st.lists(words, min_size=1, max_size=6).map(" ".join)
sources = st.sampled_from(
    ["INFO  a.B c - ", "ERROR a.B c - ", "INFO  a.C <init> - ", "WARN a.B -", "at a.B.c(B.java:", ""]
)
statements = st.builds("{}{}".format, sources, bodies)


@examples(60)
@given(st.lists(statements, min_size=1, max_size=25))
def test_mining_does_not_depend_on_the_order(many: list[str]) -> None:
    found, ids = mine_templates(many)
    again, same = mine_templates(reversed(many))
    assert (found, ids) == (again, same)
    assert set(ids) == set(many)
    assert found.match(many) == [ids[message] for message in many]
    assert list(found.texts) == sorted(found.texts)
    assert found.ids == tuple(f"e{number}" for number in range(1, len(found.ids) + 1))


@examples(60)
@given(st.lists(statements, min_size=1, max_size=25))
def test_templates_never_join_two_statements_of_the_code(many: list[str]) -> None:
    _, ids = mine_templates(many)
    sources: dict[str, set[str]] = {}
    for message, name in ids.items():
        sources.setdefault(name, set()).add(" ".join(message[: LO2.find_source_end(message)].split()))
    assert all(len(own) == 1 for own in sources.values())


@examples(80)
@given(statements)
def test_a_message_alone_is_its_own_template(message: str) -> None:
    found, _ = mine_templates([message])
    assert readable(found.texts[0]).split() == message.replace("_", " ").split()


@given(bodies, st.sampled_from(["INFO", "FAIL"]))
def test_a_source_that_no_space_ends_reads_like_the_log(body: str, level: str) -> None:
    message = f"{level}|a.B|{body}"
    key, _, rest = to_drain(message, TOY).partition(" ")
    assert (key, rest) == (f"{level}|a.B|\x03", body)
    found, _ = mine_templates([message], TOY)
    assert readable(found.texts[0]) == message.replace("_", " ")
    assert to_drain(message) == message  # no source of LO2


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("INFO  a.B c - x y", "INFO\x01a.B\x01c\x01- x y"),
        ("INFO  a.B c -", "INFO\x01a.B\x01c\x01- "),
        ("ERROR a.B c - ERR12029 x", "ERROR\x01a.B\x01c\x01-\x02ERR12029 ERR12029 x"),
        ("at a.B(B.java 1)", "at\x01a.B(B.java\x011)"),
        ("FATAL a.B c - x", "FATAL a.B c - x"),
    ],
)
def test_what_drain_sees(message: str, wanted: str) -> None:
    assert to_drain(message) == wanted
    assert readable(wanted).split() == message.split()


def test_a_state_keeps_the_format_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = mine_templates(["INFO|a.B|x"], TOY)
    found.save(tmp_path / "templates.json")
    with pytest.raises(InputError, match="no line format is called 'toy'"):
        Templates.load(tmp_path / "templates.json")
    monkeypatch.setitem(FORMATS, TOY.name, TOY)
    assert Templates.load(tmp_path / "templates.json") == found
    plain = found.to_plain()
    del plain["format"]  # as states were written before there were formats
    assert Templates.from_plain(plain).line_format == LO2
