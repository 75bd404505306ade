// Trials as points on a canvas: thousands are drawn in milliseconds, which an element for each would not be.
import { quantity, titled } from "./words.js";

const LEFT = 64,
  RIGHT = 16,
  TOP = 12,
  BOTTOM = 48,
  REACH = 14;

function ticks(low, high, log) {
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const digit of high / low < 50 ? [1, 2, 5] : [1]) {
        const value = digit * 10 ** power;
        if (value >= low && value <= high) found.push(value);
      }
    }
    if (found.length > 1) return found;
  }
  const raw = (high - low) / 5 || 1;
  const scale = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((each) => each * scale >= raw) * scale;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step)
    found.push(Number(value.toPrecision(12)));
  return found;
}

export class Plane {
  constructor(canvas, tip, opened, said) {
    Object.assign(this, { canvas, tip, opened, said, series: [], at: null });
    canvas.addEventListener("mousemove", (event) => this.point(this.nearest(event.offsetX, event.offsetY)));
    canvas.addEventListener("mouseleave", () => this.point(null));
    canvas.addEventListener("click", (event) => this.open(this.nearest(event.offsetX, event.offsetY)));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(series, x, y, log) {
    Object.assign(this, { series, x, y, wish: log, at: null });
    this.draw();
  }

  draw() {
    const { canvas } = this,
      ratio = devicePixelRatio || 1;
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    canvas.width = this.width * ratio;
    canvas.height = this.height * ratio;
    const pen = (this.pen = canvas.getContext("2d"));
    pen.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    this.colour = (name) => style.getPropertyValue(name).trim();
    pen.font = "12px system-ui, sans-serif";
    pen.clearRect(0, 0, this.width, this.height);
    this.place();
    if (!this.points.length) {
      pen.fillStyle = this.colour("--dim");
      pen.textAlign = "center";
      pen.fillText("No trial here has both values.", this.width / 2, this.height / 2);
      return;
    }
    this.axes();
    this.series.forEach((each, place) => this.dots(place));
    this.series.forEach((each, place) => this.front(place));
    if (this.at !== null) this.ring(this.points[this.at]);
  }

  place() {
    const points = (this.points = []);
    this.series.forEach((sweep, place) => {
      const xs = sweep.column(this.x),
        ys = sweep.column(this.y);
      if (!xs || !ys) return;
      for (let row = 0; row < sweep.size; row++) {
        if (sweep.wanted[row] && typeof xs[row] === "number" && typeof ys[row] === "number") {
          points.push({ place, row, x: xs[row], y: ys[row] });
        }
      }
    });
    if (!points.length) return;
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { x, y } of points) {
      left = Math.min(left, x);
      right = Math.max(right, x);
      low = Math.min(low, y);
      high = Math.max(high, y);
    }
    this.log = this.wish && left > 0;
    const margin = this.log ? (right / left) ** 0.04 || 1.1 : (right - left) * 0.04 || Math.abs(right) * 0.1 || 1;
    [left, right] = this.log
      ? [left / Math.max(margin, 1.01), right * Math.max(margin, 1.01)]
      : [left - margin, right + margin];
    const air = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    [low, high] = [low - air, high + air];
    const form = this.log ? Math.log : (value) => value;
    const wide = (this.width - LEFT - RIGHT) / (form(right) - form(left)),
      tall = (this.height - TOP - BOTTOM) / (high - low);
    this.across = (value) => LEFT + (form(value) - form(left)) * wide;
    this.upward = (value) => this.height - BOTTOM - (value - low) * tall;
    this.ends = { left, right, low, high };
    for (const point of points) {
      point.px = this.across(point.x);
      point.py = this.upward(point.y);
    }
    points.sort((one, other) => one.px - other.px || one.py - other.py);
  }

  axes() {
    const { pen, ends } = this,
      bottom = this.height - BOTTOM;
    pen.strokeStyle = this.colour("--grid");
    pen.fillStyle = this.colour("--dim");
    pen.lineWidth = 1;
    pen.textAlign = "center";
    let free = -Infinity;
    for (const value of ticks(ends.left, ends.right, this.log)) {
      const x = Math.round(this.across(value)) + 0.5,
        text = quantity(this.x, value),
        half = pen.measureText(text).width / 2;
      pen.beginPath();
      pen.moveTo(x, TOP);
      pen.lineTo(x, bottom);
      pen.stroke();
      if (x - half > free) {
        pen.fillText(text, x, bottom + 16);
        free = x + half + 8;
      }
    }
    pen.textAlign = "right";
    for (const value of ticks(ends.low, ends.high, false)) {
      const y = Math.round(this.upward(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(LEFT, y);
      pen.lineTo(this.width - RIGHT, y);
      pen.stroke();
      pen.fillText(quantity(this.y, value), LEFT - 8, y + 4);
    }
    pen.fillStyle = this.colour("--ink");
    pen.textAlign = "center";
    pen.fillText(titled(this.x), LEFT + (this.width - LEFT - RIGHT) / 2, this.height - 8);
    pen.save();
    pen.translate(14, TOP + (bottom - TOP) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(titled(this.y), 0, 0);
    pen.restore();
  }

  dots(place) {
    const { pen } = this,
      { state, on_front: standing } = this.series[place].trials;
    pen.fillStyle = pen.strokeStyle = this.colour(place ? "--second" : "--first");
    pen.lineWidth = 1.2;
    pen.globalAlpha = Math.max(0.12, Math.min(0.45, 20 / Math.sqrt(this.points.length))); // where many lie, how many
    for (const each of this.points) {
      if (each.place !== place || standing[each.row]) continue;
      pen.beginPath();
      pen.arc(each.px, each.py, 3.5, 0, 2 * Math.PI);
      if (state[each.row] === "complete") pen.fill();
      else pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  front(place) {
    const { pen } = this,
      sweep = this.series[place];
    const points = this.points.filter((each) => each.place === place && sweep.trials.on_front[each.row]);
    pen.fillStyle = pen.strokeStyle = this.colour(place ? "--second" : "--first");
    pen.lineWidth = 1.8;
    if (this.x === sweep.across && this.y === sweep.up) {
      pen.beginPath();
      points.forEach((each, number) => {
        if (number) pen.lineTo(each.px, points[number - 1].py);
        else pen.moveTo(each.px, each.py);
        pen.lineTo(each.px, each.py);
      });
      pen.stroke();
    }
    for (const each of points) {
      pen.beginPath();
      pen.arc(each.px, each.py, 5.5, 0, 2 * Math.PI);
      pen.fill();
    }
  }

  ring(each) {
    const { pen } = this;
    pen.strokeStyle = this.colour("--ink");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(each.px, each.py, 9, 0, 2 * Math.PI);
    pen.stroke();
  }

  nearest(x, y) {
    let found = null,
      least = REACH * REACH;
    this.points.forEach((each, number) => {
      const standing = this.series[each.place].trials.on_front[each.row];
      const away = (each.px - x) ** 2 + (each.py - y) ** 2 - (standing ? 16 : 0); // of two that are close, the front's
      if (away < least) [found, least] = [number, away];
    });
    return found;
  }

  point(number) {
    if (number === this.at) return;
    this.at = number;
    this.draw();
    this.tip.hidden = number === null;
    if (number === null) return;
    const each = this.points[number];
    this.tip.textContent = this.told(each).join("\n");
    const beyond = each.px > this.width / 2;
    this.tip.style.left = beyond ? "" : each.px + 14 + "px";
    this.tip.style.right = beyond ? this.width - each.px + 14 + "px" : "";
    this.tip.style.top = Math.max(0, Math.min(each.py - 20, this.height - this.tip.offsetHeight)) + "px";
  }

  told({ place, row }) {
    const sweep = this.series[place],
      { trials } = sweep;
    const head =
      "trial " +
      trials.trial[row] +
      (this.series.length > 1 ? " of " + sweep.id : "") +
      (trials.on_front[row] ? ", on the front" : "");
    const chance = sweep.confirmed[trials.trial[row]];
    const trust = chance === undefined ? [] : ["on the true front with probability " + chance.toFixed(2)];
    const names = [...Object.keys(sweep.about.goals), ...Object.keys(sweep.params)];
    const values = names
      .filter((name) => sweep.column(name))
      .map((name) => name + ": " + quantity(name, sweep.column(name)[row]));
    return [
      head,
      trials.state[row] + ", trained " + Math.round(100 * trials.fidelity[row]) + " %",
      ...trust,
      ...values,
    ];
  }

  open(number) {
    if (number !== null) this.opened(this.series[this.points[number].place], this.points[number].row);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (step && this.points.length) {
      const next = this.at === null ? (step > 0 ? 0 : this.points.length - 1) : this.at + step;
      this.point(Math.max(0, Math.min(this.points.length - 1, next)));
      this.said(this.told(this.points[this.at]).join(", "));
    } else if (event.key === "Enter") this.open(this.at);
    else if (event.key === "Escape") this.point(null);
    else return;
    event.preventDefault();
  }
}
