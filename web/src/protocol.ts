// What goes between the views and whoever answers them: the types of questions and answers, the fault in one line, and the questions.
export interface Status {
  state?: string;
  task?: string;
  metric?: string;
  minimize?: boolean;
  baselines?: Record<string, number>;
  best?: number | null;
  best_step?: number;
  step?: number;
  seconds?: number;
  num_parameters?: number;
  verdict?: string;
  error?: string;
  started?: string;
}
export interface ModelEntry {
  id: string;
  task: string | null;
  cell: string | null;
  has_model: boolean;
  is_run: boolean;
  status: Status;
}
export interface Strip {
  key: string;
  title: string;
  signed: boolean;
  reach: number;
  data: string;
}
export interface LayerFilm {
  node: string;
  depth: number;
  direction: number;
  directions: number;
  title: string;
  cell: string;
  units: number;
  order: number[];
  tau: (number | null)[];
  formulas: string[];
  strips: Strip[];
}
export interface Predictions {
  kind: string;
  count: number;
  best: [number, number][][];
  labels: Record<string, string>;
  actual: [number, number][];
}
/** What a step is called, alone and in number, what is predicted, what shares are of; whether they add up, or are what would be lost. */
export interface Words {
  step: string;
  steps: string;
  predicts: string;
  of: string;
  adds_up: boolean;
}
/** What the task says after step `at`: name, value in words, bar, and where shares are known their scale and bytes. */
export interface Predicted {
  at: number;
  choices: [string, string, number, number?, string?][];
}
export interface Film {
  run: string;
  model: string;
  task: string;
  steps: string[];
  cut: number;
  words: Words;
  values: string[];
  pictures: string[];
  predicted: Predicted[] | null;
  layers: LayerFilm[];
  predictions: Predictions | null;
  shares: { kind: string | null; why: string | null };
  edits: boolean;
  text: string | null;
  tokens: number[] | null;
}
export interface Shares {
  target: number;
  label: string;
  at: number;
  contributions: number[];
  start: number;
  bias: number;
  output: number;
  residual: number;
  trust: number | null;
}
export interface UnitNumbers {
  input: Record<string, number> | null;
  state: Record<string, number> | null;
  gates: Record<string, number>;
  keep: number | null;
  before: number;
  after: number;
  cell_before: number | null;
  cell_after: number | null;
  tau: number | null;
  zoneout: number;
  reset_before: boolean;
}
export interface Edit {
  node: string;
  depth: number;
  what: string;
  units: number[];
  steps: number[];
  value: number;
}
export type Outcome =
  | { kind: "text"; text: string; next: [string, number][] }
  | { kind: "choices"; items: [string, number][]; note?: string }
  | { kind: "curve"; median: number[]; bands: Band[]; times: string[] }
  | { kind: "numbers"; values: number[]; count: number };
export interface Band {
  level: number;
  low: number[];
  high: number[];
}
export interface WhatIf {
  outcome: Outcome;
  layers: { node: string; depth: number; strips: Omit<Strip, "title">[] }[];
}
export interface Choice {
  san: string;
  uci: string;
  probability: number;
  reply: string;
  reply_probability: number;
  arrow: [string, string];
  reply_uci: string | null;
}
export interface GameView {
  ply: number;
  fen: string;
  turn: "white" | "black";
  legal: string[];
  choices: Choice[];
  result: { white: number; draw: number; black: number };
  opening: string | null;
  outcome: string | null;
  seconds: number | null;
  chosen: { san: string; count: number }[];
  sources: { move: string; bits: number }[];
  history: { san: string; probability: number; bits: number; rank: number; number: string }[];
  players: string[] | null;
}
export interface GameAsk {
  moves: string[];
  fen?: string | null;
  white?: string | null;
  black?: string | null;
  players?: boolean;
  recall?: boolean;
}
/** How far a fit is: `done` of `of` fits before it, games read, or passes over the games. */
export interface AdaptProgress {
  phase: "waiting" | "reading" | "fitting";
  done: number;
  of: number;
  seconds_left: number | null;
}
export interface Adapted {
  model: string;
  player: string;
  games: number;
  moves: number;
  before: number;
  after: number;
}
export interface Forecast {
  series: string[];
  chosen: string;
  horizon: number;
  steps: string;
  times: string[];
  past: number[];
  truth: number[];
  naive: number[];
  reach: { least: number; most: number; cutoff: number } | null;
  name: string;
  median: number[];
  bands: Band[];
}
export interface Composition {
  notes: [number, number, number][];
  primed: number;
  bar: number;
  grid: number;
  tempo: number;
  frames: boolean;
  nats: number[] | null;
  midi: string;
}
export interface Classified {
  classes: string[];
  probabilities: Record<string, number>;
  target: string;
  words: { word: string; written: number; counted: number }[];
  start: number | null;
  constant: number | null;
  evidence: number | null;
  residual: number | null;
  trust: number | null;
  running: { word: string; p: number[] }[] | null;
}
export interface Translated {
  translations: { text: string; score: number; ended: boolean }[];
  attention: { source: string[]; target: string[]; weights: number[][] } | null;
}
export interface Heard {
  words: { text: string; start: number; end: number; confidence: number }[];
  seconds: number;
  streams: boolean;
  latency_seconds: number | null;
}
/** What came of a piece of sound: the words that settled, and how many seconds were heard so far. */
export interface Overheard {
  words: Heard["words"];
  heard_seconds: number;
  seconds: number;
}
export interface Watched {
  classes: string[];
  steps: number[][];
  streams: boolean;
  threshold: number;
  decided: { class: string; frame: number } | null;
}
export interface Field {
  type?: string;
  enum?: string[];
  anyOf?: Field[];
  default?: unknown;
  description?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}
export interface Task {
  name: string;
  summary: string;
  paths: string[];
  schema: { properties: Record<string, Field> };
  budget: [string, number];
}
export type Row = [number, number, string, string, number | null];
export interface RunView {
  name: string;
  status: Status;
  settings: Record<string, unknown>;
  data: Record<string, unknown>;
  command: string;
  sample: string | null;
  has_model: boolean;
}

/** News of a run: rows that came, where they end, and its status. */
export interface News {
  rows: Row[];
  after: number;
  status: Status;
}
export interface WriteOptions {
  n: number;
  temperature: number;
  seed: number;
}
/** How far the browser is from NumPy: over the golden sequences of these networks; `left` says which cannot run here, and why. */
export interface Proof {
  networks: string[];
  sequences: number;
  error: number;
  left: Record<string, string>;
}

/** A fault with the line that a person may read. */
export class Fault extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The questions of the views. */
export interface Engine {
  /** Whether trainings can be started and files sent. */
  readonly trains: boolean;
  /** Whether a server answers; without one models run in this browser. */
  readonly served: boolean;
  models(): Promise<ModelEntry[]>;
  explore(model: string, text: string | null): Promise<Film>;
  shares(run: string, at: number | null, target: number | null, trust: boolean): Promise<Shares>;
  unit(run: string, layer: LayerFilm, step: number, unit: number): Promise<UnitNumbers>;
  whatIf(run: string, edits: Edit[], options: { n: number; temperature: number; seed: number; source?: string }): Promise<WhatIf>;
  game(model: string, ask: GameAsk): Promise<GameView>;
  /** A model that knows one player more, from a PGN of their games; `take` has how far it is, `signal` ends it. */
  adapt(model: string, player: string, pgn: string, take: (progress: AdaptProgress) => void, signal: AbortSignal): Promise<Adapted>;
  writePgn(ask: GameAsk): Promise<string>;
  readPgn(text: string): Promise<{ moves: string[]; white: string | null; black: string | null; fen: string | null }>;
  forecast(model: string, ask: { series?: string; csv?: string; cutoff?: number }): Promise<Forecast>;
  compose(model: string, ask: Record<string, unknown>): Promise<Composition>;
  classify(model: string, text: string): Promise<Classified>;
  translate(model: string, text: string): Promise<Translated>;
  talk(model: string, turns: string[]): Promise<{ kind: string; turns: Record<string, unknown>[] }>;
  hear(model: string, recording: Blob, name: string): Promise<Heard>;
  /** Opens a stream of samples; null where the model reads both ways, and so recordings only. */
  listen(model: string, rate: number): Promise<{ stream: string | null }>;
  overhear(stream: string, samples: Float32Array, last: boolean): Promise<Overheard>;
  watch(model: string, clip: Blob, name: string): Promise<Watched>;
  tasks(): Promise<Task[]>;
  run(name: string): Promise<RunView>;
  rows(name: string, after: number): Promise<{ rows: Row[]; after: number }>;
  start(task: string, data: string[], settings: Record<string, unknown>): Promise<{ name: string; command: string }>;
  stop(name: string): Promise<unknown>;
  resume(name: string): Promise<unknown>;
  send(file: File): Promise<{ path: string }>;
  /** Follows a run: `take` with what is there and every change, `lost` when the connection goes and comes. Returns how to end it. */
  follow(run: string, take: (news: News) => void, lost: (is: boolean) => void): () => void;
  /** Goes on from a prompt, token by token as they are drawn; returns why it ended. */
  write(model: string, prompt: string, options: WriteOptions, take: (piece: string) => void, signal: AbortSignal): Promise<string>;
  /** Replays the golden sequences where the model runs in the browser; null where a server runs it. */
  proof(model: string): Promise<Proof | null>;
}
