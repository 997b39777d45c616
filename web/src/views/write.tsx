// Writing: a prompt goes on token by token as the model draws it, from a server or in the browser itself.
import { useEffect, useRef, useState } from "preact/hooks";
import { engine } from "../engine";
import { address, Drawing, faultText, keepInAddress, Notice, numberOf, unusual, useRoute } from "../parts";

export function Write({ model }: { model: string }) {
  const { query } = useRoute();
  const [prompt, setPrompt] = useState(query.get("text") ?? "The ");
  const [temperature, setTemperature] = useState(() => numberOf(query, "temperature", 0.7, 0, 1.5));
  const [length, setLength] = useState(() => numberOf(query, "length", 400, 50, 10000));
  const [seed, setSeed] = useState(() => numberOf(query, "seed", 0, 0, 1e6));
  const [text, setText] = useState("");
  const [rate, setRate] = useState<{ count: number; seconds: number } | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const stop = useRef<AbortController | null>(null);
  const [writing, setWriting] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => () => stop.current?.abort(), []);
  useEffect(() => {
    keepInAddress(["model", model, "write"], { text: prompt.length < 1800 ? prompt : "", temperature: unusual(temperature, 0.7), length: unusual(length, 400), seed: unusual(seed, 0) });
  }, [prompt, temperature, length, seed]);
  useEffect(() => box.current?.scrollTo(0, box.current.scrollHeight), [text]);

  async function write(from: string, keep: string, first = seed) {
    stop.current?.abort();
    const mine = new AbortController();
    stop.current = mine;
    const begin = performance.now();
    let [count, made] = [0, keep];
    setText(keep);
    setFault(null);
    setWriting(true);
    let drawn = true; // whether the page shows what came; many pieces may come between two of its pictures
    const show = () => {
      drawn = true;
      if (stop.current !== mine) return;
      setText(made);
      setRate({ count, seconds: (performance.now() - begin) / 1000 });
    };
    try {
      const take = (piece: string) => {
        count++;
        made += piece;
        if (drawn) requestAnimationFrame(show);
        drawn = false;
      };
      await engine.write(model, from, { n: length, temperature, seed: first + keep.length }, take, mine.signal);
    } catch (error) {
      if (stop.current === mine) setFault(faultText(error));
    }
    show();
    if (stop.current === mine) setWriting(false);
  }
  return (
    <section class="card" aria-label="Write">
      <label class="field">
        <span>How it begins</span>
        <textarea rows={3} spellcheck={false} value={prompt} onInput={(event) => setPrompt(event.currentTarget.value)} />
      </label>
      <div class="row">
        {writing ? (
          <button data-once type="button" onClick={() => stop.current?.abort()}>Stop</button>
        ) : (
          <button data-once type="button" class="main" disabled={!prompt} onClick={() => void write(prompt, "")}>Write</button>
        )}
        {!writing && text && <button data-once type="button" onClick={() => void write(prompt + text, text)}>Go on</button>}
        {!writing && text && <button data-once type="button" onClick={() => { setSeed(seed + 1); void write(prompt, "", seed + 1); }}>Another</button>}
        <Drawing temperature={temperature} setTemperature={setTemperature} length={length} setLength={setLength} lengths={[50, 10000, 50]} />
      </div>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {text || writing ? (
        <div ref={box} class="outcome" style={{ maxHeight: "60vh" }} tabIndex={0} role="region" aria-label="What it writes" aria-busy={writing}>
          <span class="soft">{prompt}</span>
          {text}
        </div>
      ) : (
        <p class="small soft">Press Write: the text appears here as it is drawn. Low temperatures stay with what is likely, high ones dare more.</p>
      )}
      {rate && (
        <p class="small soft">
          {rate.count} pieces, {(rate.count / Math.max(rate.seconds, 1e-3)).toFixed(0)} a second{engine.served ? "" : ", in this browser"}.{" "}
          {!writing && text && <a href={address(["model", model, "gates"], { text: (prompt + text).slice(-500) })}>See the gates over it</a>}
        </p>
      )}
    </section>
  );
}
