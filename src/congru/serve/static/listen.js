// Takes the microphone's samples to the page, in pieces of about a tenth of a second.
class Listen extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate / 10);
    this.kept = new Float32Array(this.size);
    this.count = 0;
  }
  process([input]) {
    const channels = input.length;
    for (let k = 0; channels && k < input[0].length; k++) {
      let value = 0;
      for (const channel of input) value += channel[k] / channels;
      this.kept[this.count++] = value;
      if (this.count === this.size) {
        this.port.postMessage(this.kept.slice());
        this.count = 0;
      }
    }
    return true;
  }
}
registerProcessor("listen", Listen);
