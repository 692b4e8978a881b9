// The image with its boxes. One code path for mouse, pen and touch: a drag draws a box, or moves or
// resizes the selected one; a click or tap selects a box, or accepts a suggestion.

import { MIN_SIDE, boxBetween, clamp, element, pointOn } from "./common.js";

const CLICK_PX = 5; // a shorter drag is a click
const GRIP_PX = { mouse: 9, pen: 12, touch: 24 }; // around the edges of the selected box
const RESIZE = { l: "ew", r: "ew", t: "ns", b: "ns", lt: "nwse", rb: "nwse", rt: "nesw" };
const cursorOf = (grip) => (grip ? `${RESIZE[grip] ?? "nesw"}-resize` : "move");
const COLORS = ["#ffd400", "#00c8ff", "#ff7ad9", "#7cff6b", "#ff9f40", "#b79bff", "#ff5d5d"];

export const contains = (box, { x, y }) =>
  x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h;
const area = (box) => box.w * box.h;

// Edges that a drag moves: a text of l, r, t, b; "" moves the box; null: the point is elsewhere.
function gripAt(box, point, tolerance) {
  const { x: tx, y: ty } = tolerance;
  const outer = { x: box.x - tx, y: box.y - ty, w: box.w + 2 * tx, h: box.h + 2 * ty };
  if (!contains(outer, point)) return null;
  const edge = (value, low, size, reach, names) => {
    const inside = Math.min(reach, size / 3);
    if (value < low + inside) return names[0];
    return value > low + size - inside ? names[1] : "";
  };
  return edge(point.x, box.x, box.w, tx, "lr") + edge(point.y, box.y, box.h, ty, "tb");
}

export function moved(box, dx, dy) {
  return { ...box, x: clamp(box.x + dx, 0, 1 - box.w), y: clamp(box.y + dy, 0, 1 - box.h) };
}

// The box with some of its edges moved; it stays inside the frame and keeps an area.
export function resized(box, edges, dx, dy) {
  let [left, top, right, bottom] = [box.x, box.y, box.x + box.w, box.y + box.h];
  if (edges.includes("l")) left = clamp(left + dx, 0, right - MIN_SIDE);
  if (edges.includes("r")) right = clamp(right + dx, left + MIN_SIDE, 1);
  if (edges.includes("t")) top = clamp(top + dy, 0, bottom - MIN_SIDE);
  if (edges.includes("b")) bottom = clamp(bottom + dy, top + MIN_SIDE, 1);
  return { ...box, x: left, y: top, w: right - left, h: bottom - top };
}

export class Canvas {
  // `actions`: drawn(box), changed(box), selected(box or null), accepted(suggestion)
  constructor(actions) {
    this.actions = actions;
    this.canvas = element("canvas");
    this.view = element("view"); // the zoomed image
    this.layer = element("boxes");
    this.content = { boxes: [], suggestions: [], likely: "" }; // likely: class of a new box
    this.selected = null;
    this.gesture = null;
    this.colors = new Map(); // category → color
    const listen = (name, call) => this.canvas.addEventListener(name, call.bind(this));
    listen("pointerdown", this.down);
    listen("pointermove", this.move);
    listen("pointerup", this.up);
    listen("pointercancel", this.cancel);
  }

  color(category) {
    if (!this.colors.has(category)) {
      this.colors.set(category, COLORS[this.colors.size % COLORS.length]);
    }
    return this.colors.get(category);
  }

  show(content, selectedId) {
    this.content = content;
    this.selected = content.boxes.find((box) => box.id === selectedId) ?? null;
    const parts = content.suggestions.map((box) => this.outline(box, "suggestion"));
    for (const box of content.boxes) {
      const isSelected = box === this.selected;
      parts.push(this.outline(box, isSelected ? "drawn selected" : "drawn"));
    }
    if (content.nothing_sounds) {
      const note = document.createElement("p");
      note.className = "nothing";
      note.textContent = "nothing sounds here";
      parts.push(note);
    }
    this.layer.replaceChildren(...parts);
    if (this.gesture?.box) this.preview();
  }

  outline(box, className) {
    const part = document.createElement("div");
    part.className = className;
    const percent = (fraction) => `${100 * fraction}%`;
    const { style } = part;
    [style.left, style.top] = [percent(box.x), percent(box.y)];
    [style.width, style.height] = [percent(box.w), percent(box.h)];
    style.setProperty("--color", this.color(box.category));
    const label = document.createElement("span");
    label.textContent = box.label ?? box.category;
    label.classList.toggle("inside", box.y < 0.08);
    label.classList.toggle("right", box.x > 0.6 && box.x + box.w > 0.8);
    part.append(label);
    if (className.endsWith("selected")) {
      for (const corner of ["lt", "rt", "lb", "rb"]) {
        const grip = document.createElement("i");
        grip.className = corner;
        part.append(grip);
      }
    }
    return part;
  }

  grip(event, point) {
    if (!this.selected) return null;
    const size = this.view.getBoundingClientRect();
    const px = GRIP_PX[event.pointerType] ?? GRIP_PX.mouse;
    return gripAt(this.selected, point, { x: px / size.width, y: px / size.height });
  }

  down(event) {
    if (!event.isPrimary || event.button !== 0 || this.gesture) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const start = pointOn(this.view, event);
    const place = { x: event.clientX, y: event.clientY };
    this.gesture = { start, place, grip: this.grip(event, start), type: event.pointerType };
    this.gesture.original = this.selected;
  }

  move(event) {
    const { gesture } = this;
    const point = pointOn(this.view, event);
    if (!gesture) {
      const grip = this.grip(event, point);
      this.canvas.style.cursor = grip === null ? "crosshair" : cursorOf(grip);
      return;
    }
    if (!event.isPrimary) return;
    const { place, start, grip, original } = gesture;
    const distance = Math.hypot(event.clientX - place.x, event.clientY - place.y);
    if (!gesture.box && distance < CLICK_PX) return;
    const [dx, dy] = [point.x - start.x, point.y - start.y];
    if (grip === null) gesture.box = boxBetween(start, point);
    else gesture.box = grip ? resized(original, grip, dx, dy) : moved(original, dx, dy);
    this.preview();
  }

  preview() {
    const { box, grip } = this.gesture;
    this.layer.querySelector(".preview")?.remove();
    if (grip !== null) this.layer.querySelector(".selected")?.classList.add("hidden");
    const category = box.category ?? this.content.likely;
    this.layer.append(this.outline({ ...box, category }, "drawn preview"));
  }

  up(event) {
    if (!this.gesture || !event.isPrimary) return;
    const { box, grip, start } = this.gesture;
    this.cancel();
    if (!box) return this.click(start);
    if (grip !== null) return this.actions.changed(box);
    if (box.w >= MIN_SIDE && box.h >= MIN_SIDE) this.actions.drawn(box);
  }

  cancel() {
    this.gesture = null;
    this.layer.querySelector(".preview")?.remove();
    this.layer.querySelector(".hidden")?.classList.remove("hidden");
  }

  // Select the smallest box under the point; again, the next larger one.
  click(point) {
    const { boxes, suggestions } = this.content;
    const under = boxes.filter((box) => contains(box, point)).sort((a, b) => area(a) - area(b));
    const next = under[under.indexOf(this.selected) + 1];
    if (next || under.length) return this.actions.selected(next ?? under[0]);
    const offered = suggestions.filter((box) => contains(box, point));
    if (offered.length) return this.actions.accepted(offered.sort((a, b) => area(a) - area(b))[0]);
    this.actions.selected(null);
  }
}
