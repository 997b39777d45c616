// Music: draw a motif on the piano roll, let the model go on, lock a voice, hear it, take it home as MIDI.
import { useEffect, useRef, useState } from "preact/hooks";
import { engine } from "../engine";
import { download, faultText, keepInAddress, Notice, numberOf, Segments, unusual, useRoute } from "../parts";
import type { Composition } from "../protocol";

type Tone = [number, number, number];
const LOW = 36;
const HIGH = 88;
const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const BLACK = new Set([1, 3, 6, 8, 10]);

type Role = "begin" | "soprano" | "bass";
const ROLES: Role[] = ["begin", "soprano", "bass"];

/** A motif as the address holds it: startxlengthxpitch_...; null where it holds none. */
function readMotif(text: string | null): Tone[] | null {
  if (text === null) return null;
  const notes = text.split("_").map((word) => word.split("x").map(Number));
  return notes.every((note) => note.length === 3 && note.every(Number.isFinite)) ? (notes as Tone[]) : null;
}

export function pitchName(pitch: number): string {
  return `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

/** Plays notes by Web Audio; `context` may be an offline one. Returns how many seconds they last. */
export function schedule(context: BaseAudioContext, notes: Tone[], tempo: number, from = 0): number {
  const beat = 60 / tempo;
  const whole = context.createGain();
  whole.gain.value = 0.22;
  whole.connect(context.destination);
  let end = 0;
  for (const [start, length, pitch] of notes) {
    const [on, off] = [from + start * beat, from + (start + length) * beat];
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    oscillator.type = "triangle";
    oscillator.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
    gain.gain.setValueAtTime(0, on);
    gain.gain.linearRampToValueAtTime(0.5, on + 0.015);
    gain.gain.exponentialRampToValueAtTime(0.12, Math.max(on + 0.05, off - 0.03));
    gain.gain.linearRampToValueAtTime(0, off + 0.05);
    oscillator.connect(gain).connect(whole);
    oscillator.start(on);
    oscillator.stop(off + 0.06);
    end = Math.max(end, off + 0.06);
  }
  return end;
}

export function Music({ model }: { model: string }) {
  const { query } = useRoute();
  const [motif, setMotif] = useState<Tone[]>(() => readMotif(query.get("motif")) ?? [[0, 1, 60], [1, 1, 64], [2, 1, 67], [3, 1, 72]]);
  const [made, setMade] = useState<Composition | null>(null);
  const [bars, setBars] = useState(() => Math.round(numberOf(query, "bars", 4, 1, 16)));
  const [temperature, setTemperature] = useState(() => numberOf(query, "temperature", 1, 0, 2));
  const [seed, setSeed] = useState(() => numberOf(query, "seed", 0, 0, 1e6));
  const [role, setRole] = useState<Role>(() => ROLES.find((one) => one === query.get("role")) ?? "begin");
  const [fault, setFault] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [cursor, setCursor] = useState<{ beat: number; pitch: number } | null>(null);
  const audio = useRef<AudioContext | null>(null);
  const [playing, setPlaying] = useState(false);
  const [at, setAt] = useState<number | null>(null);
  const tempo = made?.tempo ?? 100;
  useEffect(() => {
    const notes = motif.map((note) => note.join("x")).join("_");
    keepInAddress(["model", model, "music"], { motif: notes.length < 1800 ? notes : "", bars: String(bars), role, temperature: unusual(temperature, 1), seed: unusual(seed, 0) });
  }, [motif, bars, role, temperature, seed, model]);

  async function compose(nextSeed = seed) {
    setBusy(true);
    try {
      const lock = role === "begin" ? {} : { lock: role, locked: motif, motif: [] };
      setMade(await engine.compose(model, { motif, bars, temperature, seed: nextSeed, ...lock }));
      setFault(null);
    } catch (error) {
      setFault(faultText(error));
    }
    setBusy(false);
  }
  function toggle(beat: number, pitch: number) {
    setMade(null);
    setMotif((notes) => {
      const index = notes.findIndex(([start, length, key]) => key === pitch && beat >= start && beat < start + length);
      return index >= 0 ? notes.filter((_, k) => k !== index) : [...notes, [beat, 1, pitch] as Tone].sort((a, b) => a[0] - b[0]);
    });
  }
  function stop() {
    void audio.current?.close();
    audio.current = null;
    setPlaying(false);
    setAt(null);
  }
  function play() {
    if (playing) return stop();
    const context = new AudioContext();
    audio.current = context;
    const notes = made?.notes ?? motif;
    const begin = context.currentTime + 0.08;
    const end = schedule(context, notes as Tone[], tempo, begin);
    setPlaying(true);
    const tick = () => {
      if (audio.current !== context) return;
      if (context.currentTime > end) return stop();
      setAt(Math.max(0, ((context.currentTime - begin) * tempo) / 60));
      requestAnimationFrame(tick);
    };
    tick();
  }
  useEffect(() => () => void audio.current?.close(), []);

  const notes = (made?.notes ?? motif) as Tone[];
  const beats = Math.max(16, Math.ceil(Math.max(0, ...notes.map(([start, length]) => start + length))) + 1);
  const low = Math.min(LOW, ...notes.map(([, , pitch]) => pitch));
  const high = Math.max(HIGH, ...notes.map(([, , pitch]) => pitch));
  const box = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(() => setRoom(box.current?.clientWidth ?? 0));
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const gutter = 26;
  const [beatWidth, keyHeight] = [Math.max(30, Math.min(64, (room - gutter) / beats)), 8];
  const [wide, high_] = [beats * beatWidth + gutter, (high - low + 1) * keyHeight];
  const x = (beat: number) => gutter + beat * beatWidth;
  const y = (pitch: number) => (high - pitch) * keyHeight;
  function toggleAtPointer(event: MouseEvent) {
    const area = (event.currentTarget as SVGElement).getBoundingClientRect();
    if (event.clientX - area.left < gutter) return;
    toggle(Math.floor((event.clientX - area.left - gutter) / beatWidth), high - Math.floor((event.clientY - area.top) / keyHeight));
  }
  function key(event: KeyboardEvent) {
    const here = cursor ?? { beat: 0, pitch: 60 };
    const moves: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (move) {
      event.preventDefault();
      setCursor({ beat: Math.max(0, Math.min(beats - 1, here.beat + move[0])), pitch: Math.max(low, Math.min(high, here.pitch + move[1])) });
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      toggle(here.beat, here.pitch);
    }
  }
  return (
    <section class="card" aria-label="Compose">
      <div class="row spread">
        <h2>{made ? "The model went on" : "Draw a motif"}</h2>
        <span class="small soft">{made ? `${made.notes.length} notes${made.nats ? `, ${(made.nats.reduce((a, b) => a + b, 0) / made.nats.length).toFixed(2)} nats a frame` : ""}` : `${motif.length} notes; click to set or take one`}</span>
      </div>
      <div class="roll" ref={box}>
        <svg
          width={wide}
          height={high_}
          tabindex={0}
          role="application"
          aria-label={`Piano roll, ${notes.length} notes. Arrow keys move${cursor ? `, at beat ${cursor.beat + 1}, ${pitchName(cursor.pitch)}` : ""}, Enter sets or takes a note.`}
          onClick={toggleAtPointer}
          onKeyDown={key}
        >
          {Array.from({ length: high - low + 1 }, (_, k) => low + k).map((pitch) => (
            <rect key={pitch} x={gutter} y={y(pitch)} width={beats * beatWidth} height={keyHeight} fill={BLACK.has(pitch % 12) ? "var(--sunk)" : "var(--card)"} stroke={pitch % 12 === 0 ? "var(--line)" : "none"} />
          ))}
          {Array.from({ length: beats + 1 }, (_, beat) => (
            <line key={beat} x1={x(beat)} x2={x(beat)} y1={0} y2={high_} stroke="var(--line)" stroke-width={beat % (made?.bar ?? 4) === 0 ? 1.5 : 0.5} />
          ))}
          {Array.from({ length: high - low + 1 }, (_, k) => low + k).filter((pitch) => pitch % 12 === 0).map((pitch) => (
            <text key={pitch} x={2} y={y(pitch) + keyHeight} font-size="11" fill="var(--soft)">{pitchName(pitch)}</text>
          ))}
          {notes.map(([start, length, pitch], k) => {
            const own = made !== null && start >= made.primed;
            return (
              <rect key={k} x={x(start) + 1} y={y(pitch) + 0.5} width={Math.max(4, length * beatWidth - 2)} height={keyHeight - 1} rx={2} fill={own ? "var(--c1)" : "var(--c2)"}>
                <title>{`${pitchName(pitch)} at beat ${start + 1}`}</title>
              </rect>
            );
          })}
          {cursor && <rect x={x(cursor.beat)} y={y(cursor.pitch)} width={beatWidth} height={keyHeight} fill="none" stroke="var(--ink)" stroke-width={2} />}
          {at !== null && <line x1={x(at)} x2={x(at)} y1={0} y2={high_} stroke="var(--ink)" />}
        </svg>
      </div>
      <div class="legend"><i style={{ background: "var(--c2)", width: "16px" }} /> yours <i style={{ background: "var(--c1)", width: "16px" }} /> the model's</div>
      <div class="row">
        <Segments label="What the motif is" value={role} options={[["begin", "It begins"], ["soprano", "It is the top voice"], ["bass", "It is the bass"]]} choose={setRole} />
        <label class="field" style={{ width: "110px" }}><span>{bars} bars</span><input type="range" min={1} max={16} value={bars} onInput={(event) => setBars(Number(event.currentTarget.value))} /></label>
        <label class="field" style={{ width: "130px" }}><span>temperature {temperature.toFixed(1)}</span><input type="range" min={0.3} max={1.6} step={0.1} value={temperature} onInput={(event) => setTemperature(Number(event.currentTarget.value))} /></label>
      </div>
      {fault && <Notice kind="bad">{fault}</Notice>}
      <div class="row">
        <button data-once type="button" class="main" disabled={busy || (role !== "begin" && motif.length === 0)} onClick={() => void compose()}>{role === "begin" ? "Go on" : "Harmonise"}</button>
        {made && <button data-once type="button" disabled={busy} onClick={() => { setSeed(seed + 1); void compose(seed + 1); }}>Another</button>}
        <button data-once type="button" disabled={!notes.length} onClick={play}>{playing ? "Stop" : "Hear it"}</button>
        {made && <button data-once type="button" onClick={() => download(`${model}.mid`, Uint8Array.from(atob(made.midi), (letter) => letter.charCodeAt(0)), "audio/midi")}>Download .mid</button>}
        {made ? <button type="button" class="quiet" onClick={() => setMade(null)}>Back to the motif</button> : <button type="button" class="quiet" disabled={!motif.length} onClick={() => setMotif([])}>Clear</button>}
      </div>
    </section>
  );
}
