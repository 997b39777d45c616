// "My son and I": the model gets to know two people who play each other, each from a PGN of their games.
import { useEffect, useRef, useState } from "preact/hooks";
import { engine } from "../engine";
import { Bar, digits, faultText, Notice } from "../parts";
import { Fault, type Adapted, type AdaptProgress } from "../protocol";

/** What is under way, whichever view is shown; and who was met last, of whom the page of the new model says what was learnt. */
interface Fit {
  model: string;
  player: string;
  pgn: string;
  progress: AdaptProgress | null;
  end: AbortController;
}
let fit: Fit | null = null;
let met: Adapted | null = null;
let fault: { model: string; text: string } | null = null;
const watchers = new Set<() => void>();

function changed(): void {
  for (const watcher of watchers) watcher();
}

async function begin(model: string, player: string, pgn: string): Promise<Adapted | null> {
  if (fit) return null;
  const mine: Fit = { model, player, pgn, progress: null, end: new AbortController() };
  [fit, fault] = [mine, null];
  changed();
  try {
    met = await engine.adapt(model, player, pgn, (progress) => { mine.progress = progress; changed(); }, mine.end.signal);
    return met;
  } catch (error) {
    if (!(error instanceof Fault && error.code === "stopped")) fault = { model, text: faultText(error) };
    return null;
  } finally {
    fit = null;
    changed();
  }
}

function seconds(left: number): string {
  return left < 90 ? `about ${Math.max(1, Math.ceil(left))} s left` : `about ${Math.round(left / 60)} min left`;
}

function Progress({ of }: { of: Fit }) {
  const { progress, player } = of;
  const words = !progress
    ? "Sending the games…"
    : progress.phase === "waiting"
      ? `Waiting: ${progress.of === 1 ? "another player is" : `${progress.of} others are`} before this one.`
      : progress.phase === "reading"
        ? `Reading the games: ${progress.done} of ${progress.of}.`
        : `Learning how ${player} plays: pass ${progress.done} of ${progress.of} over the games${progress.seconds_left === null ? "" : `, ${seconds(progress.seconds_left)}`}.`;
  // Reading is quick beside the passes: a tenth of the bar.
  const share = !progress || progress.phase === "waiting" ? 0 : progress.phase === "reading" ? (0.1 * progress.done) / progress.of : 0.1 + (0.9 * progress.done) / progress.of;
  return (
    <div class="stack" role="group" aria-label="Getting to know a player">
      <Bar share={share} />
      <p class="small" role="status">{words}</p>
      <div class="row"><button data-once type="button" onClick={() => of.end.abort()}>Cancel</button></div>
    </div>
  );
}

export function Acquaintance({ model, known }: { model: string; known: (made: Adapted) => void }) {
  const [player, setPlayer] = useState(fit?.player ?? "");
  const [games, setGames] = useState(fit?.pgn ?? "");
  const [, show] = useState(0);
  const looking = useRef(true);
  useEffect(() => {
    const watcher = () => show((count) => count + 1);
    watchers.add(watcher);
    return () => {
      watchers.delete(watcher);
      looking.current = false;
    };
  }, []);
  const made = met?.model === model ? met : null;
  const [open, setOpen] = useState(made !== null || fit !== null || fault?.model === model);
  async function start() {
    const answer = await begin(model, player.trim(), games);
    // Whoever looks at something else by now stays there.
    if (!answer || !looking.current) return;
    setGames("");
    setPlayer("");
    known(answer);
  }
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>My son and I: get to know a player</summary>
      <div class="stack" style={{ marginTop: "8px" }}>
        <p class="small soft">From a PGN of somebody's games the model learns how this person plays; everything else stays. Do it for both, and their predictions stand on the board.</p>
        <label class="field"><span>Name in the PGN, or a part of it</span><input value={player} onInput={(event) => setPlayer(event.currentTarget.value)} /></label>
        <label class="field"><span>Games of this player, as PGN</span><textarea rows={3} spellcheck={false} value={games} onInput={(event) => setGames(event.currentTarget.value)} /></label>
        <div class="row">
          <button data-once type="button" disabled={fit !== null || !player.trim() || !games.trim()} onClick={() => void start()}>Get to know</button>
          <label class="button">
            Open a PGN
            <input type="file" accept=".pgn" class="hidden" onChange={(event) => void event.currentTarget.files?.[0]?.text().then(setGames)} />
          </label>
        </div>
        {fit && <Progress of={fit} />}
        {fault?.model === model && <Notice kind="bad">{fault.text}</Notice>}
        {made && <p class="small">{made.player}: {made.games} games, {made.moves} moves; {digits(made.before, 3)} → {digits(made.after, 3)} bits a move.</p>}
      </div>
    </details>
  );
}
