/** Models that `congru export MODEL --to wasm` wrote, in a browser or in Node. */

export class CongruError extends Error {}

/** What one input takes: a token or several, or numbers; of a memory all its vectors, one after the other. */
export type Value = number | ArrayLike<number>;
export type Inputs = Value | Record<string, Value>;
/** An array for every output by name, or the array alone where there is one. */
export type Outputs = Float32Array | Record<string, Float32Array>;

export interface Input {
  kind: "tokens" | "features" | "memory";
  /** Tokens side by side, or numbers of one vector. */
  size: number;
  /** How many symbols each token has. */
  counts?: number[];
}

export interface Network {
  inputs: Record<string, Input>;
  outputs: Record<string, { size: number }>;
  /** How many steps later than its input an output comes. */
  delay: number;
}

export interface Files {
  json: string | object;
  bin: ArrayBuffer | Uint8Array;
  wasm: BufferSource;
}

/** Load a model from the URL of its folder, or from its files. */
export function load(source: string | URL | Files): Promise<Model>;

export class Model {
  readonly task: string;
  /** Labels, scaling, tokenizer and settings of the task, each as JSON text. */
  readonly metadata: Record<string, string>;
  readonly networks: Record<string, Network>;
  /** A fresh stream of one network; its name may be left out where there is one. */
  session(network?: string): Session;
}

export class Session {
  step(inputs: Inputs): Outputs;
  reset(): this;
  /** The state as bytes. */
  save(): Uint8Array;
  restore(bytes: Uint8Array): this;
  /** An independent stream with the same state. */
  fork(): Session;
  /** Give the memory back. */
  close(): void;
}
