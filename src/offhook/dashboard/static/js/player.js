// <call-player data-src data-duration data-peaks>: the waveform and the slider are in the HTML already; this makes them play.
// The transcript beside it (ol[data-transcript] > li[data-start][data-end]) follows, and its lines seek.
import { $, $$, clock } from "./dom.js";

const SPEEDS = [0.75, 1, 1.25, 1.5, 1.75, 2];
const ICONS = new URL("../icons.svg", import.meta.url).pathname;
const MIDDLE = 48; // of the drawing, which is 1000 wide and 96 high

class CallPlayer extends HTMLElement {
  connectedCallback() {
    this.leaving = new AbortController(); // the page may put another player in our place
    this.duration = Number(this.dataset.duration);
    this.readTranscript();
    this.range = $("input[type=range]", this);
    this.tip = $(".tip", this);
    this.on(this.range, "pointermove", (event) => this.hover(event));
    this.on(this.range, "pointerleave", () => this.hover());
    this.on($("[data-find]") ?? this, "input", (event) => event.target.matches("[data-find]") && this.find(event.target.value));
    if (this.dataset.src) this.wire();
  }

  disconnectedCallback() {
    this.leaving.abort();
    this.audio?.pause();
    cancelAnimationFrame(this.frame);
    this.watch?.disconnect();
  }

  on(target, name, run, options = {}) {
    target?.addEventListener(name, run, { ...options, signal: this.leaving.signal });
  }

  readTranscript() {
    this.lines = $$("[data-transcript] > li[data-start]"); // a turn may have come without its time
    this.starts = this.lines.map((line) => Number(line.dataset.start));
    this.spoken = $$("[data-transcript] > li:not(.tool)");
    this.turns = this.spoken.filter((line) => line.dataset.start).map((line) => ({
      start: Number(line.dataset.start),
      end: Number(line.dataset.end),
      role: line.matches(".agent") ? "agent" : "user",
      text: $("p", line).textContent,
    }));
  }

  wire() {
    this.audio = Object.assign(new Audio(), { preload: "metadata", src: this.dataset.src });
    this.following = true;
    this.peaks = Uint8Array.from(this.dataset.peaks?.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    this.on($("[data-play]", this), "click", () => this.toggle());
    for (const button of $$("[data-skip]", this)) this.on(button, "click", () => this.skip(Number(button.dataset.skip)));
    this.on($("[data-speed]", this), "click", () => this.faster(1, { around: true }));
    this.on(this.range, "input", () => this.seek(Number(this.range.value)));
    for (const name of ["play", "pause", "ended"]) this.on(this.audio, name, () => this.showState());
    this.on(this.audio, "seeked", () => this.paint());
    this.on(this.audio, "error", () => this.fail());
    this.on($("[data-transcript]"), "click", (event) => this.clickedLine(event));
    for (const name of ["wheel", "touchmove"]) this.on(window, name, (event) => this.letGo(event), { passive: true });
    this.on($("[data-follow]"), "click", () => this.follow());
    if (this.peaks.length) this.drawToWidth();
    const asked = /[#&]t=(\d+)/.exec(location.hash);
    if (asked) this.seek(Number(asked[1]) + 0.01, { scroll: true });
    else this.paint();
  }

  get at() {
    return this.audio?.currentTime ?? 0;
  }

  /** For a link to this moment. */
  get hash() {
    return this.at > 1 ? `#t=${Math.floor(this.at)}` : "";
  }

  toggle() {
    if (!this.audio || this.audio.error) return false;
    if (this.audio.paused) this.audio.play().catch(() => {});
    else this.audio.pause();
    return true;
  }

  skip(seconds) {
    return this.audio ? this.seek(this.at + seconds) : false;
  }

  seek(seconds, { scroll = false } = {}) {
    const to = Math.min(this.duration - 0.05, Math.max(0, seconds));
    this.audio.currentTime = to;
    this.paint(to, scroll);
    return true;
  }

  faster(by, { around = false } = {}) {
    if (!this.audio) return false;
    const next = SPEEDS.indexOf(this.audio.playbackRate) + by;
    const speed = around ? SPEEDS[next % SPEEDS.length] : SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, next))];
    this.audio.playbackRate = speed;
    const button = $("[data-speed]", this);
    button.textContent = `${speed}×`;
    button.ariaLabel = `Speed ${speed}×`;
    return true;
  }

  /** To the next line of the transcript, or to one before. */
  step(by) {
    if (!this.audio || !this.turns.length) return false;
    const here = this.turns.findLastIndex((turn) => turn.start <= this.at + 0.02);
    const turn = this.turns[Math.min(this.turns.length - 1, Math.max(0, here + by))];
    this.following = true;
    return this.seek(turn.start + 0.02, { scroll: true });
  }

  showState() {
    const isPlaying = !this.audio.paused && !this.audio.ended;
    const button = $("[data-play]", this);
    button.ariaLabel = isPlaying ? "Pause" : "Play";
    $("use", button).setAttribute("href", `${ICONS}#${isPlaying ? "pause" : "play"}`);
    cancelAnimationFrame(this.frame);
    if (isPlaying) this.loop();
    else $(".follow-pill")?.setAttribute("hidden", "");
  }

  loop() {
    this.paint();
    this.frame = requestAnimationFrame(() => this.loop());
  }

  fail() {
    const button = $("[data-play]", this);
    button.disabled = true;
    button.title = "The recording could not be loaded";
    $("[data-failed]", this)?.removeAttribute("hidden");
  }

  speaking(at) {
    return this.turns.find((turn) => at >= turn.start && at < turn.end);
  }

  paint(at = this.at, scroll = false) {
    const x = (at / this.duration) * 1000;
    $("[data-clip]", this).setAttribute("width", x);
    $("[data-head]", this).setAttribute("d", `M${x} 0V96`);
    $("[data-now]", this).textContent = clock(at);
    this.range.value = at;
    const turn = this.speaking(at);
    const who = turn ? `, ${turn.role === "agent" ? "agent" : "caller"} talking` : "";
    this.range.setAttribute("aria-valuetext", `${clock(at)} of ${clock(this.duration)}${who}`);
    this.mark(this.lineAt(at + 0.01), scroll);
  }

  /** The last line that has begun by then; transcripts can have thousands. */
  lineAt(at) {
    let [low, high] = [0, this.starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  mark(number, scroll) {
    if (number === this.current && !scroll) return;
    this.lines[this.current]?.removeAttribute("data-on");
    this.current = number;
    const line = this.lines[number];
    line?.setAttribute("data-on", "");
    if (line && (scroll || (this.following && !this.audio.paused))) line.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  clickedLine(event) {
    const line = event.target.closest("li[data-start]");
    if (!line || event.target.closest("details") || String(getSelection())) return;
    event.preventDefault();
    this.following = true;
    this.seek(Number(line.dataset.start) + 0.01);
  }

  letGo(event) {
    if (!event.isTrusted || this.audio.paused) return;
    this.following = false;
    $(".follow-pill").hidden = false;
  }

  follow() {
    this.following = true;
    $(".follow-pill").hidden = true;
    this.paint(this.at, true);
  }

  hover(event) {
    const line = $("[data-hover]", this);
    this.tip.hidden = !event;
    line.toggleAttribute("hidden", !event);
    if (!event) return;
    const box = this.range.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const at = share * this.duration;
    const text = this.speaking(at)?.text ?? "";
    line.setAttribute("d", `M${share * 1000} 0V96`);
    this.tip.textContent = text ? `${clock(at)}  ${text}` : clock(at);
    const left = share * box.width - this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.min(box.width - this.tip.offsetWidth, Math.max(0, left))}px`;
  }

  /** One bar for 4 pixels, whatever the width. */
  drawToWidth() {
    const speakers = Array.from(this.peaks, (_, i) => this.speaking(((i + 0.5) / this.peaks.length) * this.duration)?.role);
    this.loudest = {};
    this.peaks.forEach((peak, i) => (this.loudest[speakers[i]] = Math.max(this.loudest[speakers[i]] ?? 1, peak)));
    this.speakers = speakers;
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe($(".wave", this));
  }

  draw() {
    const bars = Math.max(40, Math.floor($(".wave", this).clientWidth / 4));
    if (bars === this.bars) return;
    this.bars = bars;
    const paths = { agent: "", user: "", quiet: "" };
    for (let bar = 0; bar < bars; bar++) {
      const [role, path] = this.bar(bar, bars);
      paths[role] += path;
    }
    for (const group of $$("[data-base], [data-done]", this))
      for (const role in paths) $(`.${role}`, group).setAttribute("d", paths[role]);
  }

  bar(bar, bars) {
    const count = this.peaks.length;
    const first = Math.floor((bar * count) / bars);
    const peak = Math.max(...this.peaks.subarray(first, Math.max(first + 1, Math.floor(((bar + 1) * count) / bars))));
    const role = this.speakers[Math.min(count - 1, Math.floor(((bar + 0.5) * count) / bars))];
    const x = (((bar + 0.5) / bars) * 1000).toFixed(1);
    const length = Math.max(1.5, Math.min(1, peak / this.loudest[role]) * (MIDDLE - 5)).toFixed(1);
    if (role === "agent") return ["agent", `M${x} ${MIDDLE - 1.5}v-${length}`];
    return role === "user" ? ["user", `M${x} ${MIDDLE + 1.5}v${length}`] : ["quiet", `M${x} ${MIDDLE - 1}v2`];
  }

  /** Show only the lines with these words, and mark them. */
  find(words) {
    const wanted = words.trim().toLowerCase();
    for (const line of this.spoken) {
      const text = $("p", line).textContent;
      const at = wanted ? text.toLowerCase().indexOf(wanted) : -1;
      line.hidden = Boolean(wanted) && at < 0;
      const mark = document.createElement("mark");
      mark.textContent = text.slice(at, at + wanted.length);
      $("p", line).replaceChildren(...(at < 0 ? [text] : [text.slice(0, at), mark, text.slice(at + wanted.length)]));
    }
  }
}

customElements.define("call-player", CallPlayer);
