// What comes over the WebSocket: a run that is followed, connecting again when it is lost, and a text as it is drawn.
import { Fault, type News, type WriteOptions } from "./protocol";

function address(): URL {
  const url = new URL("v1/socket", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  return url;
}

/** Closes a connection; one that is not open yet when it is, since a browser calls anything else a fault. */
function end(socket: WebSocket): void {
  if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
  else socket.close();
}

/** Goes on from a prompt over the WebSocket; `take` has every piece as it is drawn. Returns why it ended. */
export function writeText(model: string, prompt: string, options: WriteOptions, take: (piece: string) => void, signal: AbortSignal): Promise<string> {
  return new Promise((done, failed) => {
    const socket = new WebSocket(address());
    const send = (message: Record<string, unknown>) => socket.send(JSON.stringify(message));
    const { seed, ...rest } = options;
    let session = "";
    let drawing = false;
    signal.addEventListener("abort", () => {
      if (drawing) return send({ type: "stop", target: 3, id: 4 });
      done("stopped");
      end(socket);
    });
    socket.onmessage = (event) => {
      if (signal.aborted && !drawing) return;
      const answer = JSON.parse(event.data as string) as { type: string; session: string; text: string; reason: string; code: string; message: string };
      if (answer.type === "hello") send({ type: "open", model, seed, id: 1 });
      else if (answer.type === "opened") send({ type: "feed", session: (session = answer.session), text: prompt, id: 2 });
      else if (answer.type === "fed") {
        drawing = true;
        send({ type: "generate", session, ...rest, id: 3 });
      } else if (answer.type === "piece") take(answer.text);
      else if (answer.type === "generated") done(answer.reason);
      else if (answer.type === "error") failed(new Fault(answer.code, answer.message));
      if (answer.type === "generated" || answer.type === "error") {
        drawing = false;
        socket.close();
      }
    };
    socket.onclose = () => {
      drawing = false;
      failed(new Fault("connection", "The server does not answer any more: what came is kept, and this page goes on when it is back."));
    };
  });
}

/** Calls `take` with every change of a run, `lost` when the connection goes and comes. Returns how to end it. */
export function watchRun(run: string, take: (news: News) => void, lost: (is: boolean) => void): () => void {
  let socket: WebSocket | null = null;
  let after = 0;
  let over = false;
  let wait = 500;
  let timer = 0;
  function connect() {
    socket = new WebSocket(address());
    socket.onmessage = (event) => {
      if (over) return;
      const answer = JSON.parse(event.data as string) as { type: string } & News;
      if (answer.type === "hello") {
        wait = 500;
        lost(false);
        socket?.send(JSON.stringify({ type: "watch", run, after, id: 1 }));
      } else if (answer.type === "metrics") {
        after = answer.after;
        take(answer);
      }
    };
    socket.onclose = () => {
      if (over) return;
      lost(true);
      timer = window.setTimeout(connect, wait);
      wait = Math.min(8000, wait * 1.7);
    };
  }
  connect();
  return () => {
    over = true;
    clearTimeout(timer);
    if (socket) end(socket);
  };
}
