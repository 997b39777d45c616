// What comes of a run, as it was and with gates held or states set, side by side.
import { useEffect, useMemo, useState } from "preact/hooks";
import { Chart } from "../chart";
import { SERIES } from "../colors";
import { engine } from "../engine";
import { decode, type Bytes } from "../film";
import { Bar, digits, Drawing, keepInAddress, Notice, numberOf, percent, unusual, useAnswer, useQuiet, useRoute } from "../parts";
import type { Edit, Film, LayerFilm, Outcome } from "../protocol";

interface Variant {
  name: string;
  edits: Edit[];
  outcome: Outcome;
}

export function WhatIfView(props: {
  film: Film;
  layer: LayerFilm;
  model: string;
  task: string;
  source: string;
  edits: Edit[];
  setEdits: (change: (before: Edit[]) => Edit[]) => void;
  took: (bytes: Bytes | null) => void;
  goOn: (text: string) => void;
}) {
  const { film, layer, edits, task } = props;
  const { query } = useRoute();
  const [temperature, setTemperature] = useState(() => numberOf(query, "temperature", 0.7, 0, 1.5));
  const [seed, setSeed] = useState(() => numberOf(query, "seed", 0, 0, 1e6));
  const [length, setLength] = useState(() => numberOf(query, "length", 160, 20, 400));
  useEffect(() => {
    if (task === "text") keepInAddress(["model", props.model, "gates"], { temperature: unusual(temperature, 0.7), length: unusual(length, 160), seed: unusual(seed, 0) });
  }, [temperature, length, seed]);
  const [variants, setVariants] = useState<Variant[]>([]);
  const options = useQuiet(`${temperature} ${seed} ${length}`, 150);
  const rest = { n: task === "text" ? length : 0, temperature, seed, ...(task === "forecast" && props.source ? { source: props.source } : {}) };
  const before = useAnswer(`${film.run} ${options}`, () => engine.whatIf(film.run, [], rest));
  const wanted = useQuiet(JSON.stringify(edits), 90);
  const after = useAnswer(wanted === "[]" ? null : `${film.run} ${options} ${wanted}`, () => engine.whatIf(film.run, JSON.parse(wanted) as Edit[], rest));
  const shown = edits.length > 0 && wanted !== "[]" ? after.answer : null;
  useEffect(() => {
    const own = shown?.layers.find((one) => one.node === layer.node && one.depth === layer.depth);
    props.took(own ? Object.fromEntries(own.strips.map((strip) => [strip.key, decode(strip.data)])) : null);
  }, [shown, layer]);
  useEffect(() => setVariants([]), [options, film]);
  const was = before.answer?.outcome;
  const now = shown?.outcome;
  return (
    <section class="card outcomes" aria-label="What comes of it">
      <div class="row spread">
        <h2>{task === "text" ? "How it goes on" : "What comes of it"}</h2>
        <div class="row">
          <button type="button" disabled={edits.length === 0} onClick={() => props.setEdits((all) => all.slice(0, -1))}>Undo</button>
          <button
            type="button"
            disabled={!now || variants.length >= 3}
            title="Keep this outcome beside the others"
            onClick={() => now && setVariants((all) => [...all, { name: `Fork ${all.length + 1}`, edits, outcome: now }])}
          >
            Fork
          </button>
        </div>
      </div>
      {task === "text" && (
        <div class="row">
          <Drawing temperature={temperature} setTemperature={setTemperature} length={length} setLength={setLength} lengths={[20, 400, 20]} />
          <button type="button" onClick={() => setSeed((one) => one + 1)}>Draw again</button>
        </div>
      )}
      {edits.length > 0 && (
        <div class="row" aria-label="Changes">
          {edits.map((edit, k) => (
            <span class="chip" key={k}>
              {edit.what} = {digits(edit.value, 3)}, {edit.units.length === 1 ? `unit ${edit.units[0]}` : `${edit.units.length} units`}, {edit.steps.length === 1 ? `${film.words.step} ${edit.steps[0]! + 1}` : `${edit.steps.length} ${film.words.steps}`}
              <button type="button" aria-label={`Remove ${edit.what} of ${edit.units.length} units`} onClick={() => props.setEdits((all) => all.filter((one) => one !== edit))}>×</button>
            </span>
          ))}
        </div>
      )}
      {(before.fault ?? after.fault) && <Notice kind="bad">{after.fault ?? before.fault}</Notice>}
      {was?.kind === "curve" ? (
        <CurveOutcome was={was} now={now?.kind === "curve" ? now : null} />
      ) : (
        <div class="halves">
          {was && <OutcomeView title="As it was" outcome={was} />}
          {now ? (
            <div class={after.busy ? "busy" : ""}><OutcomeView title="With your change" outcome={now} beside={was} /></div>
          ) : (
            <div class="stack">
              <h3>With your change</h3>
              <p class="small soft">{task === "text" ? "Hold a gate or set the state of a unit, and the same random numbers draw it again here." : "Hold a gate or set the state of a unit, and what comes of it appears here."}</p>
            </div>
          )}
          {variants.map((variant) => (
            <div key={variant.name} class="stack">
              <OutcomeView title={variant.name} outcome={variant.outcome} beside={was} />
              <div class="row">
                <button type="button" onClick={() => props.setEdits(() => variant.edits)}>Its changes</button>
                <button type="button" class="quiet" onClick={() => setVariants((all) => all.filter((one) => one !== variant))}>Close</button>
              </div>
            </div>
          ))}
        </div>
      )}
      {task === "text" && film.text !== null && (
        <div class="row small">
          {was?.kind === "text" && <button type="button" onClick={() => props.goOn(film.text + was.text)}>Read on from “as it was”</button>}
          {now?.kind === "text" && <button type="button" onClick={() => props.goOn(film.text + now.text)}>Read on from the change</button>}
        </div>
      )}
      {edits.length > 0 && <p class="small soft">The shares and equations above are those of the run as it was; the film shows the run with your change.</p>}
    </section>
  );
}

function OutcomeView({ title, outcome, beside }: { title: string; outcome: Outcome; beside?: Outcome | undefined }) {
  return (
    <div class="stack">
      <h3>{title}</h3>
      {outcome.kind === "text" && <TextOutcome text={outcome.text} beside={beside?.kind === "text" ? beside.text : null} name={title} />}
      {outcome.kind === "choices" && <p class="small soft">{outcome.note}</p>}
      {(outcome.kind === "choices" || outcome.kind === "text") && (
        <div class="choices">
          {(outcome.kind === "text" ? outcome.next.slice(0, 4) : outcome.items).map(([name, p]) => (
            <div class="line" key={name}>
              <span class="mono">{name}</span>
              <Bar share={p} kind={beside ? "warm" : "own"} />
              <span class="number">{percent(p)}</span>
            </div>
          ))}
        </div>
      )}
      {outcome.kind === "numbers" && (
        <p class="mono">
          {outcome.values.map((value) => digits(value, 3)).join("  ")} {outcome.count > outcome.values.length && `… of ${outcome.count}`}
        </p>
      )}
    </div>
  );
}

function TextOutcome({ text, beside, name }: { text: string; beside: string | null; name: string }) {
  let equal = 0;
  if (beside !== null) while (equal < text.length && text[equal] === beside[equal]) equal++;
  return (
    <div class="outcome" data-outcome={name} tabIndex={0} role="region" aria-label={name}>
      {beside === null ? text : <>{text.slice(0, equal)}<mark>{text.slice(equal)}</mark></>}
      {beside !== null && equal === text.length && <span class="soft">{"\n"}(the same)</span>}
    </div>
  );
}

function CurveOutcome({ was, now }: { was: Extract<Outcome, { kind: "curve" }>; now: Extract<Outcome, { kind: "curve" }> | null }) {
  const lines = useMemo(() => {
    const band = was.bands[0];
    return [
      { label: "as it was", values: was.median, color: SERIES[0]! },
      ...(band ? [
        { label: `high ${band.level} %`, values: band.high, color: "--edge", width: 1, fill: [2, "--band"] as [number, string] },
        { label: `low ${band.level} %`, values: band.low, color: "--edge", width: 1 },
      ] : []),
      ...(now ? [{ label: "with your change", values: now.median, color: SERIES[1]! }] : []),
    ];
  }, [was, now]);
  return <Chart x={was.median.map((_, k) => k)} names={was.times} lines={lines} label="The forecast as it was and with the change" height={240} />;
}
