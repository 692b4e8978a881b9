// Zoom and pan of the image: by wheel, by two fingers, by buttons and by keys. The view grows inside
// the canvas; lines and labels of boxes keep their width.

import { clamp, element, pointOn } from "./common.js";

const MOST = 8;
const STEP = 1.4; // of a button or a key
const PAN = 0.15; // of the canvas: a press of an arrow key
const WHEEL = 0.0015; // per px
const BOX_PART = 0.6; // of the canvas, which a box fills after zooming to it

export class Zoom {
  // `interrupt` is called when two fingers begin to zoom.
  constructor(interrupt) {
    this.interrupt = interrupt;
    this.canvas = element("canvas");
    this.view = element("view");
    this.pointers = new Map(); // fingers, or the mouse while it pans
    this.isPanning = false;
    this.fit();
    const listen = (name, call) =>
      this.canvas.addEventListener(name, call.bind(this), { capture: true, passive: false });
    listen("pointerdown", this.down);
    listen("pointermove", this.move);
    for (const name of ["pointerup", "pointercancel"]) listen(name, this.up);
    listen("wheel", this.wheel);
    element("zoom-in").addEventListener("click", () => this.by(STEP));
    element("zoom-out").addEventListener("click", () => this.by(1 / STEP));
    element("fit").addEventListener("click", () => this.fit());
    element("pan").addEventListener("click", () => this.pan());
  }

  // Actions by key.
  get keys() {
    return {
      "+": () => this.by(STEP),
      "=": () => this.by(STEP), // the same key without Shift
      "-": () => this.by(1 / STEP),
      f: () => this.fit(),
      p: () => this.pan(),
    };
  }

  apply() {
    this.left = clamp(this.left, 1 - this.scale, 0);
    this.top = clamp(this.top, 1 - this.scale, 0);
    const { style } = this.view;
    style.width = style.height = `${100 * this.scale}%`;
    [style.left, style.top] = [`${100 * this.left}%`, `${100 * this.top}%`];
    element("zoom-level").textContent = `${Math.round(100 * this.scale)} %`;
  }

  fit() {
    Object.assign(this, { scale: 1, left: 0, top: 0 });
    this.apply();
  }

  // Zoom by a factor; the point of the canvas stays where it is.
  by(factor, { x, y } = { x: 0.5, y: 0.5 }) {
    const scale = clamp(this.scale * factor, 1, MOST);
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.apply();
  }

  toBox({ x, y, w, h }) {
    this.scale = clamp(BOX_PART / Math.max(w, h), 1, MOST);
    this.left = 0.5 - this.scale * (x + w / 2);
    this.top = 0.5 - this.scale * (y + h / 2);
    this.apply();
  }

  // Whether a drag, and arrow keys, move the image.
  pan(isPanning = !this.isPanning) {
    this.isPanning = isPanning;
    element("pan").setAttribute("aria-pressed", String(isPanning));
    this.canvas.classList.toggle("panning", isPanning);
  }

  arrow([dx, dy]) {
    this.left -= PAN * dx;
    this.top -= PAN * dy;
    this.apply();
  }

  wheel(event) {
    if (this.scale === 1 && event.deltaY > 0 && !event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    this.by(Math.exp(-event.deltaY * WHEEL), pointOn(this.canvas, event));
  }

  down(event) {
    if (event.pointerType !== "touch" && !this.isPanning) return;
    this.pointers.set(event.pointerId, pointOn(this.canvas, event));
    if (!this.isPanning && this.pointers.size < 2) return;
    event.preventDefault();
    event.stopPropagation();
    this.canvas.setPointerCapture(event.pointerId);
    this.interrupt();
  }

  move(event) {
    if (!this.pointers.has(event.pointerId)) return;
    const before = this.spread();
    this.pointers.set(event.pointerId, pointOn(this.canvas, event));
    if (!this.isPanning && this.pointers.size < 2) return;
    event.stopPropagation();
    const after = this.spread();
    this.left += after.x - before.x;
    this.top += after.y - before.y;
    this.by(before.size ? after.size / before.size : 1, after);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
  }

  // Centre and distance of the pointers, as fractions of the canvas.
  spread() {
    const points = [...this.pointers.values()];
    const [first, last] = [points[0], points.at(-1)];
    const size = Math.hypot(first.x - last.x, first.y - last.y);
    return { x: (first.x + last.x) / 2, y: (first.y + last.y) / 2, size };
  }
}
