// Speech from a file or the microphone to words with their times, and clips frame by frame.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Chart, type Line } from "../chart";
import { SERIES } from "../colors";
import { engine } from "../engine";
import { address, Bar, faultText, Notice, percent } from "../parts";
import { Fault, type Heard, type Overheard, type Watched } from "../protocol";

/** Samples of one channel as a WAV file of 16 bits. */
export function wavOf(samples: Float32Array, rate: number): Blob {
  const bytes = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at: number, words: string) => [...words].forEach((letter, k) => bytes.setUint8(at + k, letter.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true);
  bytes.setUint16(22, 1, true);
  bytes.setUint32(24, rate, true);
  bytes.setUint32(28, 2 * rate, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  text(36, "data");
  bytes.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, k) => bytes.setInt16(44 + 2 * k, Math.max(-1, Math.min(1, value)) * 32767, true));
  return new Blob([bytes.buffer], { type: "audio/wav" });
}

interface Recording {
  stop: () => Promise<Blob>;
}

/** Records from the microphone until `stop`, which gives it as WAV. */
async function record(): Promise<Recording> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const parts: Blob[] = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.start();
  return {
    stop: () =>
      new Promise((resolve, reject) => {
        recorder.onstop = async () => {
          stream.getTracks().forEach((track) => track.stop());
          const context = new AudioContext();
          try {
            const sound = await context.decodeAudioData(await new Blob(parts).arrayBuffer());
            const mixed = new Float32Array(sound.length);
            for (let channel = 0; channel < sound.numberOfChannels; channel++)
              sound.getChannelData(channel).forEach((value, k) => (mixed[k]! += value / sound.numberOfChannels));
            resolve(wavOf(mixed, sound.sampleRate));
          } catch (error) {
            reject(error);
          } finally {
            void context.close();
          }
        };
        recorder.stop();
      }),
  };
}

interface Live {
  stop: () => Promise<void>;
}

/** Sends the microphone's samples as they come; `take` has what was heard after each piece. Null where the model reads recordings only. */
async function listen(model: string, take: (news: Overheard) => void, failed: (error: unknown) => void): Promise<Live | null> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  const context = new AudioContext();
  const close = () => {
    stream.getTracks().forEach((track) => track.stop());
    void context.close();
  };
  let key: string | null;
  try {
    key = (await engine.listen(model, context.sampleRate)).stream;
    if (key !== null) await context.audioWorklet.addModule("./listen.js");
  } catch (error) {
    close();
    throw error;
  }
  if (key === null) {
    close();
    return null;
  }
  const opened = key;
  const node = new AudioWorkletNode(context, "listen", { numberOfOutputs: 0 });
  let waiting: Float32Array[] = [];
  let sending: Promise<void> = Promise.resolve();
  async function send(last: boolean) {
    // What gathers while a piece is on its way goes with the next.
    const pieces = waiting;
    waiting = [];
    if (!pieces.length && !last) return;
    const samples = new Float32Array(pieces.reduce((all, piece) => all + piece.length, 0));
    let at = 0;
    for (const piece of pieces) samples.set(piece, (at += piece.length) - piece.length);
    take(await engine.overhear(opened, samples, last));
  }
  node.port.onmessage = (event) => {
    waiting.push(event.data as Float32Array);
    if (waiting.length === 1) sending = sending.then(() => send(false)).catch(failed);
  };
  context.createMediaStreamSource(stream).connect(node);
  return {
    stop: async () => {
      node.port.onmessage = null; // a piece that came after the last one would find the stream closed
      close();
      await sending;
      await send(true);
    },
  };
}

export function Hear({ model }: { model: string }) {
  const [heard, setHeard] = useState<Heard | null>(null);
  const [sound, setSound] = useState<string | null>(null);
  const [recording, setRecording] = useState<Recording | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [live, setLive] = useState<Live | null>(null);
  const [spoken, setSpoken] = useState<{ word: Heard["words"][number]; late: number }[]>([]);
  const [heardSeconds, setHeardSeconds] = useState(0);
  const running = useRef<Live | null>(null);
  running.current = live;
  useEffect(() => () => void running.current?.stop().catch(() => undefined), []);
  const player = useRef<HTMLAudioElement>(null);
  const [at, setAt] = useState(0);
  useEffect(() => () => void (sound && URL.revokeObjectURL(sound)), [sound]);
  async function send(file: Blob, name: string) {
    setBusy(true);
    setSound(URL.createObjectURL(file));
    try {
      setHeard(await engine.hear(model, file, name));
      setFault(null);
    } catch (error) {
      setHeard(null);
      setFault(faultText(error));
    }
    setBusy(false);
  }
  function overheard(news: Overheard) {
    setHeardSeconds(news.heard_seconds);
    const late = (word: Heard["words"][number]) => Math.max(0, news.heard_seconds - word.end) + news.seconds;
    if (news.words.length) setSpoken((before) => [...before, ...news.words.map((word) => ({ word, late: late(word) }))]);
  }
  async function microphone() {
    if (live) {
      setLive(null);
      await live.stop().catch((error: unknown) => setFault(faultText(error)));
      return;
    }
    if (recording) {
      setRecording(null);
      try {
        await send(await recording.stop(), "microphone.wav");
      } catch (error) {
        setFault(faultText(error));
      }
      return;
    }
    try {
      setHeard(null);
      setSpoken([]);
      setHeardSeconds(0);
      setFault(null);
      const made = await listen(model, overheard, (error) => setFault(faultText(error)));
      if (made) setLive(made);
      else setRecording(await record());
    } catch (error) {
      setFault(error instanceof Fault ? error.message : "The browser gives no microphone to this page: allow it in the address bar, or open a file.");
    }
  }
  return (
    <section class="card" aria-label="Listen">
      <div class="row">
        <button data-once type="button" class={recording || live ? "" : "main"} onClick={() => void microphone()}>{live ? "Stop" : recording ? "Stop and write it down" : "Speak"}</button>
        <label class="button">
          Open a file
          <input type="file" accept="audio/*,.wav,.flac,.ogg" class="hidden" onChange={(event) => { const file = event.currentTarget.files?.[0]; if (file) void send(file, file.name); }} />
        </label>
        {(recording || live) && <span class="tag live">listening</span>}
      </div>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {(live || spoken.length > 0) && (
        <>
          <p style={{ fontSize: "18px", minHeight: "1.6em" }} aria-live="polite" data-heard={heardSeconds}>
            {spoken.map(({ word, late }, k) => (
              <span key={k} style={{ opacity: 0.55 + 0.45 * word.confidence }} title={`${word.start.toFixed(2)} to ${word.end.toFixed(2)} s, ${percent(word.confidence)}, known ${late.toFixed(2)} s later`}>{word.text} </span>
            ))}
          </p>
          <p class="small soft">
            {heardSeconds.toFixed(1)} s heard.{" "}
            {spoken.length > 0 && <>A word was known {(spoken.reduce((all, one) => all + one.late, 0) / spoken.length).toFixed(2)} s after it was said: it waits for the next one, or for silence.</>}
          </p>
        </>
      )}
      {!heard && !busy && !recording && !live && !spoken.length && !fault && <p class="soft">Say something, or open a recording: its words appear here with their times.</p>}
      {busy && <p class="soft">Writing it down…</p>}
      {sound && <audio ref={player} src={sound} controls onTimeUpdate={(event) => setAt(event.currentTarget.currentTime)} />}
      {heard && (
        <>
          {heard.words.length ? (
            <p style={{ fontSize: "18px" }} aria-live="polite">
              {heard.words.map((word, k) => (
                <button
                  key={k}
                  type="button"
                  class="quiet"
                  style={{ fontSize: "18px", opacity: 0.45 + 0.55 * word.confidence }}
                  aria-pressed={at >= word.start && at < word.end}
                  title={`${word.start.toFixed(2)} to ${word.end.toFixed(2)} s, ${percent(word.confidence)}`}
                  onClick={() => { if (player.current) { player.current.currentTime = word.start; void player.current.play(); } }}
                >
                  {word.text}
                </button>
              ))}
            </p>
          ) : (
            <p class="soft">No word was heard.</p>
          )}
          <p class="small soft">
            Written in {(heard.seconds * 1000).toFixed(0)} ms.{" "}
            {heard.latency_seconds === null ? "This model reads both ways: it hears a recording, not a stream." : `As a stream a word comes ${heard.latency_seconds.toFixed(2)} s after it is said at the earliest.`}
          </p>
          <details>
            <summary>Table of the words</summary>
            <table>
              <thead><tr><th>word</th><th class="number">from, s</th><th class="number">to, s</th><th class="number">confidence</th></tr></thead>
              <tbody>
                {heard.words.map((word, k) => (
                  <tr key={k}><td>{word.text}</td><td class="number">{word.start.toFixed(2)}</td><td class="number">{word.end.toFixed(2)}</td><td class="number">{percent(word.confidence)}</td></tr>
                ))}
              </tbody>
            </table>
          </details>
        </>
      )}
    </section>
  );
}

export function Watch({ model }: { model: string }) {
  const [told, setTold] = useState<Watched | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [clip, setClip] = useState<string | null>(null);
  const [still, setStill] = useState(false); // a GIF is a picture to a browser
  const [frame, setFrame] = useState(0);
  useEffect(() => () => void (clip && URL.revokeObjectURL(clip)), [clip]);
  async function send(file: File) {
    setBusy(true);
    setClip(/^(video|image)\//.test(file.type) ? URL.createObjectURL(file) : null);
    setStill(file.type.startsWith("image/"));
    try {
      const answer = await engine.watch(model, file, file.name);
      setTold(answer);
      setFrame(answer.steps.length - 1);
      setFault(null);
    } catch (error) {
      setTold(null);
      setFault(faultText(error));
    }
    setBusy(false);
  }
  const lines = useMemo<Line[]>(() => {
    if (!told) return [];
    const last = told.steps[told.steps.length - 1]!;
    const best = told.classes.map((_, k) => k).sort((a, b) => last[b]! - last[a]!).slice(0, 5);
    return best.map((k, n) => ({ label: told.classes[k]!, values: told.steps.map((step) => step[k]!), color: SERIES[n]! }));
  }, [told]);
  return (
    <section class="card" aria-label="Watch">
      <div class="row">
        <label class="button">
          Open a clip
          <input type="file" class="hidden" onChange={(event) => { const file = event.currentTarget.files?.[0]; if (file) void send(file); }} />
        </label>
      </div>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {!told && !busy && !fault && <p class="soft">Open a video, a GIF or a table of landmarks: the classes after every frame appear here. None at hand? <a href={address(["model", model, "gates"])}>The gates</a> show a clip of the training.</p>}
      {busy && <p class="soft">Watching…</p>}
      {told && (
        <div class="halves">
          {clip && still && <img src={clip} alt="The clip" style={{ width: "100%", maxHeight: "320px", objectFit: "contain", imageRendering: "pixelated" }} />}
          {clip && !still && <video src={clip} controls muted style={{ width: "100%", maxHeight: "320px" }} />}
          <div class="stack">
            {told.steps.length > 1 ? (
              <>
                <Chart x={told.steps.map((_, k) => k + 1)} lines={lines} label="Probability of the likeliest classes after each frame" xLabel="frame" height={240} {...(told.decided ? { mark: told.decided.frame + 1 } : {})} />
                <label class="field"><span>Frame {frame + 1}</span><input type="range" min={0} max={told.steps.length - 1} value={frame} onInput={(event) => setFrame(Number(event.currentTarget.value))} /></label>
              </>
            ) : (
              <p class="small soft">This model reads both ways and answers for the whole clip.</p>
            )}
            <div class="choices">
              {told.classes.map((name, k) => [name, told.steps[frame]?.[k] ?? 0] as const).sort((a, b) => b[1] - a[1]).slice(0, 8).map(([name, p]) => (
                <div class="line" key={name}><span>{name}</span><Bar share={p} /><span class="number">{percent(p)}</span></div>
              ))}
            </div>
            {told.decided && <p class="small">Decided for <b>{told.decided.class}</b> after frame {told.decided.frame + 1} of {told.steps.length}.</p>}
          </div>
        </div>
      )}
    </section>
  );
}
