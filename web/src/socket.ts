// Follows a run over the WebSocket; when the connection is lost it says so and connects again.
import type { Row, Status } from "./engine";

export interface News {
  rows: Row[];
  after: number;
  status: Status;
}

/** Calls `take` with every change of a run, `lost` when the connection goes and comes. Returns how to end it. */
export function watchRun(run: string, take: (news: News) => void, lost: (is: boolean) => void): () => void {
  let socket: WebSocket | null = null;
  let after = 0;
  let over = false;
  let wait = 500;
  let timer = 0;
  function connect() {
    const url = new URL("v1/socket", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    socket = new WebSocket(url);
    socket.onmessage = (event) => {
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
    socket?.close();
  };
}
