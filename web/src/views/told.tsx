// What was read, each step coloured by its exact share of a prediction, and that prediction in words and numbers.
import { useEffect, useRef } from "preact/hooks";
import { shareStyle } from "../colors";
import { decode, valueOf, type Bytes } from "../film";
import { Bar, digits, Notice, percent } from "../parts";
import type { Film, LayerFilm, Predicted, Shares } from "../protocol";

export function TokenView(props: {
  film: Film;
  layer: LayerFilm;
  bytes: Bytes;
  fires: number | null;
  shares: number[] | null;
  at: number | null;
  column: number | null;
  predicts: boolean;
  hover: (step: number | null) => void;
  pin: (step: number) => void;
  isPinned: boolean;
}) {
  const { film, layer, bytes, fires, shares, at, column } = props;
  const { step: one, steps: many } = film.words;
  const words = film.task !== "text" || film.steps.some((step) => [...step].length > 2);
  const reach = shares ? Math.max(...shares.map(Math.abs), 1e-9) : 1;
  const state = layer.strips.find((strip) => strip.key === "state");
  const values = bytes.state;
  const stepAt = (target: EventTarget | null) => {
    const step = (target as HTMLElement | null)?.closest<HTMLElement>("[data-k]")?.dataset.k;
    return step === undefined ? null : Number(step);
  };
  function styleOf(step: number) {
    if (fires !== null && values && state) {
      const value = valueOf(values[step * layer.units + fires]!, true, 1);
      return shareStyle(value, 1);
    }
    const limit = props.predicts ? (at ?? 0) : film.steps.length;
    if (shares && (step < limit || !props.predicts)) return shareStyle(shares[step] ?? 0, reach);
    return undefined;
  }
  function key(event: KeyboardEvent) {
    const move = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (move) {
      event.preventDefault();
      const next = Math.min(film.steps.length - 1, Math.max(0, (at ?? (move > 0 ? -1 : film.steps.length)) + move));
      props.hover(next);
    } else if (event.key === "Enter" && at !== null) {
      props.pin(at);
    }
  }
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => box.current?.scrollTo(0, box.current.scrollHeight), [film]); // the last prediction is the one explained first
  return (
    <div
      ref={box}
      class={`tokens ${words ? "words" : ""}`}
      tabIndex={0}
      role="group"
      aria-label={`The ${many} that were read. Arrow keys choose a prediction, Enter keeps it.`}
      onKeyDown={key}
      onMouseLeave={() => props.hover(null)}
      onMouseOver={(event) => {
        const step = stepAt(event.target);
        if (step !== null && !props.isPinned) props.hover(step);
      }}
      onClick={(event) => {
        const step = stepAt(event.target);
        if (step !== null) props.pin(step);
      }}
    >
      {film.steps.map((label, k) => (
        <span key={k} data-k={k} class={`${k === at ? "explained" : ""} ${k === column ? "at" : ""}`} style={styleOf(k)} title={words ? undefined : `${one} ${k + 1}`}>
          {film.pictures[k] && <i class="picture" dangerouslySetInnerHTML={{ __html: film.pictures[k]! }} />}
          {label === "⏎" ? "⏎\n" : words ? label : label.replaceAll("␣", " ")}
          {film.values[k] && <small> {film.values[k]}</small>}
        </span>
      ))}
    </div>
  );
}

export function PredictionLine(props: {
  film: Film;
  at: number | null;
  predicts: boolean;
  shares: Shares | null;
  tells: boolean;
  fault: string | null;
  fires: number | null;
  layer: LayerFilm;
  clear: () => void;
}) {
  const { film, at, predicts, shares, fires } = props;
  if (fires !== null)
    return (
      <div class="row small">
        <span>
          Coloured by the state of unit {fires}: <b style={{ color: "var(--orange)" }}>orange</b> positive, <b style={{ color: "var(--blue)" }}>blue</b> negative.
        </span>
        <button type="button" onClick={props.clear}>Show shares again</button>
      </div>
    );
  if (props.tells && at !== null) return <PredictedLine film={film} at={at} />;
  if (film.shares.kind === null) return (
    <div class="stack">
      <p class="small soft">No exact shares here: {film.shares.why}.</p>
      {film.predicted && at !== null && <PredictedChoices film={film} at={at} />}
    </div>
  );
  if (at === null) return null;
  if (props.fault) return <Notice kind="bad">{props.fault}</Notice>;
  const actual = predicts && at > 0 ? film.predictions!.actual[at - 1] : undefined;
  const best = predicts ? film.predictions!.best[at - 1] : film.predictions?.best[Math.min(at, film.predictions.best.length - 1)];
  return (
    <div class="stack">
      <p class="small">
        {predicts && at === 0 && `The first ${film.words.step} has nothing before it to be predicted from.`}
        {actual && (
          <>
            <b class="mono">{film.steps[at]}</b> had a probability of <b>{percent(actual[0])}</b> (rank {actual[1]} of {film.predictions!.count}).{" "}
          </>
        )}
        {shares && (
          <>
            {!actual ? <>Explained is <b>{film.predictions ? shares.label : shares.label.replaceAll("␣", " ")}</b>, the largest. </> : null}
            Its score, {digits(shares.output)} = {digits(sum(shares.contributions))} written, {digits(shares.start)} from the start, {digits(shares.bias)} bias.{" "}
            {shares.trust !== null ? <>Trust {digits(shares.trust, 2)}: {trustWords(shares.trust)}.</> : null}
          </>
        )}
      </p>
      <p class="small soft">
        {predicts
          ? `Point at a ${film.words.step}: the text before it is coloured by what each ${film.words.step} gave its prediction, orange for, blue against. Click keeps it.`
          : `Point at a ${film.words.step}: each is coloured by what it gave the output there, orange for, blue against. Click keeps it.`}
      </p>
      {film.predicted && <PredictedChoices film={film} at={at} />}
      {best && !film.predicted && (
        <div class="choices" style={{ maxWidth: "340px" }}>
          {best.slice(0, 5).map(([index, p]) => (
            <div class="line" key={index}>
              <span class="mono">{film.predictions!.labels[String(index)]}</span>
              <Bar share={p} />
              <span class="number">{percent(p)}</span>
            </div>
          ))}
        </div>
      )}
    </div>
  );
}

/** What the task predicts after a step, or last before it; a prediction of the whole is the last. */
function predictedAt(film: Film, step: number): Predicted | null {
  const all = film.predicted ?? [];
  return all.filter((one) => one.at <= step).at(-1) ?? all[0] ?? null;
}

/** The shares of the likeliest prediction after a step; null where the read-out itself is explained, or nothing is known. */
export function predictedShares(film: Film, step: number): number[] | null {
  const first = predictedAt(film, step)?.choices[0];
  if (first?.[3] === undefined || first[4] === undefined) return null;
  const scale = first[3];
  return Array.from(new Int8Array(decode(first[4]).buffer), (byte) => byte * scale);
}

function PredictedLine({ film, at }: { film: Film; at: number }) {
  const one = predictedAt(film, at);
  const { step, predicts, of, adds_up: addsUp } = film.words;
  if (!one) return null;
  const whole = film.predicted!.length === 1;
  const lost = addsUp ? [] : (predictedShares(film, at) ?? []).map((bits, k) => ({ bits, k })).filter((part) => part.bits >= 0.005).sort((a, b) => b.bits - a.bits).slice(0, 3);
  return (
    <div class="stack">
      <p class="small">
        {predicts}{whole ? "" : ` after “${film.steps[one.at]}”`}: <b>{one.choices[0]?.[0]}</b>, {one.choices[0]?.[1]}.{" "}
        {addsUp ? `Every ${step} is coloured by its share${of.startsWith("the ") ? " of " : ", in "}${of}: orange for, blue against.` : `Every ${step} is coloured by the bits that this would lose without the part it wrote into the state: orange loses, blue gains.`}
      </p>
      {!addsUp && <p class="small">{lost.length ? `It would lose ${lost.map(({ bits, k }) => `${bits.toFixed(2)} bits without “${film.steps[k]}”`).join(", ")}.` : `Without any one ${step} it would lose less than 0.005 bits.`}</p>}
      {!addsUp && <p class="small soft">The parts of the state are exact; their bits do not add up, because what reads the state is not linear.</p>}
      {!whole && <p class="small soft">Point at a {step}: those up to it are coloured by what each gave the prediction made there. Click keeps it.</p>}
      <PredictedChoices film={film} at={at} />
    </div>
  );
}

export function PredictedChoices({ film, at, titled = false }: { film: Film; at: number; titled?: boolean }) {
  const one = predictedAt(film, at);
  if (!one) return null;
  return (
    <>
      {titled && <p class="small">{film.words.predicts}{film.predicted!.length > 1 && ` after “${film.steps[one.at]}”`}</p>}
      <div class="choices predicted" role="group" aria-label={film.words.predicts} style={{ maxWidth: "520px" }}>
        {one.choices.map(([name, value, bar]) => (
          <div class="line" key={name}>
            <span class="mono">{name}</span>
            <Bar share={bar} />
            <span class="number">{value}</span>
          </div>
        ))}
      </div>
    </>
  );
}

function trustWords(trust: number): string {
  if (trust > 0.75) return "the memory is carried, the colours tell most of it";
  if (trust > 0.4) return "part of it is computed anew through the candidate";
  return "most is computed anew through the candidate: read the colours with care";
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
