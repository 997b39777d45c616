// Small pieces that every view uses: the address as state, questions that may fail, bars, notices.
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Fault } from "./protocol";

export interface Route {
  path: string[];
  query: URLSearchParams;
}

function read(): Route {
  const all = location.hash.replace(/^#\/?/, "");
  const cut = all.includes("?") ? all.indexOf("?") : all.length;
  const [path, query] = [all.slice(0, cut), all.slice(cut + 1)];
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

/** The address behind #, and again whenever it changes. */
export function useRoute(): Route {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const changed = () => setRoute(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

type Query = Record<string, string | string[] | undefined | null>;

export function address(path: string[], query: Query = {}): string {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) for (const one of Array.isArray(value) ? value : [value]) if (one) words.append(name, one);
  const text = words.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Writes state into the address without a step in the history; what the view keeps there beside it stays. */
export function keepInAddress(path: string[], query: Query): void {
  const now = read();
  const before: Query = {};
  if (now.path.join("/") === path.join("/")) for (const name of new Set(now.query.keys())) before[name] = now.query.getAll(name);
  const wanted = address(path, { ...before, ...query });
  if (location.hash !== wanted) history.replaceState(null, "", wanted);
}

/** A number of the address, within its bounds; the fallback where it is none. */
export function numberOf(query: URLSearchParams, name: string, fallback: number, least: number, most: number): number {
  const text = query.get(name);
  const value = Number(text);
  return text && Number.isFinite(value) ? Math.max(least, Math.min(most, value)) : fallback;
}

/** A number as it stands in the address: nothing where it is the usual one. */
export function unusual(value: number, usual: number): string {
  return value === usual ? "" : String(value);
}

export function faultText(error: unknown): string {
  return error instanceof Fault ? error.message : `Something went wrong: ${String(error)}`;
}

/** Ask when `key` changes; the answer, whether it is on its way, the line of a fault, and asking again. */
export function useAnswer<T>(key: string | null, ask: () => Promise<T>) {
  const [answer, setAnswer] = useState<T | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const newest = useRef(0);
  const again = useCallback(() => {
    if (key === null) return;
    const mine = ++newest.current;
    setBusy(true);
    ask().then(
      (value) => {
        if (mine !== newest.current) return;
        setAnswer(value);
        setFault(null);
        setBusy(false);
      },
      (error: unknown) => {
        if (mine !== newest.current) return;
        setFault(faultText(error));
        setBusy(false);
      },
    );
  }, [key]);
  useEffect(again, [again]);
  return { answer, fault, busy, again, setAnswer };
}

/** After some quiet, the newest value. */
export function useQuiet<T>(value: T, milliseconds: number): T {
  const [quiet, setQuiet] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setQuiet(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return quiet;
}

/** The newest function, for effects that must not run again when it changes. */
export function useLatest<T>(value: T): { current: T } {
  const box = useRef(value);
  box.current = value;
  return box;
}

export function Notice({ kind = "", children }: { kind?: "" | "bad" | "warm"; children: ComponentChildren }) {
  return (
    <div class={`notice ${kind}`} role={kind === "bad" ? "alert" : "status"}>
      {children}
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="card empty">{children}</div>;
}

/** A few choices of which one holds. */
export function Segments<T extends string>(props: { label: string; value: T; options: [T, string][]; choose: (value: T) => void }) {
  return (
    <div class="segments" role="group" aria-label={props.label}>
      {props.options.map(([value, words]) => (
        <button key={value} type="button" aria-pressed={value === props.value} onClick={() => props.choose(value)}>
          {words}
        </button>
      ))}
    </div>
  );
}

/** How text is drawn: the temperature, and how many tokens; `lengths` are the least, the most and the step of the latter. */
export function Drawing(props: {
  temperature: number;
  setTemperature: (value: number) => void;
  length: number;
  setLength: (value: number) => void;
  lengths: [number, number, number];
}) {
  const [least, most, step] = props.lengths;
  return (
    <>
      <label class="field" style={{ width: "150px" }}>
        <span>temperature {props.temperature.toFixed(1)}</span>
        <input type="range" min={0} max={1.5} step={0.1} value={props.temperature} onInput={(event) => props.setTemperature(Number(event.currentTarget.value))} />
      </label>
      <label class="field" style={{ width: "150px" }}>
        <span>{props.length} tokens</span>
        <input type="range" min={least} max={most} step={step} value={props.length} onInput={(event) => props.setLength(Number(event.currentTarget.value))} />
      </label>
    </>
  );
}

/** A labelled share with its bar. */
export function Bar({ share, kind = "own" }: { share: number; kind?: "own" | "warm" | "" }) {
  return (
    <div class="bar" aria-hidden="true">
      <i class={kind} style={{ width: `${Math.max(0, Math.min(1, share)) * 100}%` }} />
    </div>
  );
}

export function percent(p: number): string {
  return p === 0 ? "0 %" : p >= 0.0995 ? `${Math.round(p * 100)} %` : p >= 0.001 ? `${(p * 100).toFixed(1)} %` : "< 0.1 %";
}

export function digits(value: number | null | undefined, count = 4): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 1e-3)) return value.toExponential(2);
  return String(Number(value.toPrecision(count)));
}

export const NAMES: Record<string, string> = {
  text: "Text",
  chess: "Chess",
  forecast: "Forecast",
  sentiment: "Sentiment",
  translate: "Translation",
  assistant: "Assistant",
  music: "Music",
  video: "Video",
  speech: "Speech",
};

const METRICS: Record<string, string> = {
  wer: "word error rate",
  cer: "character error rate",
  bleu: "BLEU",
  top1: "share of moves that were the likeliest",
  exact: "share of sentences right as a whole",
  mae: "mean absolute error",
  mse: "mean squared error",
  mase: "MASE",
};

/** A figure of a run in words. */
export function metricName(name: string): string {
  return METRICS[name] ?? name.replaceAll("_", " ");
}

/** The view that belongs to a task, beside the gates. */
export const VIEWS: Record<string, [string, string]> = {
  text: ["write", "Write"],
  chess: ["play", "Play"],
  forecast: ["forecast", "Forecast"],
  music: ["music", "Compose"],
  sentiment: ["words", "Classify"],
  translate: ["translate", "Translate"],
  assistant: ["talk", "Talk"],
  speech: ["hear", "Listen"],
  video: ["watch", "Watch"],
};

export function download(name: string, content: BlobPart, kind: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
