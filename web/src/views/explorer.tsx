// The gate explorer: what each gate did with an input, what a prediction stands on, and what comes of another gate.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { share as shareColors, signed as signedColors } from "../colors";
import { engine } from "../engine";
import { decode, FilmStrips, type Bytes, type Cell, type Region } from "../film";
import { faultText, keepInAddress, Notice, numberOf, unusual, useAnswer, useLatest, useQuiet, useRoute } from "../parts";
import type { Edit, Film, LayerFilm, Shares } from "../protocol";
import { WhatIfView } from "./outcome";
import { PredictionLine, predictedShares, TokenView } from "./told";
import { editOf, HoldPanel, span, StepTable, UnitPanel } from "./unit";

const EXAMPLES: Record<string, string> = {
  chess: "e4 e5 Nf3 Nc6 Bb5 a6 Ba4 Nf6 O-O Be7",
};
const ASKS: Record<string, [string, string]> = {
  text: ["Text to read", "Type or paste a text"],
  chess: ["Moves or PGN", "e4 e5 Nf3 Nc6 …"],
  forecast: ["Series", "The name of a series; empty takes the first"],
};

export function Explorer({ model, task }: { model: string; task: string }) {
  const { query } = useRoute();
  const [first] = useState({ text: query.get("text") ?? "", hold: query.get("hold") ?? "" }); // what the address said
  const [text, setText] = useState(first.text);
  const wanted = useQuiet(text, 450);
  const { answer: film, fault, busy } = useAnswer(`${model} ${wanted}`, () => engine.explore(model, wanted === "" ? null : wanted));
  const [label, hint] = ASKS[task] ?? ["Input", "Empty takes an example of the training"];
  useEffect(() => {
    if (wanted !== first.text) keepInAddress(["model", model, "gates"], { text: wanted.length < 1800 ? wanted : "" });
  }, [wanted, model]);
  const takesText = !["music", "video", "speech"].includes(task) && (engine.served || task === "text");
  return (
    <>
      <section class="card" aria-label="Input">
        {takesText ? (
          <label class="field">
            <span>{label}</span>
            <textarea rows={task === "text" ? 3 : 2} value={text} placeholder={hint} spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
        ) : (
          <p class="soft">The gates over an example of the training. <code>congru inspect {model} FILE</code> shows those over a file of yours.</p>
        )}
        <div class="row small soft">
          {film && text === "" && task === "text" && <span>The model wrote this text itself. Type your own above.</span>}
          {task === "chess" && takesText && text === "" && <button type="button" onClick={() => setText(EXAMPLES.chess!)}>Try the Ruy Lopez</button>}
          {film && film.cut > 0 && <span>{film.cut} {film.words.steps} were left out: {film.steps.length} are shown.</span>}
          {text !== "" && <button type="button" class="quiet" onClick={() => setText("")}>Clear</button>}
        </div>
        {fault && <Notice kind="bad">{fault}</Notice>}
      </section>
      {!film && busy && <p class="soft">Running the model…</p>}
      {film && (
        <div class={busy ? "busy" : ""}>
          <Explored key={film.run} film={film} model={model} task={task} source={wanted} goOn={setText} hold={wanted === first.text ? first.hold : ""} />
        </div>
      )}
    </>
  );
}

function Explored({ film, model, task, source, goOn, hold: held }: { film: Film; model: string; task: string; source: string; goOn: (text: string) => void; hold: string }) {
  const { query } = useRoute();
  const [layerIndex, setLayerIndex] = useState(() => Math.round(numberOf(query, "layer", film.layers.length, 1, film.layers.length)) - 1);
  const layer = film.layers[layerIndex]!;
  const last = film.steps.length - 1;
  const [hovered, setHovered] = useState<number | null>(null); // the token whose prediction is asked about
  const [pinned, setPinned] = useState<number | null>(() => (query.get("pin") ? Math.round(numberOf(query, "pin", 1, 1, film.steps.length)) - 1 : null));
  const [cell, setCell] = useState<{ cell: Cell; strip: string } | null>(null);
  const [picked, setPicked] = useState<{ cell: Cell; strip: string } | null>(null);
  const [region, setRegion] = useState<Region | null>(null);
  const [fires, setFires] = useState<number | null>(null);
  const [edits, setEdits] = useState<Edit[]>(() => (film.edits ? readEdits(held, film) : []));
  useEffect(() => {
    const text = writeEdits(edits);
    if (source.length + text.length < 3000) keepInAddress(["model", model, "gates"], { text: source, hold: text, layer: unusual(layerIndex + 1, film.layers.length), pin: pinned === null ? "" : String(pinned + 1) });
  }, [edits, layerIndex, pinned]);
  const plain = useMemo<Bytes>(() => Object.fromEntries(layer.strips.map((strip) => [strip.key, decode(strip.data)])), [layer]);
  const [changed, setChanged] = useState<Bytes | null>(null);
  const bytes = useMemo(() => ({ ...plain, ...(changed ?? {}) }), [plain, changed]);

  function add(edit: Edit) {
    setEdits((before) => [...before.filter((one) => !same(one, edit)), edit]);
  }
  function hold(strip: string, where: Cell, value: number) {
    const signed = strip === "candidate" || strip === "state" || strip === "cell";
    const cells = region?.strip === strip && inside(where, region) ? region : null;
    add(editOf(layer, strip, cells ?? { strip, steps: [where.step, where.step], rows: [where.row, where.row] }, signed ? value : Math.max(0, Math.min(1, value))));
  }
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      const writing = event.target instanceof HTMLTextAreaElement || (event.target instanceof HTMLInputElement && event.target.type !== "range");
      if (!writing && (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
        event.preventDefault();
        setEdits((before) => before.slice(0, -1));
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);

  // Without a mouse over it the last prediction is explained.
  const tells = predictedShares(film, last) !== null;
  const asked = pinned ?? hovered ?? (film.shares.kind === null && !film.predicted ? null : last);
  const predicts = film.predictions !== null && film.shares.kind === "steps" && film.predictions.actual.length > 0;
  // A token is predicted by the step before it; an output of another kind is explained at the step itself.
  const at = asked === null ? null : predicts ? asked - 1 : asked;
  const { shares: linear, fault: sharesFault } = useShares(film, tells ? null : at, asked, predicts);
  const own = useMemo(() => (tells && at !== null ? predictedShares(film, at) : null), [film, tells, at]);
  const chosen = cell ?? picked;
  const column = cell?.cell.step ?? null;

  return (
    <div class="two explored">
      <div class="stack">
        <section class="card" aria-label="What a prediction stands on">
          <TokenView
            film={film}
            layer={layer}
            bytes={bytes}
            fires={fires}
            shares={fires !== null ? null : tells ? own : (linear?.contributions ?? null)}
            at={asked}
            column={column}
            predicts={predicts}
            hover={setHovered}
            pin={(k) => setPinned(k === pinned ? null : k)}
            isPinned={pinned !== null}
          />
          <PredictionLine film={film} at={asked} predicts={predicts} shares={linear} tells={tells} fault={sharesFault} fires={fires} layer={layer} clear={() => setFires(null)} />
        </section>
        <section class="card" aria-label="Gates">
          <div class="row spread">
            <h2>{layer.title} <span class="soft small">{layer.units} units, longest memory on top</span></h2>
            {film.layers.length > 1 && (
              <select
                aria-label="Layer"
                style={{ width: "auto" }}
                value={layerIndex}
                onChange={(event) => {
                  setLayerIndex(Number(event.currentTarget.value));
                  setCell(null);
                  setPicked(null);
                  setRegion(null);
                  setFires(null);
                  setChanged(null);
                }}
              >
                {film.layers.map((one, k) => <option key={k} value={k}>{nameOf(one, film.layers)}</option>)}
              </select>
            )}
          </div>
          <FilmStrips
            layer={layer}
            steps={film.steps}
            bytes={bytes}
            at={chosen?.cell ?? null}
            region={region}
            words={film.words}
            column={column ?? asked}
            point={(next, strip) => setCell(next ? { cell: next, strip } : null)}
            pick={(next, strip) => setPicked({ cell: next, strip })}
            select={setRegion}
            {...(film.edits ? { hold } : {})}
          />
          <Legend />
          <StepTable film={film} layer={layer} bytes={bytes} step={chosen?.cell.step ?? last} />
        </section>
        {film.edits ? (
          <WhatIfView
            film={film}
            layer={layer}
            model={model}
            task={task}
            source={source}
            edits={edits}
            setEdits={setEdits}
            took={setChanged}
            goOn={goOn}
          />
        ) : (
          <p class="soft small">{engine.served ? "This layer runs both ways, so its gates can be read and not held." : "Here these gates can be read and not held: what comes of them is computed by more than the network."}</p>
        )}
      </div>
      <aside class="stack" aria-label="One unit">
        <UnitPanel film={film} layer={layer} chosen={chosen} fires={fires} setFires={setFires} />
        {film.edits && <HoldPanel film={film} layer={layer} chosen={picked} region={region} bytes={bytes} add={add} />}
      </aside>
    </div>
  );
}

function nameOf(layer: LayerFilm, all: LayerFilm[]): string {
  const deep = all.filter((one) => one.node === layer.node).some((one) => one.depth > 0);
  const nodes = [...new Set(all.map((one) => one.node))];
  const title = nodes.length > 1 ? `${layer.title} ${nodes.indexOf(layer.node) + 1} of ${nodes.length}` : layer.title;
  return [title, deep ? `layer ${layer.depth + 1}` : "", layer.directions > 1 ? (layer.direction ? "backward" : "forward") : ""].filter(Boolean).join(", ");
}

function inside(cell: Cell, region: Region): boolean {
  return cell.step >= region.steps[0] && cell.step <= region.steps[1] && cell.row >= region.rows[0] && cell.row <= region.rows[1];
}

/** Edits as they stand in an address: node.depth.what.units.steps.value, whole numbers in a row as from-to. */
function writeEdits(edits: Edit[]): string {
  const ranges = (numbers: number[]) => {
    const parts: [number, number][] = [];
    for (const one of [...numbers].sort((a, b) => a - b)) {
      const last = parts[parts.length - 1];
      if (last && last[1] === one - 1) last[1] = one;
      else parts.push([one, one]);
    }
    return parts.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join("+");
  };
  return edits.map((edit) => [edit.node, edit.depth, edit.what, ranges(edit.units), ranges(edit.steps), edit.value].join("!")).join("~");
}

/** The edits of an address that fit this film; the others are left out. */
function readEdits(text: string, film: Film): Edit[] {
  const numbers = (words: string, most: number) =>
    words.split("+").flatMap((word) => {
      const [from = NaN, to = from] = word.split("-").map(Number);
      return from >= 0 && to < most ? span([from, to]) : [];
    });
  return text.split("~").flatMap((word) => {
    const [node = "", depth, what = "", units = "", steps = "", value] = word.split("!");
    const layer = film.layers.find((one) => one.node === node && one.depth === Number(depth) && one.direction === 0);
    if (!layer || !layer.strips.some((strip) => strip.key === what) || !Number.isFinite(Number(value))) return [];
    const edit = { node, depth: layer.depth, what, units: numbers(units, layer.units), steps: numbers(steps, film.steps.length), value: Number(value) };
    return edit.units.length && edit.steps.length ? [edit] : [];
  });
}

function same(a: Edit, b: Edit): boolean {
  return a.node === b.node && a.depth === b.depth && a.what === b.what && a.units.join() === b.units.join() && a.steps.join() === b.steps.join();
}

/** The shares of the prediction under the mouse; those of the last answers are remembered. */
function useShares(film: Film, at: number | null, asked: number | null, predicts: boolean) {
  const memory = useRef(new Map<number, Shares>());
  const [shares, setShares] = useState<Shares | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const quiet = useQuiet(at, 30);
  const token = useLatest(asked);
  useEffect(() => {
    if (film.shares.kind === null || quiet === null || quiet < 0) {
      setShares(null);
      return;
    }
    const known = memory.current.get(quiet);
    if (known) {
      setShares(known);
      if (known.trust !== null) return;
    }
    let current = true;
    const take = (answer: Shares) => {
      memory.current.set(quiet, answer);
      if (current) setShares(answer);
    };
    const target = predicts && token.current !== null ? (film.tokens?.[token.current] ?? null) : null;
    engine
      .shares(film.run, film.shares.kind === "steps" ? quiet : null, target, false)
      .then((answer) => {
        take(answer);
        return current ? engine.shares(film.run, film.shares.kind === "steps" ? quiet : null, answer.target, true).then(take) : undefined;
      })
      .catch((error: unknown) => current && setFault(faultText(error)));
    return () => {
      current = false;
    };
  }, [quiet, film]);
  return { shares: at === null ? null : shares, fault };
}

function Legend() {
  const scale = (css: string[]) => `linear-gradient(90deg, ${[0, 32, 64, 96, 128, 160, 192, 224, 255].map((k) => css[k]).join(",")})`;
  return (
    <div class="legend">
      <span>0</span>
      <i style={{ background: scale(shareColors.css) }} />
      <span>1 (keep, reset)</span>
      <span>−</span>
      <i style={{ background: scale(signedColors.css) }} />
      <span>+ (candidate, state)</span>
    </div>
  );
}
