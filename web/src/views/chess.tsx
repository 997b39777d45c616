// Chess: play against the model or watch two; what both players may do, how surprising each move was, PGN in and out.
import { useEffect, useRef, useState } from "preact/hooks";
import { Board, type BoardArrow } from "../board";
import { engine } from "../engine";
import { address, Bar, digits, download, faultText, keepInAddress, Notice, percent, Segments, useAnswer, useLatest, useRoute } from "../parts";
import type { GameView } from "../protocol";
import { Acquaintance } from "./acquaintance";

type Who = "none" | "white" | "black" | "both";

export function Chess({ model }: { model: string }) {
  const { query } = useRoute();
  const [moves, setMoves] = useState<string[]>(() => (query.get("moves") ?? "").split(" ").filter(Boolean));
  const [shownPly, setShownPly] = useState<number | null>(null); // null: the newest
  const [white, setWhite] = useState(query.get("white") ?? "");
  const [black, setBlack] = useState(query.get("black") ?? "");
  const [who, setWho] = useState<Who>((query.get("model") as Who | null) ?? "none");
  const [flipped, setFlipped] = useState(query.get("model") === "white");
  const [best, setBest] = useState(true);
  const [arrows, setArrows] = useState(true);
  const [recall, setRecall] = useState(query.get("recall") !== "no");
  const [typed, setTyped] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const [players, setPlayers] = useState<string[]>([]);
  const [pgn, setPgn] = useState("");
  const now = shownPly === null ? moves : moves.slice(0, shownPly);
  const ask = { moves: now, white: white || null, black: black || null, players: players.length === 0, recall };
  const { answer: game, fault: asked, busy } = useAnswer(`${model} ${now.join(" ")} ${white} ${black} ${recall}`, () => engine.game(model, ask));
  const whole = useRef<GameView | null>(null);
  if (game && shownPly === null) whole.current = game;
  const state = useLatest({ moves, game, who, best, shownPly });

  useEffect(() => {
    if (game?.players && players.length === 0) setPlayers(game.players);
  }, [game]);
  useEffect(() => {
    keepInAddress(["model", model, "play"], { moves: moves.join(" "), white, black, model: who === "none" ? "" : who, recall: recall ? "" : "no" });
  }, [moves, white, black, who, model, recall]);

  function play(uci: string) {
    const base = shownPly === null ? moves : moves.slice(0, shownPly);
    setFault(null);
    setShownPly(null);
    setMoves([...base, uci]);
  }
  async function playTyped(event: Event) {
    event.preventDefault();
    const word = typed.trim();
    if (!word || !game) return;
    try {
      await engine.game(model, { ...ask, moves: [...now, word], players: false });
      const uci = game.legal.includes(word) ? word : await squaresOf(now, word);
      setTyped("");
      play(uci);
    } catch (error) {
      setFault(faultText(error));
    }
  }
  useEffect(() => {
    // The model's move: the likeliest, or drawn as the model believes.
    if (!game || game.outcome || busy || shownPly !== null || game.ply !== moves.length) return;
    if (who !== "both" && who !== game.turn) return;
    const timer = setTimeout(() => {
      const here = state.current;
      if (here.game !== game || here.shownPly !== null) return;
      const choice = best ? game.choices[0] : drawn(game);
      if (choice) play(`${choice.arrow[0]}${choice.arrow[1]}${game.legal.find((one) => one.startsWith(choice.arrow.join("")) && one.length > 4 && choice.san.includes("=")) ? choice.san.match(/=([QRBN])/)![1]!.toLowerCase() : ""}`);
    }, 550);
    return () => clearTimeout(timer);
  }, [game, who, busy, best, shownPly]);

  const top = game?.choices[0]?.probability ?? 1;
  const drawnArrows: BoardArrow[] = !game || !arrows ? [] : game.choices.slice(0, 3).flatMap((choice, k) => {
    const own: BoardArrow = { from: choice.arrow[0], to: choice.arrow[1], reply: false, strength: choice.probability / top };
    return k === 0 && choice.reply_uci ? [own, { from: choice.reply_uci.slice(0, 2), to: choice.reply_uci.slice(2, 4), reply: true, strength: choice.reply_probability }] : [own];
  });
  const lastMove = now[now.length - 1];
  const canMove = game !== null && !game.outcome && game.ply === now.length && (shownPly !== null || (who !== "both" && who !== game.turn));

  return (
    <div class="game">
      <section class="stack" aria-label="Board">
        <Board
          fen={game?.fen ?? "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"}
          legal={game?.legal ?? []}
          canMove={canMove}
          flipped={flipped}
          arrows={drawnArrows}
          last={lastMove && lastMove.length >= 4 ? [lastMove.slice(0, 2), lastMove.slice(2, 4)] : null}
          move={play}
          refused={(uci) => setFault(`${uci.slice(0, 2)} to ${uci.slice(2, 4)} is not legal here: the piece cannot go there.`)}
        />
        {game ? <Result game={game} /> : !asked && <p class="soft">The model reads the game…</p>}
        <form class="row" onSubmit={playTyped}>
          <input style={{ flex: "1 1 9em", width: "auto" }} aria-label="A move" placeholder="Type a move: e4, Nf3, O-O, e7e8q" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
          <button type="submit" class="main" disabled={!game || !!game.outcome}>Play</button>
          <button type="button" disabled={moves.length === 0} onClick={() => { setShownPly(null); setWho("none"); setMoves(moves.slice(0, -1)); }}>Undo</button>
          <button type="button" disabled={moves.length === 0} onClick={() => { setShownPly(null); setMoves([]); }}>New game</button>
        </form>
        {(fault ?? asked) && <Notice kind="bad">{fault ?? asked}</Notice>}
        <div class="row">
          <Segments label="The model plays" value={who} options={[["none", "You play both"], ["black", "Model: Black"], ["white", "Model: White"], ["both", "Watch"]]} choose={(value) => { setWho(value); setShownPly(null); if (value === "white") setFlipped(true); if (value === "black") setFlipped(false); }} />
          <Segments label="How the model chooses" value={best ? "best" : "drawn"} options={[["best", "Likeliest"], ["drawn", "By chance"]]} choose={(value) => setBest(value === "best")} />
        </div>
        <div class="row">
          <button type="button" aria-pressed={arrows} onClick={() => setArrows(!arrows)}>Arrows</button>
          <button type="button" onClick={() => setFlipped(!flipped)}>Turn the board</button>
          <a class="button" href={address(["model", model, "gates"], { text: now.join(" ") })}>Gates of this game</a>
        </div>
      </section>
      <section class="stack" aria-label="What the model expects">
        {game && (
          <>
            <div class="card">
              <div class="row spread">
                <h2>{game.outcome ? `Over: ${game.outcome}` : `${game.turn === "white" ? "White" : "Black"} to move`}</h2>
                <span class="small soft">{game.opening}</span>
              </div>
              <div class="choices" aria-label="Likely moves">
                {game.choices.map((choice) => (
                  <div class="line" key={choice.uci}>
                    <button data-once type="button" class="mono" disabled={!canMove} onClick={() => play(uciOf(choice, game))}>{choice.san}</button>
                    <Bar share={choice.probability} />
                    <span class="number">{percent(choice.probability)}</span>
                  </div>
                ))}
              </div>
              {game.choices[0]?.reply && (
                <p class="small soft">
                  Blue arrows: the likely moves. Orange: the likeliest answer to {game.choices[0].san}, <span class="mono">{game.choices[0].reply}</span> ({percent(game.choices[0].reply_probability)}).
                  {game.seconds !== null && <> About {digits(game.seconds, 2)} s of thought.</>}
                </p>
              )}
              {game.chosen.length > 0 && (
                <p class="small soft">
                  {(game.turn === "white" ? white : black) || "The player"} chose here before: {game.chosen.slice(0, 6).map((one) => `${one.san} ${one.count}`).join(", ")}{game.chosen.length > 6 && ", …"}.
                </p>
              )}
              {game.sources.some((source) => source.bits >= 0.005) && (
                <p class="small soft">
                  It stands on {game.sources.filter((source) => source.bits >= 0.005).map((source) => `${source.move} (${source.bits.toFixed(2)} bits)`).join(", ")}.
                </p>
              )}
            </div>
            <div class="card">
              <h2>Moves and their surprise</h2>
              {whole.current && whole.current.history.length > 0 ? <Moves game={whole.current} shown={shownPly ?? moves.length} show={(ply) => setShownPly(ply === moves.length ? null : ply)} /> : <p class="small soft">None yet. Surprise is in bits: one bit for a move that the model gave one half.</p>}
            </div>
            <div class="card">
              <h2>How both play here</h2>
              <Tendencies game={game} />
            </div>
          </>
        )}
        <div class="card">
          <h2>Players</h2>
          <p class="small soft">The model has a vector for every player it knows; an unknown name is an unknown player. It remembers how their earlier games began, and expects in the same position what they chose there.</p>
          <div class="row">
            <label class="field" style={{ flex: 1 }}><span>White</span><input list="players" value={white} onChange={(event) => setWhite(event.currentTarget.value)} /></label>
            <label class="field" style={{ flex: 1 }}><span>Black</span><input list="players" value={black} onChange={(event) => setBlack(event.currentTarget.value)} /></label>
          </div>
          <div class="row"><button type="button" aria-pressed={recall} onClick={() => setRecall(!recall)}>Earlier games count</button></div>
          <Acquaintance
            model={model}
            known={(made) => {
              const names = white && white !== made.player ? { white, black: made.player } : { white: made.player, black };
              setWhite(names.white);
              setBlack(names.black);
              location.hash = address(["model", made.model, "play"], { ...names, moves: moves.join(" ") });
            }}
          />
          <datalist id="players">{players.slice(0, 3000).map((name) => <option key={name} value={name} />)}</datalist>
        </div>
        <div class="card">
          <h2>PGN</h2>
          <textarea rows={3} aria-label="PGN" placeholder="Paste a PGN or moves" value={pgn} onInput={(event) => setPgn(event.currentTarget.value)} />
          <div class="row">
            <button
              type="button"
              disabled={!pgn.trim()}
              onClick={() =>
                engine.readPgn(pgn).then(
                  (read) => {
                    if (read.fen) throw new Error("this game begins from another position, which the board here does not take");
                    setShownPly(null);
                    setWho("none");
                    setMoves(read.moves);
                    if (read.white) setWhite(read.white);
                    if (read.black) setBlack(read.black);
                    setFault(null);
                  },
                ).catch((error: unknown) => setFault(faultText(error)))
              }
            >
              Read it
            </button>
            <button type="button" disabled={!moves.length} onClick={() => engine.writePgn({ moves, white, black }).then((text) => setPgn(text)).catch((error: unknown) => setFault(faultText(error)))}>Write this game</button>
            <button data-once type="button" disabled={!moves.length} onClick={() => engine.writePgn({ moves, white, black }).then((text) => download("game.pgn", text, "application/x-chess-pgn")).catch((error: unknown) => setFault(faultText(error)))}>Download</button>
          </div>
        </div>
      </section>
    </div>
  );
}

/** The squares of a move in SAN: the server writes the game, and reads it back. */
async function squaresOf(before: string[], word: string): Promise<string> {
  const read = await engine.readPgn(await engine.writePgn({ moves: [...before, word] }));
  return read.moves[read.moves.length - 1]!;
}

function uciOf(choice: { arrow: [string, string]; san: string }, game: GameView): string {
  const squares = choice.arrow.join("");
  const piece = choice.san.match(/=([QRBN])/)?.[1]?.toLowerCase() ?? "";
  return game.legal.find((one) => one === squares + piece) ?? squares;
}

function drawn(game: GameView) {
  const total = game.choices.reduce((all, choice) => all + choice.probability, 0);
  let left = Math.random() * total;
  return game.choices.find((choice) => (left -= choice.probability) <= 0) ?? game.choices[0];
}

function Result({ game }: { game: GameView }) {
  const { white, draw, black } = game.result;
  const words = (who: string, share: number) => (share > 0.24 ? `${who} ${percent(share)}` : share > 0.09 ? percent(share) : "");
  return (
    <div class="result" role="img" aria-label={`White wins ${percent(white)}, draw ${percent(draw)}, Black wins ${percent(black)}`}>
      <span class="w" style={{ width: `${white * 100}%` }}>{words("White", white)}</span>
      <span class="d" style={{ width: `${draw * 100}%` }}>{words("draw", draw)}</span>
      <span class="b" style={{ width: `${black * 100}%` }}>{words("Black", black)}</span>
    </div>
  );
}

function Moves({ game, shown, show }: { game: GameView; shown: number; show: (ply: number) => void }) {
  const rows = [];
  for (let k = 0; k < game.history.length; k += 2) rows.push(k);
  const most = Math.max(4, ...game.history.map((move) => move.bits));
  return (
    <div class="moves" role="group" aria-label="Moves">
      {rows.flatMap((k) => [
        <span key={`n${k}`} class="soft number">{k / 2 + 1}.</span>,
        ...[k, k + 1].map((ply) => {
          const move = game.history[ply];
          return move ? (
            <button key={ply} type="button" aria-current={shown === ply + 1 ? "true" : undefined} onClick={() => show(ply + 1)} title={`probability ${percent(move.probability)}, rank ${move.rank}`}>
              <span class="mono">{move.san}</span>
              <Bar share={move.bits / most} kind={move.bits > 4 ? "warm" : "own"} />
              <span class="number soft">{move.bits.toFixed(1)}</span>
            </button>
          ) : (
            <span key={ply} />
          );
        }),
      ])}
    </div>
  );
}

function Tendencies({ game }: { game: GameView }) {
  const side = (first: number) => game.history.filter((_, k) => k % 2 === first);
  const figures = [side(0), side(1)].map((moves) => ({
    count: moves.length,
    bits: moves.reduce((all, move) => all + move.bits, 0) / Math.max(1, moves.length),
    hits: moves.filter((move) => move.rank === 1).length,
    rare: [...moves].sort((a, b) => b.bits - a.bits)[0],
  }));
  const rows: [string, (figure: (typeof figures)[number]) => string][] = [
    ["moves", (one) => String(one.count)],
    ["surprise a move", (one) => (one.count ? `${one.bits.toFixed(2)} bits` : "–")],
    ["played the likeliest", (one) => (one.count ? percent(one.hits / one.count) : "–")],
    ["most surprising", (one) => (one.rare ? `${one.rare.san} (${one.rare.bits.toFixed(1)})` : "–")],
  ];
  return (
    <table>
      <thead><tr><td /><th>White</th><th>Black</th></tr></thead>
      <tbody>
        {rows.map(([name, of]) => (
          <tr key={name}><td class="soft">{name}</td><td>{of(figures[0]!)}</td><td>{of(figures[1]!)}</td></tr>
        ))}
      </tbody>
    </table>
  );
}
