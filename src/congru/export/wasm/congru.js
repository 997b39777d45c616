// Models that `congru export MODEL --to wasm` wrote, in a browser or in Node: load, step, save, fork. Types: congru.d.ts.
//
// congru.wasm holds functions over memory; model.json says which of them to call in a step of each network, model.bin holds the
// weights. An argument of a call is a number, or: ["w", bytes] in the weights, ["s" | "h", bytes] in the working memory or the state,
// ["v", name, bytes] in an input or output, ["t", name, k] the k-th token of an input, ["n", name] vectors of a memory,
// ["r", address, token, bytes] address + token * bytes, ["f", address] the float there, ["c", function, ...arguments] a call's result.

const FORMAT = 'congru-wasm';
const ALIGNED = 16;
const align = (size) => Math.ceil(size / ALIGNED) * ALIGNED;

export class CongruError extends Error {}

/** Load a model from the URL of its folder, or from {json, bin, wasm}: text or object, and bytes. */
export async function load(source) {
  const files = typeof source === 'string' || source instanceof URL ? await fetchFolder(source) : source;
  for (const name of ['json', 'bin', 'wasm']) {
    if (files?.[name] === undefined) throw new CongruError(`files lacks '${name}', expected json, bin and wasm: pass the files of one export`);
  }
  const description = typeof files.json === 'string' ? JSON.parse(files.json) : files.json;
  if (description.format !== FORMAT) {
    throw new CongruError(`model.json has the format '${description.format}', expected '${FORMAT}': export the model again`);
  }
  const { instance } = await WebAssembly.instantiate(files.wasm);
  return new Model(description, instance.exports, new Uint8Array(files.bin));
}

async function fetchFolder(folder) {
  const base = String(folder).replace(/\/*$/, '/');
  const names = ['model.json', 'model.bin', 'congru.wasm'];
  const answers = await Promise.all(names.map((name) => fetch(base + name)));
  answers.forEach(({ ok, status }, k) => {
    if (!ok) throw new CongruError(`${base}${names[k]} answers ${status}, expected a file of an export: check the URL`);
  });
  const [json, bin, wasm] = await Promise.all(answers.map((answer, k) => (k === 0 ? answer.json() : answer.arrayBuffer())));
  return { json, bin, wasm };
}

export class Model {
  constructor(description, functions, weights) {
    this.task = description.task;
    this.metadata = description.metadata;
    this.networks = description.networks;
    this.functions = functions;
    this.memory = functions.memory;
    this.end = align(functions.__heap_base.value);
    this.free = new Map(); // size -> addresses that sessions gave back
    this.weights = this.take(weights.length);
    new Uint8Array(this.memory.buffer).set(weights, this.weights);
  }

  /** A fresh stream of one network; its name may be left out where there is one. */
  session(name) {
    const names = Object.keys(this.networks);
    const chosen = name ?? (names.length === 1 ? names[0] : undefined);
    if (!(chosen in this.networks)) {
      throw new CongruError(`network is ${name}, expected one of ${names.join(', ')}: pass one of these`);
    }
    return new Session(this, this.networks[chosen]);
  }

  take(size) {
    const bytes = align(size);
    const reused = this.free.get(bytes)?.pop();
    if (reused !== undefined) return reused;
    const address = this.end;
    this.end += bytes;
    const lacking = this.end - this.memory.buffer.byteLength;
    if (lacking > 0) this.memory.grow(Math.ceil(lacking / 65536));
    return address;
  }

  give(address, size) {
    const bytes = align(size);
    if (!this.free.has(bytes)) this.free.set(bytes, []);
    this.free.get(bytes).push(address);
  }
}

export class Session {
  constructor(model, network) {
    this.model = model;
    this.network = network;
    this.size = network.state.bytes + network.scratch + network.values;
    this.address = model.take(this.size);
    this.memories = {}; // name -> [address, bytes, vectors]
    this.tokens = {};
    this.calls = network.plan.map((call) => this.prepare(call));
    this.reset();
  }

  /** Back to the first state. */
  reset() {
    const { bytes, initial } = this.network.state;
    const from = this.model.weights + initial;
    new Uint8Array(this.model.memory.buffer).copyWithin(this.address, from, from + bytes);
    return this;
  }

  /** One step: inputs by name, or the value alone where there is one input; outputs alike, in arrays of their own. */
  step(inputs) {
    const { inputs: declared, outputs } = this.network;
    const names = Object.keys(declared);
    const alone = names.length === 1 && (typeof inputs === 'number' || ArrayBuffer.isView(inputs) || Array.isArray(inputs));
    const named = alone ? { [names[0]]: inputs } : inputs;
    for (const name of names) this.write(name, declared[name], named?.[name]);
    for (const call of this.calls) call();
    const result = {};
    for (const [name, { offset, size }] of Object.entries(outputs)) {
      result[name] = new Float32Array(this.model.memory.buffer, this.values + offset, size).slice();
    }
    const keys = Object.keys(result);
    return keys.length === 1 ? result[keys[0]] : result;
  }

  /** The state as bytes, for `restore`. */
  save() {
    return new Uint8Array(this.model.memory.buffer, this.address, this.network.state.bytes).slice();
  }

  restore(bytes) {
    const expected = this.network.state.bytes;
    if (bytes.length !== expected) {
      throw new CongruError(`bytes has length ${bytes.length}, expected ${expected}: pass what save() of this network returned`);
    }
    new Uint8Array(this.model.memory.buffer).set(bytes, this.address);
    return this;
  }

  /** An independent stream with the same state. */
  fork() {
    return new Session(this.model, this.network).restore(this.save());
  }

  /** Give the memory back; the session is over. */
  close() {
    this.model.give(this.address, this.size);
    for (const [address, bytes] of Object.values(this.memories)) this.model.give(address, bytes);
    this.calls = [];
  }

  get values() {
    return this.address + this.network.state.bytes + this.network.scratch;
  }

  write(name, { kind, size, offset, counts }, value) {
    if (kind === 'tokens') {
      const tokens = typeof value === 'number' ? [value] : Array.from(value ?? []);
      const wrong = tokens.length !== size || tokens.some((token, k) => !Number.isInteger(token) || token < 0 || token >= counts[k]);
      if (wrong) throw new CongruError(`${name} is [${tokens}], expected ${size} whole numbers below ${counts}: pass tokens of this model`);
      this.tokens[name] = tokens;
      return;
    }
    const length = value?.length ?? 0;
    if (kind === 'memory' ? length % size !== 0 || value === undefined : length !== size) {
      const expected = kind === 'memory' ? `vectors of ${size}` : `${size} numbers`;
      throw new CongruError(`${name} has ${length} numbers, expected ${expected}: pass the features of this model`);
    }
    const address = kind === 'memory' ? this.remember(name, length, size) : this.values + offset;
    new Float32Array(this.model.memory.buffer, address, length).set(value);
  }

  remember(name, length, size) {
    let entry = this.memories[name];
    if (!entry || entry[1] < 4 * length) {
      if (entry) this.model.give(entry[0], entry[1]);
      entry = [this.model.take(4 * length || ALIGNED), align(4 * length || ALIGNED), 0];
      this.memories[name] = entry;
    }
    entry[2] = length / size;
    return entry[0];
  }

  // A call with what is known of its arguments worked out.
  prepare([name, ...args]) {
    const call = this.model.functions[name];
    const parts = args.map((arg) => this.argument(arg));
    if (parts.every((part) => typeof part === 'number')) return () => call(...parts);
    return () => call(...parts.map((part) => (typeof part === 'number' ? part : part())));
  }

  // An argument: a number, or a function that gives it in each step.
  argument(arg) {
    if (typeof arg === 'number') return arg;
    const [kind, ...rest] = arg;
    switch (kind) {
      case 'w': return this.model.weights + rest[0];
      case 'h': return this.address + rest[0];
      case 's': return this.address + this.network.state.bytes + rest[0];
      case 'v': {
        const [name, offset] = rest;
        const { inputs, outputs } = this.network;
        const declared = inputs[name] ?? outputs[name];
        return declared.kind === 'memory' ? () => this.memories[name][0] + offset : this.values + declared.offset + offset;
      }
      case 't': return () => this.tokens[rest[0]][rest[1]];
      case 'n': return () => this.memories[rest[0]][2];
      case 'r': {
        const [address, token] = [this.argument(rest[0]), this.argument(rest[1])];
        return () => (typeof address === 'number' ? address : address()) + token() * rest[2];
      }
      case 'f': {
        const address = this.argument(rest[0]);
        return () => new Float32Array(this.model.memory.buffer, typeof address === 'number' ? address : address(), 1)[0];
      }
      case 'c': return this.prepare(rest);
      default: throw new CongruError(`model.json has an argument '${kind}', expected one that this version knows: update congru.js`);
    }
  }
}
