"""Templates: mined once, the same for any order, frozen, and only matched from then on."""

import random
from pathlib import Path

import pytest

from lo2dask.errors import InputError, Lo2Error
from lo2dask.features import templates as module
from lo2dask.features.templates import UNSEEN, Templates, check_masks, mine_templates, readable

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
    with pytest.raises(Lo2Error, match=r"4 of 10 messages are still distinct[\s\S]*--mask-file[\s\S]*user 17"):
        check_masks(4, 10, ["user 17", "user 18"])
    check_masks(4, 100, [])
    check_masks(3, 3, [])


def test_no_message_at_all() -> None:
    found, ids = mine_templates([])
    assert (found.ids, ids) == ((), {})
    assert found.match(["x"]) == [UNSEEN]
