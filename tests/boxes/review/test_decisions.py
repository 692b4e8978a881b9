import multiprocessing
from dataclasses import replace

import pytest
from sklearn.metrics import cohen_kappa_score

from spm.base.errors import UserError
from spm.boxes.review.decision_log import append
from spm.boxes.review.decisions import COLUMNS, Decision, agreement, check, read, resolve

BOX = "cello 0.1000 0.1000 0.2000 0.2000"
ACCEPT = Decision("v_0000000", 1, BOX, "accept", "cello", 0.1, 0.1, 0.2, 0.2, "ada")
REJECT = replace(ACCEPT, verdict="reject", reviewer="bob")
UNDO = replace(ACCEPT, verdict="undo")


def current_verdict(*decisions):
    return {key[2]: d.verdict for key, d in resolve(decisions).items()}.get(BOX)


def test_the_later_decision_wins_and_undo_withdraws_the_same_reviewers_last_one():
    assert current_verdict(ACCEPT, REJECT) == "reject"
    assert current_verdict(REJECT, ACCEPT) == "accept"
    assert current_verdict(REJECT, ACCEPT, UNDO) == "reject"
    assert current_verdict(ACCEPT, REJECT, UNDO) == "reject"  # not bob's
    assert current_verdict(ACCEPT, UNDO) is None
    assert current_verdict(UNDO) is None


def test_appended_decisions_are_read_back(tmp_path):
    path = tmp_path / "new" / "reviews.csv"
    odd = replace(REJECT, reviewer='Ada, "the" first', category="ünïcode")
    append(path, ACCEPT)
    append(path, odd)
    assert read(path) == [ACCEPT, odd]
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_an_incomplete_last_line_is_ignored_and_replaced_by_the_next_decision(tmp_path):
    path = tmp_path / "reviews.csv"
    append(path, ACCEPT)
    complete = path.read_text()
    path.write_text(complete + complete.splitlines()[1][:20])
    assert read(path) == [ACCEPT]
    append(path, REJECT)
    assert read(path) == [ACCEPT, REJECT]


def _append_many(path, reviewer):
    for frame in range(50):
        append(path, replace(ACCEPT, frame=frame, reviewer=reviewer))


@pytest.mark.slow
def test_several_reviewers_can_write_at_the_same_time(tmp_path):
    path = tmp_path / "reviews.csv"
    context = multiprocessing.get_context("fork")
    jobs = [
        context.Process(target=_append_many, args=(path, name)) for name in ("ada", "bob", "cy")
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    decisions = read(path)
    assert len(decisions) == 150
    assert [d.frame for d in decisions if d.reviewer == "bob"] == list(range(50))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"verdict": "maybe"}, "expected one of accept, reject"),
        ({"category": "two\nlines"}, "expected non-empty names"),
        ({"reviewer": " "}, "expected non-empty names"),
        ({"w": 0.0}, "expected a box inside the frame"),
        ({"x": 0.9}, "expected a box inside the frame"),
        ({"h": float("nan")}, "expected a box inside the frame"),
    ],
)
def test_invalid_decisions_are_rejected(changed, message):
    with pytest.raises(ValueError, match=message):
        check(replace(ACCEPT, **changed))


def test_an_invalid_line_is_named(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("clip,verdict\na,accept\n")
    with pytest.raises(
        UserError, match=r"reviews.csv: the columns clip_id,.* are missing .*expected clip_id,frame"
    ):
        read(path)
    append(tmp_path / "good.csv", ACCEPT)
    path.write_text((tmp_path / "good.csv").read_text().replace(",1,", ",one,"))
    with pytest.raises(UserError, match=r"reviews.csv, line 2: invalid literal"):
        read(path)


def test_kappa_is_computed_on_the_boxes_that_both_decided_about():
    ada = ["accept", "accept", "reject", "relabel", "accept", "reject"]
    bob = ["accept", "reject", "reject", "relabel", "accept", "accept"]
    rows = [replace(ACCEPT, frame=n, verdict=v) for n, v in enumerate(ada)]
    rows += [replace(ACCEPT, frame=n, verdict=v, reviewer="bob") for n, v in enumerate(bob)]
    rows += [replace(ACCEPT, frame=99, reviewer="bob")]
    (pair,) = agreement(rows)
    assert pair[:3] == ("ada", "bob", 6)
    assert pair.agreed == pytest.approx(4 / 6)
    assert pair.kappa == pytest.approx(cohen_kappa_score(ada, bob))


def test_kappa_is_missing_where_it_is_not_defined():
    pairs = agreement(
        [ACCEPT, replace(ACCEPT, reviewer="bob"), replace(ACCEPT, reviewer="cy", frame=7)]
    )
    assert [pair.boxes for pair in pairs] == [1, 0, 0]
    assert [pair.kappa for pair in pairs] == [None] * 3
    assert agreement([ACCEPT]) == []
