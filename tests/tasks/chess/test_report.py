"""The pages about players: every number on them is a count of the games, or what the model said."""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from chess_report_cases import LastOfLegal, chance_of, few_games, few_names, write_pgn
from chromium import chromium
from congru.errors import DataError
from congru.tasks.chess import report as command
from congru.tasks.chess.beginnings import Beginnings, after
from congru.tasks.chess.boards import SHAPES, board
from congru.tasks.chess.games import Games
from congru.tasks.chess.moves import code_of
from congru.tasks.chess.player_page import player_page, read_position
from congru.tasks.chess.portrait import line_of
from congru.tasks.chess.report import report
from congru.tasks.chess.rules import Position
from congru.tasks.chess.signature import deviations
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.study import Study
from congru.tasks.chess.surprise import by_phase, choice, expect, mean_choice, most_surprising, phases
from congru.tasks.chess.tendencies import BLACK, D4, E4, WHITE, Player, find_player
from congru.tasks.chess.tree import opening_tree
from congru.tasks.chess.versus import chances, likely_lines, model_lines
from congru.tasks.chess.versus_page import versus_page

E5, C5 = code_of("e7e5"), code_of("c7c5")


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Games:
    return few_games(tmp_path_factory.mktemp("games"))


@pytest.fixture(scope="module")
def ann(games: Games) -> Player:
    return find_player(games, "Ann")


@pytest.fixture(scope="module")
def study(games: Games) -> Study:
    return Study(games, few_names(), LastOfLegal())


@pytest.fixture(scope="module")
def page(study: Study, ann: Player) -> str:
    return player_page(study, ann, position="1. e4 e5 2. Nf3")


def section(page: str, key: str) -> str:
    """One section as its rows of words, one line each."""
    match = re.search(rf'<section id="{key}">(.*?)</section>', page, re.S)
    assert match is not None, f"no section {key}"
    text = re.sub(r"<svg.*?</svg>", "", match[1], flags=re.S)
    text = re.sub(r"</(tr|p|h2|h3|summary|li|div)>|<br>", "\n", text)
    text = re.sub(r"</t[dh]>", " | ", text)
    text = html.unescape(re.sub(r"<[^>]+>", "", text))
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def test_first_moves_and_replies_on_the_page(page: str) -> None:
    first = section(page, "first-move-with-white")
    assert "e4 king's pawn | 3 | 75 % (30 to 95) | 57 %" in first  # others: 4 of 7
    assert "d4 queen's pawn | 1 | 25 % (5 to 70) | 29 %" in first  # 2 of 7
    e4 = section(page, "reply-to-1-e4")
    assert "e5 King's Pawn Game | 2 | 67 %" in e4
    assert "c5 Sicilian Defense | 1 | 33 %" in e4
    assert "all others (4)" in e4
    assert "Nf6 | 1 | 100 %" in section(page, "reply-to-1-d4")


def test_the_glance_and_the_openings_on_the_page(page: str) -> None:
    glance = section(page, "at-a-glance")
    assert "8 games, 1990 to 1992, most often against Bob (4), Cid (4)." in glance
    assert "White | 4 | +2 =1 -1 | 62 %" in glance
    assert "both | 8 | +4 =2 -2 | 62 %" in glance
    assert "Opens with 1. e4 in 75 % of 4 games" in glance
    openings = section(page, "openings-and-results")
    assert "Sicilian Defense B20 to B50 | 2 | 50 % | +2 =0 -0 | 100 %" in openings
    assert "Ruy Lopez C60 | 1 | 25 % | +0 =1 -0 | 50 %" in openings


def test_castling_and_years_on_the_page(page: str) -> None:
    castling = section(page, "castling")
    assert "player with White | 4 | 50 % | 25 % | 25 % | 4 (4 to 5)" in castling
    assert "player with Black | 4 | 25 % | 0 % | 75 % | 4 (4 to 4)" in castling
    assert 'title="1990: e4 2 of 2"' in page
    assert 'title="1992: d4 1 of 1"' in page
    assert 'title="1991: c5 Sicilian Defense 1 of 2"' in page


def test_the_position_counts_games_by_any_order_of_moves(study: Study, ann: Player) -> None:
    both = player_page(study, ann, position="Nf3 e5 e4")
    text = section(both, "position")
    assert "Black to move. Ann stood here 2 times." in text
    assert "Nc6 | 1 | 50 % | 100 % |" in text  # others: 1 of 1
    assert "Nf6 | 1 | 50 % | 0 % |" in text
    assert "After 1. Nf3 e5 2. e4" in text
    fen = after([code_of(move) for move in ("e2e4", "e7e5", "g1f3")]).fen
    assert "Nc6 | 1 | 50 % | 100 % |" in section(player_page(study, ann, position=fen), "position")
    assert "Ann never stood here" in section(player_page(study, ann, position="a3"), "position")


def test_without_a_model_and_names_the_page_is_counts_alone(games: Games, ann: Player) -> None:
    text = player_page(Study(games), ann)
    assert "model" not in section(text, "first-move-with-white")
    assert 'id="how-predictable"' not in text
    notes = section(text, "about-these-numbers")
    assert "Made without a model: counts alone." in notes
    assert "congru data get openings" in notes


def test_names_in_a_file_are_no_markup(tmp_path: Path) -> None:
    rows = [("<b>A", "x<script>", "1-0", 1990, "e4 e5")]
    games = read_games(write_pgn(tmp_path, rows))[0]
    text = player_page(Study(games), find_player(games, "b A"))
    assert "<b>A" not in text
    assert "x<script>" not in text


def test_the_tree_counts_games_and_shares(study: Study, ann: Player) -> None:
    others = study.books_without(ann)
    tree = opening_tree(
        ann, WHITE, study.beginnings, others, expected=study.expected(ann), names=study.names, least=0
    )
    first = {branch.code: branch for branch in tree}
    assert (first[E4].games, first[E4].share, first[E4].own) == (3, 0.75, True)
    assert (first[E4].others, first[E4].others_times) == (4 / 7, 7)
    assert first[E4].score == (2, 1, 0)
    assert first[D4].name == "Queen's Pawn Game"
    answers = {branch.code: branch for branch in first[E4].branches}
    assert (answers[C5].games, answers[C5].share, answers[C5].own) == (2, 2 / 3, False)
    assert (answers[C5].others, answers[C5].others_times) == (
        3 / 4,
        4,
    )  # of all games that Ann has not Black in
    legal = Position().legal()
    assert first[E4].model == pytest.approx(chance_of(legal, E4))


def test_log_odds_with_a_prior_as_worked_by_hand() -> None:
    own, others = {1: Counter({10: 9, 11: 1})}, {1: Counter({10: 40, 11: 60})}
    first, second = deviations(own, others, prior=20, least=5)
    a = 20 * 49 / 110
    delta = math.log((9 + a) / (30 - 9 - a)) - math.log((40 + a) / (120 - 40 - a))
    variance = 1 / (9 + a) + 1 / (21 - a) + 1 / (40 + a) + 1 / (80 - a)
    assert {first.move, second.move} == {10, 11}
    row = first if first.move == 10 else second
    assert row.log_odds == pytest.approx(delta)
    assert row.z == pytest.approx(delta / math.sqrt(variance))
    assert second.log_odds == pytest.approx(-first.log_odds)
    stronger = deviations(own, others, prior=200)[0]
    assert abs(stronger.log_odds) < abs(delta)
    assert deviations({1: Counter({10: 4})}, others) == []
    assert deviations({1: Counter({10: 9})}, {1: Counter({10: 90})}) == []
    assert deviations({2: Counter({10: 9})}, others) == []


def test_the_book_adds_transpositions_up(games: Games) -> None:
    beginnings = Beginnings(games, 20)
    everything = np.arange(len(games))
    book = beginnings.book(everything, BLACK)
    assert book[after([E4]).key] == Counter({C5: 4, E5: 3})
    first = beginnings.first_node()
    for key, node in first.items():
        assert after(beginnings.path(node)).key == key
    assert beginnings.at[0, :8].min() >= 0
    assert beginnings.at[0, 8] == -1


def test_what_a_model_said_is_kept_for_every_ply(games: Games, ann: Player) -> None:
    expected = expect(LastOfLegal(), games, ann.all, depth=2)
    for game in range(len(games)):
        position = Position()
        for ply, code in enumerate(games.of(game).tolist()):
            at, legal = int(games.offsets[game]) + ply, position.legal()
            if game in ann.sides:
                assert expected.p[at] == pytest.approx(chance_of(legal, code))
                assert expected.best[at] == max(legal)
                assert expected.best_p[at] == pytest.approx(0.5)
            else:
                assert np.isnan(expected.p[at])
            position.play(code)
    assert set(expected.early) == {(game, ply) for game in range(8) for ply in (0, 1)}
    mean = mean_choice(expected, [0, 1, 8], 0)
    assert sum(mean.values()) == pytest.approx(1)
    assert max(mean, key=lambda code: mean[code]) == max(Position().legal())


def test_bits_by_phase_are_those_of_the_player_alone(games: Games, ann: Player) -> None:
    expected = expect(LastOfLegal(), games, ann.all, depth=1)
    phases = by_phase(expected, ann.all, ann.sides)
    own = [
        -math.log2(expected.p[games.offsets[game] + ply])
        for game, side in ann.sides.items()
        for ply in range(side, int(games.lengths[game]), 2)
    ]
    assert list(phases) == ["opening"]
    assert phases["opening"].plies == len(own)
    assert phases["opening"].bits == pytest.approx(np.mean(own))
    game, ply = most_surprising(expected, ann.all, ann.sides, most=1)[0]
    assert ply % 2 == ann.sides[game]
    assert expected.bits[games.offsets[game] + ply] == pytest.approx(max(own))


def test_phases_go_from_opening_to_endgame(tmp_path: Path) -> None:
    path = tmp_path / "late.pgn"
    shuffle = " ".join(["Nf3 Nf6 Ng1 Ng8"] * 6)
    few = '[FEN "r3k3/8/8/8/8/8/4P3/R3K3 w - - 0 1"]'
    path.write_text(f'[White "A"]\n\n{shuffle} *\n\n[White "A"]\n{few}\n\nRb1 Rb8 *\n')
    games = read_games(path)[0]
    assert phases(games, 0).tolist() == [0] * 20 + [1] * 4
    assert phases(games, 1).tolist() == [2, 2]


def test_choice_is_what_the_model_says_after_the_moves() -> None:
    chances = choice(LastOfLegal(), [E4, E5], "A", "B")
    legal = after([E4, E5]).legal()
    assert chances == pytest.approx({code: chance_of(legal, code) for code in legal})
    mated = [code_of(move) for move in ("f2f3", "e7e5", "g2g4", "d8h4")]
    assert choice(LastOfLegal(), mated, "A", "B") == {}


def test_few_games_are_pulled_towards_the_others() -> None:
    own, others = {1: Counter({10: 3})}, {1: Counter({10: 50, 11: 50})}
    assert chances(1, own, others, prior=5) == pytest.approx({10: 5.5 / 8, 11: 2.5 / 8})
    assert chances(1, own, {}) == {10: 1.0}
    assert chances(2, own, others) == {}


def test_likely_lines_multiply_the_choices_of_both(study: Study, ann: Player) -> None:
    bob = find_player(study.games, "Bob")
    books = (study.books(ann)[WHITE], study.books(bob)[BLACK])
    others = study.books_without(ann, bob)
    lines = likely_lines(books, others, plies=2, most=20, names=study.names)
    assert sum(line.p for line in lines) == pytest.approx(1)
    best = lines[0]
    assert best.moves == (E4, C5)
    assert best.name == "Sicilian Defense"
    root, reply = Position().key, after([E4]).key
    expected = chances(root, books[0], others[0])[E4] * chances(reply, books[1], others[1])[C5]
    assert best.p == pytest.approx(expected)
    assert [line.p for line in lines] == sorted((line.p for line in lines), reverse=True)


def test_lines_of_a_model_multiply_its_probabilities() -> None:
    lines = model_lines(LastOfLegal(), "Ann", "Bob", plies=3, most=4)
    assert len(lines) == 4
    for line in lines:
        position, p = Position(), 1.0
        for code in line.moves:
            p *= chance_of(position.legal(), code)
            position.play(code)
        assert line.p == pytest.approx(p)
    assert lines[0].p == pytest.approx(1 / 8)


def test_two_players_side_by_side(study: Study, ann: Player) -> None:
    text = versus_page(study, ann, find_player(study.games, "Bob"))
    met = section(text, "their-games-against-each-other")
    assert "Ann has White | 2 | +2 =0 -0 | 100 %" in met
    assert "Bob has White | 2 | +0 =1 -1 | 25 %" in met
    assert "1. e4 c5 2. Nf3" in section(text, "with-ann-as-white")
    with pytest.raises(DataError, match="versus is Ann, the same person as the player, expected another one"):
        versus_page(study, ann, ann)


def test_players_who_never_met(tmp_path: Path) -> None:
    rows = [("Ann", "X", "1-0", 1990, "e4 e5"), ("Y", "Bob", "1-0", 1990, "d4 d5")]
    games = read_games(write_pgn(tmp_path, rows))[0]
    text = versus_page(Study(games), find_player(games, "Ann"), find_player(games, "Bob"))
    assert "They do not meet in these games" in section(text, "their-games-against-each-other")
    assert "1. e4" in section(text, "with-ann-as-white")


def test_a_board_shows_its_pieces_from_either_side() -> None:
    position = after([E4])
    white, black = board(position, moved=E4), board(position, arrows=[C5], from_black=True)
    assert white.count("<use ") == black.count("<use ") == 32
    assert '<use href="#piece-wP" x="180" y="180"/>' in white  # e4
    assert '<use href="#piece-wP" x="135" y="135"/>' in black
    assert '<use href="#piece-bR" x="0" y="0"/>' in white
    assert white.count('class="moved"') == 2
    assert '<rect x="0" y="315" width="45" height="45" class="dark"/>' in white  # a1
    assert black.count('class="arrow"') == 2
    assert all(f'id="piece-{color}{letter}"' in SHAPES for color in "wb" for letter in "PNBRQK")


def test_lines_are_numbered_from_any_position() -> None:
    assert line_of([E4, C5, code_of("g1f3")]) == "1. e4 c5 2. Nf3"
    fen = after([E4]).fen
    assert line_of([C5, code_of("g1f3")], fen) == "1... c5 2. Nf3"


def test_a_position_is_moves_or_a_fen() -> None:
    assert read_position("1. e4 1... c5") == ([E4, C5], None)
    fen = after([E4]).fen
    assert read_position(fen) == ([], fen)
    with pytest.raises(DataError, match="move 'Ke3' is not legal"):
        read_position("1. Ke3")
    with pytest.raises(DataError, match="fen is '8/8 w', which is no legal position"):
        read_position("8/8 w")


@pytest.fixture
def with_this_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[LastOfLegal]:
    """The models that were asked to recall what players chose before."""
    recalling: list[LastOfLegal] = []
    monkeypatch.setattr(command.Predictor, "load", lambda path: LastOfLegal())
    monkeypatch.setattr(command, "Recalling", lambda model: recalling.append(model) or model)
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path / "nothing"))
    return recalling


def test_the_command_writes_one_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], with_this_model: list[LastOfLegal]
) -> None:
    pgn, out = write_pgn(tmp_path), tmp_path / "ann.html"
    assert report(Path("model"), str(pgn), player="ann", recall=False, out=out) == 0
    assert not with_this_model
    assert report(Path("model"), str(pgn), player="ann", out=out) == 0
    assert len(with_this_model) == 1
    assert "How Ann plays" in out.read_text()
    assert f"{out}: 8 games of Ann" in capsys.readouterr().out
    report(Path("model"), str(pgn), player="ann", versus="bob", out=out)
    assert "Ann against Bob" in out.read_text()
    with pytest.raises(DataError, match="position is given together with versus, expected one of them"):
        report(Path("model"), str(pgn), player="ann", versus="bob", position="e4", out=out)
    with pytest.raises(DataError, match="player 'Zed' is in none of the games"):
        report(Path("model"), str(pgn), player="Zed", out=out)
    with pytest.raises(DataError, match="most is 0, expected at least 1"):
        report(Path("model"), str(pgn), player="ann", most=0, out=out)
    with pytest.raises(DataError, match=r"which cannot be written .*name a file in a folder that exists"):
        report(Path("model"), str(pgn), player="ann", out=tmp_path / "no" / "folder.html")


def test_the_page_in_a_browser_asks_for_nothing(page: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    faults: list[str] = []
    requests: list[str] = []
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 390, "height": 800})
        tab.on("console", lambda message: faults.append(message.text))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.as_uri())
        widths = tab.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        drawn = tab.evaluate("document.querySelector('.board use').getBoundingClientRect().width")
    assert faults == []
    assert requests == [path.as_uri()]
    assert widths[0] <= widths[1]
    assert drawn > 10
