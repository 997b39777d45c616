// Sentiment word by word, translation with its attention, the assistant with its state card.
import { useEffect, useRef, useState } from "preact/hooks";
import { share, shareStyle } from "../colors";
import { engine } from "../engine";
import { Bar, digits, faultText, keepInAddress, Notice, percent, useAnswer, useRoute } from "../parts";
import type { Classified } from "../protocol";

function useText(model: string, view: string, first: string): [string, (text: string) => void, string] {
  const { query } = useRoute();
  const [text, setText] = useState(query.get("text") ?? first);
  const [quiet, setQuiet] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => {
      setQuiet(text);
      if (text.length < 1800) keepInAddress(["model", model, view], { text });
    }, 400);
    return () => clearTimeout(timer);
  }, [text]);
  return [text, setText, quiet];
}

export function Sentiment({ model }: { model: string }) {
  const [text, setText, quiet] = useText(model, "words", "This film was slow at first, but the ending is wonderful.");
  const { answer, fault, busy } = useAnswer(quiet.trim() ? `${model} ${quiet}` : null, () => engine.classify(model, quiet));
  return (
    <section class="card" aria-label="Classify">
      <label class="field"><span>Text</span><textarea rows={3} value={text} onInput={(event) => setText(event.currentTarget.value)} /></label>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {busy && !answer && <p class="small soft">Reading…</p>}
      {answer && <div class={busy ? "busy stack" : "stack"}><Words answer={answer} /></div>}
    </section>
  );
}

function Words({ answer }: { answer: Classified }) {
  const gives = answer.words.map((word) => word.written + word.counted);
  const reach = Math.max(...gives.map(Math.abs), 1e-9);
  const target = answer.classes.indexOf(answer.target);
  return (
    <>
      <div class="tokens words" aria-label="Words and what they give">
        {answer.words.map((word, k) => (
          <span key={k} style={shareStyle(gives[k]!, reach)} title={`${digits(gives[k]!, 3)}: ${digits(word.written, 3)} written, ${digits(word.counted, 3)} counted`}>{word.word}</span>
        ))}
      </div>
      <p class="small soft">
        Orange speaks for <b>{answer.target}</b>, blue against. Evidence {digits(answer.evidence)} = words {digits(gives.reduce((a, b) => a + b, 0))} + start {digits(answer.start)} + constant {digits(answer.constant)} (residual {digits(answer.residual, 2)})
        {answer.trust !== null && <>; trust {digits(answer.trust, 2)}</>}.
      </p>
      <div class="choices" style={{ maxWidth: "420px" }}>
        {Object.entries(answer.probabilities).map(([name, p]) => (
          <div class="line" key={name}><span>{name}</span><Bar share={p} /><span class="number">{percent(p)}</span></div>
        ))}
      </div>
      {answer.running && (
        <details open>
          <summary>After every word</summary>
          <div class="choices" style={{ maxWidth: "420px" }}>
            {answer.running.map((moment, k) => (
              <div class="line" key={k}><span class="mono">{moment.word}</span><Bar share={moment.p[target] ?? 0} /><span class="number">{percent(moment.p[target] ?? 0)}</span></div>
            ))}
          </div>
        </details>
      )}
    </>
  );
}

export function Translate({ model }: { model: string }) {
  const [text, setText, quiet] = useText(model, "translate", "");
  const { answer, fault, busy } = useAnswer(quiet.trim() ? `${model} ${quiet}` : null, () => engine.translate(model, quiet));
  return (
    <section class="card" aria-label="Translate">
      <label class="field"><span>Sentence</span><textarea rows={2} value={text} placeholder="Write a sentence in the language that the model reads" onInput={(event) => setText(event.currentTarget.value)} /></label>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {busy && !answer && <p class="small soft">Translating…</p>}
      {!quiet.trim() && <p class="small soft">The translation appears here, with the words that each of its words looked at.</p>}
      {answer && quiet.trim() && (
        <div class={busy ? "busy stack" : "stack"}>
          {answer.translations.map((one, k) => (
            <p key={k} class={k ? "soft" : ""} style={k ? {} : { fontSize: "18px" }}>{one.text || "(nothing)"} <span class="small soft number">{one.score.toFixed(2)}</span></p>
          ))}
          <p class="small soft">Behind each is its score, the log-probability: the larger, the likelier.{answer.attention && " Below, where each of its words looked."}</p>
          {answer.attention ? <Attention {...answer.attention} /> : <p class="small soft">This model was trained without attention.</p>}
        </div>
      )}
    </section>
  );
}

function Attention({ source, target, weights }: { source: string[]; target: string[]; weights: number[][] }) {
  return (
    <div class="scroll">
      <table class="attention" style={{ width: "auto" }}>
        <caption class="hidden">Each row is a word of the translation, each column one of the sentence: how much it was looked at.</caption>
        <thead><tr><td />{source.map((word, k) => <th key={k} scope="col">{word}</th>)}</tr></thead>
        <tbody>
          {target.map((word, row) => (
            <tr key={row}>
              <th class="side" scope="row">{word}</th>
              {source.map((other, column) => {
                const weight = weights[row]?.[column] ?? 0;
                return (
                  <td key={column} title={`${word} looked at ${other}: ${percent(weight)}`} style={{ background: share.css[Math.round(weight * 255)] }}>
                    <span class="hidden">{percent(weight)}</span>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Talk({ model }: { model: string }) {
  const { query } = useRoute();
  const [turns, setTurns] = useState<string[]>(() => query.getAll("say").length ? query.getAll("say") : []);
  const [text, setText] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const [answers, setAnswers] = useState<{ kind: string; turns: Record<string, any>[] } | null>(null);
  const [busy, setBusy] = useState(false);
  const end = useRef<HTMLDivElement>(null);
  async function say(next: string[]) {
    setBusy(true);
    try {
      const told = next.length ? await engine.talk(model, next) : null;
      setAnswers(told);
      setTurns(next);
      setFault(null);
      setText("");
      keepInAddress(["model", model, "talk"], { say: next });
    } catch (error) {
      setFault(faultText(error));
    }
    setBusy(false);
  }
  useEffect(() => end.current?.scrollIntoView({ block: "nearest" }), [answers]);
  useEffect(() => {
    if (turns.length) void say(turns);
  }, []);
  const last = answers?.turns[answers.turns.length - 1];
  const card = last?.card as Record<string, unknown> | undefined;
  return (
    <div class="two">
      <section class="card" aria-label="Conversation">
        <div class="talk" aria-live="polite">
          {turns.length === 0 && <p class="soft">Say something; what was understood is kept on the card over the turns.</p>}
          {answers?.turns.flatMap((turn, k) => [
            <div key={`m${k}`} class="me">{turns[k]}</div>,
            <div key={`i${k}`} class="it">{replyOf(turn, answers.kind)}</div>,
          ])}
          {busy && <p class="small soft">Thinking…</p>}
          <div ref={end} style={{ padding: 0 }} />
        </div>
        {fault && <Notice kind="bad">{fault}</Notice>}
        <form class="row" onSubmit={(event) => { event.preventDefault(); if (text.trim()) void say([...turns, text.trim()]); }}>
          <input style={{ flex: "1 1 14em", width: "auto" }} aria-label="Say" placeholder="Write a sentence" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          <button data-once type="submit" class="main" disabled={busy || !text.trim()}>Say</button>
          <button type="button" disabled={!turns.length} onClick={() => void say(turns.slice(0, -1))}>Undo</button>
          <button type="button" class="quiet" disabled={!turns.length} onClick={() => void say([])}>Start again</button>
        </form>
      </section>
      <aside class="card" aria-label="State card">
        <h2>What it knows</h2>
        {card ? (
          <table>
            <tbody>
              {Object.entries(card).map(([name, value]) => (
                <tr key={name}><th scope="row">{name.replaceAll("_", " ")}</th><td>{shownValue(value)}</td></tr>
              ))}
            </tbody>
          </table>
        ) : (
          <p class="small soft">Nothing yet.</p>
        )}
      </aside>
    </div>
  );
}

function replyOf(turn: Record<string, any>, kind: string) {
  if (kind === "dialogue") {
    const replies = turn.replies as { text: string; confidence: number }[];
    return replies.length ? replies.map((one) => one.text).join("\n") : `I don't know (${percent(turn.confidence as number)})`;
  }
  const slots = Object.entries(turn.slots as Record<string, string[]>);
  return (
    <>
      <b>{(turn.intent as string | null) ?? `I don't know`}</b> <span class="small soft">{turn.intent ? percent(turn.confidence as number) : `${turn.guess} ${percent(turn.confidence as number)}, below the threshold`}</span>
      {slots.map(([name, values]) => <p key={name}><span class="tag">{name.replaceAll("_", " ")}</span> {values.join(", ")}</p>)}
    </>
  );
}

function shownValue(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.length ? value.join(", ").replaceAll("_", " ") : "–";
  if (typeof value === "object") {
    const parts = Object.entries(value as Record<string, unknown>);
    return parts.length ? parts.map(([name, one]) => `${name.replaceAll("_", " ")}: ${Array.isArray(one) ? one.join(", ") : String(one)}`).join("; ") : "–";
  }
  return String(value);
}
