// The board: cm-chessboard with our own pieces, the arrows of what both players may do, and moves by mouse, touch or keyboard.
import "cm-chessboard/assets/chessboard.css";
import "cm-chessboard/assets/extensions/arrows/arrows.css";
import "cm-chessboard/assets/extensions/markers/markers.css";
import "cm-chessboard/assets/extensions/promotion-dialog/promotion-dialog.css";
import { Chessboard, COLOR, INPUT_EVENT_TYPE } from "cm-chessboard/src/Chessboard.js";
import { Arrows, ARROW_TYPE } from "cm-chessboard/src/extensions/arrows/Arrows.js";
import { Markers, MARKER_TYPE } from "cm-chessboard/src/extensions/markers/Markers.js";
import { PromotionDialog, PROMOTION_DIALOG_RESULT_TYPE } from "cm-chessboard/src/extensions/promotion-dialog/PromotionDialog.js";
import { useEffect, useRef } from "preact/hooks";
import { useLatest } from "./parts";

export interface BoardArrow {
  from: string;
  to: string;
  reply: boolean;
  strength: number;
}
interface Props {
  fen: string;
  legal: string[];
  canMove: boolean;
  flipped: boolean;
  arrows: BoardArrow[];
  last: [string, string] | null;
  move: (uci: string) => void;
  refused: (uci: string) => void;
}

export function Board(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const board = useRef<any>(null);
  const latest = useLatest(props);
  useEffect(() => {
    const made: any = new Chessboard(box.current!, {
      position: latest.current.fen,
      orientation: latest.current.flipped ? COLOR.black : COLOR.white,
      assetsUrl: "./assets/",
      style: { pieces: { file: "pieces/plain.svg", tileSize: 40 }, animationDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 160 },
      extensions: [{ class: Arrows }, { class: Markers, props: { autoMarkers: null } }, { class: PromotionDialog }],
    });
    board.current = made;
    box.current!.querySelector("svg")?.setAttribute("aria-label", "Chess board; moves can be typed below it");
    made.enableMoveInput((event: any) => {
      const { legal, canMove } = latest.current;
      if (event.type === INPUT_EVENT_TYPE.moveInputStarted) return canMove && legal.some((uci) => uci.startsWith(event.squareFrom));
      if (event.type === INPUT_EVENT_TYPE.validateMoveInput) {
        const uci = `${event.squareFrom}${event.squareTo}`;
        const matching = legal.filter((one) => one.startsWith(uci));
        if (!matching.length) {
          latest.current.refused(uci);
          return false;
        }
        if (matching.length === 1) {
          latest.current.move(matching[0]!);
          return true;
        }
        const color = latest.current.fen.split(" ")[1] === "b" ? COLOR.black : COLOR.white;
        made.showPromotionDialog(event.squareTo, color, (result: any) => {
          if (result.type === PROMOTION_DIALOG_RESULT_TYPE.pieceSelected) latest.current.move(uci + result.piece.charAt(1));
          else made.setPosition(latest.current.fen, true);
        });
        return true;
      }
      return undefined;
    });
    return () => made.destroy();
  }, []);
  useEffect(() => {
    void board.current?.setPosition(props.fen, true);
  }, [props.fen]);
  useEffect(() => {
    void board.current?.setOrientation(props.flipped ? COLOR.black : COLOR.white);
  }, [props.flipped]);
  const drawn = JSON.stringify([props.arrows, props.last]);
  useEffect(() => {
    const made = board.current;
    if (!made) return;
    made.removeArrows();
    made.removeMarkers();
    for (const square of props.last ?? []) made.addMarker(MARKER_TYPE.square, square);
    for (const arrow of [...props.arrows].reverse()) made.addArrow(arrow.reply ? ARROW_TYPE.danger : ARROW_TYPE.info, arrow.from, arrow.to);
    const groups = box.current!.querySelectorAll<SVGElement>(".arrows > *");
    [...props.arrows].reverse().forEach((arrow, k) => groups[k] && (groups[k].style.opacity = String(0.4 + 0.55 * arrow.strength)));
  }, [drawn]);
  return <div ref={box} class="board" data-fen={props.fen} />;
}
