// node replay.mjs FOLDER CASES.json MILLISECONDS: the golden cases in an exported folder; prints outputs, states and microseconds a step as JSON.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, cases, ms] = process.argv.slice(2);
const { load } = await import(pathToFileURL(join(folder, 'congru.js')).href);
const [json, bin, wasm] = await Promise.all(['model.json', 'model.bin', 'congru.wasm'].map((name) => readFile(join(folder, name))));
const model = await load({ json: json.toString(), bin, wasm });
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'));
const answers = {};
for (const [name, rows] of Object.entries(JSON.parse(await readFile(cases)))) {
  const session = model.session(name);
  const whole = (outputs) => (outputs instanceof Float32Array ? { [Object.keys(model.networks[name].outputs)[0]]: outputs } : outputs);
  const replayed = rows.map(({ state, steps }) => {
    session.restore(bytes(state));
    const outputs = steps.map((inputs) => {
      const outputs = whole(session.step(inputs));
      return Object.fromEntries(Object.entries(outputs).map(([key, value]) => [key, Array.from(value)]));
    });
    return { outputs, state: Buffer.from(session.fork().save()).toString('base64') };
  });
  const { steps } = rows[0];
  const used = (since) => { // microseconds of processor time
    const { user, system } = process.cpuUsage(since);
    return user + system;
  };
  const run = (ms) => {
    const start = process.cpuUsage();
    let count = 0;
    do { // once at least, however long the first look at the clock took
      for (const inputs of steps) session.step(inputs);
      count += steps.length;
    } while (used(start) < 1000 * ms);
    return used(start) / count;
  };
  run(Number(ms)); // until it is compiled well
  answers[name] = { rows: replayed, us: run(Number(ms)) };
}
process.stdout.write(JSON.stringify(answers));
