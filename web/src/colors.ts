// The two colour scales of every heat map, as in congru.report.colors: cividis for shares, blue to orange for signed values.

const SHARE = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#fee838"];
const SIGNED = ["#0b3c6f", "#2f78b7", "#a9cce3", "#f5f5f2", "#f6c58f", "#d9731a", "#7f3200"];

type Rgb = [number, number, number];

function rgb(hex: string): Rgb {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Rgb;
}

/** 256 colours of a scale as 32-bit pixels of a canvas, and as CSS. */
function table(stops: string[]): { pixels: Uint32Array; css: string[] } {
  const pixels = new Uint32Array(256);
  const css: string[] = [];
  for (let byte = 0; byte < 256; byte++) {
    const along = (byte / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(along), stops.length - 2);
    const [a, b] = [rgb(stops[low]!), rgb(stops[low + 1]!)];
    const mixed = a.map((part, k) => Math.round(part + (b[k]! - part) * (along - low))) as Rgb;
    pixels[byte] = (255 << 24) | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0];
    css.push(`rgb(${mixed.join(",")})`);
  }
  return { pixels, css };
}

export const share = table(SHARE);
export const signed = table(SIGNED);

/** Background of a token that gave `value`, where `reach` is the largest of all: orange for, blue against; ink stays readable. */
export function shareStyle(value: number, reach: number): { background: string } {
  const strength = Math.sqrt(Math.min(1, Math.abs(value) / Math.max(reach, 1e-9)));
  if (strength < 0.04) return { background: "transparent" };
  const color = value > 0 ? "217,115,26" : "47,120,183";
  return { background: `rgba(${color},${(0.65 * strength).toFixed(3)})` };
}

/** Colours of lines by name of a variable of the page, so that they follow its light and dark. */
export const SERIES = ["--c1", "--c2", "--c3", "--c4", "--c5"];
