// An answer that comes event by event: how far a work is, and what came of it.
import { Fault } from "./protocol";

type Event = { type: string; error?: { code: string; message: string } };

/** Asks, gives every event of the type `progress` to `take`, and returns the last; to abort is to end the work. */
export async function askStream<P, T>(path: string, body: unknown, take: (progress: P) => void, signal: AbortSignal): Promise<T> {
  let rest = "";
  try {
    const answer = await fetch(`v1${path}`, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" }, signal });
    if (!answer.ok || !answer.body) {
      const { error } = (await answer.json()) as Event;
      throw new Fault(error?.code ?? "server", error?.message ?? `The server answered ${answer.status}.`);
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const pieces = (rest + value).split("\n\n");
      rest = pieces.pop()!;
      for (const piece of pieces) {
        const event = JSON.parse(piece.slice("data: ".length)) as Event;
        if (event.error) throw new Fault(event.error.code, event.error.message);
        if (event.type !== "progress") return event as T;
        take(event as P);
      }
    }
  } catch (error) {
    if (error instanceof Fault) throw error;
    if (signal.aborted) throw new Fault("stopped", "It was stopped: nothing is kept.");
  }
  throw new Fault("connection", "The server does not answer any more: start it again with congru serve, and ask again; nothing was kept.");
}
