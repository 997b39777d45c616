// The equations of the cells in float64: from the input and the states of a layer to its gates, its film, its exact shares, and a run
// with gates held. As congru.gates computes them; for pages without a server.
import type { Edit, LayerFilm, Shares, Strip, UnitNumbers } from "./protocol";

/** A layer in one direction: its cell, its weights [G*H, I] and [G*H, H] row by row, and how it is shown. */
export interface LayerSpec {
  node: string;
  depth: number;
  direction: number;
  directions: number;
  title: string;
  cell: "gru" | "lstm" | "rnn" | "rnn_relu" | "mingru";
  resetBefore: boolean;
  zoneout: number;
  units: number;
  inputs: number;
  formulas: string[];
  strips: { key: string; title: string; signed: boolean }[];
  W: Float32Array;
  U: Float32Array | null;
  bi: Float32Array;
  bh: Float32Array;
}

/** What a layer did: input x [T, I], states y [T, H], and every gate [T, H] by its letter; `c` of an LSTM. */
export interface LayerRun {
  spec: LayerSpec;
  steps: number;
  x: Float64Array;
  y: Float64Array;
  c: Float64Array | null;
  start: Float64Array;
  startCell: Float64Array | null;
  gates: Record<string, Float64Array>;
}

const LETTERS: Record<string, string[]> = { gru: ["r", "z", "n"], lstm: ["i", "f", "g", "o"], rnn: ["n"], rnn_relu: ["n"], mingru: ["z", "n"] };
const KEEP: Record<string, string> = { gru: "z", lstm: "f", mingru: "z" };
const CANDIDATE: Record<string, string> = { gru: "n", lstm: "g", rnn: "n", rnn_relu: "n", mingru: "n" };

export const sigmoid = (a: number) => 1 / (1 + Math.exp(-a));

/** Rows `first` to `last` of M v + b. */
function product(M: Float32Array, v: Float64Array, b: Float32Array, first: number, last: number): Float64Array {
  const size = v.length;
  const out = new Float64Array(last - first);
  for (let row = first; row < last; row++) {
    let total = b[row] ?? 0;
    const at = row * size;
    for (let k = 0; k < size; k++) total += M[at + k]! * v[k]!;
    out[row - first] = total;
  }
  return out;
}

type Adjust = (letter: string, values: Float64Array) => void;

/** One step: the gates by letter, and the state after it. `adjust` may change a gate as soon as it is known. */
export function stepOf(spec: LayerSpec, x: Float64Array, h: Float64Array, c: Float64Array | null, adjust: Adjust = () => undefined) {
  const H = spec.units;
  const count = LETTERS[spec.cell]!.length;
  const gi = product(spec.W, x, spec.bi, 0, count * H);
  const gates: Record<string, Float64Array> = {};
  const set = (letter: string, of: (k: number) => number) => {
    const values = Float64Array.from({ length: H }, (_, k) => of(k));
    adjust(letter, values);
    gates[letter] = values;
    return values;
  };
  let next: Float64Array;
  let cell: Float64Array | null = null;
  if (spec.cell === "mingru") {
    const z = set("z", (k) => sigmoid(gi[k]!));
    const n = set("n", (k) => (gi[H + k]! >= 0 ? gi[H + k]! + 0.5 : sigmoid(gi[H + k]!)));
    next = h.map((old, k) => (1 - z[k]!) * n[k]! + z[k]! * old);
  } else if (spec.cell === "gru") {
    const gh = product(spec.U!, h, spec.bh, 0, (spec.resetBefore ? 2 : 3) * H);
    const r = set("r", (k) => sigmoid(gi[k]! + gh[k]!));
    const z = set("z", (k) => sigmoid(gi[H + k]! + gh[H + k]!));
    const read = spec.resetBefore ? product(spec.U!, h.map((old, k) => r[k]! * old), spec.bh, 2 * H, 3 * H) : null;
    const n = set("n", (k) => Math.tanh(gi[2 * H + k]! + (read ? read[k]! : r[k]! * gh[2 * H + k]!)));
    next = h.map((old, k) => (1 - z[k]!) * n[k]! + z[k]! * old);
  } else if (spec.cell === "lstm") {
    const gh = product(spec.U!, h, spec.bh, 0, 4 * H);
    const sum = (row: number, k: number) => gi[row * H + k]! + gh[row * H + k]!;
    const i = set("i", (k) => sigmoid(sum(0, k)));
    const f = set("f", (k) => sigmoid(sum(1, k)));
    const g = set("g", (k) => Math.tanh(sum(2, k)));
    const o = set("o", (k) => sigmoid(sum(3, k)));
    cell = c!.map((old, k) => f[k]! * old + i[k]! * g[k]!);
    next = cell.map((value, k) => o[k]! * Math.tanh(value));
  } else {
    const gh = product(spec.U!, h, spec.bh, 0, H);
    next = set("n", (k) => (spec.cell === "rnn" ? Math.tanh(gi[k]! + gh[k]!) : Math.max(0, gi[k]! + gh[k]!)));
  }
  const p = spec.zoneout;
  if (p) {
    next = next.map((value, k) => p * h[k]! + (1 - p) * value);
    cell = cell && cell.map((value, k) => p * c![k]! + (1 - p) * value);
  }
  return { gates, h: next, c: cell };
}

/** The steps in the order in which the layer took them. */
function order(spec: LayerSpec, steps: number): number[] {
  return Array.from({ length: steps }, (_, k) => (spec.direction ? steps - 1 - k : k));
}

const row = (values: Float64Array, step: number, size: number) => values.subarray(step * size, (step + 1) * size);

/** Every gate of a layer that ran, from its input and its own states, as `congru.gates.recover` does. */
export function recover(spec: LayerSpec, x: Float64Array, y: Float64Array, start: Float64Array, startCell: Float64Array | null): LayerRun {
  const steps = y.length / spec.units;
  const gates: Record<string, Float64Array> = {};
  for (const letter of LETTERS[spec.cell]!) gates[letter] = new Float64Array(y.length);
  const cells = spec.cell === "lstm" ? new Float64Array(y.length) : null;
  let [h, c] = [start, startCell];
  for (const step of order(spec, steps)) {
    const done = stepOf(spec, row(x, step, spec.inputs), h, c);
    for (const [letter, values] of Object.entries(done.gates)) gates[letter]!.set(values, step * spec.units);
    if (cells && done.c) cells.set(done.c, step * spec.units);
    [h, c] = [row(y, step, spec.units), done.c];
  }
  return { spec, steps, x, y, c: cells, start, startCell, gates };
}

/** How far the equations are from what the model returned: the largest difference of a state. */
export function residual(run: LayerRun): number {
  let most = 0;
  let [h, c] = [run.start, run.startCell];
  for (const step of order(run.spec, run.steps)) {
    const done = stepOf(run.spec, row(run.x, step, run.spec.inputs), h, c);
    const own = row(run.y, step, run.spec.units);
    done.h.forEach((value, k) => (most = Math.max(most, Math.abs(value - own[k]!))));
    [h, c] = [own, done.c];
  }
  return most;
}

/** The share of the old memory that stays, [T, H]; null where no gate keeps. */
export function keptOf(run: LayerRun): Float64Array | null {
  const gate = run.gates[KEEP[run.spec.cell] ?? ""];
  const p = run.spec.zoneout;
  return gate ? gate.map((value) => p + (1 - p) * value) : null;
}

function stripValues(run: LayerRun, key: string): Float64Array {
  const { gates, spec } = run;
  const by: Record<string, Float64Array | null | undefined> = {
    keep: keptOf(run), reset: gates.r, input: gates.i, output: gates.o, candidate: gates[CANDIDATE[spec.cell]!], cell: run.c, state: run.y,
  };
  return by[key]!;
}

function encode(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}

/** Values as bytes: share = byte / 255, or signed = (byte - 127) / 127 * reach. */
export function packed(values: Float64Array, signed: boolean, reach: number | null = null): { reach: number; data: string } {
  const most = reach ?? (signed ? values.reduce((all, value) => Math.max(all, Math.abs(value)), 1e-9) : 1);
  const bytes = Uint8Array.from(values, (value) => {
    const scaled = signed ? Math.max(-1, Math.min(1, value / most)) * 127 + 127 : Math.max(0, Math.min(1, value)) * 255;
    return Math.round(scaled);
  });
  return { reach: most, data: encode(bytes) };
}

/** tau of every unit in steps, -1 / mean(ln keep); null where nothing is ever forgotten, or no gate keeps. */
export function timescales(run: LayerRun): (number | null)[] {
  const keep = keptOf(run);
  return Array.from({ length: run.spec.units }, (_, unit) => {
    if (!keep) return null;
    let total = 0;
    for (let step = 0; step < run.steps; step++) total += Math.log(keep[step * run.spec.units + unit]!);
    const tau = run.steps / Math.abs(total);
    return Number.isFinite(tau) ? tau : null;
  });
}

/** The layer as the explorer draws it. */
export function filmOf(run: LayerRun): LayerFilm {
  const { spec } = run;
  const tau = timescales(run);
  const units = Array.from({ length: spec.units }, (_, k) => k);
  const keeps = keptOf(run) !== null;
  const strips: Strip[] = spec.strips.map((strip) => ({ ...strip, ...packed(stripValues(run, strip.key), strip.signed) }));
  return {
    node: spec.node, depth: spec.depth, direction: spec.direction, directions: spec.directions, title: spec.title, cell: spec.cell,
    units: spec.units, formulas: spec.formulas, tau, strips,
    order: keeps ? units.sort((a, b) => (tau[b] ?? Infinity) - (tau[a] ?? Infinity) || a - b) : units,
  };
}

/** The heat maps of a run with edits, on the scales of the run as it was. */
export function editedStrips(run: LayerRun, film: LayerFilm): Omit<Strip, "title">[] {
  return film.strips.map(({ key, signed, reach }) => ({ key, signed, ...packed(stripValues(run, key), signed, reach) }));
}

/** The equations of one unit at one step, with their numbers. */
export function unitNumbers(run: LayerRun, step: number, unit: number): UnitNumbers {
  const { spec } = run;
  const [H, letters] = [spec.units, LETTERS[spec.cell]!];
  const sequence = order(spec, run.steps);
  const at = sequence.indexOf(step);
  const before = at === 0 ? run.start : row(run.y, sequence[at - 1]!, H);
  const x = row(run.x, step, spec.inputs);
  const value = (letter: string) => run.gates[letter]![step * H + unit]!;
  const [input, state]: Record<string, number>[] = [{}, {}];
  letters.forEach((letter, k) => {
    input![letter] = product(spec.W, x, spec.bi, k * H + unit, k * H + unit + 1)[0]!;
    const read = spec.resetBefore && letter === "n" ? before.map((old, j) => run.gates.r![step * H + j]! * old) : before;
    state![letter] = spec.U ? product(spec.U, read, spec.bh, k * H + unit, k * H + unit + 1)[0]! : 0;
  });
  const cellBefore = run.c ? (at === 0 ? run.startCell! : row(run.c, sequence[at - 1]!, H))[unit]! : null;
  return {
    input: input!, state: state!, gates: Object.fromEntries(letters.map((letter) => [letter, value(letter)])), keep: keptOf(run)?.[step * H + unit] ?? null,
    before: before[unit]!, after: run.y[step * H + unit]!, cell_before: cellBefore, cell_after: run.c ? run.c[step * H + unit]! : null,
    tau: timescales(run)[unit] ?? null, zoneout: spec.zoneout, reset_before: spec.resetBefore,
  };
}

/** One output o_t = W y_t + b of the last layer, or of its last step: the row of W, its bias, and its name. */
export interface Asked {
  weight: Float64Array;
  bias: number;
  at: number;
  target: number;
  label: string;
}

/**
 * What each step gave an output, exactly: B_T = W_row, B_k = keep_{k+1} B_{k+1}, C_k = (written at k) . B_k.
 * Of an LSTM for its cell state, the output gate and tanh held as they were. Layers that run forward, one output step.
 */
export function sharesOf(run: LayerRun, asked: Asked): Shares {
  const { spec, gates } = run;
  const H = spec.units;
  const keep = keptOf(run)!;
  const p = spec.zoneout;
  const contributions = new Array<number>(run.steps).fill(0);
  const B = Float64Array.from(asked.weight);
  let [output, start] = [asked.bias, 0];
  const shown = new Float64Array(H).fill(1);
  for (let k = 0; k < H; k++) output += asked.weight[k]! * run.y[asked.at * H + k]!;
  if (run.c)
    for (let k = 0; k < H; k++) {
      const c = run.c[asked.at * H + k]!;
      shown[k] = gates.o![asked.at * H + k]! * (Math.abs(c) < 1e-6 ? 1 : Math.tanh(c) / c);
      B[k] = B[k]! * shown[k]!;
    }
  for (let step = asked.at; step >= 0; step--) {
    let contribution = 0;
    for (let k = 0; k < H; k++) {
      const j = step * H + k;
      const written = run.c ? gates.i![j]! * gates.g![j]! : (1 - gates.z![j]!) * gates.n![j]!;
      contribution += (1 - p) * written * B[k]!;
      B[k] = B[k]! * keep[j]!;
    }
    contributions[step] = contribution;
  }
  const first = run.c ? run.startCell! : run.start;
  for (let k = 0; k < H; k++) start += B[k]! * first[k]!;
  const total = contributions.reduce((a, b) => a + b, 0);
  return { target: asked.target, label: asked.label, at: asked.at, contributions, start, bias: asked.bias, output, residual: output - total - start - asked.bias, trust: null };
}

/** Run layers that lie on each other again, gates held and states set where an edit says so: h' = update(gates), then h'[unit] = value. */
export function runEdited(layers: LayerRun[], edits: Edit[]): LayerRun[] {
  const done: LayerRun[] = [];
  let x = layers[0]!.x;
  for (const layer of layers) {
    const { spec, steps } = layer;
    const own = edits.filter((edit) => edit.node === spec.node && edit.depth === spec.depth);
    const gates: Record<string, Float64Array> = {};
    for (const letter of LETTERS[spec.cell]!) gates[letter] = new Float64Array(steps * spec.units);
    const y = new Float64Array(steps * spec.units);
    const cells = layer.c ? new Float64Array(steps * spec.units) : null;
    let [h, c] = [layer.start, layer.startCell];
    for (let step = 0; step < steps; step++) {
      const here = own.filter((edit) => edit.steps.includes(step));
      const after = stepOf(spec, row(x, step, spec.inputs), h, c, (letter, values) => {
        for (const edit of here) if (letterOf(spec, edit.what) === letter) for (const unit of edit.units) values[unit] = heldAt(spec, edit);
      });
      for (const edit of here) {
        const part = edit.what === "state" ? after.h : edit.what === "cell" ? after.c : null;
        if (part) for (const unit of edit.units) part[unit] = edit.value;
      }
      for (const [letter, values] of Object.entries(after.gates)) gates[letter]!.set(values, step * spec.units);
      y.set(after.h, step * spec.units);
      if (cells && after.c) cells.set(after.c, step * spec.units);
      [h, c] = [after.h, after.c];
    }
    done.push({ ...layer, x, y, c: cells, gates });
    x = y;
  }
  return done;
}

function letterOf(spec: LayerSpec, what: string): string | undefined {
  const letters: Record<string, string | undefined> = { keep: KEEP[spec.cell], reset: "r", input: "i", output: "o", candidate: CANDIDATE[spec.cell] };
  return letters[what];
}

/** With zoneout the gate that makes p + (1 - p) gate = value. */
function heldAt(spec: LayerSpec, edit: Edit): number {
  return edit.what === "keep" ? (edit.value - spec.zoneout) / (1 - spec.zoneout) : edit.value;
}
