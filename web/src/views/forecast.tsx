// Forecast: a series or a pasted table, the cut-off that slides, the fan against what came.
import { useEffect, useMemo, useState } from "preact/hooks";
import { Chart, type Line } from "../chart";
import { SERIES } from "../colors";
import { engine } from "../engine";
import { digits, keepInAddress, Notice, Segments, useAnswer, useRoute } from "../parts";

export function ForecastView({ model }: { model: string }) {
  const { query } = useRoute();
  const [series, setSeries] = useState(query.get("series") ?? "");
  const [draft, setDraft] = useState("");
  const [csv, setCsv] = useState("");
  const [cutoff, setCutoff] = useState<number | null>(null);
  const { answer, fault, busy } = useAnswer(`${model} ${series} ${csv} ${cutoff}`, () =>
    engine.forecast(model, { ...(series ? { series } : {}), ...(csv ? { csv } : {}), ...(csv && cutoff !== null ? { cutoff } : {}) }),
  );
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState<"1" | "4" | "16">("1");
  const reach = answer?.reach ?? null;
  useEffect(() => {
    // The table row by row: the next one when this one is drawn.
    if (!playing || !reach || busy || (cutoff ?? reach.cutoff) !== reach.cutoff) return;
    if (reach.cutoff >= reach.most) {
      setPlaying(false);
      return;
    }
    // Above what a screen can show, several rows at a time.
    const [wait, rows] = { "1": [240, 1], "4": [60, 1], "16": [60, 4] }[speed] as [number, number];
    const timer = setTimeout(() => setCutoff(Math.min(reach.most, reach.cutoff + rows)), wait);
    return () => clearTimeout(timer);
  }, [playing, reach?.cutoff, cutoff, busy, speed]);
  const [whole, setWhole] = useState(query.get("past") === "all");
  useEffect(() => keepInAddress(["model", model, "forecast"], { past: whole ? "all" : "" }), [whole, model]);
  // Beside years of past nobody would see the fan.
  const left = answer && !whole ? Math.max(0, answer.past.length - Math.max(20, 5 * answer.horizon)) : 0;
  const lines = useMemo<Line[]>(() => {
    if (!answer) return [];
    const read = answer.past.slice(left);
    const past = read.length;
    const behind = (values: (number | null)[]) => [...Array<null>(past - 1).fill(null), read[past - 1] ?? null, ...values];
    const made: Line[] = [
      { label: answer.name, values: behind(answer.median), color: SERIES[0]! },
      { label: "known", values: read, color: SERIES[2]!, width: 1.5 },
      { label: "one season before", values: [...Array<null>(past).fill(null), ...answer.naive], color: SERIES[3]!, dash: [2, 4], width: 1 },
    ];
    if (answer.truth.length) made.push({ label: "what came", values: behind(answer.truth), color: SERIES[1]! });
    for (const band of [...answer.bands].reverse()) {
      const at = made.length;
      made.push({ label: `${band.level} % high`, values: behind(band.high), color: "--edge", width: 1, fill: [at + 1, "--band"] });
      made.push({ label: `${band.level} % low`, values: behind(band.low), color: "--edge", width: 1 });
    }
    return made;
  }, [answer, left]);
  const errors = answer && answer.truth.length ? meanErrors(answer.truth, answer.median, answer.naive) : null;
  function choose(name: string) {
    setSeries(name);
    setCutoff(null);
    keepInAddress(["model", model, "forecast"], { series: name });
  }
  return (
    <>
      <section class={`card ${busy ? "busy" : ""}`} aria-label="Forecast">
        {fault && <Notice kind="bad">{fault}</Notice>}
        {busy && !answer && <p class="soft">Forecasting…</p>}
        {answer && (
          <>
            <div class="row spread">
              <div class="row">
                <h2>{answer.horizon} {answer.steps} ahead</h2>
                {(left > 0 || whole) && <button type="button" class="quiet small" onClick={() => setWhole(!whole)}>{whole ? "Show less of the past" : "Show more of the past"}</button>}
              </div>
              {answer.series.length > 1 && (
                <label class="row small">
                  Series
                  <select style={{ width: "auto" }} value={answer.chosen} onChange={(event) => choose(event.currentTarget.value)}>
                    {answer.series.map((name) => <option key={name}>{name}</option>)}
                  </select>
                </label>
              )}
            </div>
            <Chart x={answer.times.slice(left).map((_, k) => k)} names={answer.times.slice(left)} lines={lines} label={`${answer.chosen}: past and forecast`} height={340} mark={answer.past.length - left - 1} />
            {answer.reach ? (
              <div class="row" style={{ alignItems: "end" }}>
              <button
                data-once
                type="button"
                onClick={() => {
                  if (!playing && answer.reach!.cutoff >= answer.reach!.most) setCutoff(answer.reach!.least);
                  setPlaying(!playing);
                }}
              >
                {playing ? "Pause" : "Play"}
              </button>
              <Segments label="Speed" value={speed} options={[["1", "1×"], ["4", "4×"], ["16", "16×"]]} choose={setSpeed} />
              <label class="field" style={{ flex: "1 1 180px" }}>
                <span>The forecast knows the first {answer.reach.cutoff} rows, up to <span style={{ whiteSpace: "nowrap" }}>{answer.times[answer.past.length - 1]}</span></span>
                <input type="range" min={answer.reach.least} max={answer.reach.most} value={answer.reach.cutoff} aria-label="Rows that are known" onInput={(event) => { setPlaying(false); setCutoff(Number(event.currentTarget.value)); }} />
              </label>
              </div>
            ) : (
              <p class="small soft">From the last row of the training on. {engine.served && "Paste a table below to slide the cut-off and see what came."}</p>
            )}
            {errors && (
              <p class="small">
                Mean absolute error of these {errors.count} steps: <b>{digits(errors.own)}</b> beside {digits(errors.naive)} of the season before.
              </p>
            )}
          </>
        )}
      </section>
      {engine.served && <section class="card" aria-label="A table of yours">
        <h2>A table of yours</h2>
        <label class="field">
          <span>CSV with the columns of the training, such as unique_id,ds,y</span>
          <textarea rows={5} spellcheck={false} value={draft} onInput={(event) => setDraft(event.currentTarget.value)} />
        </label>
        <div class="row">
          <button data-once type="button" class="main" disabled={!draft.trim()} onClick={() => { setCutoff(null); setCsv(draft); }}>Forecast it</button>
          <label class="button">
            Open a file
            <input
              type="file"
              accept=".csv,text/csv"
              class="hidden"
              onChange={(event) => {
                const file = event.currentTarget.files?.[0];
                if (file) void file.text().then((text) => { setDraft(text); setCutoff(null); setCsv(text); });
              }}
            />
          </label>
          {csv && <button type="button" class="quiet" onClick={() => { setCsv(""); setCutoff(null); }}>Back to the series of the training</button>}
        </div>
      </section>}
    </>
  );
}

function meanErrors(truth: number[], own: number[], naive: number[]) {
  const error = (values: number[]) => truth.reduce((total, value, k) => total + Math.abs(value - (values[k] ?? value)), 0) / truth.length;
  return { count: truth.length, own: error(own), naive: error(naive) };
}
