// A new run: a form made from the settings of the task, and the command line that says the same.
import { useEffect, useMemo, useState } from "preact/hooks";
import { engine } from "../engine";
import { address, faultText, keepInAddress, NAMES, Notice, Segments, useAnswer, useRoute } from "../parts";
import type { Field, Task } from "../protocol";

const FIRST = ["cell", "hidden_size", "num_layers", "horizon", "tokens", "unit", "variant", "seed", "monitor"];
const BUDGETS = ["minutes", "epochs", "steps"];

interface Kind {
  type: "number" | "integer" | "boolean" | "string" | "choice" | "list";
  options: string[];
  least: number | undefined;
  most: number | undefined;
}

function kindOf(field: Field): Kind {
  const one = field.anyOf?.find((part) => part.type !== "null") ?? field;
  const options = one.enum ?? [];
  const type = options.length ? "choice" : one.type === "array" ? "list" : ((one.type as Kind["type"]) ?? "string");
  return { type, options, least: one.minimum ?? one.exclusiveMinimum, most: one.maximum ?? one.exclusiveMaximum };
}

function typed(kind: Kind, text: string): unknown {
  if (kind.type === "number" || kind.type === "integer") return Number(text);
  if (kind.type === "boolean") return text === "true";
  if (kind.type === "list") return text.split(/[\s,]+/).filter(Boolean);
  return text;
}

export function Train() {
  const { query } = useRoute();
  const { answer: tasks, fault } = useAnswer("tasks", () => engine.tasks());
  const [name, setName] = useState(query.get("task") ?? "text");
  const task = tasks?.find((one) => one.name === name) ?? tasks?.[0];
  return (
    <>
      <div class="head">
        <h1>Train a model</h1>
        <span class="soft">{task?.summary}</span>
      </div>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {!tasks && !fault && <p class="soft">Loading…</p>}
      {tasks && (
        <Segments label="Task" value={task!.name} options={tasks.map((one) => [one.name, NAMES[one.name] ?? one.name])} choose={(value) => { setName(value); history.replaceState(null, "", address(["train"], { task: value })); }} />
      )}
      {task && <Form key={task.name} task={task} />}
    </>
  );
}

function Form({ task }: { task: Task }) {
  const [paths, setPaths] = useState<string[]>(task.paths.map(() => ""));
  const { query } = useRoute();
  const [values, setValues] = useState<Record<string, string>>(() => ({
    ...(task.schema.properties.monitor ? { monitor: "true" } : {}), // so that its gates can be watched
    ...Object.fromEntries([...query].filter(([key]) => key in task.schema.properties && !BUDGETS.includes(key))),
  }));
  const [budget, setBudget] = useState(() => BUDGETS.find((kind) => query.has(kind)) ?? task.budget[0]);
  const [amount, setAmount] = useState(() => query.get(budget) ?? String(task.budget[1]));
  useEffect(() => {
    const none = Object.fromEntries([...BUDGETS, ...Object.keys(task.schema.properties)].map((key) => [key, ""]));
    keepInAddress(["train"], { ...none, task: task.name, ...values, [budget]: amount });
  }, [values, budget, amount]);
  const [pasted, setPasted] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const fields = Object.entries(task.schema.properties).filter(([key]) => !BUDGETS.includes(key));
  const first = fields.filter(([key]) => FIRST.includes(key));
  const rest = fields.filter(([key]) => !FIRST.includes(key));
  const settings = useMemo(() => {
    const made: Record<string, unknown> = {};
    if (amount) made[budget] = Number(amount);
    for (const [key, text] of Object.entries(values)) if (text !== "") made[key] = typed(kindOf(task.schema.properties[key]!), text);
    return made;
  }, [values, budget, amount, task]);
  const words = useMemo(() => {
    const flags = Object.entries(settings).flatMap(([key, value]) => {
      const flag = `--${key.replaceAll("_", "-")}`;
      if (typeof value === "boolean") return [value ? flag : `--no-${flag.slice(2)}`];
      return Array.isArray(value) ? value.flatMap((one) => [flag, String(one)]) : [flag, String(value)];
    });
    const shown = paths.map((path, k) => (path ? (/\s/.test(path) ? `'${path}'` : path) : task.paths[k]!.toUpperCase()));
    return ["congru", "train", task.name, ...shown, ...flags].join(" ");
  }, [settings, paths, task]);

  async function start(event: Event) {
    event.preventDefault();
    setBusy(true);
    setFault(null);
    try {
      let sources = paths;
      if (pasted.trim() && !paths[0]) {
        const ending = task.name === "forecast" || task.name === "sentiment" ? "csv" : task.name === "chess" ? "pgn" : "txt";
        sources = [(await engine.send(new File([pasted], `pasted.${ending}`))).path, ...paths.slice(1)];
      }
      const made = await engine.start(task.name, sources, settings);
      location.hash = address(["run", made.name]);
    } catch (error) {
      setFault(faultText(error));
    }
    setBusy(false);
  }
  async function upload(k: number, files: FileList | null) {
    const file = files?.[0];
    if (!file) return;
    try {
      const sent = await engine.send(file);
      setPaths((before) => before.map((path, other) => (other === k ? sent.path : path)));
      setFault(null);
    } catch (error) {
      setFault(faultText(error));
    }
  }
  const pastes = ["text", "forecast", "sentiment", "chess"].includes(task.name);
  const ready = paths.every((path, k) => path || (k === 0 && pasted.trim()));
  return (
    <form class="stack" onSubmit={start}>
      <section class="card" aria-label="Data">
        <h2>What it learns from</h2>
        {task.paths.map((label, k) => (
          <div class="row" key={label} style={{ alignItems: "end" }}>
            <label class="field" style={{ flex: "1 1 200px" }}>
              <span>A {label === "data" ? "file or folder" : `${label} file`} below the server's data folder</span>
              <input value={paths[k]} placeholder={task.name === "text" ? "shakespeare.txt" : ""} onInput={(event) => { const value = event.currentTarget.value; setPaths((before) => before.map((path, other) => (other === k ? value : path))); }} />
            </label>
            <label class="button">
              Send a file
              <input type="file" class="hidden" onChange={(event) => void upload(k, event.currentTarget.files)} />
            </label>
          </div>
        ))}
        {pastes && (
          <label class="field">
            <span>Or paste it here</span>
            <textarea rows={4} spellcheck={false} value={pasted} onInput={(event) => setPasted(event.currentTarget.value)} />
          </label>
        )}
      </section>
      <section class="card" aria-label="Settings">
        <h2>How it learns</h2>
        <div class="form">
          <label class="field">
            <span>Stop after</span>
            <span class="row" style={{ flexWrap: "nowrap" }}>
              <input type="number" min={0} step="any" aria-label="Amount" value={amount} onInput={(event) => setAmount(event.currentTarget.value)} />
              <select aria-label="Of what" value={budget} onChange={(event) => setBudget(event.currentTarget.value)}>
                {BUDGETS.map((kind) => <option key={kind}>{kind}</option>)}
              </select>
            </span>
          </label>
          {first.map(([key, field]) => <Input key={key} name={key} field={field} value={values[key] ?? ""} set={(text) => setValues((before) => ({ ...before, [key]: text }))} />)}
        </div>
        <details>
          <summary>All {rest.length} other settings</summary>
          <div class="form" style={{ marginTop: "12px" }}>
            {rest.map(([key, field]) => <Input key={key} name={key} field={field} value={values[key] ?? ""} set={(text) => setValues((before) => ({ ...before, [key]: text }))} />)}
          </div>
        </details>
      </section>
      <section class="card" aria-label="Start">
        <p class="small soft">The same in a terminal:</p>
        <pre class="command">{words}</pre>
        {fault && <Notice kind="bad">{fault}</Notice>}
        <div class="row">
          <button data-once type="submit" class="main" disabled={busy || !ready}>{busy ? "Starting…" : "Start training"}</button>
          {!ready && <span class="small soft">Say what it should learn from first.</span>}
        </div>
      </section>
    </form>
  );
}

function Input({ name, field, value, set }: { name: string; field: Field; value: string; set: (text: string) => void }) {
  const kind = kindOf(field);
  const fallback = field.default === null || field.default === undefined ? "" : Array.isArray(field.default) ? field.default.join(" ") : String(field.default);
  const numeric = kind.type === "number" || kind.type === "integer";
  return (
    <label class="field">
      <span>{name.replaceAll("_", " ")}</span>
      {kind.type === "choice" || kind.type === "boolean" ? (
        <select value={value || fallback} onChange={(event) => set(event.currentTarget.value === fallback ? "" : event.currentTarget.value)}>
          {!fallback && <option value="">default</option>}
          {(kind.type === "boolean" ? ["true", "false"] : kind.options).map((option) => <option key={option} value={option}>{kind.type === "boolean" ? (option === "true" ? "yes" : "no") : option}</option>)}
        </select>
      ) : numeric ? (
          <input type="number" step={kind.type === "integer" ? 1 : "any"} min={kind.least} max={kind.most} value={value} placeholder={fallback} onInput={(event) => set(event.currentTarget.value)} />
      ) : (
        <input value={value} placeholder={fallback} onInput={(event) => set(event.currentTarget.value)} />
      )}
      <small style={{ fontSize: "13px" }} class="soft">{field.description}</small>
    </label>
  );
}
