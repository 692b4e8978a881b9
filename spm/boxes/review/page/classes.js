// The list that a class is chosen from: type a part of its name, or press it.

import { element } from "./common.js";

const normalize = (text) => text.trim().toLowerCase().replace(/[\s_-]+/g, " ");

// Names that contain a text: those of the video first, then those that start with it.
export function completions(text, ofVideo, all) {
  const wanted = normalize(text);
  const others = all.filter((name) => !ofVideo.includes(name));
  const starts = (name) => normalize(name).startsWith(wanted);
  const rank = (name) => (ofVideo.includes(name) ? 0 : 2) + (starts(name) ? 0 : 1);
  return [...ofVideo, ...others]
    .filter((name) => normalize(name).includes(wanted))
    .sort((a, b) => rank(a) - rank(b)); // equal ranks keep their order
}

export class ClassChooser {
  constructor() {
    this.root = element("classes");
    this.input = element("class");
    this.list = element("options");
    this.choose = null;
    this.input.addEventListener("input", () => this.update());
    this.input.addEventListener("keydown", (event) => this.key(event));
    element("cancel-class").addEventListener("click", () => this.close());
    const note = (event) => (this.byTouch = event.pointerType === "touch");
    for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, note, true);
  }

  get isOpen() {
    return this.choose !== null;
  }

  // Ask for a class; `choose` is called with it, unless the list is closed before.
  open({ current, ofVideo, all }, choose) {
    Object.assign(this, { choose, ofVideo, all, current });
    this.root.hidden = false;
    this.input.value = "";
    this.input.placeholder = `type a class (now: ${current})`;
    this.update();
    this.root.scrollIntoView({ block: "nearest" });
    if (!this.byTouch) this.input.focus(); // a keyboard on the screen would cover the image
  }

  close() {
    this.choose = null;
    this.root.hidden = true;
    element("canvas").focus({ preventScroll: true });
  }

  update() {
    const text = this.input.value.trim();
    const found = completions(text, this.ofVideo, this.all);
    const isNew = text && !found.some((name) => normalize(name) === normalize(text));
    this.names = isNew ? [...found, text] : found;
    this.active = text ? 0 : Math.max(found.indexOf(this.current), 0);
    this.list.replaceChildren(
      ...this.names.map((name, n) => this.option(name, n, isNew && n === found.length)),
    );
    this.mark();
  }

  option(name, n, isNew) {
    const item = document.createElement("li");
    item.role = "option";
    item.id = `option-${n}`;
    item.textContent = isNew ? `new class “${name}”` : name;
    item.classList.toggle("other", !this.ofVideo.includes(name));
    item.addEventListener("pointerdown", (event) => event.preventDefault()); // keep the focus
    item.addEventListener("click", () => this.finish(name));
    return item;
  }

  mark() {
    [...this.list.children].forEach((item, n) => {
      item.ariaSelected = String(n === this.active);
    });
    const active = this.list.children[this.active];
    active?.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", active?.id ?? "");
  }

  finish(name) {
    const { choose } = this;
    this.close();
    if (name) choose(name);
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const numbered = this.input.value ? undefined : this.ofVideo[Number(event.key) - 1];
    event.stopPropagation();
    if (event.key === "Enter") this.finish(this.names[this.active]);
    else if (event.key === "Escape") this.close();
    else if (numbered) this.finish(numbered);
    else if (steps && this.names.length) {
      this.active = (this.active + steps + this.names.length) % this.names.length;
      this.mark();
    } else return;
    event.preventDefault();
  }
}
