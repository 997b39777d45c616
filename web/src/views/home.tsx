// Home: every model and run, its figure beside its baselines, and where to go from here.
import { useEffect } from "preact/hooks";
import { engine } from "../engine";
import { address, Bar, digits, Empty, metricName, NAMES, Notice, useAnswer, VIEWS } from "../parts";
import type { ModelEntry, Status } from "../protocol";

export function Measure({ status }: { status: Status }) {
  const baselines = Object.entries(status.baselines ?? {});
  if (status.best === undefined || status.best === null || !status.metric) return <p class="small soft">Not evaluated yet.</p>;
  const rows: [string, number, boolean][] = [["this model", status.best, true], ...baselines.map(([name, value]) => [name, value, false] as [string, number, boolean])];
  const most = Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-12);
  return (
    <div class="measure">
      <div class="soft">
        {metricName(status.metric)}, {status.minimize ? "lower is better" : "higher is better"}
      </div>
      {rows.map(([name, value, own]) => (
        <div key={name} class={`line ${own ? "own" : ""}`}>
          <span>{name}</span>
          <Bar share={Math.abs(value) / most} kind={own ? "own" : ""} />
          <span class="number">{digits(value)}</span>
        </div>
      ))}
    </div>
  );
}

export function StateTag({ state }: { state: string | undefined }) {
  if (!state || state === "finished") return null;
  const words: Record<string, string> = { running: "training now", starting: "starting", interrupted: "stopped", failed: "failed" };
  return <span class={`tag ${state === "running" || state === "starting" ? "live" : state === "failed" ? "bad" : ""}`}>{words[state] ?? state}</span>;
}

function ModelCard({ entry }: { entry: ModelEntry }) {
  const own = entry.task ? VIEWS[entry.task] : undefined;
  const first = own ? own[0] : "gates";
  const home = entry.has_model ? address(["model", entry.id, first]) : address(["run", entry.id]);
  return (
    <article class="card model">
      <div>
        <div class="row spread">
          <h2><a href={home}>{entry.id}</a></h2>
          <StateTag state={entry.status.state} />
        </div>
        <p class="small soft">
          {[NAMES[entry.task ?? ""] ?? entry.task, entry.cell?.toUpperCase(), entry.status.num_parameters && `${entry.status.num_parameters.toLocaleString("en")} parameters`].filter(Boolean).join(" · ")}
        </p>
      </div>
      {entry.is_run ? <Measure status={entry.status} /> : <p class="small soft">A model folder; its scores are in its README.md.</p>}
      <div class="row">
        {own && entry.has_model && <a class="button" href={address(["model", entry.id, own[0]])}>{own[1]}</a>}
        {entry.has_model && <a class="button" href={address(["model", entry.id, "gates"])}>Gates</a>}
        {entry.is_run && <a class="button" href={address(["run", entry.id])}>Training</a>}
      </div>
    </article>
  );
}

export function Home() {
  const { answer: models, fault, again } = useAnswer("models", () => engine.models());
  const training = models?.some((entry) => ["running", "starting"].includes(entry.status.state ?? ""));
  useEffect(() => {
    if (!training) return;
    const timer = setInterval(again, 3000);
    return () => clearInterval(timer);
  }, [training]);
  return (
    <>
      <div class="head">
        <h1>Models</h1>
        <span class="soft">See what each gate keeps and forgets, and change it.{!engine.served && " These models run in your browser, without a server."}</span>
      </div>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {!models && !fault && <p class="soft">Loading…</p>}
      {models?.length === 0 && (
        <Empty>
          <h2>No model yet</h2>
          <p>Train one on a text or a table of your own; its gates appear here while it learns.</p>
          <a class="button main" href="#/train">Train a model</a>
          <p class="small">Or start the server over folders that hold some: <code>congru serve FOLDER</code></p>
        </Empty>
      )}
      {models && models.length > 0 && (
        <div class="models">
          {models.map((entry) => <ModelCard key={entry.id} entry={entry} />)}
        </div>
      )}
    </>
  );
}
