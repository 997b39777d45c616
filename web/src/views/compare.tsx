// Two models on the same input: what each expected, where they differ, and their gates one under the other.
import { useEffect, useMemo, useState } from "preact/hooks";
import { Chart, type Line } from "../chart";
import { SERIES } from "../colors";
import { engine } from "../engine";
import { decode, FilmStrips } from "../film";
import { digits, Empty, keepInAddress, Notice, useAnswer, useRoute } from "../parts";
import type { Film, ModelEntry } from "../protocol";
import { PredictedChoices } from "./told";

export function Compare() {
  const { query } = useRoute();
  const { answer: models, fault } = useAnswer("models", () => engine.models());
  const [names, setNames] = useState<string[]>(() => (query.get("models") ?? "").split(" ").filter(Boolean));
  const [text, setText] = useState(query.get("text") ?? "");
  const [quiet, setQuiet] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setQuiet(text), 450);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => keepInAddress(["compare"], { models: names.join(" "), text: quiet.length < 1500 ? quiet : "" }), [names, quiet]);
  const known = models?.filter((entry) => entry.has_model) ?? [];
  const task = known.find((entry) => entry.id === names[0])?.task ?? null;
  const possible = known.filter((entry) => task === null || entry.task === task);
  const alone = models !== null && !known.some((one, k) => known.some((other, j) => j > k && other.task === one.task));
  return (
    <>
      <div class="head">
        <h1>Compare</h1>
        <span class="soft">Two models, or two cells, on the same input.</span>
      </div>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {alone ? (
        <Empty>
          <h2>Nothing to compare yet</h2>
          <p>Two models of one task are needed: train the same data with another cell, and see what the cell is worth.</p>
          {engine.trains && <a class="button main" href="#/train">Train a model</a>}
          <p class="small">Or all cells at once: <code>congru compare TASK DATA</code></p>
        </Empty>
      ) : (
        <section class="card" aria-label="What is compared">
          <div class="row">
            {[0, 1].map((k) => (
              <label key={k} class="field" style={{ flex: "1 1 180px" }}>
                <span>{k ? "beside" : "model"}</span>
                <select
                  key={known.length}
                  value={names[k] ?? ""}
                  onChange={(event) => {
                    const value = event.currentTarget.value;
                    setNames((before) => (k ? [before[0] ?? "", value] : [value]).filter(Boolean));
                  }}
                >
                  <option value="">choose one</option>
                  {(k ? possible.filter((entry) => entry.id !== names[0]) : known).map((entry) => (
                    <option key={entry.id} value={entry.id}>{words(entry)}</option>
                  ))}
                </select>
              </label>
            ))}
          </div>
          <label class="field">
            <span>Input; empty takes what the first model has at hand</span>
            <textarea rows={2} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
        </section>
      )}
      {alone ? null : names.length < 2 ? (
        <p class="soft">Choose two models of one task. Train a second one with another cell to see what the cell is worth.</p>
      ) : (
        <Both key={names.join(" ")} names={names as [string, string]} text={quiet} task={task} />
      )}
    </>
  );
}

function words(entry: ModelEntry): string {
  return `${entry.id} (${[entry.task, entry.cell].filter(Boolean).join(", ")})`;
}

function Both({ names, text, task }: { names: [string, string]; text: string; task: string | null }) {
  const first = useAnswer(`${names[0]} ${text}`, () => engine.explore(names[0], text === "" ? null : text));
  // The second reads what the first read, where a text says it.
  const shared = text !== "" ? text : task === "text" ? (first.answer?.text ?? null) : null;
  const second = useAnswer(text === "" && task === "text" && !first.answer ? null : `${names[1]} ${shared}`, () => engine.explore(names[1], shared));
  const films = [first.answer, second.answer];
  const actual = films.map((film) => film?.predictions?.actual ?? []);
  const bits = actual.map((steps) => steps.map(([p]) => -Math.log2(Math.max(p, 1e-6))));
  const lines = useMemo<Line[]>(() => {
    const made: Line[] = [];
    bits.forEach((values, k) => {
      if (!values.length) return;
      let total = 0;
      made.push({ label: names[k]!, values: values.map((one, at) => (total += one) / (at + 1)), color: SERIES[k]! });
    });
    return made;
  }, [first.answer, second.answer]);
  const step = first.answer?.words.step ?? "step";
  const mean = bits.map((values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null));
  return (
    <>
      {[first.fault, second.fault].filter(Boolean).map((fault) => <Notice key={fault} kind="bad">{fault}</Notice>)}
      {lines.length === 2 && (
        <section class="card" aria-label="Surprise of both">
          <h2>Surprise so far, bits a {step}</h2>
          <p class="small">
            Over this input {names[0]} needs <b>{digits(mean[0], 3)}</b> bits a {step}, {names[1]} <b>{digits(mean[1], 3)}</b>; less is better.
          </p>
          <Chart x={lines[0]!.values.map((_, k) => k + 1)} names={films[0]!.steps} lines={lines} label="Mean surprise of both models so far" height={220} />
        </section>
      )}
      {(first.busy || second.busy) && !films.some(Boolean) && <p class="soft">Running both models…</p>}
      {films.map((film, k) => film && <GatesOf key={film.run} name={names[k]!} film={film} />)}
    </>
  );
}

function GatesOf({ name, film }: { name: string; film: Film }) {
  const layer = film.layers[film.layers.length - 1]!;
  const bytes = useMemo(() => Object.fromEntries(layer.strips.map((strip) => [strip.key, decode(strip.data)])), [layer]);
  const [at, setAt] = useState<{ step: number; row: number } | null>(null);
  const reach = layer.tau.filter((one): one is number => one !== null).sort((a, b) => a - b);
  return (
    <section class="card" aria-label={`Gates of ${name}`}>
      <h2>
        {name} <span class="soft small">{layer.title}, {layer.units} units{reach.length > 0 && `; half of them forget 63 % within ${digits(reach[Math.floor(reach.length / 2)], 3)} ${film.words.steps}`}</span>
      </h2>
      {film.predicted && <PredictedChoices film={film} at={at?.step ?? film.steps.length - 1} titled />}
      <FilmStrips layer={layer} steps={film.steps} words={film.words} bytes={bytes} at={at} region={null} column={at?.step ?? null} point={setAt} pick={setAt} select={() => undefined} />
    </section>
  );
}
