// The gate explorer: what each gate did with an input, what a prediction stands on, and what comes of another gate.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { share as shareColors, shareStyle, signed as signedColors, SERIES } from "../colors";
import { engine } from "../engine";
import { decode, FilmStrips, valueOf, type Bytes, type Cell, type Region } from "../film";
import { Chart } from "../chart";
import { Bar, digits, Drawing, faultText, keepInAddress, Notice, percent, Segments, useAnswer, useLatest, useRoute } from "../parts";
import type { Edit, Film, LayerFilm, Outcome, Shares, UnitNumbers } from "../protocol";

const EXAMPLES: Record<string, string> = {
  chess: "e4 e5 Nf3 Nc6 Bb5 a6 Ba4 Nf6 O-O Be7",
};
const ASKS: Record<string, [string, string]> = {
  text: ["Text to read", "Type or paste a text"],
  chess: ["Moves or PGN", "e4 e5 Nf3 Nc6 …"],
  forecast: ["Series", "The name of a series; empty takes the first"],
};

/** After some quiet, the newest value. */
function useQuiet<T>(value: T, milliseconds: number): T {
  const [quiet, setQuiet] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setQuiet(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return quiet;
}

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
          {task === "chess" && text === "" && <button type="button" onClick={() => setText(EXAMPLES.chess!)}>Try the Ruy Lopez</button>}
          {film && film.cut > 0 && <span>{film.cut} steps were left out: {film.steps.length} are shown.</span>}
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

interface Variant {
  name: string;
  edits: Edit[];
  outcome: Outcome;
}

function Explored({ film, model, task, source, goOn, hold: held }: { film: Film; model: string; task: string; source: string; goOn: (text: string) => void; hold: string }) {
  const [layerIndex, setLayerIndex] = useState(film.layers.length - 1);
  const layer = film.layers[layerIndex]!;
  const last = film.steps.length - 1;
  const [hovered, setHovered] = useState<number | null>(null); // the token whose prediction is asked about
  const [pinned, setPinned] = useState<number | null>(null);
  const [cell, setCell] = useState<{ cell: Cell; strip: string } | null>(null);
  const [picked, setPicked] = useState<{ cell: Cell; strip: string } | null>(null);
  const [region, setRegion] = useState<Region | null>(null);
  const [fires, setFires] = useState<number | null>(null);
  const [edits, setEdits] = useState<Edit[]>(() => (film.edits ? readEdits(held, film) : []));
  useEffect(() => {
    const text = writeEdits(edits);
    if (source.length + text.length < 3000) keepInAddress(["model", model, "gates"], { text: source, hold: text });
  }, [edits]);
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
  const asked = pinned ?? hovered ?? (film.shares.kind === null ? null : last);
  const predicts = film.predictions !== null && film.shares.kind === "steps" && film.predictions.actual.length > 0;
  // A token is predicted by the step before it; an output of another kind is explained at the step itself.
  const at = asked === null ? null : predicts ? asked - 1 : asked;
  const { shares, fault: sharesFault } = useShares(film, at, asked, predicts);
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
            shares={fires === null ? shares : null}
            at={asked}
            column={column}
            predicts={predicts}
            hover={setHovered}
            pin={(k) => setPinned(k === pinned ? null : k)}
            isPinned={pinned !== null}
          />
          <PredictionLine film={film} at={asked} predicts={predicts} shares={shares} fault={sharesFault} fires={fires} layer={layer} clear={() => setFires(null)} />
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
  return [layer.node, deep ? `layer ${layer.depth + 1}` : "", layer.directions > 1 ? (layer.direction ? "backward" : "forward") : ""].filter(Boolean).join(", ");
}

function inside(cell: Cell, region: Region): boolean {
  return cell.step >= region.steps[0] && cell.step <= region.steps[1] && cell.row >= region.rows[0] && cell.row <= region.rows[1];
}

function span([from, to]: [number, number]): number[] {
  return Array.from({ length: to - from + 1 }, (_, k) => from + k);
}

function editOf(layer: LayerFilm, strip: string, region: Region, value: number): Edit {
  return { node: layer.node, depth: layer.depth, what: strip, units: span(region.rows).map((row) => layer.order[row]!), steps: span(region.steps), value };
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

function TokenView(props: {
  film: Film;
  layer: LayerFilm;
  bytes: Bytes;
  fires: number | null;
  shares: Shares | null;
  at: number | null;
  column: number | null;
  predicts: boolean;
  hover: (step: number | null) => void;
  pin: (step: number) => void;
  isPinned: boolean;
}) {
  const { film, layer, bytes, fires, shares, at, column } = props;
  const words = film.steps.some((step) => [...step].length > 2);
  const reach = shares ? Math.max(...shares.contributions.map(Math.abs), 1e-9) : 1;
  const state = layer.strips.find((strip) => strip.key === "state");
  const values = bytes.state;
  function styleOf(step: number) {
    if (fires !== null && values && state) {
      const value = valueOf(values[step * layer.units + fires]!, true, 1);
      return shareStyle(value, 1);
    }
    const limit = props.predicts ? (at ?? 0) : film.steps.length;
    if (shares && (step < limit || !props.predicts)) return shareStyle(shares.contributions[step] ?? 0, reach);
    return undefined;
  }
  function key(event: KeyboardEvent) {
    const move = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (move) {
      event.preventDefault();
      const next = Math.min(film.steps.length - 1, Math.max(0, (at ?? (move > 0 ? -1 : film.steps.length)) + move));
      props.hover(next);
    } else if (event.key === "Enter" && at !== null) {
      props.pin(at);
    }
  }
  return (
    <div
      class={`tokens ${words ? "words" : ""}`}
      tabIndex={0}
      role="group"
      aria-label="The steps that were read. Arrow keys choose a prediction, Enter keeps it."
      onKeyDown={key}
      onMouseLeave={() => props.hover(null)}
      onMouseOver={(event) => {
        const step = (event.target as HTMLElement).dataset.k;
        if (step !== undefined && !props.isPinned) props.hover(Number(step));
      }}
      onClick={(event) => {
        const step = (event.target as HTMLElement).dataset.k;
        if (step !== undefined) props.pin(Number(step));
      }}
    >
      {film.steps.map((label, k) => (
        <span key={k} data-k={k} class={`${k === at ? "explained" : ""} ${k === column ? "at" : ""}`} style={styleOf(k)} title={words ? undefined : `step ${k}`}>
          {label === "⏎" ? "⏎\n" : words ? label : label.replaceAll("␣", " ")}
        </span>
      ))}
    </div>
  );
}

function PredictionLine(props: {
  film: Film;
  at: number | null;
  predicts: boolean;
  shares: Shares | null;
  fault: string | null;
  fires: number | null;
  layer: LayerFilm;
  clear: () => void;
}) {
  const { film, at, predicts, shares, fires } = props;
  if (fires !== null)
    return (
      <div class="row small">
        <span>
          Coloured by the state of unit {fires}: <b style={{ color: "var(--orange)" }}>orange</b> positive, <b style={{ color: "var(--blue)" }}>blue</b> negative.
        </span>
        <button type="button" onClick={props.clear}>Show shares again</button>
      </div>
    );
  if (film.shares.kind === null) return <p class="small soft">No exact shares here: {film.shares.why}.</p>;
  if (at === null) return null;
  if (props.fault) return <Notice kind="bad">{props.fault}</Notice>;
  const actual = predicts && at > 0 ? film.predictions!.actual[at - 1] : undefined;
  const best = predicts ? film.predictions!.best[at - 1] : film.predictions?.best[Math.min(at, film.predictions.best.length - 1)];
  return (
    <div class="stack">
      <p class="small">
        {predicts && at === 0 && "The first token has nothing before it to be predicted from."}
        {actual && (
          <>
            <b class="mono">{film.steps[at]}</b> had a probability of <b>{percent(actual[0])}</b> (rank {actual[1]} of {film.predictions!.count}).{" "}
          </>
        )}
        {shares && (
          <>
            {!actual ? <>Explained is <b>{film.predictions ? shares.label : shares.label.replaceAll("␣", " ")}</b>, the largest. </> : null}
            {digits(shares.output)} = {digits(sum(shares.contributions))} written, {digits(shares.start)} from the start, {digits(shares.bias)} bias.{" "}
            {shares.trust !== null ? <>Trust {digits(shares.trust, 2)}: {trustWords(shares.trust)}.</> : null}
          </>
        )}
      </p>
      <p class="small soft">
        {predicts
          ? "Point at a token: the text before it is coloured by what each step gave its prediction, orange for, blue against. Click keeps it."
          : "Point at a step: each is coloured by what it gave the output there, orange for, blue against. Click keeps it."}
      </p>
      {best && (
        <div class="choices" style={{ maxWidth: "340px" }}>
          {best.slice(0, 5).map(([index, p]) => (
            <div class="line" key={index}>
              <span class="mono">{film.predictions!.labels[String(index)]}</span>
              <Bar share={p} />
              <span class="number">{percent(p)}</span>
            </div>
          ))}
        </div>
      )}
    </div>
  );
}

function trustWords(trust: number): string {
  if (trust > 0.75) return "the memory is carried, the colours tell most of it";
  if (trust > 0.4) return "part of it is computed anew through the candidate";
  return "most is computed anew through the candidate: read the colours with care";
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
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

function StepTable({ film, layer, bytes, step }: { film: Film; layer: LayerFilm; bytes: Bytes; step: number }) {
  return (
    <details>
      <summary>Table of step {step}, “{film.steps[step]}”</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>unit</th>
              <th class="number">memory, steps</th>
              {layer.strips.map((strip) => <th key={strip.key} class="number">{strip.key}</th>)}
            </tr>
          </thead>
          <tbody>
            {layer.order.slice(0, 256).map((unit) => (
              <tr key={unit}>
                <td>{unit}</td>
                <td class="number">{digits(layer.tau[unit], 3)}</td>
                {layer.strips.map((strip) => (
                  <td key={strip.key} class="number">{valueOf(bytes[strip.key]![step * layer.units + unit]!, strip.signed, strip.reach).toFixed(2)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function UnitPanel(props: { film: Film; layer: LayerFilm; chosen: { cell: Cell; strip: string } | null; fires: number | null; setFires: (unit: number | null) => void }) {
  const { film, layer, chosen } = props;
  const [numbers, setNumbers] = useState<{ key: string; value: UnitNumbers } | null>(null);
  const step = chosen?.cell.step ?? null;
  const unit = chosen ? layer.order[chosen.cell.row]! : null;
  const key = step === null ? "" : `${layer.node} ${layer.depth} ${layer.direction} ${step} ${unit}`;
  const quiet = useQuiet(key, 40);
  useEffect(() => {
    if (quiet === "" || step === null || unit === null || quiet !== key) return;
    let current = true;
    engine.unit(film.run, layer, step, unit).then(
      (value) => current && setNumbers({ key, value }),
      () => current && setNumbers(null),
    );
    return () => {
      current = false;
    };
  }, [quiet]);
  return (
    <section class="card" aria-label="Equations" aria-live="polite">
      <div class="row spread">
        <h2>{unit === null ? "One unit" : `Unit ${unit}`}</h2>
        {unit !== null && (
          <button type="button" aria-pressed={props.fires === unit} onClick={() => props.setFires(props.fires === unit ? null : unit)}>
            Where it fires
          </button>
        )}
      </div>
      {unit === null || step === null ? (
        <>
          <p class="small soft">Point at the film: the equations fill with the numbers of that unit at that step.</p>
          <div class="equations soft">{layer.formulas.map((line) => <div key={line}>{line}</div>)}</div>
        </>
      ) : (
        <>
          <p class="small soft">
            at step {step}, “{film.steps[step]}”; it forgets 63 % in {layer.tau[unit] === null ? "∞" : digits(layer.tau[unit], 3)} steps
          </p>
          {numbers ? <Equations layer={layer} numbers={numbers.value} /> : <div class="equations soft">…</div>}
        </>
      )}
    </section>
  );
}

function Equations({ layer, numbers }: { layer: LayerFilm; numbers: UnitNumbers }) {
  const { input, state, gates } = numbers;
  const n = (value: number | null | undefined) => digits(value, 3);
  const argument = (gate: string, times = "") => (input && state ? `${n(input[gate])} ${times ? "+ " + times + " ×" : "+"} ${n(state[gate])}` : "…");
  const G = ({ gate, f = "σ", times = "" }: { gate: string; f?: string; times?: string }) => (
    <div>
      {gate} = {f}({argument(gate, times)}) = <b>{n(gates[gate])}</b>
    </div>
  );
  const extra = numbers.zoneout ? <div class="soft">then zoneout keeps {numbers.zoneout} of the old</div> : null;
  if (layer.cell === "gru")
    return (
      <div class="equations">
        <G gate="r" />
        <G gate="z" />
        <G gate="n" f="tanh" times={numbers.reset_before ? "" : n(gates.r)} />
        <div>
          h′ = (1 − {n(gates.z)}) × {n(gates.n)} + {n(gates.z)} × <b class="warm">{n(numbers.before)}</b> = <b>{n(numbers.after)}</b>
        </div>
        {extra}
        <p class="small soft">In each bracket: what the input gives, and what the state before gives.</p>
      </div>
    );
  if (layer.cell === "mingru")
    return (
      <div class="equations">
        <div>z = σ({n(input?.z)}) = <b>{n(gates.z)}</b></div>
        <div>n = g({n(input?.n)}) = <b>{n(gates.n)}</b></div>
        <div>h′ = (1 − {n(gates.z)}) × {n(gates.n)} + {n(gates.z)} × <b class="warm">{n(numbers.before)}</b> = <b>{n(numbers.after)}</b></div>
      </div>
    );
  if (layer.cell === "lstm")
    return (
      <div class="equations">
        <G gate="i" />
        <G gate="f" />
        <G gate="g" f="tanh" />
        <G gate="o" />
        <div>c′ = {n(gates.f)} × <b class="warm">{n(numbers.cell_before)}</b> + {n(gates.i)} × {n(gates.g)} = <b>{n(numbers.cell_after)}</b></div>
        <div>h′ = {n(gates.o)} × tanh(c′) = <b>{n(numbers.after)}</b></div>
        {extra}
      </div>
    );
  return (
    <div class="equations">
      <div>h′ = {layer.cell === "rnn" ? "tanh" : "max(0, ·)"}({argument("n")}) = <b>{n(numbers.after)}</b></div>
      {extra}
    </div>
  );
}

function HoldPanel(props: { film: Film; layer: LayerFilm; chosen: { cell: Cell; strip: string } | null; region: Region | null; bytes: Bytes; add: (edit: Edit) => void }) {
  const { film, layer, region, bytes } = props;
  const [wide, setWide] = useState<"cells" | "steps" | "units">("cells");
  if (!region || !props.chosen)
    return (
      <section class="card" aria-label="Hold a gate">
        <h2>Hold a gate</h2>
        <p class="small soft">Click a cell of the film, or draw a frame over several, then drag a slider: the model runs again with that gate held.</p>
      </section>
    );
  const cells: Region = {
    ...region,
    steps: wide === "steps" ? [0, film.steps.length - 1] : region.steps,
    rows: wide === "units" ? [0, layer.units - 1] : region.rows,
  };
  const [steps, units] = [cells.steps[1] - cells.steps[0] + 1, cells.rows[1] - cells.rows[0] + 1];
  const held = layer.strips.filter((strip) => strip.key !== "cell");
  const unit = layer.order[region.rows[0]]!;
  return (
    <section class="card" aria-label="Hold a gate">
      <h2>Hold a gate</h2>
      <p class="small soft">
        {units === 1 ? `unit ${unit}` : units === layer.units ? "all units" : `${units} units`} at {steps === 1 ? `step ${cells.steps[0]}, “${film.steps[cells.steps[0]]}”` : steps === film.steps.length ? "all steps" : `steps ${cells.steps[0]} to ${cells.steps[1]}`}
      </p>
      <Segments label="Reach" value={wide} options={[["cells", "Here"], ["steps", "All steps"], ["units", "All units"]]} choose={setWide} />
      {held.map((strip) => {
        const now = valueOf(bytes[strip.key]![region.steps[0] * layer.units + unit]!, strip.signed, strip.reach);
        const least = strip.signed ? -1 : 0;
        return (
          <div class="slider" key={strip.key}>
            <span>{strip.key}</span>
            <input
              type="range"
              min={least}
              max={1}
              step={0.01}
              value={Math.max(least, Math.min(1, now))}
              aria-label={`Hold ${strip.key}`}
              onInput={(event) => props.add(editOf(layer, strip.key, { ...cells, strip: strip.key }, Number(event.currentTarget.value)))}
            />
            <span class="number">{now.toFixed(2)}</span>
          </div>
        );
      })}
      <div class="row">
        {held.filter((strip) => !strip.signed).flatMap((strip) => [0, 1].map((value) => (
          <button key={`${strip.key}${value}`} type="button" onClick={() => props.add(editOf(layer, strip.key, { ...cells, strip: strip.key }, value))}>
            {strip.key} = {value}
          </button>
        )))}
      </div>
    </section>
  );
}

function WhatIfView(props: {
  film: Film;
  layer: LayerFilm;
  model: string;
  task: string;
  source: string;
  edits: Edit[];
  setEdits: (change: (before: Edit[]) => Edit[]) => void;
  took: (bytes: Bytes | null) => void;
  goOn: (text: string) => void;
}) {
  const { film, layer, edits, task } = props;
  const [temperature, setTemperature] = useState(0.7);
  const [seed, setSeed] = useState(0);
  const [length, setLength] = useState(160);
  const [variants, setVariants] = useState<Variant[]>([]);
  const options = useQuiet(`${temperature} ${seed} ${length}`, 150);
  const rest = { n: task === "text" ? length : 0, temperature, seed, ...(task === "forecast" && props.source ? { source: props.source } : {}) };
  const before = useAnswer(`${film.run} ${options}`, () => engine.whatIf(film.run, [], rest));
  const wanted = useQuiet(JSON.stringify(edits), 90);
  const after = useAnswer(wanted === "[]" ? null : `${film.run} ${options} ${wanted}`, () => engine.whatIf(film.run, JSON.parse(wanted) as Edit[], rest));
  const shown = edits.length > 0 && wanted !== "[]" ? after.answer : null;
  useEffect(() => {
    const own = shown?.layers.find((one) => one.node === layer.node && one.depth === layer.depth);
    props.took(own ? Object.fromEntries(own.strips.map((strip) => [strip.key, decode(strip.data)])) : null);
  }, [shown, layer]);
  useEffect(() => setVariants([]), [options, film]);
  const was = before.answer?.outcome;
  const now = shown?.outcome;
  return (
    <section class="card outcomes" aria-label="What comes of it">
      <div class="row spread">
        <h2>{task === "text" ? "How it goes on" : "What comes of it"}</h2>
        <div class="row">
          <button type="button" disabled={edits.length === 0} onClick={() => props.setEdits((all) => all.slice(0, -1))}>Undo</button>
          <button
            type="button"
            disabled={!now || variants.length >= 3}
            title="Keep this outcome beside the others"
            onClick={() => now && setVariants((all) => [...all, { name: `Fork ${all.length + 1}`, edits, outcome: now }])}
          >
            Fork
          </button>
        </div>
      </div>
      {task === "text" && (
        <div class="row">
          <Drawing temperature={temperature} setTemperature={setTemperature} length={length} setLength={setLength} lengths={[20, 400, 20]} />
          <button type="button" onClick={() => setSeed((one) => one + 1)}>Draw again</button>
        </div>
      )}
      {edits.length > 0 && (
        <div class="row" aria-label="Changes">
          {edits.map((edit, k) => (
            <span class="chip" key={k}>
              {edit.what} = {digits(edit.value, 3)}, {edit.units.length === 1 ? `unit ${edit.units[0]}` : `${edit.units.length} units`}, {edit.steps.length === 1 ? `step ${edit.steps[0]}` : `${edit.steps.length} steps`}
              <button type="button" aria-label={`Remove ${edit.what} of ${edit.units.length} units`} onClick={() => props.setEdits((all) => all.filter((one) => one !== edit))}>×</button>
            </span>
          ))}
        </div>
      )}
      {(before.fault ?? after.fault) && <Notice kind="bad">{after.fault ?? before.fault}</Notice>}
      {was?.kind === "curve" ? (
        <CurveOutcome was={was} now={now?.kind === "curve" ? now : null} />
      ) : (
        <div class="halves">
          {was && <OutcomeView title="As it was" outcome={was} />}
          {now ? (
            <div class={after.busy ? "busy" : ""}><OutcomeView title="With your change" outcome={now} beside={was} /></div>
          ) : (
            <div class="stack">
              <h3>With your change</h3>
              <p class="small soft">{task === "text" ? "Hold a gate or set the state of a unit, and the same random numbers draw it again here." : "Hold a gate or set the state of a unit, and what comes of it appears here."}</p>
            </div>
          )}
          {variants.map((variant) => (
            <div key={variant.name} class="stack">
              <OutcomeView title={variant.name} outcome={variant.outcome} beside={was} />
              <div class="row">
                <button type="button" onClick={() => props.setEdits(() => variant.edits)}>Its changes</button>
                <button type="button" class="quiet" onClick={() => setVariants((all) => all.filter((one) => one !== variant))}>Close</button>
              </div>
            </div>
          ))}
        </div>
      )}
      {task === "text" && film.text !== null && (
        <div class="row small">
          {was?.kind === "text" && <button type="button" onClick={() => props.goOn(film.text + was.text)}>Read on from “as it was”</button>}
          {now?.kind === "text" && <button type="button" onClick={() => props.goOn(film.text + now.text)}>Read on from the change</button>}
        </div>
      )}
      {edits.length > 0 && <p class="small soft">The shares and equations above are those of the run as it was; the film shows the run with your change.</p>}
    </section>
  );
}

function OutcomeView({ title, outcome, beside }: { title: string; outcome: Outcome; beside?: Outcome | undefined }) {
  return (
    <div class="stack">
      <h3>{title}</h3>
      {outcome.kind === "text" && <TextOutcome text={outcome.text} beside={beside?.kind === "text" ? beside.text : null} name={title} />}
      {outcome.kind === "choices" && <p class="small soft">{outcome.note}</p>}
      {(outcome.kind === "choices" || outcome.kind === "text") && (
        <div class="choices">
          {(outcome.kind === "text" ? outcome.next.slice(0, 4) : outcome.items).map(([name, p]) => (
            <div class="line" key={name}>
              <span class="mono">{name}</span>
              <Bar share={p} kind={beside ? "warm" : "own"} />
              <span class="number">{percent(p)}</span>
            </div>
          ))}
        </div>
      )}
      {outcome.kind === "numbers" && (
        <p class="mono">
          {outcome.values.map((value) => digits(value, 3)).join("  ")} {outcome.count > outcome.values.length && `… of ${outcome.count}`}
        </p>
      )}
    </div>
  );
}

function TextOutcome({ text, beside, name }: { text: string; beside: string | null; name: string }) {
  let equal = 0;
  if (beside !== null) while (equal < text.length && text[equal] === beside[equal]) equal++;
  return (
    <div class="outcome" data-outcome={name} tabIndex={0} role="region" aria-label={name}>
      {beside === null ? text : <>{text.slice(0, equal)}<mark>{text.slice(equal)}</mark></>}
      {beside !== null && equal === text.length && <span class="soft">{"\n"}(the same)</span>}
    </div>
  );
}

function CurveOutcome({ was, now }: { was: Extract<Outcome, { kind: "curve" }>; now: Extract<Outcome, { kind: "curve" }> | null }) {
  const lines = useMemo(() => {
    const band = was.bands[0];
    return [
      { label: "as it was", values: was.median, color: SERIES[0]! },
      ...(band ? [
        { label: `high ${band.level} %`, values: band.high, color: "--edge", width: 1, fill: [2, "--band"] as [number, string] },
        { label: `low ${band.level} %`, values: band.low, color: "--edge", width: 1 },
      ] : []),
      ...(now ? [{ label: "with your change", values: now.median, color: SERIES[1]! }] : []),
    ];
  }, [was, now]);
  return <Chart x={was.median.map((_, k) => k)} names={was.times} lines={lines} label="The forecast as it was and with the change" height={240} />;
}
