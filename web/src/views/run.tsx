// A run while it trains and afterwards: curves beside the baselines, the sample, the settings, stop and resume.
import { useEffect, useMemo, useState } from "preact/hooks";
import { Chart, type Line } from "../chart";
import { SERIES } from "../colors";
import { engine } from "../engine";
import { address, digits, faultText, keepInAddress, metricName, Notice, useAnswer, useRoute, VIEWS } from "../parts";
import type { Row, Status } from "../protocol";
import { Measure, StateTag } from "./home";

export function RunPage({ name }: { name: string }) {
  const { answer: run, fault, again } = useAnswer(`run ${name}`, () => engine.run(name));
  const [rows, setRows] = useState<Row[]>([]);
  const [status, setStatus] = useState<Status | null>(null);
  const [lost, setLost] = useState(false);
  const [asked, setAsked] = useState<string | null>(null);
  const [watching, setWatching] = useState(0);
  useEffect(() => {
    document.title = `${name} · congru`;
    let first = true;
    return engine.follow(
      name,
      (news) => {
        const fresh = first;
        first = false;
        setRows((before) => (fresh ? news.rows : [...before, ...news.rows]));
        setStatus(news.status);
      },
      setLost,
    );
  }, [name, watching]);
  const validations = rows.filter((row) => row[2] === "validation").length;
  useEffect(() => {
    if (run) again(); // a new sample, and the model when it appears
  }, [validations, status?.state]);
  const now = status ?? run?.status ?? null;
  const alive = now?.state === "running" || now?.state === "starting";
  const own = now?.task ? VIEWS[now.task] : undefined;
  useEffect(() => {
    // Another page, or a terminal, may have it go on.
    if (!engine.trains || !now || alive || now.state === "finished") return;
    const look = () => engine.run(name).then(({ status: { state } }) => (state === "running" || state === "starting") && setWatching((n) => n + 1), () => {});
    const timer = setInterval(look, 2500);
    return () => clearInterval(timer);
  }, [name, now?.state, watching]);
  function act(action: Promise<unknown>) {
    action.then(
      () => {
        setAsked(null);
        again();
        setTimeout(() => setWatching((n) => n + 1), 300);
      },
      (error: unknown) => setAsked(faultText(error)),
    );
  }
  return (
    <>
      <div class="head">
        <h1>{name}</h1>
        {now && <StateTag state={now.state} />}
        <div class="tabs">
          {run?.has_model && own && <a href={address(["model", name, own[0]])}>{own[1]}</a>}
          {run?.has_model && <a href={address(["model", name, "gates"])}>Gates</a>}
        </div>
      </div>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {lost && <Notice kind="warm">The server does not answer. This page connects again by itself; the training goes on only while its process runs.</Notice>}
      {asked && <Notice kind="bad">{asked}</Notice>}
      {now?.error && now.state === "failed" && <Notice kind="bad">{now.error}</Notice>}
      <div class="two">
        <div class="stack">
          <section class="card" aria-label="Curves">
            <Curves run={name} rows={rows} status={now} alive={alive} />
          </section>
          <GateCurves rows={rows} />
          {run?.sample && (
            <section class="card" aria-label="Sample">
              <h2>What it makes{alive ? " now" : ""}</h2>
              <div class="outcome" tabIndex={0} role="region" aria-label="Sample of its output">{run.sample}</div>
            </section>
          )}
        </div>
        <aside class="stack" aria-label="About this run">
          <section class="card">
            <h2>How good it is</h2>
            {now && <Measure status={now} />}
            {now?.verdict && <p class="small">{now.verdict}</p>}
            <div class="row">
              {!engine.trains ? null : alive ? (
                <button data-once type="button" onClick={() => act(engine.stop(name))}>Stop and save</button>
              ) : (
                (now?.state === "interrupted" || now?.state === "failed") && <button data-once type="button" class="main" onClick={() => act(engine.resume(name))}>Resume</button>
              )}
            </div>
          </section>
          {run && (
            <section class="card">
              <h2>How it was made</h2>
              {run.command && (
                <>
                  <p class="small soft">The line that goes on with it in a terminal:</p>
                  <pre class="command">{run.command}</pre>
                </>
              )}
              <details>
                <summary>Settings</summary>
                <table>
                  <tbody>
                    {Object.entries(run.settings).filter(([, value]) => value !== null).map(([key, value]) => (
                      <tr key={key}><td class="soft">{key}</td><td>{JSON.stringify(value)}</td></tr>
                    ))}
                  </tbody>
                </table>
              </details>
              <details>
                <summary>Data</summary>
                <table>
                  <tbody>
                    {Object.entries(run.data).filter(([, value]) => typeof value !== "object").map(([key, value]) => (
                      <tr key={key}><td class="soft">{key}</td><td>{String(value)}</td></tr>
                    ))}
                  </tbody>
                </table>
              </details>
            </section>
          )}
        </aside>
      </div>
    </>
  );
}

function Curves({ run, rows, status, alive }: { run: string; rows: Row[]; status: Status | null; alive: boolean }) {
  const { query } = useRoute();
  const groups = useMemo(() => {
    const curves = new Map<string, Map<string, Map<number, number | null>>>();
    for (const [step, , split, name, value] of rows) {
      if (!curves.has(name)) curves.set(name, new Map());
      const splits = curves.get(name)!;
      if (!splits.has(split)) splits.set(split, new Map());
      splits.get(split)!.set(step, value);
    }
    return curves;
  }, [rows]);
  const names = [...groups.keys()];
  const metric = status?.metric && groups.has(status.metric) ? status.metric : null;
  const [chosen, setChosen] = useState<string | null>(query.get("curve"));
  useEffect(() => keepInAddress(["run", run], { curve: chosen ?? "" }), [chosen, run]);
  const name = chosen && groups.has(chosen) ? chosen : (metric ?? names[0] ?? null);
  const shown = useMemo(() => {
    if (name === null) return null;
    const splits = [...groups.get(name)!.entries()];
    const steps = [...new Set(splits.flatMap(([, values]) => [...values.keys()]))].sort((a, b) => a - b);
    const lines: Line[] = splits.map(([split, values], k) => ({ label: split, values: steps.map((step) => values.get(step)), color: SERIES[k % SERIES.length]!, points: values.size < 60 }));
    if (name === metric)
      Object.entries(status?.baselines ?? {}).forEach(([label, value], k) => lines.push({ label, values: steps.map(() => value), color: SERIES[2 + (k % 3)]!, dash: [6, 4], width: 1.5 }));
    return { steps, lines };
  }, [groups, name, metric, status?.baselines]);
  if (!shown)
    return <p class="soft">{alive ? "The first figures come when a few steps are done…" : "This run wrote no figures."}</p>;
  const latest = rows[rows.length - 1]!;
  return (
    <>
      <div class="row spread">
        <h2>{alive ? "How it learns" : "How it learnt"}</h2>
        <select style={{ width: "auto" }} aria-label="Which figure" value={name!} onChange={(event) => setChosen(event.currentTarget.value)}>
          {names.map((one) => <option key={one} value={one}>{metricName(one)}</option>)}
        </select>
      </div>
      <Chart x={shown.steps} lines={shown.lines} label={`${name} against steps`} xLabel="step" height={320} />
      <p class="small soft" data-rows={rows.length}>
        Step {latest[0].toLocaleString("en")}, {digits(latest[1], 3)} s of training
      </p>
    </>
  );
}

const SHARES: [string, string][] = [
  ["keep_open", "keep open (above 0.9)"],
  ["keep_closed", "keep closed (below 0.1)"],
  ["reset_open", "reset open"],
  ["reset_closed", "reset closed"],
];

/** How saturated the gates are and how far they reach, at every evaluation of a run with `monitor`. */
function GateCurves({ rows }: { rows: Row[] }) {
  const shown = useMemo(() => {
    const gates = rows.filter((row) => row[2] === "gates");
    const steps = [...new Set(gates.map((row) => row[0]))].sort((a, b) => a - b);
    const line = (name: string, label: string, color: string, dash: number[] = []): Line => {
      const values = new Map(gates.filter((row) => row[3] === name).map((row) => [row[0], row[4]]));
      return { label, values: steps.map((step) => values.get(step)), color, dash, points: true };
    };
    const present = new Set(gates.map((row) => row[3]));
    const shares = SHARES.filter(([name]) => present.has(name)).map(([name, label], k) => line(name, label, SERIES[k < 2 ? 0 : 1]!, k % 2 ? [5, 4] : []));
    const reach = (["10", "50", "90"] as const).filter((level) => present.has(`tau_${level}`)).map((level, k) => line(`tau_${level}`, `${level} % of the units within`, SERIES[k]!));
    return { steps, shares, reach };
  }, [rows]);
  if (shown.steps.length === 0) return null;
  return (
    <section class="card" aria-label="Gates while it learns">
      <h2>Gates while it learns</h2>
      <div class="halves">
        {shown.shares.length > 0 && (
          <div class="stack">
            <p class="small soft">Share of gates that are open or closed</p>
            <Chart x={shown.steps} lines={shown.shares} label="Share of saturated gates against steps" xLabel="step" height={200} />
          </div>
        )}
        {shown.reach.length > 0 && (
          <div class="stack">
            <p class="small soft">Steps after which 63 % is forgotten</p>
            <Chart x={shown.steps} lines={shown.reach} label="Memory length against steps" xLabel="step" height={200} />
          </div>
        )}
      </div>
    </section>
  );
}
