declare module "cm-chessboard/src/*" {
  export const Chessboard: any;
  export const COLOR: any;
  export const INPUT_EVENT_TYPE: any;
  export const Arrows: any;
  export const ARROW_TYPE: any;
  export const Markers: any;
  export const MARKER_TYPE: any;
  export const PromotionDialog: any;
  export const PROMOTION_DIALOG_RESULT_TYPE: any;
}
declare module "*.css";
