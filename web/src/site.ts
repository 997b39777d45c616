// A page without a server: its models came with it, their networks run in this browser by congru.wasm, and their gates by gates.ts.
// What is no network (the rules of chess, beam search, features of sound) is not here, and says so.
import { load, type Model, type Session } from "../../src/congru/export/wasm/congru.js";
import { editedStrips, filmOf, recover, runEdited, sharesOf, unitNumbers, type LayerRun, type LayerSpec } from "./gates";
import { Fault, type Edit, type Engine, type Film, type Forecast, type LayerFilm, type ModelEntry, type News, type Outcome, type Predictions, type Proof, type Row, type RunView, type Predicted, type Shares, type UnitNumbers, type WhatIf, type Words, type WriteOptions } from "./protocol";

interface PackedLayer extends Omit<LayerSpec, "W" | "U" | "bi" | "bh"> {
  plain: boolean;
  W: string;
  U: string | null;
  bi: string;
  bh: string;
  x: string;
  y: string;
  start: string;
  startCell?: string;
}
interface Readout {
  kind: string;
  weight: string;
  bias: string;
  labels: string[];
  named: boolean;
}
interface Example {
  why?: string;
  task: string;
  steps: string[];
  cut: number;
  tokens: number[] | null;
  words: Words;
  values: string[];
  pictures: string[];
  predicted: Predicted[] | null;
  text: string | null;
  layers: PackedLayer[];
  readout: Readout | null;
  shares: { kind: string | null; why: string | null };
}
interface Live {
  network: string;
  symbols: string[];
  inside: string;
  output: string;
  parts: Record<string, string>;
}
interface Golden {
  state: string;
  steps: Record<string, number[]>[];
  outputs: Record<string, { steps: boolean; values: number[] }>;
}
interface Packed {
  networks: { description: object; weights: string; golden: Record<string, Golden[]>; left: Record<string, string> };
  example: Example;
  live: Live | null;
  run?: RunView;
  rows?: Row[];
  forecasts?: Record<string, Forecast>;
}
export interface Site {
  version: string;
  models: ModelEntry[];
  core: string;
  packed: Record<string, Packed>;
}

/** One input that was read: every layer, and what a prediction is read with. */
interface Explored {
  name: string;
  film: Film;
  layers: LayerRun[];
  readout: { kind: string; weight: Float32Array; bias: Float32Array; labels: string[]; named: boolean } | null;
  last: Session | null; // the stream after the input, of a model that reads any text
}

const KEPT = 12;
const SHOWN = 6;

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function floatsOf(text: string): Float32Array {
  return new Float32Array(bytesOf(text).buffer);
}

const wide = (text: string) => Float64Array.from(floatsOf(text));

function shown(label: string): string {
  return label.replaceAll("\n", "⏎").replaceAll(" ", "␣").replaceAll("\t", "⇥");
}

function softmax(logits: ArrayLike<number>, temperature = 1): Float64Array {
  let most = -Infinity;
  for (let k = 0; k < logits.length; k++) most = Math.max(most, logits[k]!);
  const weights = Float64Array.from(logits, (value) => Math.exp((value - most) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((value) => value / total);
}

/** Random numbers that a seed repeats. */
function random(seed: number): () => number {
  let state = (seed + 1) * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function drawn(logits: ArrayLike<number>, temperature: number, next: () => number): number {
  if (temperature === 0) return Array.from(logits).reduce((best, value, k, all) => (value > all[best]! ? k : best), 0);
  const p = softmax(logits, temperature);
  let left = next();
  for (let k = 0; k < p.length; k++) if ((left -= p[k]!) < 0) return k;
  return p.length - 1;
}

/** Answers the questions of the views from what came with the page. */
export class SiteEngine implements Engine {
  readonly trains = false;
  readonly served = false;
  private runs = new Map<string, Explored>();
  private loaded = new Map<string, Promise<Model>>();
  private count = 0;

  constructor(private site: Site) {}

  async models(): Promise<ModelEntry[]> {
    return this.site.models;
  }

  async explore(model: string, text: string | null): Promise<Film> {
    const packed = await this.packed(model);
    const explored = text !== null && packed.live ? await this.read(model, packed, text) : await this.example(model, packed, text);
    this.runs.set(explored.film.run, explored);
    for (const key of this.runs.keys()) {
      if (this.runs.size <= KEPT) break;
      this.runs.get(key)?.last?.close();
      this.runs.delete(key);
    }
    return explored.film;
  }

  async shares(run: string, at: number | null, target: number | null): Promise<Shares> {
    const { layers, readout } = this.exploredRun(run);
    const layer = layers[layers.length - 1]!;
    if (!readout) throw new Fault("shares", "This model has no linear read-out, so no exact shares.");
    const step = readout.kind === "steps" ? (at ?? layer.steps - 1) : layer.steps - 1;
    const outputs = outputsAt(layer, readout, step);
    const index = target ?? outputs.reduce((best, value, k, all) => (value > all[best]! ? k : best), 0);
    const H = layer.spec.units;
    const weight = Float64Array.from(readout.weight.subarray(index * H, (index + 1) * H));
    return sharesOf(layer, { weight, bias: readout.bias[index]!, at: step, target: index, label: shown(readout.labels[index]!) });
  }

  async unit(run: string, layer: LayerFilm, step: number, unit: number): Promise<UnitNumbers> {
    const { layers } = this.exploredRun(run);
    const own = layers.find(({ spec }) => spec.node === layer.node && spec.depth === layer.depth && spec.direction === layer.direction);
    return unitNumbers(own!, step, unit);
  }

  async whatIf(run: string, edits: Edit[], options: { n: number; temperature: number; seed: number }): Promise<WhatIf> {
    const explored = this.exploredRun(run);
    const layers = edits.length ? runEdited(explored.layers, edits) : explored.layers;
    const touched = layers.filter(({ spec }) => edits.some((edit) => edit.node === spec.node && edit.depth === spec.depth));
    return {
      outcome: await this.outcome(explored, layers, options),
      layers: touched.map((layer) => {
        const film = explored.film.layers.find((one) => one.node === layer.spec.node && one.depth === layer.spec.depth)!;
        return { node: film.node, depth: film.depth, strips: editedStrips(layer, film) };
      }),
    };
  }

  async write(model: string, prompt: string, options: WriteOptions, take: (piece: string) => void, signal: AbortSignal): Promise<string> {
    const packed = await this.packed(model);
    if (!packed.live) throw new Fault("static", this.absent(model, "reads byte pairs, which are cut by the tokenizer"));
    const { live } = packed;
    const session = (await this.model(model)).session(live.network);
    try {
      let logits: Float32Array | null = null;
      for (const token of this.tokens(live, prompt)) logits = part(session.step(token), live.output);
      const next = random(options.seed);
      for (let k = 0; k < options.n; k++) {
        if (signal.aborted) return "stopped";
        const token = drawn(logits!, options.temperature, next);
        take(live.symbols[token]!);
        logits = part(session.step(token), live.output);
        if (k % 16 === 15) await new Promise((done) => setTimeout(done)); // the page draws in between
      }
      return "length";
    } finally {
      session.close();
    }
  }

  async proof(name: string): Promise<Proof> {
    const { networks } = await this.packed(name);
    let [error, sequences] = [0, 0];
    const own = Object.keys(networks.golden);
    if (own.length) {
      const model = await this.model(name);
      for (const network of own)
        for (const golden of networks.golden[network]!) {
          error = Math.max(error, replayed(model.session(network), golden));
          sequences++;
        }
    }
    return { networks: own, sequences, error, left: networks.left };
  }

  async forecast(model: string, ask: { series?: string; csv?: string }): Promise<Forecast> {
    const { forecasts = {} } = await this.packed(model);
    const answer = ask.csv === undefined ? forecasts[ask.series ?? Object.keys(forecasts)[0] ?? ""] : undefined;
    if (!answer) throw new Fault("static", this.absent(model, "reads tables"));
    return answer;
  }

  async run(name: string): Promise<RunView> {
    const { run } = await this.packed(name);
    if (!run) throw new Fault("run", "This model came without its run.");
    return run;
  }

  async rows(name: string): Promise<{ rows: Row[]; after: number }> {
    return { rows: (await this.packed(name)).rows ?? [], after: 0 };
  }

  follow(name: string, take: (news: News) => void): () => void {
    void this.packed(name).then(({ run, rows }) => run && take({ rows: rows ?? [], after: 0, status: run.status }));
    return () => undefined;
  }

  game = (model: string) => this.refuse(model, "knows the rules of chess");
  adapt = (model: string) => this.refuse(model, "gets to know players");
  writePgn = () => this.refuse("MODEL", "writes PGN");
  readPgn = () => this.refuse("MODEL", "reads PGN");
  compose = (model: string) => this.refuse(model, "draws the notes within a frame");
  classify = (model: string) => this.refuse(model, "cuts a text into words");
  translate = (model: string) => this.refuse(model, "searches for the best sentence");
  talk = (model: string) => this.refuse(model, "keeps what was said");
  hear = (model: string) => this.refuse(model, "makes features of sound");
  listen = (model: string) => this.refuse(model, "makes features of sound");
  overhear = () => this.refuse("MODEL", "makes features of sound");
  watch = (model: string) => this.refuse(model, "reads clips");
  tasks = () => this.refuse("MODEL", "trains");
  start = () => this.refuse("MODEL", "trains");
  stop = () => this.refuse("MODEL", "trains");
  resume = () => this.refuse("MODEL", "trains");
  send = () => this.refuse("MODEL", "takes files");

  private async refuse(model: string, does: string): Promise<never> {
    throw new Fault("static", this.absent(model, does));
  }

  private absent(model: string, does: string): string {
    return `This page has no server, and the part of congru that ${does} is not in the browser: congru serve ${model} shows it.`;
  }

  private exploredRun(run: string): Explored {
    const explored = this.runs.get(run);
    if (!explored) throw new Fault("forgotten", "That input was read a while ago: change the text to read it again.");
    return explored;
  }

  /** What came with one model; its file is loaded when it is first asked for. */
  private async packed(name: string): Promise<Packed> {
    if (!this.site.packed[name])
      await new Promise<void>((done, failed) => {
        const script = document.createElement("script");
        script.src = `./${encodeURIComponent(name)}.model.js`;
        script.onload = () => done();
        script.onerror = () => failed(new Fault("static", `${name}.model.js is missing beside this page: copy the whole folder again.`));
        document.head.append(script);
      });
    return this.site.packed[name]!;
  }

  private model(name: string): Promise<Model> {
    const known = this.loaded.get(name);
    if (known) return known;
    const made = this.packed(name).then(({ networks }) => load({ json: networks.description, bin: bytesOf(networks.weights), wasm: bytesOf(this.site.core).buffer as ArrayBuffer }));
    this.loaded.set(name, made);
    return made;
  }

  private tokens(live: Live, text: string): number[] {
    return [...text].map((symbol, k) => {
      const token = live.symbols.indexOf(symbol);
      if (token < 0) throw new Fault("text", `The text holds “${symbol}” at position ${k}, which this model never saw: remove it.`);
      return token;
    });
  }

  /** A text, run step by step: what reaches the recurrent layers, and the state of each after every step. */
  private async read(name: string, packed: Packed, text: string): Promise<Explored> {
    const { live, example } = packed as { live: Live; example: Example };
    const all = this.tokens(live, text);
    const tokens = all.slice(-600);
    if (!tokens.length) throw new Fault("text", "The text is empty: write at least one character.");
    const model = await this.model(name);
    const session = model.session(live.network);
    const state = (model.networks[live.network] as unknown as { state: { fields: Record<string, [string, number, number]> } }).state;
    const [deep, first] = [example.layers.length, example.layers[0]!];
    const inputs = new Float64Array(tokens.length * first.inputs);
    const states = example.layers.map((layer) => new Float64Array(tokens.length * layer.units));
    tokens.forEach((token, step) => {
      inputs.set(part(session.step(token), live.inside), step * first.inputs);
      const bytes = session.save();
      const [, at] = state.fields[live.parts.h!]!;
      const h = new Float32Array(bytes.buffer, bytes.byteOffset + at, deep * first.units);
      states.forEach((own, depth) => own.set(h.subarray(depth * first.units, (depth + 1) * first.units), step * first.units));
    });
    const layers = example.layers.map((layer, depth) =>
      recover(specOf(layer), depth ? states[depth - 1]! : inputs, states[depth]!, wide(layer.start), layer.startCell ? wide(layer.startCell) : null),
    );
    const read: Example = { ...example, steps: tokens.map((token) => shown(live.symbols[token]!)), tokens, text: tokens.map((token) => live.symbols[token]).join(""), cut: all.length - tokens.length };
    return this.explored(name, read, layers, session);
  }

  private async example(name: string, packed: Packed, text: string | null): Promise<Explored> {
    const { example, live } = packed;
    if (example.why !== undefined) throw new Fault("static", example.why);
    if (live && example.text !== null) return this.read(name, packed, example.text);
    if (text !== null) throw new Fault("static", `${this.absent(name, "prepares this input")} What came with the page is shown when the field is empty.`);
    if (!example.layers.every((layer) => layer.plain)) throw new Fault("static", this.absent(name, "computes layer norm inside a cell"));
    const layers = example.layers.map((layer) => recover(specOf(layer), wide(layer.x), wide(layer.y), wide(layer.start), layer.startCell ? wide(layer.startCell) : null));
    return this.explored(name, example, layers, null);
  }

  private explored(name: string, example: Example, layers: LayerRun[], last: Session | null): Explored {
    const { readout } = example;
    const read = readout && { ...readout, weight: floatsOf(readout.weight), bias: floatsOf(readout.bias) };
    const top = layers[layers.length - 1]!;
    const nodes = new Set(layers.map(({ spec }) => spec.node));
    const oneWay = layers.every(({ spec }) => spec.directions === 1);
    // Pooling by "steps" and "last" is one step of the top layer; the others need the server.
    const exact = example.shares.kind === "steps" || (example.shares.kind === "last" && oneWay);
    const film: Film = {
      run: `${name} ${++this.count}`, model: name, task: example.task, steps: example.steps, cut: example.cut, words: example.words, values: example.values, pictures: example.pictures, predicted: last ? null : example.predicted, layers: layers.map(filmOf),
      predictions: read?.named && (read.kind === "steps" || read.kind === "last") && oneWay ? predictionsOf(top, read, example.tokens) : null,
      shares: exact && oneWay ? example.shares : { kind: null, why: example.shares.why ?? "this read-out is explained by the server: congru serve" },
      edits: nodes.size === 1 && oneWay && read !== null && (read.kind === "steps" || read.kind === "last") && (last !== null || read.named),
      text: example.text, tokens: example.tokens,
    };
    return { name, film, layers, readout: read, last };
  }

  /** What comes of the states of the layers: the text goes on, or the outputs by name. */
  private async outcome(explored: Explored, layers: LayerRun[], options: { n: number; temperature: number; seed: number }): Promise<Outcome> {
    const top = layers[layers.length - 1]!;
    const readout = explored.readout!;
    let logits: ArrayLike<number> = outputsAt(top, readout, top.steps - 1);
    const items = best(softmax(logits), 8).map(([k, p]) => [shown(readout.labels[k]!), p] as [string, number]);
    if (!explored.last) return { kind: "choices", items };
    const { live } = (await this.packed(explored.name)) as { live: Live };
    const session = explored.last.fork();
    const next = random(options.seed);
    let text = "";
    try {
      session.restore(withStates(session.save(), explored.last, layers, live));
      for (let k = 0; k < options.n; k++) {
        const token = drawn(logits, options.temperature, next);
        text += live.symbols[token]!;
        logits = part(session.step(token), live.output);
      }
    } finally {
      session.close();
    }
    return { kind: "text", text, next: items.slice(0, SHOWN) };
  }
}

/** The bytes of a state with the last states of the layers in them. */
function withStates(bytes: Uint8Array, session: Session, layers: LayerRun[], live: Live): Uint8Array {
  const { fields } = (session as unknown as { network: { state: { fields: Record<string, [string, number, number]> } } }).network.state;
  const put = (name: string, of: (layer: LayerRun) => Float64Array | null) => {
    const [, at] = fields[name]!;
    layers.forEach((layer, depth) => {
      const H = layer.spec.units;
      const values = of(layer)!.subarray((layer.steps - 1) * H, layer.steps * H);
      new Float32Array(bytes.buffer, bytes.byteOffset + at + 4 * depth * H, H).set(values);
    });
  };
  put(live.parts.h!, (layer) => layer.y);
  if (live.parts.c) put(live.parts.c, (layer) => layer.c);
  return bytes;
}

function specOf(layer: PackedLayer): LayerSpec {
  return { ...layer, W: floatsOf(layer.W), U: layer.U === null ? null : floatsOf(layer.U), bi: floatsOf(layer.bi), bh: floatsOf(layer.bh) };
}

function part(outputs: Float32Array | Record<string, Float32Array>, name: string): Float32Array {
  return outputs instanceof Float32Array ? outputs : outputs[name]!;
}

function outputsAt(layer: LayerRun, readout: { weight: Float32Array; bias: Float32Array }, step: number): Float64Array {
  const H = layer.spec.units;
  return Float64Array.from(readout.bias, (bias, k) => {
    let total = bias;
    for (let j = 0; j < H; j++) total += readout.weight[k * H + j]! * layer.y[step * H + j]!;
    return total;
  });
}

function best(p: Float64Array, count: number): [number, number][] {
  return Array.from(p, (value, k) => [k, value] as [number, number]).sort((a, b) => b[1] - a[1]).slice(0, count);
}

function predictionsOf(layer: LayerRun, readout: { kind: string; weight: Float32Array; bias: Float32Array; labels: string[] }, tokens: number[] | null): Predictions {
  const steps = readout.kind === "steps" ? Array.from({ length: layer.steps }, (_, k) => k) : [layer.steps - 1];
  const all = steps.map((step) => softmax(outputsAt(layer, readout, step)));
  const labels: Record<string, string> = {};
  const likely = all.map((p) => best(p, SHOWN));
  for (const row of likely) for (const [k] of row) labels[k] = shown(readout.labels[k]!);
  const actual = tokens && readout.kind === "steps" ? tokens.slice(1).map((token, step) => {
    const p = all[step]!;
    return [p[token]!, p.filter((value) => value > p[token]!).length + 1] as [number, number];
  }) : [];
  return { kind: readout.kind, count: readout.labels.length, best: likely, labels, actual };
}

/** The largest difference from what NumPy gave, relative to the largest value of each output. */
function replayed(session: Session, golden: Golden): number {
  session.restore(bytesOf(golden.state));
  const made: Record<string, number[]> = {};
  for (const inputs of golden.steps) {
    const outputs = session.step(inputs);
    for (const [name, { steps }] of Object.entries(golden.outputs)) {
      const values = Array.from(part(outputs, name));
      made[name] = steps ? [...(made[name] ?? []), ...values] : values;
    }
  }
  session.close();
  let most = 0;
  for (const [name, { values }] of Object.entries(golden.outputs)) {
    const reach = values.reduce((all, value) => Math.max(all, Math.abs(value)), 1e-12);
    values.forEach((value, k) => (most = Math.max(most, Math.abs(value - (made[name]![k] ?? Infinity)) / reach)));
  }
  return most;
}
